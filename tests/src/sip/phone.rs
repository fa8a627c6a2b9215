//! A telephone that a test plays: it sends what it is told to, and waits for what must come.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use patchcord_rtp::{PayloadType, RTP_HEADER_LEN, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

use super::message::Message;
use crate::wait::PATIENCE;

/// How long silence is listened to before it counts as silence: ten packet times.
const SILENCE: Duration = Duration::from_millis(200);

/// Its payload type of events.
const EVENT: u8 = 101;

/// A SIP address with media.
#[derive(Debug)]
pub struct Phone {
    name: &'static str,
    socket: UdpSocket,
    address: SocketAddr,
    proxy: SocketAddr,
    /// Header fields go under their short names.
    is_short: bool,
    /// Its RTP.
    pub media: Media,
}

/// An RTP socket that knows what it sends.
#[derive(Debug)]
pub struct Media {
    socket: UdpSocket,
    ssrc: u32,
    sequence: u16,
}

/// A dialogue, seen from one side.
#[derive(Clone, Debug)]
pub struct Call {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    routes: Vec<String>,
    cseq: u32,
    /// The latest INVITE received, to be answered.
    invite: Option<Message>,
    /// The branch of the latest INVITE sent, for its CANCEL and ACK.
    branch: String,
    request_uri: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(1);

fn number() -> u32 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

impl Media {
    /// A socket on this address.
    ///
    /// # Panics
    /// If there is no such address.
    #[must_use]
    pub fn bind(ip: IpAddr) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("the address is of this machine");
        let sequence = u16::try_from(number() % 1000).expect("it is below 1000") + 1;
        Self { socket, ssrc: 0x5000_0000 + number(), sequence }
    }

    /// Where it is.
    ///
    /// # Panics
    /// Never: it is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    /// An SDP for it, with more attributes.
    #[must_use]
    pub fn sdp(&self, attributes: &str) -> String {
        self.sdp_at(self.address().ip(), attributes)
    }

    /// An SDP for it that names another address.
    #[must_use]
    pub fn sdp_at(&self, ip: IpAddr, attributes: &str) -> String {
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let port = self.address().port();
        format!(
            "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 {EVENT}\r\n\
             a=rtpmap:{EVENT} telephone-event/8000\r\n{attributes}"
        )
    }

    /// Sends one RTP packet there.
    ///
    /// # Panics
    /// If the network does not take it.
    pub fn send(&mut self, to: SocketAddr) {
        let mut payload = [0xff; 160];
        payload[..4].copy_from_slice(&self.ssrc.to_be_bytes());
        self.send_audio(to, &payload);
    }

