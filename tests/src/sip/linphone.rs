//! linphonec as a telephone: it speaks from a file, records to another, and takes commands on a pipe.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use patchcord_codec::{Audio, wav};

use super::DOMAIN;
use crate::folder::Folder;
use crate::ports::free_ports;
use crate::process::{Process, Tool};
use crate::voices;
use crate::wait::eventually;

const LINPHONE: Tool = Tool { program: "linphonec", package: "linphone-cli" };

/// So long it can speak: longer than any test.
const SPEECH: Duration = Duration::from_secs(180);

/// Codecs that are on unless a configuration says otherwise.
const OTHER_CODECS: [(&str, u32, u8); 5] =
    [("opus", 48_000, 2), ("speex", 16_000, 1), ("speex", 8_000, 1), ("PCMA", 8_000, 1), ("G729", 8_000, 1)];

/// A running linphonec.
#[derive(Debug)]
pub struct Linphone {
    name: &'static str,
    address: SocketAddr,
    process: Process,
    said: Arc<Mutex<String>>,
    /// What of it has been waited for already.
    taken: usize,
    folder: Folder,
}

impl Linphone {
    /// A telephone at this address that says what the captures' voice of its name says, and answers every call by itself.
    /// Its user is its name.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(name: &'static str, ip: IpAddr, proxy: SocketAddr) -> Self {
        Self::start_with(name, ip, proxy, "media_encryption=none\n")
    }

    /// [`Linphone::start`] for one that speaks SRTP with keys in its SDP (RFC 4568), and nothing else.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_secured(name: &'static str, ip: IpAddr, proxy: SocketAddr) -> Self {
        Self::start_with(name, ip, proxy, "media_encryption=srtp\nmedia_encryption_mandatory=1\n")
    }

    /// [`Linphone::start`] for one that registers nowhere: it sends its requests where their URIs say, and is called at
    /// [`Linphone::address`].
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_unregistered(name: &'static str, ip: IpAddr) -> Self {
        Self::launch(name, ip, "media_encryption=none\n")
    }

    fn start_with(name: &'static str, ip: IpAddr, proxy: SocketAddr, encryption: &str) -> Self {
        let proxy = format!(
            "{encryption}default_proxy=0\n[proxy_0]\nreg_proxy=<sip:{proxy}>\nreg_route=<sip:{proxy};lr>\n\
             reg_identity=sip:{name}@{DOMAIN}\nreg_expires=600\nreg_sendregister=1\npublish=0\n"
        );
        Self::launch(name, ip, &proxy)
    }

    fn launch(name: &'static str, ip: IpAddr, more: &str) -> Self {
        let ports = free_ports(24);
        let folder =
            Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("linphone-{name}-{}", ports.first));
        let path = folder.path();
        fs::create_dir_all(path.join(".local/share/linphone")).expect("the folder is there");
        let speech = path.join("speech.wav");
        wav::write_file(&speech, &voices::audio(&voices::stream(name)).looped(SPEECH)).expect("the folder is there");
        fs::write(path.join("linphonerc"), configuration(name, ip, ports.first, more)).expect("the folder is there");

        let _installed = LINPHONE.command();
        // Without a terminal it would keep what it says until it has said a lot.
        let mut command = Tool { program: "stdbuf", package: "coreutils" }.command();
        command.args(["-oL", LINPHONE.program, "-a", "-c"]).arg(path.join("linphonerc")).env("HOME", path);
        let mut process = Process::start(name, command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let said = Arc::new(Mutex::new(String::new()));
        let stdout = process.child().stdout.take().expect("it is piped");
        let keeper = Arc::clone(&said);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut said = keeper.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
        });
        let address = SocketAddr::new(ip, ports.first);
        let mut phone = Self { name, address, process, said, taken: 0, folder };
        phone.say("soundcard use files");
        phone.say(&format!("play {}", speech.display()));
        phone.say(&format!("record {}", phone.recording().display()));
        phone
    }

    /// The address that others call it by.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("sip:{}@{DOMAIN}", self.name)
    }

    /// Where it is called without a proxy.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives it a command, as if typed.
    ///
    /// # Panics
    /// If it has ended.
    pub fn say(&mut self, command: &str) {
        let stdin = self.process.child().stdin.as_mut().expect("it is piped");
        writeln!(stdin, "{command}").and_then(|()| stdin.flush()).unwrap_or_else(|error| panic!("linphonec: {error}"));
    }

    /// Waits until it says this, after what was waited for before.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait_for(&mut self, words: &str) {
        let what = format!("{} says {words:?}", self.name);
        let found = eventually(&what, || {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            assert_eq!(self.process.ended(), None, "linphonec has ended: {said}");
            said[self.taken..].find(words).map(|at| self.taken + at + words.len())
        });
        self.taken = found;
    }

    /// What it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it, its calls too, and gives what it has heard in all its calls, one after the other.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn put_down(mut self) -> Audio {
        self.say("quit");
        self.process.wait();
        wav::read_file(&self.recording()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn recording(&self) -> std::path::PathBuf {
        self.folder.path().join("heard.wav")
    }
}

/// Its configuration; `more` ends the section of SIP.
fn configuration(name: &str, ip: IpAddr, port: u16, more: &str) -> String {
    let media = port + 2;
    let mut text = format!(
        "[net]\nmtu=1300\n[sip]\nbind_address={ip}\nsip_port={port}\nsip_tcp_port=0\nsip_tls_port=0\nuse_ipv6=0\n\
         contact=sip:{name}@{ip}:{port}\nguess_hostname=0\n{more}[rtp]\nbind_address={ip}\naudio_rtp_port={media}\n\
         audio_adaptive_jitt_comp_enabled=0\nnortp_timeout=60\n[sound]\n\
         remote_ring=\n[audio_codec_0]\nmime=PCMU\nrate=8000\nchannels=1\nenabled=1\n"
    );
    for (index, (mime, rate, channels)) in OTHER_CODECS.into_iter().enumerate() {
        text += &format!("[audio_codec_{}]\nmime={mime}\nrate={rate}\nchannels={channels}\nenabled=0\n", index + 1);
    }
    text
}
