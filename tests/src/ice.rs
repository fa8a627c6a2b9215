//! A telephone whose ICE is a full agent, which somebody else has written: it checks, nominates, and sends media to where it
//! has nominated.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgent, IceAgentEvent, IceCreds, Protocol};

use crate::wait::PATIENCE;

/// An agent has its due times; nobody waits longer than this for what may come meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// A telephone with an agent for each component.
#[derive(Debug)]
pub struct IcePhone {
    credentials: IceCreds,
    components: Vec<Component>,
    ssrc: u32,
    sequence: u16,
}

/// Where one component of its media comes and goes.
#[derive(Debug)]
struct Component {
    number: u16,
    socket: UdpSocket,
    agent: IceAgent,
    nominated: Option<SocketAddr>,
    received: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl IcePhone {
    /// A telephone at this address: RTP alone where RTCP is muxed, else RTP and RTCP.
    ///
    /// # Panics
    /// If the system has no port there.
    #[must_use]
    pub fn new(ip: IpAddr, rtcp_muxed: bool) -> Self {
        let credentials = IceCreds::new();
        let count = if rtcp_muxed { 1 } else { 2 };
        let components = (1..=count).map(|number| Component::new(number, ip, &credentials)).collect();
        let mut phone = Self { credentials, components, ssrc: 0, sequence: 1 };
        // Telephones do not count alike: what one has sent is no copy of what another has.
        phone.ssrc = 0x5eed_0000 | u32::from(phone.address(1).port());
        phone
    }

    /// Its audio. As a browser it names no address as its own (RFC 8840 4.1.1): its checks show where it is.
    #[must_use]
    pub fn sdp(&self, protocol: &str) -> String {
        let IceCreds { ufrag, pass } = &self.credentials;
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 9 {protocol} 0\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pass}\r\n"
        );
        if self.components.len() == 1 {
            sdp += "a=rtcp-mux\r\n";
        }
        for Component { number, socket, .. } in &self.components {
            let address = socket.local_addr().expect("the socket is bound");
            let (ip, port) = (address.ip(), address.port());
            let priority = 2_130_706_432 - u32::from(*number);
            sdp += &format!("a=candidate:1 {number} UDP {priority} {ip} {port} typ host\r\n");
        }
        sdp
    }

    /// Takes what the other side has said, and begins to check.
    ///
    /// # Panics
    /// If that is not the SDP of a lite agent with candidates of all components.
    pub fn take(&mut self, sdp: &str) {
        let value = |name: &str| {
            let prefix = format!("a={name}:");
            let line = sdp.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
            line.unwrap_or_else(|| panic!("no {name} in {sdp}")).to_owned()
        };
        assert!(sdp.lines().any(|line| line == "a=ice-lite"), "no a=ice-lite in {sdp}");
        let media = sdp.find("m=").expect("there is media");
        assert!(sdp.find("a=ice-lite").is_some_and(|at| at < media), "a=ice-lite belongs to the session: {sdp}");
        let remote = IceCreds { ufrag: value("ice-ufrag"), pass: value("ice-pwd") };
        for component in &mut self.components {
            let candidates = sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
            let own = candidates.filter(|text| text.split(' ').nth(1) == Some(&component.number.to_string()));
            let addresses: Vec<SocketAddr> = own
                .map(|text| {
                    let words: Vec<_> = text.split(' ').collect();
                    assert_eq!((words[2], &words[6..]), ("UDP", &["typ", "host"][..]), "{text}");
                    SocketAddr::new(words[4].parse().expect("an address"), words[5].parse().expect("a port"))
                })
                .collect();
            assert_eq!(addresses.len(), 1, "component {} in {sdp}", component.number);
            component.begin(remote.clone(), addresses[0]);
        }
    }

    /// Lets the agents do what is due, and takes what has come.
    pub fn step(&mut self) {
        self.components.iter_mut().for_each(Component::step);
    }

    /// Whether all components have been nominated.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.components.iter().all(|component| component.nominated.is_some())
    }

    /// Sends an RTP packet to where media goes, and gives it.
    ///
    /// # Panics
    /// If nothing was nominated yet.
    pub fn speak(&mut self) -> Vec<u8> {
        let packet = rtp(self.ssrc, self.sequence);
        self.sequence += 1;
        self.components[0].send(&packet);
        packet
    }

    /// It is the same telephone at another place: its stream goes on.
    pub const fn continue_stream_of(&mut self, before: &Self) {
        (self.ssrc, self.sequence) = (before.ssrc, before.sequence);
    }

    /// Sends a receiver report from its last component: the RTCP port, if it has one.
    ///
    /// # Panics
    /// If nothing was nominated yet.
    pub fn report(&self) {
        let [s0, s1, s2, s3] = self.ssrc.to_be_bytes();
        let packet = [0x80, 201, 0, 1, s0, s1, s2, s3];
        self.components[self.components.len() - 1].send(&packet);
    }

    /// What has come to the component, beside STUN: from where, and what.
    pub fn heard(&mut self, component: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        self.components[component - 1].received.drain(..).collect()
    }

    /// Where it sends media of the component to.
    #[must_use]
    pub fn nominated(&self, component: usize) -> Option<SocketAddr> {
        self.components[component - 1].nominated
    }

    /// Where it sends media of the component from.
    ///
    /// # Panics
    /// Never: the socket is bound.
    #[must_use]
    pub fn address(&self, component: usize) -> SocketAddr {
        self.components[component - 1].socket.local_addr().expect("the socket is bound")
    }

    /// Its name in checks.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.credentials.ufrag
    }
}

