//! A pivot between a carrier and an agent platform.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use patchcord_rtp::RtpHeader;
pub(crate) use patchcord_tests::sip::media_of;
use patchcord_tests::sip::{Call, Message, Phone};
use patchcord_tests::{Folder, Relay, free_port};
use serde_json::Value;

const fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// Where the carrier's requests come from and go to, and the agent platform's.
pub(crate) const CALLER: IpAddr = ip(2);
pub(crate) const AGENT: IpAddr = ip(3);
pub(crate) const TARGET: IpAddr = ip(4);

/// Everything but the calls.
pub(crate) struct Stage {
    pub(crate) relay: Relay,
    pub(crate) caller: Phone,
    pub(crate) agent: Phone,
    /// What answers the carrier's numbers.
    pub(crate) target: Phone,
    pivot: SocketAddr,
    folder: Folder,
}

/// A telephone in a call, and where its SDP has told it to send.
pub(crate) struct Side {
    pub(crate) call: Call,
    pub(crate) relay: SocketAddr,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with("", "")
    }

    /// With more keys for the carrier, and for the agents.
    pub(crate) fn with(carrier: &str, agents: &str) -> Self {
        Self::with_more("", carrier, agents)
    }

    /// With more keys of the pivot too.
    pub(crate) fn with_more(more: &str, carrier: &str, agents: &str) -> Self {
        Self::configured("caller", |pivot, agent, target| {
            format!(
                "[pivot]\nlisten = [\"udp:{pivot}\"]\nroutes = [{{ from = \"carrier\", to = \"{}\", by = \"agents\" }}, \
                 {{ from = \"agents\", to = \"sip:+15550199@{}\", by = \"carrier\" }}]\n{more}\n\
                 [pivot.trunks.carrier]\ndomain = \"carrier.example\"\nproxy = \"sip:{}\"\naddresses = [\"127.0.0.2\", \"127.0.0.4\"]\n{carrier}\n\
                 [pivot.trunks.agents]\ndomain = \"agents.example\"\naddresses = [\"127.0.0.3\"]\n{agents}\n",
                agent.uri(),
                target.address(),
                target.address(),
            )
        })
    }

    /// With another name of the caller, and a whole configuration by where the pivot, the agent and the target are.
    pub(crate) fn configured(caller: &'static str, text: impl FnOnce(SocketAddr, &Phone, &Phone) -> String) -> Self {
        let pivot = free_port();
        let phone = |ip, name| Phone::signalling_from(ip, name, ip, pivot);
        let [caller, agent, target] =
            [(CALLER, caller), (AGENT, "agent"), (TARGET, "target")].map(|(at, name)| phone(at, name));
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("pivot-{}", pivot.port()));
        let file = folder.path().join("pivot.toml");
        std::fs::write(&file, text(pivot, &agent, &target)).unwrap();
        let relay = Relay::start(&["--config", file.to_str().unwrap(), "--workers", "2"]);
        Self { relay, caller, agent, target, pivot, folder }
    }

    /// The relay is killed, and another one takes its place.
    pub(crate) fn kill_and_restart(&mut self) {
        self.kill_and_restart_with(&[]);
    }

    /// With more arguments.
    pub(crate) fn kill_and_restart_with(&mut self, more: &[&str]) {
        self.relay.kill();
        let file = self.folder.path().join("pivot.toml");
        self.relay = Relay::start(&[&["--config", file.to_str().unwrap(), "--workers", "2"], more].concat());
    }

    /// What the carrier calls.
    pub(crate) fn uri(&self) -> String {
        format!("sip:+15550100@{}", self.pivot)
    }

    /// A call that the agent has answered.
    pub(crate) fn talking(&mut self) -> (Side, Side) {
        let mut out = self.caller.invite(&self.uri(), &self.caller.media.sdp(""), "");
        let (inbound, offer) = self.agent.ring();
        self.agent.respond(&inbound, "180 Ringing", "");
        let _ringing = self.caller.must_get(&mut out, 180, None);
        self.agent.respond(&inbound, "200 OK", &self.agent.media.sdp(""));
        let answer = self.caller.must_get(&mut out, 200, Some(""));
        let _ack = self.agent.must_take("ACK");
        let (caller, agent) =
            (Side { call: out, relay: media_of(&answer) }, Side { call: inbound, relay: media_of(&offer) });
        self.must_talk(&caller, &agent);
        (caller, agent)
    }

    /// Each hears the other's first packet.
    pub(crate) fn must_talk(&mut self, caller: &Side, agent: &Side) {
        self.caller.media.send(caller.relay);
        self.agent.media.must_hear(&self.caller.media);
        self.agent.media.send(agent.relay);
        self.caller.media.must_hear(&self.agent.media);
    }

    /// The target answers, and the caller hears it.
    pub(crate) fn target_answers(&mut self, inbound: &Call, offer: &str) -> RtpHeader {
        self.target.respond(inbound, "200 OK", &self.target.media.sdp(""));
        let _ack = self.target.must_take("ACK");
        self.target.media.speak_until_heard(media_of(offer), &self.caller.media)
    }

    /// Begins a transfer over HTTP, and gives its id.
    pub(crate) fn begin(&self, body: &Value) -> String {
        let answer = self.relay.client().request("POST", "/v1/transfers", &body.to_string());
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.body["transfer"].as_str().unwrap().to_owned()
    }

    /// The latest transfer; null: there is none.
    pub(crate) fn latest(&self) -> Value {
        self.relay.client().get("/v1/transfers")["transfers"][0].clone()
    }

    /// The agent asks for a transfer, which is accepted.
    pub(crate) fn refer(&self, agent: &mut Side, to: &str) {
        self.agent.request(&mut agent.call, "REFER", "", &format!("Refer-To: {to}\r\n"));
        self.agent.must_be_answered(&agent.call, "REFER", 202);
        self.must_be_notified("SIP/2.0 100 Trying\r\n", "active");
    }

    /// The agent is told how it goes on.
    pub(crate) fn must_be_notified(&self, body: &str, state: &str) -> Message {
        let notify = self.must_be_told(body, state);
        assert_eq!(notify.header("Event"), Some("refer"));
        notify
    }

    /// The same of whichever REFER of its call.
    pub(crate) fn must_be_told(&self, body: &str, state: &str) -> Message {
        let notify = self.agent.must_take("NOTIFY");
        assert_eq!(notify.body, body);
        let said = notify.header("Subscription-State").unwrap();
        assert!(said.starts_with(state), "{said}");
        notify
    }

    /// Everything that was there is gone.
    pub(crate) fn must_be_idle(&self) {
        self.relay.client().must_be_idle();
    }
}
