//! A stack on loopback, a peer whose every word the test says, and SIPp.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket as StdSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use patchcord_pivot::message::{
    Action, Address, Credentials, DialogId, Event, Incoming, Outgoing, RequestId, Status, Transport,
};
use patchcord_pivot::sip::{Config, Listen, SipStack as _, Stack};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{self, Receiver};

/// Whatever is awaited comes long before.
const PATIENCE: Duration = Duration::from_secs(20);

/// A session description; the name tells it from others.
pub(crate) fn sdp(name: &str) -> String {
    format!("v=0\r\no={name} 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n")
}

/// The name in a description.
pub(crate) fn name(sdp: &str) -> &str {
    sdp.split("o=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default()
}

/// A stack, what it says, and where it is.
pub(crate) struct Pivot {
    pub(crate) stack: Arc<Stack>,
    pub(crate) events: Receiver<Event>,
    pub(crate) address: SocketAddr,
}

pub(crate) fn listen(transport: Transport, ip: &str) -> Listen {
    Listen { transport, address: SocketAddr::new(ip.parse().expect("an address"), 0), advertised: None }
}

impl Pivot {
    /// On UDP of loopback, with a T1 of 50 ms.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(vec![listen(Transport::Udp, "127.0.0.1")]);
        config.t1 = Duration::from_millis(50);
        change(&mut config);
        let (sender, events) = mpsc::channel(64);
        let stack = Stack::start(config, sender).await.expect("it starts");
        let address = stack.addresses()[0].1;
        Self { stack, events, address }
    }

    /// What happens next.
    pub(crate) async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .expect("something happens")
            .expect("the stack is there")
    }

    pub(crate) fn act(&self, action: Action) {
        self.stack.act(action);
    }

    pub(crate) fn request(&self) -> RequestId {
        self.stack.next_request()
    }

    /// Sends an INVITE.
    pub(crate) fn call(&self, uri: &str, change: impl FnOnce(&mut Outgoing)) -> DialogId {
        let dialog = self.stack.next_dialog();
        let mut outgoing = Outgoing {
            request_uri: uri.into(),
            to: Address { display: "".into(), uri: uri.into() },
            from: Address { display: "Pivot".into(), uri: "sip:pivot@pivot.invalid".into() },
            asserted: None,
            contact_user: "pivot".into(),
            proxy: None,
            credentials: None,
            headers: Vec::new(),
            offer: sdp("offer").into(),
        };
        change(&mut outgoing);
        self.act(Action::Invite(dialog, Box::new(outgoing)));
        dialog
    }

    pub(crate) async fn invited(&mut self) -> (DialogId, Box<Incoming>) {
        match self.next().await {
            Event::Invite(dialog, incoming) => (dialog, incoming),
            other => panic!("an INVITE was expected, not {other:?}"),
        }
    }

    pub(crate) fn accept(&self, dialog: DialogId) {
        self.act(Action::Accept { dialog, sdp: sdp("answer").into() });
    }

    pub(crate) async fn acknowledged(&mut self) -> Option<Box<str>> {
        match self.next().await {
            Event::Acknowledged { answer, .. } => answer,
            other => panic!("an ACK was expected, not {other:?}"),
        }
    }

    pub(crate) async fn answered(&mut self, of: RequestId) -> (Status, Option<Box<str>>) {
        match self.next().await {
            Event::Answered { request, status, answer } if request == of => (status, answer),
            other => panic!("an answer to {of:?} was expected, not {other:?}"),
        }
    }

    pub(crate) async fn ended(&mut self) {
        let event = self.next().await;
        assert!(matches!(event, Event::Ended(..)), "the end was expected, not {event:?}");
    }

    /// Ends a dialog; the peer agrees.
    pub(crate) async fn bye_answered_by(&mut self, dialog: DialogId, peer: &mut Peer) {
        let request = self.request();
        self.act(Action::Bye { dialog, request, reason: None });
        let bye = peer.expect("BYE").await;
        peer.respond(&bye, "200 OK", "", "", "").await;
        assert_eq!(self.answered(request).await.0.code, 200);
    }

    pub(crate) fn respond(&self, request: RequestId, code: u16, phrase: &str) {
        let status = Status { code, phrase: phrase.into() };
        self.act(Action::Respond { request, status, headers: Vec::new(), sdp: None });
    }

    /// A call from a peer, up to the ACK.
    pub(crate) async fn call_from(&mut self, peer: &mut Peer) -> (DialogId, Call) {
        let call = peer.invite(&sdp("caller")).await;
        let (dialog, _) = self.invited().await;
        self.accept(dialog);
        let ok = peer.expect("SIP/2.0 200").await;
        let call = peer.acknowledge(call, &ok, "").await;
        assert_eq!(self.acknowledged().await, None);
        (dialog, call)
    }

    /// A call to a peer, up to the ACK.
    pub(crate) async fn call_to(&mut self, peer: &mut Peer, credentials: Option<Credentials>) -> (DialogId, Call) {
        let dialog = self.call(&peer.uri(), |outgoing| outgoing.credentials = credentials);
        let invite = peer.expect("INVITE").await;
        peer.respond(&invite, "200 OK", "callee", &peer.contact(), &sdp("callee")).await;
        let ack = peer.expect("ACK").await;
        assert_eq!(ack.get("CSeq").split(' ').next(), invite.get("CSeq").split(' ').next());
        let event = self.next().await;
        assert!(matches!(event, Event::Accepted { .. }), "{event:?}");
        (dialog, Call::of_invite(&invite, "callee"))
    }
}