    /// Sends 20 ms of PCMU there.
    ///
    /// # Panics
    /// If the network does not take it.
    pub fn send_audio(&mut self, to: SocketAddr, payload: &[u8; 160]) {
        let mut packet = [0; RTP_HEADER_LEN + 160];
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::new(0).expect("below 128"),
            sequence: SequenceNumber(self.sequence),
            timestamp: RtpTimestamp(u32::from(self.sequence) * 160),
            ssrc: Ssrc(self.ssrc),
        };
        header.build(&mut packet);
        packet[RTP_HEADER_LEN..].copy_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send_to(&packet, to).expect("the network takes it");
    }

    /// Waits for a packet that `speaker` has sent; whatever else comes before is returned to nobody.
    ///
    /// # Panics
    /// If none comes.
    pub fn must_hear(&self, speaker: &Self) -> RtpHeader {
        let deadline = Instant::now() + PATIENCE;
        while let Some((header, origin)) = self.next(deadline) {
            if origin == speaker.ssrc {
                return header;
            }
        }
        panic!("{} hears nothing of {}", self.address(), speaker.address());
    }

    /// Waits for a whole event (RFC 4733), and gives its number; whatever else comes before is returned to nobody.
    ///
    /// # Panics
    /// If none comes.
    pub fn must_hear_event(&self) -> u8 {
        let deadline = Instant::now() + PATIENCE;
        let mut has_begun = false;
        while let Some((header, payload)) = self.next(deadline) {
            let is_event = header.payload_type.get() == EVENT;
            has_begun |= is_event && header.marker;
            let [number, end_and_volume, ..] = payload.to_be_bytes();
            if is_event && has_begun && end_and_volume & 0x80 != 0 {
                return number;
            }
        }
        panic!("{} hears no event", self.address());
    }

    /// Speaks there until the listener hears it: for who does not know when it will be connected.
    ///
    /// # Panics
    /// If it never is.
    pub fn speak_until_heard(&mut self, to: SocketAddr, listener: &Self) -> RtpHeader {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.send(to);
            let packet_time = Instant::now() + Duration::from_millis(20);
            while let Some((header, origin)) = listener.next(packet_time) {
                if origin == self.ssrc {
                    return header;
                }
            }
        }
        panic!("{} hears nothing of {}", listener.address(), self.address());
    }

    /// Makes sure that nothing of `speaker` comes.
    ///
    /// # Panics
    /// If something does.
    pub fn must_not_hear(&self, speaker: &Self) {
        let deadline = Instant::now() + SILENCE;
        while let Some((header, origin)) = self.next(deadline) {
            assert_ne!(origin, speaker.ssrc, "{} hears {}: {header:?}", self.address(), speaker.address());
        }
    }

    /// Forgets what has come so far.
    ///
    /// # Panics
    /// If the socket is broken.
    pub fn forget(&self) {
        while self.next(Instant::now() + Duration::from_millis(1)).is_some() {}
    }

    /// The next packet, and who has sent it, by its payload: the relay may give it another SSRC.
    fn next(&self, deadline: Instant) -> Option<(RtpHeader, u32)> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(left)).expect("a timeout");
        let mut buffer = [0; 2048];
        let (len, _) = self.socket.recv_from(&mut buffer).ok()?;
        let header = RtpHeader::read(&buffer[..len]).expect("it is RTP");
        let origin = buffer[RTP_HEADER_LEN..RTP_HEADER_LEN + 4].try_into().expect("four bytes");
        Some((header, u32::from_be_bytes(origin)))
    }
}

impl Phone {
    /// A telephone on this address, behind this proxy.
    ///
    /// # Panics
    /// If the address is not of this machine.
    #[must_use]
    pub fn new(name: &'static str, ip: IpAddr, proxy: SocketAddr) -> Self {
        // Signalling is IPv4 throughout; media may be of the other family.
        Self::signalling_from(IpAddr::V4(Ipv4Addr::LOCALHOST), name, ip, proxy)
    }

    /// [`Phone::new`] with signalling on an address of its own.
    ///
    /// # Panics
    /// If an address is not of this machine.
    #[must_use]
    pub fn signalling_from(signalling: IpAddr, name: &'static str, ip: IpAddr, proxy: SocketAddr) -> Self {
        let socket = UdpSocket::bind((signalling, 0)).expect("the address is of this machine");
        let address = socket.local_addr().expect("it is bound");
        Self { name, socket, address, proxy, is_short: false, media: Media::bind(ip) }
    }

    /// Sends header fields under their short names (RFC 3261 7.3.3), where they have one.
    pub const fn use_short_names(&mut self) {
        self.is_short = true;
    }

