//! A relay, a proxy, and telephones.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

pub(crate) use patchcord_tests::sip::media_of;
use patchcord_tests::sip::{Call, Media, Phone, Switch};

/// The caller's, the callee's and a third party's address.
pub(crate) const IPS: [IpAddr; 3] = [
    IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2)),
    IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 3)),
    IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 4)),
];

/// Everything but the telephones.
pub(crate) struct Stage(Switch);

impl Deref for Stage {
    type Target = Switch;

    fn deref(&self) -> &Switch {
        &self.0
    }
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self(Switch::start(&[]))
    }

    /// The relay listens at one address, Kamailio is told another; the relay gets more arguments.
    pub(crate) fn with(listens: SocketAddr, told: SocketAddr, arguments: &[&str]) -> Self {
        Self(Switch::with_ng(listens, told, arguments))
    }

    pub(crate) fn phone(&self, name: &'static str, ip: IpAddr) -> Phone {
        Phone::new(name, ip, self.kamailio.address())
    }

    /// Two telephones, the first of which has called the second.
    pub(crate) fn talking(&self) -> (Talker, Talker) {
        let caller = self.phone("caller", IPS[0]);
        let callee = self.phone("callee", IPS[1]);
        let mut out = caller.invite(&callee.uri(), &caller.media.sdp(""), "");
        let (inbound, offer) = callee.ring();
        callee.respond(&inbound, "180 Ringing", "");
        let _ringing = caller.must_get(&mut out, 180, None);
        callee.respond(&inbound, "200 OK", &callee.media.sdp(""));
        let answer = caller.must_get(&mut out, 200, Some(""));
        let _ack = callee.must_take("ACK");
        (
            Talker { call: out, phone: caller, relay: media_of(&answer) },
            Talker { call: inbound, phone: callee, relay: media_of(&offer) },
        )
    }
}

/// A telephone in a call, and where its SDP has told it to send.
pub(crate) struct Talker {
    pub(crate) call: Call,
    pub(crate) phone: Phone,
    pub(crate) relay: SocketAddr,
}

impl Talker {
    pub(crate) fn say(&mut self) {
        self.phone.media.send(self.relay);
    }
}

/// Both talk, and hear each other.
pub(crate) fn must_talk(one: &mut Talker, other: &mut Talker) {
    one.say();
    other.phone.media.must_hear(&one.phone.media);
    other.say();
    one.phone.media.must_hear(&other.phone.media);
}

/// A telephone's second RTP socket.
pub(crate) fn other_media(phone: &Phone) -> Media {
    Media::bind(phone.media.address().ip())
}
