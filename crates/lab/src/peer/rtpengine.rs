//! Debian's rtpengine as a peer: userspace forwarding, driven by its ng protocol.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use patchcord_ng::{Dict, Message, Value};

use super::relay::CONTROL_TIMEOUT;
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
}

impl Default for Rtpengine {
    fn default() -> Self {
        Self { program: "rtpengine".to_owned(), arguments: Vec::new() }
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

    fn create_call(&self, plan: &CallPlan) -> Result<CallPorts, PeerError> {
        let call = format!("lab-{}", plan.number);
        let request = |command: &str, sdp: String, key: &'static str, value: Value| {
            let request = Dict::new()
                .with("command", command)
                .with("call-id", &*call)
                .with("from-tag", "caller")
                .with("sdp", sdp)
                .with("ICE", "remove")
                .with("flags", vec!["trust-address"])
                // RTP and RTCP on one port, as in Patchcord's calls: one socket a side.
                .with("rtcp-mux", vec!["offer", "accept"])
                .with(key, value);
            let reply = ask(command, &request, CONTROL_TIMEOUT)?;
            let address = reply.text("sdp").and_then(|sdp| media_address(&sdp));
            let why = || reply.text("error-reason").map_or_else(|| format!("{reply:?}"), |why| why.to_string());
            address.ok_or_else(|| refused(command, why()))
        };
        let to_callee = request("offer", sdp(plan.caller), "direction", vec!["caller", "callee"].into())?;
        let to_caller = request("answer", sdp(plan.callee), "to-tag", "callee".into())?;
        Ok(CallPorts { to_caller, to_callee })
    }
}

/// The SDP of a party that speaks PCMU.
fn sdp(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n\
         a=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=rtcp-mux\r\na=sendrecv\r\n"
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
    fn the_address_is_found_in_an_sdp() {
        let address: SocketAddr = "10.211.1.2:4000".parse().expect("an address");
        assert_eq!(media_address(&sdp(address)), Some(address));
        assert_eq!(media_address("v=0\r\nm=audio 4000 RTP/AVP 0\r\n"), None);
    }
}