/// A message as the peer got it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Message {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.split("\r\n");
        let start = lines.next().expect("a start line").to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':').expect("a field");
            (name.trim().to_owned(), value.trim().to_owned())
        };
        Self { start, headers: lines.map(field).collect(), body: body.to_owned() }
    }

    /// The first field of a name; empty if there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let is_it = |(field, _): &&(String, String)| field.eq_ignore_ascii_case(name);
        self.headers.iter().filter(is_it).map(|(_, value)| value.as_str()).collect()
    }

    /// The URI of the request line.
    pub(crate) fn uri(&self) -> &str {
        self.start.split(' ').nth(1).expect("a URI")
    }
}

/// What a peer knows of a dialog.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) call_id: String,
    /// Its own From, with tag.
    pub(crate) local: String,
    /// The stack's.
    pub(crate) remote: String,
    /// The stack's Contact.
    pub(crate) target: String,
    pub(crate) cseq: u32,
}

impl Call {
    pub(crate) fn of_invite(invite: &Message, tag: &str) -> Self {
        let contact = invite.get("Contact");
        Self {
            call_id: invite.get("Call-ID").to_owned(),
            local: format!("{};tag={tag}", invite.get("To")),
            remote: invite.get("From").to_owned(),
            target: contact.trim_start_matches('<').trim_end_matches('>').to_owned(),
            cseq: 100,
        }
    }
}

/// A UDP telephone that does nothing by itself.
pub(crate) struct Peer {
    socket: UdpSocket,
    address: SocketAddr,
    stack: SocketAddr,
    /// What has come: what comes again is passed over.
    seen: Vec<String>,
    branches: u32,
}

