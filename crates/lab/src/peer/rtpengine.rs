//! Debian's rtpengine as a peer: userspace forwarding, driven by its ng protocol.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use patchcord_ng::{Dict, Message};
use patchcord_srtp::Suite;

use super::relay::CONTROL_TIMEOUT;
use super::secured::CallKeys;
use super::{CallPlan, CallPorts, PeerError, Relay, Topology};

/// Where it listens.
pub(super) const CONTROL: &str = "127.0.0.1:2223";

/// `rtpengine` without its kernel module (`--table=-1`) and with one forwarding thread.
#[derive(Debug, Clone)]
pub struct Rtpengine {
    /// The executable.
    pub program: String,
    /// Appended to its arguments.
    pub arguments: Vec<String>,
    /// Callees speak SRTP with this suite.
    pub callee_suite: Option<Suite>,
}

impl Default for Rtpengine {
    fn default() -> Self {
        Self { program: "rtpengine".to_owned(), arguments: Vec::new(), callee_suite: None }
    }
}

impl Relay for Rtpengine {
    fn name(&self) -> &'static str {
        "rtpengine"
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--table=-1", "--foreground", "--log-stderr", "--log-level=4", "--num-threads=1"])
            .args(["--port-min=2000", "--port-max=65000", "--delete-delay=0", "--config-file=none"])
            .arg(format!("--listen-ng={CONTROL}"))
            .arg(format!("--interface=caller/{}", Topology::RELAY_TO_CALLER))
            .arg(format!("--interface=callee/{}", Topology::RELAY_TO_CALLEE))
            .args(&self.arguments);
        command
    }

    fn is_ready(&self) -> bool {
        let ping = Dict::new().with("command", "ping");
        ask("ping", &ping, Duration::from_millis(200))
            .is_ok_and(|reply| reply.text("result").as_deref() == Some("pong"))
    }

    fn callee_suite(&self) -> Option<Suite> {
        self.callee_suite
    }

    fn create_call(&self, plan: &CallPlan) -> Result<CallPorts, PeerError> {
        let call = format!("lab-{}", plan.number);
        let request = |command: &str, sdp: String, others: Dict| {
            let mut request = Dict::new()
                .with("command", command)
                .with("call-id", &*call)
                .with("from-tag", "caller")
                .with("sdp", sdp)
                .with("ICE", "remove")
                .with("flags", vec!["trust-address"])
                // RTP and RTCP on one port, as in Patchcord's calls: one socket a side.
                .with("rtcp-mux", vec!["offer", "accept"]);
            request.0.extend(others.0);
            let reply = ask(command, &request, CONTROL_TIMEOUT)?;
            let why = || reply.text("error-reason").map_or_else(|| format!("{reply:?}"), |why| why.to_string());
            let sdp = reply.text("sdp").ok_or_else(|| refused(command, why()))?.into_owned();
            let address = media_address(&sdp).ok_or_else(|| refused(command, format!("no address in {sdp}")))?;
            Ok::<_, PeerError>((address, sdp))
        };
        let mut to_callee = Dict::new().with("direction", vec!["caller", "callee"]);
        if self.callee_suite.is_some() {
            to_callee = to_callee.with("transport-protocol", "RTP/SAVP").with("DTLS", "off");
        }
        let (to_callee, offered) = request("offer", sdp(plan.caller, None), to_callee)?;
        let crypto = match self.callee_suite {
            Some(suite) => {
                let tag = crypto_tag(&offered, suite)
                    .ok_or_else(|| refused("offer", format!("no {suite:?} in {offered}")))?;
                Some(CallKeys::new(suite, plan.number)?.accepting(tag))
            }
            None => None,
        };
        let answer = sdp(plan.callee, crypto.as_deref());
        let (to_caller, _) = request("answer", answer, Dict::new().with("to-tag", "callee"))?;
        Ok(CallPorts { to_caller, to_callee })
    }
}

/// The tag of a suite in an offer (RFC 4568 5.1.2): the answer has to repeat it.
fn crypto_tag(sdp: &str, suite: Suite) -> Option<u32> {
    let mut offered = sdp.lines().filter_map(|line| line.strip_prefix("a=crypto:")).map(|line| line.split(' '));
    offered.find_map(|mut words| {
        let tag = words.next()?.parse().ok()?;
        (words.next()? == suite.name()).then_some(tag)
    })
}

/// The SDP of a party that speaks PCMU; with an `a=crypto` (RFC 4568) as SRTP.
fn sdp(address: SocketAddr, crypto: Option<&str>) -> String {
    let (ip, port) = (address.ip(), address.port());
    let profile = if crypto.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let crypto = crypto.map_or_else(String::new, |crypto| format!("a=crypto:{crypto}\r\n"));
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} {profile} 0\r\n\
         {crypto}a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=rtcp-mux\r\na=sendrecv\r\n"
    )
}

/// The address of the first media of an SDP.
fn media_address(sdp: &str) -> Option<SocketAddr> {
    let ip: IpAddr = sdp.lines().find_map(|line| line.strip_prefix("c=IN IP4 "))?.trim().parse().ok()?;
    let port = sdp.lines().find_map(|line| line.strip_prefix("m=audio "))?.split(' ').next()?.parse().ok()?;
    Some(SocketAddr::new(ip, port))
}

/// Sends an ng request to the address at which rtpengine listens and waits for the reply to it.
pub(super) fn ask(name: &str, request: &Dict, timeout: Duration) -> Result<Dict, PeerError> {
    /// Requests so far: rtpengine answers a repeated cookie from its memory.
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let cookie = format!("{}-{}", std::process::id(), ASKED.fetch_add(1, Ordering::Relaxed));
    let message = Message { cookie: cookie.as_bytes(), body: b"d" }.reply(request);
    let exchange = || -> io::Result<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(CONTROL)?;
        socket.set_read_timeout(Some(timeout))?;
        socket.send(&message)?;
        let mut reply = vec![0; 65_536];
        let len = socket.recv(&mut reply)?;
        reply.truncate(len);
        Ok(reply)
    };
    let reply = exchange().map_err(|error| refused(name, error.to_string()))?;
    let own = Message::split(&reply).ok().filter(|reply| reply.cookie == cookie.as_bytes());
    let dict = own.and_then(|reply| reply.dict().ok());
    dict.ok_or_else(|| refused(name, format!("something unreadable: {}", String::from_utf8_lossy(&reply))))
}

fn refused(request: &str, answer: String) -> PeerError {
    PeerError::Control { relay: "rtpengine".to_owned(), request: request.to_owned(), answer }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_crypto_are_found_in_an_sdp() {
        let address: SocketAddr = "10.211.1.2:4000".parse().expect("an address");
        assert_eq!(media_address(&sdp(address, None)), Some(address));
        let crypto = "1 AES_CM_128_HMAC_SHA1_32 inline:x\r\na=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:y";
        let offer = sdp(address, Some(crypto));
        assert_eq!(crypto_tag(&offer, Suite::AesCm128HmacSha1_80), Some(2));
        assert_eq!(crypto_tag(&offer, Suite::AeadAes128Gcm), None);
        assert_eq!(media_address("v=0\r\nm=audio 4000 RTP/AVP 0\r\n"), None);
    }
}
