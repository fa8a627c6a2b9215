//! baresip as a telephone: it speaks from a file, records what it hears, and is told what to do over its control socket.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use patchcord_codec::{Audio, wav};
use serde_json::{Value, json};

use super::DOMAIN;
use crate::certificates::Pair;
use crate::folder::Folder;
use crate::ports::free_ports;
use crate::process::{Process, Tool};
use crate::voices;
use crate::wait::{PATIENCE, eventually};

const BARESIP: Tool = Tool { program: "baresip", package: "baresip-core" };

/// So long it can speak: longer than any test, as it falls silent at the end of its file.
const SPEECH: Duration = Duration::from_secs(180);

/// Where a telephone's keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keying {
    /// It has none: it speaks RTP.
    None,
    /// From its SDP (RFC 4568).
    Sdes,
    /// From a DTLS handshake (RFC 5764) with muxed RTCP. Its certificate is RSA.
    Dtls,
}

impl Keying {
    /// What an account says of it.
    const fn account(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Sdes => ";mediaenc=srtp-mand",
            Self::Dtls => ";mediaenc=dtls_srtp",
        }
    }
}

/// A running baresip.
#[derive(Debug)]
pub struct Baresip {
    name: &'static str,
    /// What others must offer it.
    profile: &'static str,
    address: SocketAddr,
    process: Process,
    control: TcpStream,
    received: Receiver<Value>,
    /// What has come and nobody has waited for yet.
    kept: Vec<Value>,
    folder: Folder,
}

impl Baresip {
    /// A telephone at this address that says what the captures' voice of its name says, and answers every call by itself.
    /// Its user is its name.
    ///
    /// # Panics
    /// If it does not start or cannot register.
    #[must_use]
    pub fn start(name: &'static str, ip: Ipv4Addr, proxy: SocketAddr) -> Self {
        Self::start_with(name, ip, proxy, "")
    }

    /// [`Baresip::start`] for one that rings until the command `accept`.
    ///
    /// # Panics
    /// If it does not start or cannot register.
    #[must_use]
    pub fn start_that_rings(name: &'static str, ip: Ipv4Addr, proxy: SocketAddr) -> Self {
        Self::start_with(name, ip, proxy, ";answermode=manual")
    }

    /// [`Baresip::start`] for one whose media is keyed so, and cannot be otherwise.
    ///
    /// # Panics
    /// If it does not start or cannot register.
    #[must_use]
    pub fn start_keyed(name: &'static str, ip: Ipv4Addr, proxy: SocketAddr, keying: Keying) -> Self {
        let profile = match keying {
            Keying::None => "RTP/AVP",
            Keying::Sdes => "RTP/SAVP",
            Keying::Dtls => "UDP/TLS/RTP/SAVPF",
        };
        Self { profile, ..Self::start_with(name, ip, proxy, keying.account()) }
    }