/// Lets telephones do what is due until `done`.
///
/// # Panics
/// If that is never so.
pub fn until(what: &str, phones: &mut [&mut IcePhone], mut done: impl FnMut(&mut [&mut IcePhone]) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        phones.iter_mut().for_each(|phone| phone.step());
        if done(phones) {
            return;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(LOOK);
    }
}

/// An RTP packet of PCMU.
#[must_use]
pub fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xd5; 160]);
    packet
}

impl Component {
    fn new(number: u16, ip: IpAddr, credentials: &IceCreds) -> Self {
        let socket = UdpSocket::bind((ip, 0)).expect("the system has a port");
        socket.set_nonblocking(true).expect("a socket can be that");
        let address = socket.local_addr().expect("the socket is bound");
        let mut agent = IceAgent::new(credentials.clone());
        // RFC 8445 6.1.1: of a full and a lite agent the full one decides.
        agent.set_controlling(true);
        agent.add_local_candidate(host(address));
        Self { number, socket, agent, nominated: None, received: VecDeque::new() }
    }

    fn begin(&mut self, remote: IceCreds, address: SocketAddr) {
        self.agent.set_remote_credentials(remote);
        self.agent.add_remote_candidate(host(address));
        self.agent.handle_timeout(Instant::now());
    }

    fn step(&mut self) {
        let here = self.socket.local_addr().expect("the socket is bound");
        let mut buffer = [0; 2048];
        loop {
            let (len, from) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A port that is closed is told by ICMP: that is for the checks to find out.
                Err(_) => continue,
            };
            let bytes = &buffer[..len];
            match StunMessage::parse(bytes) {
                Ok(message) if bytes[0] < 4 => {
                    let packet = StunPacket { proto: Protocol::Udp, source: from, destination: here, message };
                    self.agent.handle_packet(Instant::now(), packet);
                }
                _ => self.received.push_back((from, bytes.to_vec())),
            }
        }
        let now = Instant::now();
        if self.agent.poll_timeout().is_some_and(|due| due <= now) {
            self.agent.handle_timeout(now);
        }
        while let Some(transmit) = self.agent.poll_transmit() {
            let sent = self.socket.send_to(&transmit.contents, transmit.destination);
            assert!(sent.is_ok() || sent.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused));
        }
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                self.nominated = Some(destination);
            }
        }
    }

    fn send(&self, packet: &[u8]) {
        let to = self.nominated.expect("media is sent to what was nominated");
        self.socket.send_to(packet, to).expect("loopback takes it");
    }
}

fn host(address: SocketAddr) -> Candidate {
    Candidate::host(address, Protocol::Udp).expect("the address can be a candidate")
}
