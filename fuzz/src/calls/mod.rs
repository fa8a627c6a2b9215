//! Any datagrams on an ng port, and what they may do to calls: the whole way of a command but for sockets.
//!
//! A datagram is taken apart, obeyed by the ng front over a control plane and a real engine shard, and answered. Whatever it is,
//! it has one reply with its cookie, and a repetition has the same and does nothing; what is refused has changed nothing; calls
//! that it does not name are as before; ports are those of legs; and in the end nothing is left.

mod script;
mod world;

use core::hash::{Hash as _, Hasher as _};
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::DefaultHasher;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request as HttpRequest, StatusCode};
use patchcord_control::ng::listen::{Server, router};
use patchcord_control::ng::{Ng, NgConfig};
use patchcord_control::{AudioConfig, Config, Control, Interface};
use patchcord_ng::{Command, Dict, Message, Options, bencode};
use patchcord_relay::ShardConfig;
use patchcord_relay::command::{EgressMode, LatchPolicy};
use patchcord_relay::time::MonoTime;
use patchcord_sdp::{LEN_MAX, LINES_MAX, Sdp};
use tower::ServiceExt as _;

use self::script::Step;
use self::world::World;
use crate::worker::TestWorker;

/// So few that they run out.
const LEGS_MAX: u32 = 40;
const PORTS: core::ops::RangeInclusive<u16> = 30_000..=30_049;
/// The longest reply that is read.
const REPLY_LEN_MAX: usize = 1 << 24;

/// What the bytes say happens, with the settings of `serve` and with those of `rtpengine-compat`.
pub fn calls(bytes: &[u8]) {
    outcomes(bytes);
}

/// The same; gives each request's command, if it has one, with its result, or with the reason of a refusal.
pub fn outcomes(bytes: &[u8]) -> Vec<(Option<Command>, String)> {
    let forever = Duration::ZERO;
    let serve = NgConfig { timeout: forever, silent_timeout: forever, ..NgConfig::default() };
    let compat = NgConfig {
        delete_delay: Duration::ZERO,
        sessions_max: 3,
        enforce_direction: false,
        drop_bundle: true,
        relay_unread: true,
        ports_follow_remote: true,
        ..serve.clone()
    };
    let runs = [serve, compat].map(|config| {
        // Time passes only where a step says so.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("the system has room for a runtime").block_on(run(config, bytes))
    });
    runs.concat()
}

async fn run(config: NgConfig, bytes: &[u8]) -> Vec<(Option<Command>, String)> {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    // What the name depends on cannot name it.
    let stage = Stage::new(config, format!("sentinel-{:016x}", hasher.finish()));
    stage.begin().await;
    let mut outcomes = Vec::new();
    for step in script::steps(bytes) {
        match step {
            Step::Datagram(bytes) => outcomes.extend(stage.datagram(&bytes).await),
            Step::Later { ticks, seconds } => stage.later(ticks, seconds).await,
            Step::Packet { port, from, payload_type } => stage.packet(port, from, payload_type).await,
        }
    }
    stage.end().await;
    outcomes
}

/// A relay, with a call that nobody else knows of.
struct Stage {
    control: Control,
    ng: Ng,
    worker: Arc<TestWorker>,
    front: Router,
    clock: Arc<AtomicU64>,
    sentinel: String,
    /// Datagrams so far, with their replies.
    past: RefCell<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
    /// The calls, if nothing has happened since they were looked at.
    seen: RefCell<Option<World>>,
}

impl Stage {
    fn new(config: NgConfig, sentinel: String) -> Self {
        let clock = Arc::new(AtomicU64::new(1_000_000_000));
        let worker = TestWorker::new(0, ShardConfig { legs_max: LEGS_MAX, seed: 7 }, Arc::clone(&clock));
        let reading = Arc::clone(&clock);
        let now = move || MonoTime::from_nanos(reading.load(Ordering::Relaxed));
        let control = Control::new(control_config(), vec![worker.clone()], now).expect("the configuration can work");
        worker.attach(Some(control.clone()));
        let ng = Ng::new(control.clone(), config);
        let front = router(Server::new(ng.clone()));
        Self { control, ng, worker, front, clock, sentinel, past: RefCell::default(), seen: RefCell::default() }
    }

    /// The call that must stay as it is.
    async fn begin(&self) {
        let sdp = "v=0\r\no=- 1 1 IN IP4 10.0.0.7\r\ns=-\r\nc=IN IP4 10.0.0.7\r\nt=0 0\r\nm=audio 7000 RTP/AVP 0 8\r\n";
        let entries = |command: &str| {
            let dict = Dict::new().with("command", command).with("call-id", self.sentinel.as_str());
            dict.with("from-tag", "a").with("sdp", sdp)
        };
        for dict in [entries("offer"), entries("answer").with("to-tag", "b")] {
            let reply = self.ask(&dict).await;
            assert_eq!(reply.text("result").as_deref(), Some("ok"), "{reply:?}");
        }
        for port in 0..4 {
            self.packet(port, 7, 0).await;
        }
    }

