//! SIPp (Debian's package sip-tester): many calls at once by scenarios, which are in tests/sipp/.
//!
//! A caller goes on from one step to the next when the test cues it, and says in its log what it has done. So nothing
//! depends on how long anything takes.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;

use patchcord_codec::Law;

use crate::folder::Folder;
use crate::kernel;
use crate::ports::{Ports, free_ports};
use crate::process::{Process, Tool};
use crate::voices;
use crate::wait::eventually;

const SIPP: Tool = Tool { program: "sipp", package: "sip-tester" };

/// It signals at the first and is controlled at the second; the others are for media.
const PORTS: u16 = 6;

/// A running SIPp.
#[derive(Debug)]
pub struct Sipp {
    scenario: String,
    calls: usize,
    address: SocketAddr,
    process: Process,
    folder: Folder,
}

/// What a scenario does not say itself.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Calls, all at once.
    pub calls: usize,
    /// Where it signals.
    pub ip: IpAddr,
    /// Where it sends and receives media.
    pub media: IpAddr,
    /// One of the captures' voices: what it says.
    pub voice: &'static str,
    /// The proxy.
    pub proxy: SocketAddr,
}

impl Sipp {
    /// Waits for calls, by a scenario of tests/sipp/.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn callee(scenario: &str, cast: Cast) -> Self {
        Self::start(scenario, cast, None, "")
    }

    /// Calls, by a scenario of tests/sipp/. `media` are flags for the relay, which the proxy takes from a header.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn caller(scenario: &str, cast: Cast, callee: &Self, media: &str) -> Self {
        Self::start(scenario, cast, Some(callee.address), media)
    }

    fn start(scenario: &str, cast: Cast, callee: Option<SocketAddr>, media: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sipp/{scenario}.xml"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let ports = free_ports(PORTS);
        let target = callee.unwrap_or_else(|| SocketAddr::new(cast.ip, ports.first)).to_string();
        // An empty value would be taken for none.
        let media = if media.is_empty() { "replace-origin" } else { media };
        Self::play(scenario, &text, cast, ports, &[("target", &target), ("media", media)])
    }

    /// Plays a scenario that a test has the text of, on the first of these ports and with media on those after it; `keys` are what it has in
    /// brackets.
    ///
    /// # Panics
    /// If it does not start, or the ports are too few.
    #[must_use]
    pub fn play(scenario: &str, text: &str, cast: Cast, ports: Ports, keys: &[(&str, &str)]) -> Self {
        assert!(ports.last - ports.first + 1 >= PORTS, "{scenario} needs {PORTS} ports: {ports}");
        let address = SocketAddr::new(cast.ip, ports.first);
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("sipp-{}", ports.first));
        let file = folder.path().join(format!("{scenario}.xml"));
        fs::write(&file, text).expect("the folder is there");
        let speech = Law::Mu.encode(&voices::audio(&voices::stream(cast.voice)).samples);
        fs::write(folder.path().join("speech.ul"), speech).expect("the folder is there");
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures").join(format!("{}.pcap", cast.voice));
        fs::copy(capture, folder.path().join("speech.pcap")).expect("the folder is there");

        let mut command = SIPP.command();
        command.current_dir(folder.path()).arg("-sf").arg(file);
        command.arg(cast.proxy.to_string()).args(["-i", &cast.ip.to_string(), "-p", &ports.first.to_string()]);
        // It has one socket for RTP and another two ports above.
        command.args(["-mi", &cast.media.to_string(), "-mp", &(ports.first + 2).to_string()]);
        command.args(["-cp", &(ports.first + 1).to_string()]);
        let calls = cast.calls.to_string();
        command.args(["-m", &calls, "-l", &calls, "-r", "25", "-nostdin", "-timeout", "120", "-timeout_error"]);
        command.args(["-trace_err", "-error_file", "errors", "-trace_logs", "-log_file", "log"]);
        for (key, value) in keys {
            command.args(["-key", key, value]);
        }
        let process = Process::start(scenario, command.stdin(Stdio::null()).stdout(Stdio::null()));
        let mut sipp = Self { scenario: scenario.to_owned(), calls: cast.calls, address, process, folder };
        eventually(&format!("{scenario} listens"), || {
            let status = sipp.process.ended();
            assert_eq!(status, None, "{scenario} has ended: {}{}", sipp.process.stderr(), sipp.file("errors"));
            kernel::udp_ports().contains_key(&address.port()).then_some(())
        });
        sipp
    }

    /// Where it signals.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until all its calls have come to a step, and gives their Call-IDs. The step's name is what the scenario logs.
    ///
    /// # Panics
    /// If they do not.
    pub fn wait_for(&mut self, step: &str) -> Vec<String> {
        self.wait_for_calls(step, self.calls)
    }

    /// [`Sipp::wait_for`] for so many of its calls, in the order in which they have come there.
    ///
    /// # Panics
    /// If they do not.
    pub fn wait_for_calls(&mut self, step: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} calls of {} {step}", self.scenario), || {
            let log = self.file("log");
            let reached = log.lines().filter_map(|line| line.split_once(' ')).filter(|(_, done)| *done == step);
            let calls: Vec<_> = reached.map(|(call, _)| call.to_owned()).collect();
            assert_eq!(self.process.ended(), None, "{} has ended: {}", self.scenario, self.file("errors"));
            (calls.len() == count).then_some(calls)
        })
    }

    /// Makes sure that nothing has gone otherwise than its scenario says so far.
    ///
    /// # Panics
    /// If it has.
    pub fn must_not_have_failed(&mut self) {
        let status = self.process.ended();
        let is_well = status.is_none_or(|status| status.success());
        assert!(is_well, "{}: {status:?}: {}", self.scenario, self.file("errors"));
    }

    /// Has a call go on to its scenario's next step.
    ///
    /// # Panics
    /// If the network does not take the message.
    pub fn cue(&self, call: &str) {
        let socket = UdpSocket::bind((self.address.ip(), 0)).expect("the address is of this machine");
        let own = socket.local_addr().expect("it is bound");
        let info = format!(
            "INFO sip:caller@{} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKcue{}\r\nFrom: <sip:test@{own}>;tag=cue\r\n\
             To: <sip:caller@{}>\r\nCall-ID: {call}\r\nCSeq: 1 INFO\r\nContent-Length: 0\r\n\r\n",
            self.address,
            own.port(),
            self.address
        );
        socket.send_to(info.as_bytes(), self.address).expect("loopback takes it");
    }

    /// Waits until all its calls have gone as the scenario says.
    ///
    /// # Panics
    /// If one has not.
    pub fn must_succeed(mut self) {
        let status = self.process.wait();
        assert!(status.success(), "{}: {status}: {}", self.scenario, self.file("errors"));
    }

    fn file(&self, name: &str) -> String {
        // It creates them when it first writes to them.
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}
