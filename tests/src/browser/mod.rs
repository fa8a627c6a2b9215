//! A browser as a telephone: Chromium without a window, whose page has an `RTCPeerConnection`. It speaks from a file as its
//! microphone, records what it hears, and does what the test says.

mod reader;
mod server;

use std::path::Path;
use std::process::Stdio;

use patchcord_codec::{Audio, wav};
use serde_json::{Value, json};

use crate::folder::Folder;
use crate::process::{Process, Tool};
use crate::voices;
use crate::wait::{PATIENCE, poll};
pub use reader::Reader;
use server::Server;

const CHROMIUM: Tool = Tool { program: "chromium", package: "chromium" };

/// It calls nobody but the page's server and the relay, and has nothing that a user would have.
const QUIET: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-breakpad",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--mute-audio",
];

/// A microphone that is a file, which nobody has to allow, and addresses of its own in candidates: loopback too, and no names
/// for them that only mDNS would know.
const TELEPHONE: [&str; 5] = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
];

/// A running browser that shows the page.
#[derive(Debug)]
pub struct Browser {
    name: &'static str,
    server: Server,
    process: Process,
    _folder: Folder,
}

impl Browser {
    /// A browser that says what the captures' voice of its name says.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(name: &'static str) -> Self {
        let server = Server::start();
        let address = server.address();
        let folder =
            Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("browser-{name}-{}", address.port()));
        let path = folder.path();
        // It is played again and again.
        let speech = path.join("speech.wav");
        wav::write_file(&speech, &voices::audio(&voices::stream(name))).expect("the folder is there");
        let mut command = CHROMIUM.command();
        command.args(QUIET).args(TELEPHONE).arg(user_data(path)).env("HOME", path).env("TMPDIR", path);
        command
            .arg(format!("--use-file-for-fake-audio-capture={}", speech.display()))
            .arg(format!("http://{address}/"));
        let process = Process::start(name, command.stdin(Stdio::null()).stdout(Stdio::null()));
        let browser = Self { name, server, process, _folder: folder };
        browser.outcome("the page");
        browser
    }

    /// Begins a call: an offer of PCMU with all of its candidates.
    ///
    /// # Panics
    /// If it makes none.
    #[must_use]
    pub fn offer(&self) -> String {
        self.text(json!({"do": "offer"}))
    }

    /// Takes the answer to its offer.
    ///
    /// # Panics
    /// If it finds something wrong with it.
    pub fn accept(&self, sdp: &str) {
        self.ask(json!({"do": "accept", "sdp": sdp}));
    }

    /// Takes an offer, its first or another one within the call, and gives its answer.
    ///
    /// # Panics
    /// If it finds something wrong with it.
    #[must_use]
    pub fn answer(&self, sdp: &str) -> String {
        self.text(json!({"do": "answer", "sdp": sdp}))
    }

    /// How it is with its call: the state of its `connection`; `states`, all that it has been in; the other side's
    /// `certificate`; what `getStats()` says as `inbound`, `outbound` and `transport`, each a list.
    ///
    /// # Panics
    /// If it has no call.
    #[must_use]
    pub fn state(&self) -> Value {
        self.ask(json!({"do": "state"}))
    }

    /// Waits until its state fulfils a condition; `what` names it in the error.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait_for(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = poll(|| {
            last = self.state();
            condition(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{}: waited {PATIENCE:?} in vain for {what}: {last:#}", self.name))
    }

    /// Waits until it has received so many packets more.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait_for_more_packets(&self, packets: u64) -> Value {
        let before = received(&self.state());
        self.wait_for(&format!("{packets} packets more"), |state| received(state) >= before + packets)
    }

    /// What it has heard so far.
    ///
    /// # Panics
    /// If it does not tell.
    #[must_use]
    pub fn heard(&self) -> Audio {
        let heard = self.ask(json!({"do": "heard"}));
        let samples = heard.as_array().expect("it records").iter();
        let samples = samples.map(|sample| sample.as_i64().and_then(|sample| i16::try_from(sample).ok()));
        Audio::telephone(samples.map(|sample| sample.expect("16 bits")).collect())
    }

    fn text(&self, question: Value) -> String {
        self.ask(question).as_str().expect("it gives an SDP").to_owned()
    }

    fn ask(&self, question: Value) -> Value {
        let what = question["do"].as_str().unwrap_or_default().to_owned();
        let sdp = question["sdp"].as_str().unwrap_or_default().to_owned();
        self.server.ask(question);
        let mut outcome = self.outcome(&what);
        assert!(outcome["failed"].is_null(), "{}: {what}: {}\n{sdp}", self.name, outcome["failed"]);
        outcome["done"].take()
    }

    fn outcome(&self, what: &str) -> Value {
        let outcome = self.server.outcome(PATIENCE);
        outcome.unwrap_or_else(|| panic!("{}: waited in vain for {what}: {}", self.name, self.process.stderr()))
    }
}

/// How many packets it has received.
fn received(state: &Value) -> u64 {
    let inbound = state["inbound"].as_array().expect("a list of streams");
    inbound.iter().filter_map(|stream| stream["packetsReceived"].as_u64()).sum()
}

fn user_data(folder: &Path) -> String {
    format!("--user-data-dir={}", folder.join("profile").display())
}
