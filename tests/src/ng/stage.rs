//! Where a scenario is done: one daemon, one call, some parties.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use patchcord_ng::{Dict, Value};

use crate::ng::client::NgClient;
use crate::ng::front::Front;
use crate::ng::keys::Keys;
use crate::ng::party::{Packet, Party, changes};
use crate::ng::symbols::Symbols;
use crate::ng::{replies, sdp};
use crate::ports::Ports;
use crate::wait::eventually;

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A call in the making. In every text that is sent, `{a}` stands for party a's RTP port, `{a+1}` for its RTCP port and
/// `{call}` for the call's name.
#[derive(Debug)]
pub struct Stage {
    client: NgClient,
    /// Names of calls; the last one is the current one's.
    calls: Vec<String>,
    parties: Vec<Party>,
    symbols: Symbols,
    transcript: Vec<String>,
    sentinel: Sentinel,
    /// Where requests go instead.
    front: Option<Front>,
    /// Where the daemon's media comes from, if that is known: a daemon that ran before may still send to ports that are used anew.
    media: Option<Ports>,
}

/// What a daemon answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// As it came.
    pub dict: Dict,
    lines: Vec<String>,
    ports: Vec<String>,
}

/// A call whose packets show that the daemon has dealt with those before.
#[derive(Debug)]
struct Sentinel {
    call: String,
    from: Party,
    to: Party,
    port: SocketAddr,
}

impl Stage {
    /// A new call at the daemon at this address, with `advertised` addresses in SDP that stand for others.
    ///
    /// # Panics
    /// If the daemon does not answer.
    #[must_use]
    pub fn new(daemon: SocketAddr, advertised: &[(IpAddr, IpAddr)]) -> Self {
        let client = NgClient::new(daemon);
        let sentinel = Sentinel::start(&client);
        let symbols = Symbols::new(advertised);
        let calls = vec![new_name()];
        Self { client, calls, parties: Vec::new(), symbols, transcript: Vec::new(), sentinel, front: None, media: None }
    }

    /// Counts only packets from these ports.
    pub(super) const fn only_from(mut self, media: Ports) -> Self {
        self.media = Some(media);
        self
    }

    /// Sends requests over another front from now on.
    pub fn over(&mut self, front: Front) {
        self.front = Some(front);
    }

    /// Goes on with another call; what was is left as it is, and the names of its ports are forgotten.
    pub fn next_call(&mut self) {
        self.symbols.next_call();
        self.calls.push(new_name());
        self.write("= another call".to_owned());
    }

    /// Adds parties at 127.0.0.1.
    pub fn parties<const N: usize>(&mut self, names: [&'static str; N]) {
        for name in names {
            self.party_at(name, LOOPBACK);
        }
    }

    /// Adds a party at another address of this machine.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn party_at(&mut self, name: &'static str, ip: IpAddr) {
        let party = Party::new(name, ip);
        self.symbols.party(party.address(), format!("{{{name}}}"));
        self.symbols.party(party.rtcp_address(), format!("{{{name}+1}}"));
        self.parties.push(party);
    }

    /// `offer`; `tags` are `FROM` or `FROM TO`.
    pub fn offer(&mut self, tags: &str, sdp: &str) -> Reply {
        self.offer_with(tags, sdp, Dict::new())
    }

    /// `offer` with more keys.
    pub fn offer_with(&mut self, tags: &str, sdp: &str, more: Dict) -> Reply {
        self.command("offer", tags, more.with("sdp", sdp))
    }

    /// `answer`; `tags` are `FROM TO`.
    pub fn answer(&mut self, tags: &str, sdp: &str) -> Reply {
        self.answer_with(tags, sdp, Dict::new())
    }

    /// `answer` with more keys.
    pub fn answer_with(&mut self, tags: &str, sdp: &str, more: Dict) -> Reply {
        self.command("answer", tags, more.with("sdp", sdp))
    }

    /// Any command about the call; `tags` are none, `FROM`, `FROM TO`, or `- TO`.
    pub fn command(&mut self, command: &str, tags: &str, more: Dict) -> Reply {
        let mut request = Dict::new().with("command", command).with("call-id", "{call}");
        for (key, tag) in ["from-tag", "to-tag"].into_iter().zip(tags.split_ascii_whitespace()) {
            if tag != "-" {
                request.set(key, tag);
            }
        }
        request.0.extend(more.0);
        self.request(&request)
    }

    /// A command of whose reply only result, reason and warning are written down.
    pub fn command_for_result(&mut self, command: &str, tags: &str, more: Dict) -> Reply {
        let before = self.transcript.len();
        let reply = self.command(command, tags, more);
        let told = ["  result: ", "  error-reason: ", "  warning: "];
        let mut index = 0;
        self.transcript.retain(|line| {
            index += 1;
            index <= before + 1 || told.iter().any(|key| line.starts_with(key))
        });
        reply
    }