    /// A telephone on loopback that registers nowhere: it sends its requests to `pivot`, and is called at [`Baresip::address`]. It answers
    /// every call by itself.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_unregistered(name: &'static str, pivot: SocketAddr, keying: Keying) -> Self {
        Self::launch(name, Ipv4Addr::LOCALHOST, &account(name, "", &format!("{pivot};lr"), 0, keying.account()), "")
    }

    /// [`Baresip::start_unregistered`] by TLS. It shows its certificate, and trusts whom `ca` vouches for
    /// and nobody else.
    ///
    /// # Panics
    /// If it does not start, or a file of a certificate cannot be read.
    #[must_use]
    pub fn start_with_tls(
        name: &'static str,
        pivot: SocketAddr,
        keying: Keying,
        certificate: &Pair,
        ca: &Path,
    ) -> Self {
        // It wants both in one file.
        let both = certificate.chain.with_extension("both");
        let read = |file: &Path| fs::read_to_string(file).expect("a certificate has two files");
        fs::write(&both, read(&certificate.key) + &read(&certificate.chain)).expect("the folder is there");
        let config = format!("sip_certificate {}\nsip_cafile {}\n", both.display(), ca.display());
        let outbound = format!("{pivot};transport=tls;lr");
        let account = account(name, ";transport=tls", &outbound, 0, keying.account());
        let phone = Self::launch(name, Ipv4Addr::LOCALHOST, &account, &config);
        // baresip 1.0 speaks TLS on the port above that of UDP and TCP.
        Self { address: SocketAddr::new(phone.address.ip(), phone.address.port() + 1), ..phone }
    }

    fn start_with(name: &'static str, ip: Ipv4Addr, proxy: SocketAddr, more: &str) -> Self {
        let mut phone = Self::launch(name, ip, &account(name, "", &format!("{proxy};lr"), 600, more), "");
        eventually(&format!("{name} has registered"), || {
            phone.command("reginfo", "").contains("Expires").then_some(())
        });
        phone
    }

    fn launch(name: &'static str, ip: Ipv4Addr, account: &str, more: &str) -> Self {
        let ports = free_ports(24);
        let (sip, control, media) = (ports.first, ports.first + 2, ports.first + 4);
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("baresip-{name}-{sip}"));
        let speech = folder.path().join("speech.wav");
        wav::write_file(&speech, &voices::audio(&voices::stream(name)).looped(SPEECH)).expect("the folder is there");
        let path = folder.path().display();
        let mut config = format!(
            "poll_method epoll\nsip_listen {ip}:{sip}\nnet_interface {ip}\nrtp_ports {media}-{}\ncall_max_calls 4\n\
             audio_source aufile,{}\nausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
             ctrl_tcp_listen 127.0.0.1:{control}\nsnd_path {path}\nstatmode_default off\nmodule_path {}\n{more}",
            ports.last,
            speech.display(),
            modules().display()
        );
        for module in ["g711", "srtp", "dtls_srtp", "aufile", "sndfile"] {
            let _ = writeln!(config, "module {module}.so");
        }
        if account.contains("dtls_srtp") {
            // Without it there is a handshake for RTCP too, which the relay does not answer.
            config += "rtcp_mux yes\n";
        }
        config += "module_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\n";
        for (file, content) in [("config", config.as_str()), ("accounts", account), ("contacts", "")] {
            fs::write(folder.path().join(file), content).expect("the folder is there");
        }
        let said = File::create(folder.path().join("said")).expect("the folder is there");
        let mut command = BARESIP.command();
        command.arg("-f").arg(folder.path()).stdin(Stdio::null()).stdout(said);
        let mut process = Process::start(name, &mut command);
        let socket = eventually(&format!("{name}'s baresip takes commands"), || {
            assert_eq!(process.ended(), None, "baresip has ended: {}", process.stderr());
            TcpStream::connect((Ipv4Addr::LOCALHOST, control)).ok()
        });
        let (sender, received) = channel();
        let reader = socket.try_clone().expect("a socket can be cloned");
        thread::spawn(move || read(BufReader::new(reader), &sender));
        let kept = Vec::new();
        let address = SocketAddr::from((ip, sip));
        Self { name, profile: "RTP/AVP", address, process, control: socket, received, kept, folder }
    }

    /// Where it is called without a proxy.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that others call it by.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("sip:{}@{DOMAIN}", self.name)
    }

    /// [`Baresip::uri`] with word for the proxy of what its media must be.
    #[must_use]
    pub fn uri_with_profile(&self) -> String {
        format!("{};media={}", self.uri(), self.profile)
    }

    /// Calls somebody, and waits until both sides say that they talk.
    ///
    /// # Panics
    /// If it does not come to that.
    pub fn call(&mut self, other: &mut Self) {
        self.command("dial", &other.uri_with_profile());
        for phone in [self, other] {
            phone.wait_for("CALL_ESTABLISHED");
        }
    }

    /// Gives a command of its menu (`hold`, `resume`, `transfer`, `hangup`) and what it answers.
    ///
    /// # Panics
    /// If it does not know it.
    pub fn command(&mut self, command: &str, parameters: &str) -> String {
        let text = json!({"command": command, "params": parameters, "token": "test"}).to_string();
        // A netstring.
        write!(self.control, "{}:{text},", text.len()).expect("it reads its control socket");
        let answer = self.next(&format!("an answer to {command}"), |message| message["response"] == true);
        assert_eq!(answer["ok"], true, "{command} {parameters}: {answer}");
        answer["data"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for the first event of this type that has not been taken yet.
    ///
    /// # Panics
    /// If it does not come.
    pub fn wait_for(&mut self, event: &str) -> Value {
        self.next(event, |message| message["event"] == true && message["type"] == event)
    }

    /// Ends it, its calls too, and gives what it has heard: a recording for each call, in their order.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn put_down(mut self) -> Vec<Audio> {
        self.process.terminate();
        self.process.wait();
        let files = fs::read_dir(self.folder.path()).expect("the folder is there");
        // dump-2026-01-31-12-00-00-dec.wav is what was decoded, in a call that began then.
        let mut recordings: Vec<_> = files
            .map(|file| file.expect("the folder can be read").path())
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        recordings.sort();
        recordings.iter().map(|path| wav::read_file(path).unwrap_or_else(|error| panic!("{error}"))).collect()
    }

    /// How many samples it has recorded of its present call.
    ///
    /// # Panics
    /// If it records nothing.
    #[must_use]
    pub fn samples_heard(&self) -> usize {
        let files = fs::read_dir(self.folder.path()).expect("the folder is there");
        let recordings = files.map(|file| file.expect("the folder can be read").path());
        let latest = recordings.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).max();
        let length = fs::metadata(latest.expect("it records")).expect("it is there").len();
        // 16 bits a sample, after the header.
        usize::try_from(length.saturating_sub(44) / 2).expect("a file of some seconds")
    }

    fn next(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.kept.iter().position(&wanted) {
            return self.kept.remove(at);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(message) if wanted(&message) => return message,
                Ok(message) => self.kept.push(message),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{}: waited in vain for {what}; others came: {:?}", self.name, self.kept)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{}: baresip has closed its control socket: {}", self.name, self.process.stderr())
                }
            }
        }
    }
}

/// Its account, as its file has it.
fn account(name: &str, transport: &str, outbound: &str, expires_s: u32, more: &str) -> String {
    let answers = if more.contains("answermode") { "" } else { ";answermode=auto" };
    format!(
        "<sip:{name}@{DOMAIN}{transport}>;regint={expires_s};audio_codecs=PCMU;outbound=\"sip:{outbound}\"{answers}{more}\n"
    )
}

/// Where Debian has its modules: `/usr/lib/baresip/modules`, or with the architecture in between.
fn modules() -> &'static Path {
    let places = [
        "/usr/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/lib/aarch64-linux-gnu/baresip/modules",
    ];
    places.map(Path::new).into_iter().find(|place| place.is_dir()).expect("baresip-core brings its modules")
}

/// Hands on the netstrings that it sends.
fn read(mut from: impl Read, sender: &Sender<Value>) {
    let mut byte = [0];
    let mut length = 0;
    while from.read_exact(&mut byte).is_ok() {
        match byte[0] {
            digit @ b'0'..=b'9' => length = length * 10 + usize::from(digit - b'0'),
            b':' => {
                let mut text = vec![0; length];
                if from.read_exact(&mut text).is_err() {
                    return;
                }
                let text = String::from_utf8_lossy(&text);
                let message = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
                if sender.send(message).is_err() {
                    return;
                }
                length = 0;
            }
            // The comma after each.
            _ => {}
        }
    }
}