    /// Its URI.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("sip:{}@{}", self.name, self.address)
    }

    /// Calls a URI; `sdp` is empty for a late offer.
    #[must_use]
    pub fn invite(&self, uri: &str, sdp: &str, headers: &str) -> Call {
        self.begin("INVITE", uri, sdp, headers)
    }

    /// [`Phone::invite`] under another From, whose domain need not be where the telephone is.
    #[must_use]
    pub fn invite_as(&self, from: &str, uri: &str, sdp: &str, headers: &str) -> Call {
        self.begin_as("INVITE", from, uri, sdp, headers)
    }

    /// Sends a request outside of any dialog.
    #[must_use]
    pub fn begin(&self, method: &str, uri: &str, sdp: &str, headers: &str) -> Call {
        self.begin_as(method, &format!("<{}>", self.uri()), uri, sdp, headers)
    }

    fn begin_as(&self, method: &str, from: &str, uri: &str, sdp: &str, headers: &str) -> Call {
        let mut call = Call {
            call_id: format!("{}-{}@{}", self.name, number(), self.address),
            local: format!("{from};tag={}{}", self.name, number()),
            remote: format!("<{uri}>"),
            target: uri.to_owned(),
            routes: Vec::new(),
            cseq: 0,
            invite: None,
            branch: String::new(),
            request_uri: uri.to_owned(),
        };
        self.request(&mut call, method, sdp, headers);
        call
    }

    /// Waits for an INVITE that begins a call.
    #[must_use]
    pub fn ring(&self) -> (Call, String) {
        let invite =
            self.must_receive("an INVITE", |message| message.status().is_none() && message.method() == "INVITE");
        let header = |name: &str| invite.header(name).unwrap_or_default().to_owned();
        let body = invite.body.clone();
        let call = Call {
            call_id: header("Call-ID"),
            local: format!("{};tag={}{}", header("To"), self.name, number()),
            remote: header("From"),
            target: invite.uri("Contact").unwrap_or_default().to_owned(),
            routes: invite.all("Record-Route").map(str::to_owned).collect(),
            cseq: 100,
            branch: String::new(),
            request_uri: String::new(),
            invite: Some(invite),
        };
        (call, body)
    }

    /// Waits for a re-INVITE within the call, and gives its SDP.
    pub fn reinvited(&self, call: &mut Call) -> String {
        let id = call.call_id.clone();
        let invite = self.must_receive("a re-INVITE", |message| {
            message.status().is_none() && message.method() == "INVITE" && message.header("Call-ID") == Some(id.as_str())
        });
        let body = invite.body.clone();
        call.invite = Some(invite);
        body
    }

    /// Responds to the call's INVITE.
    ///
    /// # Panics
    /// If there was none.
    pub fn respond(&self, call: &Call, status: &str, sdp: &str) {
        let invite = call.invite.as_ref().expect("it was invited");
        self.respond_to(invite, &call.local, status, sdp);
    }

    /// Responds to any request.
    pub fn respond_to(&self, request: &Message, to: &str, status: &str, sdp: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "Record-Route"] {
            for value in request.all(name) {
                text += &format!("{name}: {value}\r\n");
            }
        }
        for name in ["From", "Call-ID", "CSeq"] {
            text += &format!("{name}: {}\r\n", request.header(name).unwrap_or_default());
        }
        text += &format!("To: {to}\r\nContact: <{}>\r\n", self.uri());
        self.send(&(text + &content(sdp)));
    }

    /// Waits for a final or provisional response of that status to the call's INVITE, and gives its SDP. A final one is
    /// acknowledged where `ack` says with which SDP.
    pub fn must_get(&self, call: &mut Call, status: u16, ack: Option<&str>) -> String {
        let id = call.call_id.clone();
        let response = self.must_receive(&format!("{status}"), |message| {
            message.status() == Some(status)
                && message.method() == "INVITE"
                && message.header("Call-ID") == Some(id.as_str())
                && message.header("CSeq").is_some_and(|cseq| cseq.starts_with(&format!("{} ", call.cseq)))
        });
        if let Some(to) = response.header("To").filter(|to| to.contains(";tag=")) {
            call.remote = to.to_owned();
        }
        if let Some(target) = response.uri("Contact") {
            call.target = target.to_owned();
        }
        let routes: Vec<_> = response.all("Record-Route").rev().map(str::to_owned).collect();
        if !routes.is_empty() {
            call.routes = routes;
        }
        if status >= 200
            && let Some(sdp) = ack
        {
            self.acknowledge(call, status, sdp);
        }
        response.body
    }

    /// Sends a request within the call, or the one that begins it.
    pub fn request(&self, call: &mut Call, method: &str, sdp: &str, headers: &str) {
        call.cseq += 1;
        let branch = format!("z9hG4bK{}", number());
        let uri = call.target.clone();
        if method == "INVITE" {
            call.branch.clone_from(&branch);
            call.request_uri.clone_from(&uri);
        }
        self.send_request(call, method, &uri, &branch, sdp, headers);
    }

    /// Sends an INFO with a body of this type in a call.
    pub fn inform(&self, call: &mut Call, kind: &str, body: &str) {
        call.cseq += 1;
        let branch = format!("z9hG4bK{}", number());
        let text = self.request_in(call, "INFO", &call.target, &branch);
        self.send(&(text + &typed(kind, body)));
    }

    /// Says how a REFER of the other side goes on (RFC 3515 2.4.5).
    pub fn notify(&self, call: &mut Call, state: &str, status: &str) {
        let headers = format!("Event: refer\r\nSubscription-State: {state}\r\n");
        let content = typed("message/sipfrag;version=2.0", &format!("SIP/2.0 {status}\r\n"));
        call.cseq += 1;
        let text = self.request_in(call, "NOTIFY", &call.target, &format!("z9hG4bK{}", number()));
        self.send(&(text + &headers + &content));
    }

    /// Waits for a final response of this status to the call's latest request of another method than INVITE.
    pub fn must_be_answered(&self, call: &Call, method: &str, status: u16) -> Message {
        let id = call.call_id.clone();
        self.must_receive(&format!("{status} to {method}"), |message| {
            message.status() == Some(status)
                && message.method() == method
                && message.header("Call-ID") == Some(id.as_str())
                && message.header("CSeq").is_some_and(|cseq| cseq.starts_with(&format!("{} ", call.cseq)))
        })
    }

    /// Waits for the final response to the call's latest request of another method than INVITE, whatever it is.
    ///
    /// # Panics
    /// If none comes.
    #[must_use]
    pub fn answered(&self, call: &Call, method: &str) -> u16 {
        let response = self.must_receive(&format!("an answer to {method}"), |message| {
            message.status().is_some_and(|status| status >= 200)
                && message.method() == method
                && message.header("Call-ID") == Some(call.id())
                && message.header("CSeq").is_some_and(|cseq| cseq.starts_with(&format!("{} ", call.cseq)))
        });
        response.status().expect("a response")
    }

    /// Makes sure that no request has come that has not been waited for.
    ///
    /// # Panics
    /// If one has.
    pub fn must_have_no_request(&self) {
        let mut buffer = [0; 65_536];
        self.socket.set_read_timeout(Some(SILENCE)).expect("a timeout");
        while let Ok(len) = self.socket.recv(&mut buffer) {
            let message = Message::parse(&buffer[..len]);
            assert!(message.status().is_some(), "{}: {}", self.name, message.start);
        }
    }

    /// Where it signals.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the call, and waits until the other side has taken that in.
    pub fn bye(&self, call: &mut Call) {
        self.request(call, "BYE", "", "");
        let id = call.call_id.clone();
        self.must_receive("200 to BYE", |message| {
            message.status() == Some(200) && message.method() == "BYE" && message.header("Call-ID") == Some(id.as_str())
        });
    }

    /// Gives up a call that has not been answered.
    pub fn cancel(&self, call: &Call) {
        self.send_request(call, "CANCEL", &call.request_uri, &call.branch, "", "");
    }

    /// Waits for a request of this method, and answers it with 200 unless it is an ACK.
    #[must_use]
    pub fn must_take(&self, method: &str) -> Message {
        self.must_take_with(method, "200 OK")
    }

    /// Waits for a request of this method, and answers it so.
    #[must_use]
    pub fn must_take_with(&self, method: &str, status: &str) -> Message {
        let request = self.must_receive(method, |message| message.status().is_none() && message.method() == method);
        if method != "ACK" {
            let to = request.header("To").unwrap_or_default().to_owned();
            self.respond_to(&request, &to, status, "");
        }
        request
    }

    /// Acknowledges a final response.
    pub fn acknowledge(&self, call: &Call, status: u16, sdp: &str) {
        // RFC 3261 17.1.1.3 and 13.2.2.4: to a failure within the transaction, to a success as a request of its own.
        let success = status < 300;
        let branch = if success { format!("z9hG4bK{}", number()) } else { call.branch.clone() };
        let uri = if success { call.target.as_str() } else { call.request_uri.as_str() };
        self.send_request(call, "ACK", uri, &branch, sdp, "");
    }

    fn send_request(&self, call: &Call, method: &str, uri: &str, branch: &str, sdp: &str, headers: &str) {
        self.send(&(self.request_in(call, method, uri, branch) + headers + &content(sdp)));
    }

    /// A request without what is special about it.
    fn request_in(&self, call: &Call, method: &str, uri: &str, branch: &str) -> String {
        let Self { address, .. } = self;
        let mut text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch={branch};rport\r\nMax-Forwards: 70\r\n\
             From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\nContact: <{}>\r\n",
            call.local,
            call.remote,
            call.call_id,
            call.cseq,
            self.uri()
        );
        for route in &call.routes {
            text += &format!("Route: {route}\r\n");
        }
        text
    }

    fn send(&self, text: &str) {
        let text = if self.is_short { &shortened(text) } else { text };
        self.socket.send_to(text.as_bytes(), self.proxy).expect("loopback takes it");
    }

    /// Waits for a message; others that come before are skipped, retransmissions among them.
    fn must_receive(&self, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        let mut buffer = [0; 65_536];
        while Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left)).expect("a timeout");
            let Ok(len) = self.socket.recv(&mut buffer) else { continue };
            let message = Message::parse(&buffer[..len]);
            if wanted(&message) {
                return message;
            }
            seen.push(message.start);
        }
        panic!("{}: {what} did not come, but {seen:?}", self.name);
    }
}