impl Peer {
    pub(crate) async fn new(stack: SocketAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(stack.ip(), 0)).await.expect("a socket");
        let address = socket.local_addr().expect("an address");
        Self { socket, address, stack, seen: Vec::new(), branches: 0 }
    }

    pub(crate) fn uri(&self) -> String {
        format!("sip:callee@{}", self.address)
    }

    pub(crate) fn contact(&self) -> String {
        format!("Contact: <sip:peer@{}>\r\n", self.address)
    }

    pub(crate) async fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.stack).await.expect("it is sent");
    }

    pub(crate) async fn send_bytes(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.stack).await.expect("it is sent");
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn has_nothing(&self) -> bool {
        self.socket.try_recv(&mut [0; 1]).is_err()
    }

    /// The head of a request outside of any dialog.
    pub(crate) fn stranger(&self, method: &str, number: u32) -> String {
        let (address, stack) = (self.address, self.stack);
        format!(
            "{method} sip:pivot@{stack} SIP/2.0\r\nVia: SIP/2.0/UDP {address};rport;branch=z9hG4bKs{number}\r\n\
             From: <sip:s@{address}>;tag=s{number}\r\nTo: <sip:pivot@{stack}>\r\nCall-ID: s{number}\r\n\
             CSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
        )
    }

    /// The next message, even if it came before.
    pub(crate) async fn receive(&mut self) -> (Message, String) {
        let mut buffer = vec![0; 65_535];
        let received = tokio::time::timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
        let (length, _) = received.expect("something comes").expect("it is received");
        let text = String::from_utf8(buffer[..length].to_vec()).expect("text");
        (Message::parse(&text), text)
    }

    /// The next message that is new and no 100, which must begin so.
    pub(crate) async fn expect(&mut self, start: &str) -> Message {
        loop {
            let (message, text) = self.receive().await;
            if message.start.starts_with("SIP/2.0 100") || self.seen.contains(&text) {
                continue;
            }
            self.seen.push(text);
            assert!(message.start.starts_with(start), "{start} was expected, not {message:?}");
            return message;
        }
    }

    fn via(&mut self) -> String {
        self.branches += 1;
        format!("SIP/2.0/UDP {};rport;branch=z9hG4bK{}", self.address, self.branches)
    }

    /// A whole message; the length is added.
    pub(crate) fn message(head: &str, body: &str) -> String {
        let content = if body.is_empty() || head.contains("\nContent-Type:") {
            String::new()
        } else {
            "Content-Type: application/sdp\r\n".to_owned()
        };
        format!("{head}{content}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    /// Sends an INVITE outside of any dialog.
    pub(crate) async fn invite(&mut self, body: &str) -> Call {
        self.invite_with("", body).await
    }

    pub(crate) async fn invite_with(&mut self, fields: &str, body: &str) -> Call {
        let via = self.via();
        let call = Call {
            call_id: format!("call-{}@{}", self.branches, self.address),
            local: format!("\"Peer\" <sip:peer@{}>;tag=peer", self.address),
            remote: format!("<sip:pivot@{}>", self.stack),
            target: format!("sip:pivot@{}", self.stack),
            cseq: 1,
        };
        let text = self.text("INVITE", &call, &via, &format!("{}{fields}", self.contact()), body);
        self.send(&text).await;
        call
    }

    pub(crate) fn text(&self, method: &str, call: &Call, via: &str, fields: &str, body: &str) -> String {
        let Call { call_id, local, remote, target, cseq } = call;
        let head = format!(
            "{method} {target} SIP/2.0\r\nVia: {via}\r\nFrom: {local}\r\nTo: {remote}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n{fields}"
        );
        Self::message(&head, body)
    }

    /// The Via of the latest request of its own.
    pub(crate) fn last_via(&self) -> String {
        format!("SIP/2.0/UDP {};rport;branch=z9hG4bK{}", self.address, self.branches)
    }

    /// Acknowledges a 2xx, and knows the dialog.
    pub(crate) async fn acknowledge(&mut self, mut call: Call, ok: &Message, body: &str) -> Call {
        call.remote = ok.get("To").to_owned();
        call.target = ok.get("Contact").trim_start_matches('<').trim_end_matches('>').to_owned();
        let via = self.via();
        let text = self.text("ACK", &call, &via, "", body);
        self.send(&text).await;
        call
    }

    /// Sends a request in a dialog; the text can be sent again.
    pub(crate) async fn request(&mut self, call: &mut Call, method: &str, fields: &str, body: &str) -> String {
        call.cseq += 1;
        let via = self.via();
        let text = self.text(method, call, &via, fields, body);
        self.send(&text).await;
        text
    }

    /// Answers a request.
    pub(crate) async fn respond(&self, to: &Message, status: &str, tag: &str, fields: &str, body: &str) {
        let mut head = format!("SIP/2.0 {status}\r\n");
        for via in to.all("Via") {
            head.push_str(&format!("Via: {via}\r\n"));
        }
        let to_field = to.get("To");
        let tag = if to_field.contains(";tag=") || tag.is_empty() { String::new() } else { format!(";tag={tag}") };
        head.push_str(&format!(
            "From: {}\r\nTo: {to_field}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{fields}",
            to.get("From"),
            to.get("Call-ID"),
            to.get("CSeq"),
        ));
        self.send(&Self::message(&head, body)).await;
    }

    /// Ends the call, and waits for the answer.
    pub(crate) async fn bye(&mut self, call: &mut Call) {
        self.request(call, "BYE", "", "").await;
        let ok = self.expect("SIP/2.0 200").await;
        assert!(ok.get("CSeq").ends_with("BYE"), "{ok:?}");
    }
}

/// A running SIPp (Debian's package sip-tester). Dropping it kills it.
pub(crate) struct Sipp {
    child: Option<Child>,
    pub(crate) address: SocketAddr,
}

impl Sipp {
    /// Runs a scenario of tests/sipp/ once.
    ///
    /// # Panics
    /// If it is not installed: the test cannot be made without.
    pub(crate) fn run(scenario: &str, transport: &str, ip: IpAddr, target: SocketAddr) -> Self {
        // SIPp says nowhere which port it has got. One that is free for UDP may be a TCP connection's.
        let free = || {
            let socket = StdSocket::bind((ip, 0)).expect("a port");
            let address = socket.local_addr().expect("an address");
            TcpListener::bind(address).is_ok().then(|| address.port())
        };
        let port = std::iter::repeat_with(free).flatten().next().expect("there is one in the end");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/sipp/{scenario}.xml"));
        let child = Command::new("sipp")
            .arg("-sf")
            .arg(file)
            .args(["-t", transport, "-i", &ip.to_string(), "-p", &port.to_string(), "-m", "1", "-nostdin"])
            .args(["-timeout", "20s", "-timeout_error", "-nd", &target.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("SIPp runs: apt-get install sip-tester");
        Self { child: Some(child), address: SocketAddr::new(ip, port) }
    }

    /// Waits until its TCP port accepts: TCP has nothing that comes again by itself.
    pub(crate) async fn listens(&self) {
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until it is done.
    ///
    /// # Panics
    /// If anything was not as the scenario has it.
    pub(crate) async fn succeeds(mut self) {
        let child = self.child.take().expect("it runs");
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.expect("no panic");
        let output = output.expect("it ends");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "SIPp: {}\n{out}\n{err}", output.status);
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