    /// A datagram arrives, twice. `None`: nobody answers it, or did so before.
    async fn datagram(&self, bytes: &[u8]) -> Option<(Option<Command>, String)> {
        let before = match self.seen.take() {
            Some(seen) => seen,
            None => self.look().await,
        };
        let reply = self.reply(bytes).await;
        self.settle().await;
        let batches = self.worker.batches();
        assert_eq!(self.reply(bytes).await, reply, "a repetition of {}", bytes.escape_ascii());
        self.settle().await;
        assert_eq!(self.worker.batches(), batches, "a repetition of {} is done again", bytes.escape_ascii());
        let after = self.look().await;
        let outcome = self.judge(bytes, reply, &before, &after);
        self.seen.replace(Some(after));
        outcome
    }

    /// Whether a datagram has done what it may, and is answered as it must be.
    fn judge(
        &self,
        bytes: &[u8],
        reply: Option<Vec<u8>>,
        before: &World,
        after: &World,
    ) -> Option<(Option<Command>, String)> {
        let why = format!("{} -> {}", bytes.escape_ascii(), reply.as_deref().unwrap_or_default().escape_ascii());
        if let Some(past) = self.past.borrow_mut().insert(bytes.to_vec(), reply.clone()) {
            assert_eq!(past, reply, "a late repetition: {why}");
            before.assert_same_without(after, &BTreeSet::new(), &why);
            return None;
        }
        let Ok(message) = Message::split(bytes) else {
            assert_eq!(reply, None, "nobody would know what it is the reply to: {why}");
            before.assert_same_without(after, &BTreeSet::new(), &why);
            return None;
        };
        let reply = reply.unwrap_or_else(|| panic!("no reply: {why}"));
        let body = reply.strip_prefix([message.cookie, b" "].concat().as_slice());
        let answered = Message::plain(body.unwrap_or_else(|| panic!("another cookie: {why}")));
        assert_eq!(answered.format(), message.format(), "{why}");
        let answer = answered.dict().unwrap_or_else(|error| panic!("{error}: {why}"));
        let accepted = match answer.text("result").as_deref() {
            Some("ok" | "pong") => true,
            Some("load limit") => false,
            Some("error") => {
                let reason = answer.text("error-reason").unwrap_or_default();
                assert!(!reason.is_empty() && reason != "internal error", "{why}");
                assert!(!reason.contains("has no party"), "the call model does not know what signalling does: {why}");
                false
            }
            other => panic!("result {other:?}: {why}"),
        };
        let request = message.dict().ok();
        let command = request.as_ref().and_then(|dict| dict.text("command")).and_then(|name| Command::from_name(&name));
        let changes = !matches!(command, Some(Command::Ping | Command::Query | Command::List | Command::Statistics));
        let options = request.as_ref().map(Options::read).unwrap_or_default();
        let mut changed = BTreeSet::new();
        if accepted && changes {
            let named = [&options.call_id, &options.to_call_id].into_iter().flatten();
            changed = named.flat_map(|name| [before.own_name(name), after.own_name(name)]).flatten().collect();
        }
        before.assert_same_without(after, &changed, &why);
        if accepted && matches!(command, Some(Command::Offer | Command::Answer)) {
            let name = options.call_id.as_deref().unwrap_or_default();
            let legs = after.0.get(name).map(|seen| seen.state.legs.iter().map(|leg| leg.advertised).collect());
            describes_the_relay(&options, &answer, &legs.unwrap_or_default(), &why);
        }
        let said = ["error-reason", "warning", "result"].into_iter().find_map(|key| answer.text(key));
        Some((command, said.unwrap_or_default().into_owned()))
    }

    async fn look(&self) -> World {
        World::look(&self.control, &self.ng, &self.worker).await
    }

    /// The reply to a datagram, if it has one.
    async fn reply(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let request = HttpRequest::post("/ng").body(Body::from(bytes.to_vec())).expect("nothing of it is odd");
        let response = match self.front.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if response.status() != StatusCode::OK {
            assert!(response.status().is_client_error(), "{}", response.status());
            return None;
        }
        let body = to_bytes(response.into_body(), REPLY_LEN_MAX).await.expect("it lies in memory");
        Some(body.to_vec())
    }

    /// Asks under a cookie that no step has.
    async fn ask(&self, dict: &Dict) -> Dict {
        let mut bytes = b"sentinel ".to_vec();
        bencode::encode_dict(dict, &mut bytes);
        let reply = self.reply(&bytes).await.expect("what has a cookie has a reply");
        Message::split(&reply).expect("it has the cookie").dict().expect("it is a dictionary")
    }

    async fn later(&self, ticks: u8, seconds: u8) {
        self.seen.take();
        for _ in 0..ticks {
            self.clock.fetch_add(20_000_000, Ordering::Relaxed);
            self.worker.tick();
        }
        let long = Duration::from_secs(seconds.into());
        self.clock.fetch_add(u64::try_from(long.as_nanos()).unwrap_or(0), Ordering::Relaxed);
        self.worker.tick();
        tokio::time::advance(long + Duration::from_millis(20) * ticks.into()).await;
        self.settle().await;
    }

