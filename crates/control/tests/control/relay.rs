//! A relay for tests: a control plane over engine shards that are called directly.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use patchcord_control::api::{CallEvent, CallState, CommandAnswer, CommandRequest, Detail, Outcome};
use patchcord_control::{ApiError, AudioConfig, Config, Control, Interface, Worker};
use patchcord_relay::command::{EgressMode, LatchPolicy};
use patchcord_relay::time::MonoTime;
use patchcord_relay::{ShardConfig, Verdict};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::worker::TestWorker;

/// Room of each worker.
pub(crate) const LEGS_MAX: u32 = 256;

/// A party of a test: sends a constant stream.
#[derive(Debug)]
pub(crate) struct Phone {
    pub(crate) address: SocketAddr,
    pub(crate) local: SocketAddr,
    sequence: u16,
    ssrc: u32,
}

impl Phone {
    pub(crate) fn new(address: SocketAddr, local: SocketAddr) -> Self {
        Self { address, local, sequence: 100, ssrc: address.port().into() }
    }
}

pub(crate) struct Relay {
    pub(crate) control: Control,
    pub(crate) workers: Vec<Arc<TestWorker>>,
    clock: Arc<AtomicU64>,
    requests: AtomicU64,
}

/// A short hold audio: making the built-in melody for every test would take most of their time.
fn hold_file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("hold-{}.wav", std::process::id()));
        let audio = patchcord_codec::tone::sine(500.0, -20.0, 200, 8000);
        patchcord_codec::wav::write_file(&path, &audio).unwrap();
        path
    })
}

pub(crate) fn config(ports: core::ops::RangeInclusive<u16>) -> Config {
    Config {
        interfaces: vec![
            Interface {
                name: "lan".to_owned(),
                address: [10, 0, 0, 1].into(),
                advertised: Some([203, 0, 113, 1].into()),
            },
            Interface { name: "six".to_owned(), address: "fd00::1".parse().unwrap(), advertised: None },
        ],
        ports,
        allows_weak_srtp: false,
        dtls: patchcord_control::DtlsLibrary::default(),
        legs_max_per_worker: LEGS_MAX,
        latch: LatchPolicy::default(),
        egress: EgressMode::default(),
        media_timeout: Some(Duration::from_secs(30)),
        audio: AudioConfig { hold: vec![hold_file().to_owned()], ..AudioConfig::default() },
        detection: patchcord_control::api::DetectionConfig::default(),
        recording: patchcord_control::RecordingConfig::default(),
        token: None,
        version: "0.0.0-test".to_owned(),
    }
}

impl Relay {
    pub(crate) fn new() -> Self {
        Self::with(config(30000..=30999), 1)
    }

    pub(crate) fn with(config: Config, workers: usize) -> Self {
        let clock = Arc::new(AtomicU64::new(1_000_000_000));
        let shard = ShardConfig { legs_max: config.legs_max_per_worker, seed: 7 };
        let workers: Vec<_> = (0..workers).map(|number| TestWorker::new(number, shard, Arc::clone(&clock))).collect();
        let dynamic = workers.iter().map(|worker| Arc::clone(worker) as Arc<dyn Worker>).collect();
        let reading = Arc::clone(&clock);
        let now = move || MonoTime::from_nanos(reading.load(Ordering::Relaxed));
        let control = Control::new(config, dynamic, now).unwrap();
        for worker in &workers {
            worker.attach(Some(control.clone()));
        }
        Self { control, workers, clock, requests: AtomicU64::new(0) }
    }

    /// Executes commands on call `c` under an id of their own.
    pub(crate) async fn batch(&self, commands: Value) -> Result<CommandAnswer, ApiError> {
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        self.batch_as(&format!("request-{id}"), commands).await
    }

    pub(crate) async fn batch_as(&self, id: &str, commands: Value) -> Result<CommandAnswer, ApiError> {
        let body = json!({"id": id, "commands": commands}).to_string();
        let request = CommandRequest::from_json(body.as_bytes())?;
        self.control.execute("c", request).await.map(|answer| CommandAnswer::clone(&answer))
    }

    pub(crate) async fn run(&self, command: Value) -> Result<Outcome, ApiError> {
        self.batch(json!([command])).await.map(|mut answer| answer.results.remove(0))
    }