    /// A request as it is.
    pub fn request(&mut self, request: &Dict) -> Reply {
        let request = self.filled_in(request);
        let heading = ["command", "from-tag", "to-tag"].map(|key| request.text(key).unwrap_or_default());
        self.write(format!("> {}", heading.join(" ").trim_end()));
        let dict = match &mut self.front {
            Some(front) => front.request(&request),
            None => self.client.request(&request),
        };
        self.reply(dict)
    }

    /// Bytes that may be no request at all; what is answered goes into the transcript as it is.
    pub fn raw(&mut self, body: &[u8]) -> Vec<u8> {
        self.write(format!("> {}", body.escape_ascii()));
        let reply = self.client.raw(body);
        self.write(format!("  {}", reply.escape_ascii()));
        reply
    }

    /// A datagram as it is, without a cookie of ours. What comes back before the reply to a ping that follows it is given, and goes
    /// into the transcript.
    pub fn datagram(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.write(format!("> datagram {}", bytes.escape_ascii()));
        let replies = self.client.datagram(bytes);
        for reply in &replies {
            self.write(format!("  {}", reply.escape_ascii()));
        }
        replies
    }

    /// A party sends a packet to a port of the relay, which is named as the transcript names it. Gives who got it, as
    /// `b from P1`; nobody, if there is no such port.
    ///
    /// # Panics
    /// If there is no such party, or the daemon does not relay any more.
    pub fn send(&mut self, party: &str, packet: Packet, to: &str) -> Vec<String> {
        let Some(address) = self.symbols.address(to) else {
            self.write(format!("{party} sends {packet:?} to {to}: there is no such port"));
            return Vec::new();
        };
        self.receive(&[]);
        let sender = self.parties.iter_mut().find(|known| known.name == party);
        let sent = sender.unwrap_or_else(|| panic!("there is no party {party}")).send(packet, address);
        self.sentinel.pass();
        let arrived = self.receive(&sent);
        let all = if arrived.is_empty() { "nobody".to_owned() } else { arrived.join(", ") };
        self.write(format!("{party} sends {packet:?} to {to}: {all}"));
        arrived
    }

    /// A party goes on sending to a port until another one has heard so many key presses to their ends (RFC 4733).
    ///
    /// # Panics
    /// If it does not hear them.
    pub fn await_keys(&mut self, party: &str, to: &str, listener: &str, count: usize) {
        let address = self.symbols.address(to).unwrap_or_else(|| panic!("there is no port {to}"));
        let at = |parties: &[Party], name: &str| {
            parties.iter().position(|known| known.name == name).unwrap_or_else(|| panic!("there is no party {name}"))
        };
        let (speaks, hears) = (at(&self.parties, party), at(&self.parties, listener));
        let mut heard = Keys::default();
        eventually(&format!("{listener} hears {count} keys"), || {
            self.parties[speaks].send(Packet::Rtp(0), address);
            heard.take(&self.parties[hears]);
            (heard.ended() >= count).then_some(())
        });
        self.write(format!("{listener} hears {heard} of {party}"));
    }

    /// What the parties have got: who from where, and what is not as it was sent.
    fn receive(&self, sent: &[u8]) -> Vec<String> {
        let mut arrived = Vec::new();
        for party in &self.parties {
            for (rtcp, from, bytes) in party.take() {
                if self.media.is_some_and(|media| !(media.first..=media.last).contains(&from.port())) {
                    continue;
                }
                let port = if rtcp { "+1" } else { "" };
                let from = self.symbols.name(from).unwrap_or_else(|| "a port that no SDP named".to_owned());
                arrived.push(format!("{}{port} from {from}{}", party.name, changes(sent, &bytes)));
            }
        }
        arrived
    }

    /// Asks until a tag's first stream has a flag.
    ///
    /// # Panics
    /// If it never gets it.
    pub fn await_flag(&mut self, tag: &str, flag: &str) {
        let request = self.filled_in(&Dict::new().with("command", "query").with("call-id", "{call}"));
        eventually(&format!("tag {tag} is {flag}"), || {
            let reply = self.client.request(&request);
            let medias = reply.dict("tags")?.dict(tag)?.list("medias")?;
            let Value::Dict(media) = medias.first()? else { return None };
            let Value::Dict(stream) = media.list("streams")?.first()? else { return None };
            stream.get("flags")?.texts().iter().any(|known| known == flag).then_some(())
        });
    }

    /// A party's address.
    ///
    /// # Panics
    /// If there is no such party.
    #[must_use]
    pub fn address(&self, party: &str) -> SocketAddr {
        let found = self.parties.iter().find(|known| known.name == party);
        found.unwrap_or_else(|| panic!("there is no party {party}")).address()
    }