    async fn packet(&self, port: u8, from: u8, payload_type: u8) {
        self.seen.take();
        let locals = self.worker.locals();
        let Some(&local) = locals.get(usize::from(port) % locals.len().max(1)) else { return };
        let from = match local {
            SocketAddr::V4(_) => SocketAddr::from(([10, 0, 0, from], 4000)),
            SocketAddr::V6(_) => SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(from)], 4000)),
        };
        let sequence = u16::try_from(self.clock.fetch_add(20_000_000, Ordering::Relaxed) / 20_000_000 % 65_536);
        let mut packet = vec![0x80, payload_type];
        packet.extend(sequence.unwrap_or(0).to_be_bytes());
        packet.extend([0, 0, 0, payload_type, 0, 0, 0, port, 0x55, 0x55, 0x55, 0x55]);
        self.worker.receive(local, from, &packet);
        self.settle().await;
    }

    /// Everybody is told to go, and nothing stays behind.
    async fn end(&self) {
        let delete = |name: &str| {
            Dict::new().with("command", "delete").with("call-id", name).with("delete-delay", 0_i64).with("x", name)
        };
        let world = self.look().await;
        assert!(world.0.contains_key(&self.sentinel), "the call that nobody knows is gone");
        let others = world.0.keys().filter(|name| **name != self.sentinel);
        for name in others.chain([&self.sentinel]) {
            let reply = self.ask(&delete(name)).await;
            assert_eq!(reply.text("result").as_deref(), Some("ok"), "{name}: {reply:?}");
        }
        let world = self.look().await;
        assert!(world.0.is_empty() && self.control.is_idle(), "{world:?}");
        let leased: u32 = self.control.ports().iter().map(|(_, counts)| counts.leased).sum();
        assert_eq!((leased, self.worker.open_ports(), self.worker.legs()), (0, 0, 0), "what is left");
    }

    /// Lets what was begun come to its end.
    async fn settle(&self) {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.worker.attach(None);
    }
}

/// The SDP of an accepted exchange has a port of a leg, where that is advertised, in each section that is in use.
fn describes_the_relay(options: &Options, answer: &Dict, legs: &BTreeSet<SocketAddr>, why: &str) {
    let asked = options.sdp.as_deref().unwrap_or_default();
    let told = answer.text("sdp").unwrap_or_else(|| panic!("no SDP: {why}"));
    if options.flags.loop_protect && told.as_bytes() == asked {
        return;
    }
    let asked = Sdp::parse(asked).unwrap_or_else(|error| panic!("{error}: {why}"));
    // Lines that are added may take a description of the largest size over it.
    let Ok(sdp) = Sdp::parse(told.as_bytes()) else {
        assert!(told.len() > LEN_MAX || told.lines().count() > LINES_MAX, "{why}");
        return;
    };
    assert_eq!(sdp.media().len(), asked.media().len(), "{why}");
    let mut used = BTreeSet::new();
    for (asked, told) in asked.media().iter().zip(sdp.media()) {
        assert_eq!(asked.port == 0, told.port == 0, "{why}");
        let (Some(said), Some(address)) = (asked.address, told.address) else { continue };
        if told.port == 0 {
            continue;
        }
        // The zero address stays what it is, and an address may be said for ours.
        let zero = said.is_unspecified() && !options.replace.zero_address;
        let is_there = |leg: &&SocketAddr| match options.media_address {
            _ if zero => address == said,
            Some(instead) => address == instead,
            None => leg.ip() == address,
        };
        let leg = legs.iter().filter(|leg| leg.port() == told.port).find(is_there);
        let leg = leg.unwrap_or_else(|| panic!("{address} {} is none of {legs:?}: {why}", told.port));
        assert!(used.insert(leg) || zero || options.media_address.is_some(), "{leg} is told twice: {why}");
    }
}

fn control_config() -> Config {
    let lan =
        Interface { name: "lan".to_owned(), address: [10, 0, 0, 1].into(), advertised: Some([203, 0, 113, 1].into()) };
    let six = Interface { name: "six".to_owned(), address: [0xfd00, 0, 0, 0, 0, 0, 0, 1].into(), advertised: None };
    Config {
        interfaces: vec![lan, six],
        ports: PORTS,
        allows_weak_srtp: false,
        detection: patchcord_control::api::DetectionConfig::default(),
        recording: patchcord_control::RecordingConfig::default(),
        dtls: patchcord_control::DtlsLibrary::default(),
        legs_max_per_worker: LEGS_MAX,
        latch: LatchPolicy::default(),
        egress: EgressMode::default(),
        media_timeout: Some(Duration::from_secs(30)),
        audio: AudioConfig { hold: vec![hold_file().to_owned()], ..AudioConfig::default() },
        token: None,
        version: "0.0.0-test".to_owned(),
    }
}

/// A short hold audio: making the built-in melody for every run would take most of its time.
fn hold_file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let folder = option_env!("CARGO_TARGET_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let path = folder.join(format!("hold-fuzz-{}.wav", std::process::id()));
        let audio = patchcord_codec::tone::sine(500.0, -20.0, 60, 8000);
        patchcord_codec::wav::write_file(&path, &audio).expect("the folder for temporary files can be written to");
        path
    })
}