    pub(crate) async fn run_as(&self, id: &str, command: Value) -> Result<Outcome, ApiError> {
        self.batch_as(id, json!([command])).await.map(|mut answer| answer.results.remove(0))
    }

    /// Creates a party whose telephone has port `port`.
    pub(crate) async fn party(&self, name: &str, port: u16) -> Phone {
        self.party_with(name, port, json!(["PCMU", "101 telephone-event/8000"])).await
    }

    pub(crate) async fn party_with(&self, name: &str, port: u16, codecs: Value) -> Phone {
        let address = SocketAddr::from(([10, 0, 0, 9], port));
        let command = json!({"command": "leg-create", "party": name, "codecs": codecs, "remote": address.to_string()});
        let outcome = self.run(command).await.unwrap();
        let Detail::Created(created) = outcome.detail else { panic!("{outcome:?}") };
        Phone::new(address, created.local)
    }

    /// Call `c` with its parties, the first two bridged.
    pub(crate) async fn call(&self, parties: &[&str]) -> Vec<Phone> {
        self.control.create_call(Some("c"), None).unwrap();
        let mut phones = Vec::new();
        for (index, name) in parties.iter().enumerate() {
            phones.push(self.party(name, 4000 + 2 * index as u16).await);
        }
        if let [a, b, ..] = parties {
            self.run(json!({"command": "bridge", "a": a, "b": b})).await.unwrap();
        }
        phones
    }

    /// The call; what the control plane says that parties hear must be what the engine feeds them.
    pub(crate) async fn state(&self) -> CallState {
        let state = self.control.snapshot("c").await.unwrap();
        self.workers[state.worker].check_sources(&state);
        state
    }

    /// What each party hears.
    pub(crate) async fn hears(&self) -> BTreeMap<String, String> {
        let state = self.state().await;
        state.legs.iter().map(|leg| (leg.party.to_string(), leg.hears.clone())).collect()
    }

    pub(crate) async fn hears_of<const N: usize>(&self, parties: [&str; N]) -> [String; N] {
        let hears = self.hears().await;
        parties.map(|party| hears[party].clone())
    }

    /// The party sends one packet.
    pub(crate) fn talk(&self, phone: &mut Phone) -> Verdict {
        let mut packet = vec![0x80, 0];
        packet.extend(phone.sequence.to_be_bytes());
        packet.extend((u32::from(phone.sequence) * 160).to_be_bytes());
        packet.extend(phone.ssrc.to_be_bytes());
        packet.resize(172, 0x55);
        phone.sequence += 1;
        self.workers[0].receive(phone.local, phone.address, &packet)
    }

    /// Time goes by; the workers do what is due on the way.
    pub(crate) fn now(&self) -> MonoTime {
        MonoTime::from_nanos(self.clock.load(Ordering::Relaxed))
    }

    pub(crate) fn pass(&self, ms: u64) {
        for _ in 0..ms {
            self.clock.fetch_add(1_000_000, Ordering::Relaxed);
            for worker in &self.workers {
                worker.tick();
            }
        }
    }

    /// Waits until the control plane has got somewhere.
    pub(crate) async fn until(&self, what: &str, mut reached: impl AsyncFnMut(&Self) -> bool) {
        for _ in 0..10_000 {
            if reached(self).await {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("it never came to this: {what}");
    }

    /// Lets everything that is under way come to its end.
    pub(crate) async fn settle(&self) {
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.attach(None);
        }
    }
}

/// The events of a call so far.
pub(crate) fn told(events: &mut broadcast::Receiver<Arc<CallEvent>>) -> Vec<CallEvent> {
    core::iter::from_fn(|| events.try_recv().ok()).map(|event| CallEvent::clone(&event)).collect()
}

/// Their names.
pub(crate) fn names(events: &[CallEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.name()).collect()
}

/// The number, state and count of receipts of a change of sources.
pub(crate) fn cut_over(outcome: &Outcome) -> (Option<u64>, patchcord_control::api::CutOverState, usize) {
    let Detail::CutOver(result) = &outcome.detail else { panic!("no change of sources: {outcome:?}") };
    (result.cut_over, result.state, result.receipts.len())
}