    /// Ends the call and gives the transcript.
    pub(super) fn finish(self) -> Vec<String> {
        for call in self.calls.iter().chain([&self.sentinel.call]) {
            let request = Dict::new().with("command", "delete").with("call-id", call.as_str());
            self.client.request(&request.with("delete-delay", 0_i64));
        }
        self.transcript
    }

    fn reply(&mut self, dict: Dict) -> Reply {
        let lines = replies::lines(&dict, &mut self.symbols);
        let sdp: Vec<String> = lines.iter().filter_map(|line| line.strip_prefix("sdp: ")).map(str::to_owned).collect();
        for line in lines {
            self.write(format!("  {line}"));
        }
        Reply { dict, ports: sdp::media_ports(&sdp), lines: sdp }
    }

    fn filled_in(&mut self, request: &Dict) -> Dict {
        let Value::Dict(filled) = self.fill(&Value::Dict(request.clone())) else { unreachable!("it is a dictionary") };
        filled
    }

    fn fill(&mut self, value: &Value) -> Value {
        match value {
            Value::Bytes(bytes) => match core::str::from_utf8(bytes) {
                Ok(text) => {
                    let mut text = text.replace("{call}", self.call());
                    for party in &self.parties {
                        text = text.replace(&format!("{{{}}}", party.name), &party.address().port().to_string());
                        text = text.replace(&format!("{{{}+1}}", party.name), &party.rtcp_address().port().to_string());
                    }
                    self.symbols.say(&text);
                    text.into()
                }
                Err(_) => value.clone(),
            },
            Value::Integer(_) => value.clone(),
            Value::List(list) => Value::List(list.iter().map(|value| self.fill(value)).collect()),
            Value::Dict(dict) => {
                Value::Dict(Dict(dict.0.iter().map(|(key, value)| (key.clone(), self.fill(value))).collect()))
            }
        }
    }

    /// The name of the call.
    ///
    /// # Panics
    /// Never: there is always a call.
    #[must_use]
    pub fn call(&self) -> &str {
        self.calls.last().expect("there is always a call")
    }

    /// What names this run goes out of the text: the call, and the ports of its parties.
    fn write(&mut self, text: String) {
        let text = self.calls.iter().fold(text, |text, call| text.replace(call, "{call}"));
        let mut line = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, digits) = rest.split_at(at);
            let len = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let (number, after) = digits.split_at(len);
            let party = number.parse().ok().and_then(|port| self.symbols.party_at_port(port));
            line.extend([before, party.unwrap_or(number)]);
            rest = after;
        }
        line.push_str(rest);
        self.transcript.push(line);
    }
}

/// A name for a call that no other one has, in no process.
fn new_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("call-{}-{}-x", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Reply {
    /// `result`
    #[must_use]
    pub fn result(&self) -> String {
        self.dict.text("result").unwrap_or_default().into_owned()
    }

    /// `error-reason`
    #[must_use]
    pub fn reason(&self) -> String {
        self.dict.text("error-reason").unwrap_or_default().into_owned()
    }

    /// The port of the first media section, by the name that it has in the transcript; empty if there is none.
    #[must_use]
    pub fn port(&self) -> &str {
        self.port_of(0)
    }

    /// The port of a media section.
    #[must_use]
    pub fn port_of(&self, index: usize) -> &str {
        self.ports.get(index).map_or("", String::as_str)
    }

    /// The SDP's lines, with symbols, and line ends as escapes.
    #[must_use]
    pub fn sdp(&self) -> &[String] {
        &self.lines
    }
}

impl Sentinel {
    fn start(client: &NgClient) -> Self {
        let call = new_name();
        let (from, to) = (Party::new("sentinel", LOOPBACK), Party::new("sentinel's peer", LOOPBACK));
        let exchange = |command: &str, port: u16, more: Dict| {
            let sdp = format!(
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
            );
            let request = Dict::new().with("command", command).with("call-id", call.as_str()).with("from-tag", "a");
            let mut request = request.with("sdp", sdp);
            request.0.extend(more.0);
            let reply = client.request(&request);
            let text =
                reply.text("sdp").unwrap_or_else(|| panic!("{command} was answered with {reply:?}")).into_owned();
            let media = text.lines().find_map(|line| line.strip_prefix("m=audio "));
            media.and_then(|media| media.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("no port in {text}"))
        };
        exchange("offer", from.address().port(), Dict::new());
        let port: u16 = exchange("answer", to.address().port(), Dict::new().with("to-tag", "b"));
        Self { call, from, to, port: SocketAddr::new(LOOPBACK, port) }
    }

    /// Sends a packet through the daemon and waits until it is through, twice: those that came in before the first one are
    /// dealt with in the same round as it at the latest.
    fn pass(&mut self) {
        for _ in 0..2 {
            self.from.send(Packet::Rtp(0), self.port);
            eventually("a packet passes the daemon", || (!self.to.take().is_empty()).then_some(()));
        }
    }
}