impl Call {
    /// The latest INVITE that came in.
    ///
    /// # Panics
    /// If none has.
    #[must_use]
    pub const fn invite(&self) -> &Message {
        self.invite.as_ref().expect("it was invited")
    }

    /// Its Call-ID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.call_id
    }

    /// Its dialog as a `Replaces` (RFC 3891) names it to the other side.
    ///
    /// # Panics
    /// If the other side has no tag so far.
    #[must_use]
    pub fn replaces(&self) -> String {
        format!("{};to-tag={};from-tag={}", self.call_id, tag_of(&self.remote), tag_of(&self.local))
    }

    /// Its dialog as a `Target-Dialog` (RFC 4538) names it.
    ///
    /// # Panics
    /// If the other side has no tag so far.
    #[must_use]
    pub fn target_dialog(&self) -> String {
        format!("{};local-tag={};remote-tag={}", self.call_id, tag_of(&self.local), tag_of(&self.remote))
    }
}

fn tag_of(party: &str) -> &str {
    let (_, tag) = party.split_once(";tag=").expect("a dialog has two tags");
    tag.split(';').next().unwrap_or(tag)
}

/// A message with the short names of its header fields.
fn shortened(text: &str) -> String {
    const SHORT: [(&str, &str); 9] = [
        ("Via", "v"),
        ("From", "f"),
        ("To", "t"),
        ("Call-ID", "i"),
        ("Contact", "m"),
        ("Content-Type", "c"),
        ("Content-Length", "l"),
        ("Refer-To", "r"),
        ("Referred-By", "b"),
    ];
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut head = head.to_owned();
    for (name, short) in SHORT {
        head = head.replace(&format!("\r\n{name}: "), &format!("\r\n{short}:"));
    }
    format!("{head}\r\n\r\n{body}")
}

fn content(sdp: &str) -> String {
    if sdp.is_empty() {
        return "Content-Length: 0\r\n\r\n".to_owned();
    }
    typed("application/sdp", sdp)
}

fn typed(kind: &str, body: &str) -> String {
    format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Where an SDP's audio is to be sent.
///
/// # Panics
/// If it does not say.
#[must_use]
pub fn media_of(sdp: &str) -> SocketAddr {
    let line = |prefix: &str| sdp.lines().filter_map(|line| line.strip_prefix(prefix)).next_back();
    let ip = line("c=IN IP4 ").or_else(|| line("c=IN IP6 ")).unwrap_or_else(|| panic!("no c= in {sdp}"));
    let port = line("m=audio ").and_then(|media| media.split(' ').next()).unwrap_or_else(|| panic!("no m= in {sdp}"));
    SocketAddr::new(ip.trim().parse().expect("an address"), port.parse().expect("a port"))
}
