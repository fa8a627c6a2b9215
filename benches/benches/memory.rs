//! Memory a leg, engine and control together: 10,000 calls of two bridged parties each, made by the commands that the HTTP
//! front makes, with what the allocator has handed out before and after. Sockets are the kernel's and not counted.
//!
//! Exits with 1 above [`BYTES_A_LEG_MAX`].

#![allow(unsafe_code, reason = "an allocator that counts can only be an unsafe impl")]
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use patchcord_control::api::CommandRequest;
use patchcord_control::{AudioConfig, Config, Control, Interface, Worker};
use patchcord_relay::command::{EgressMode, LatchPolicy};
use patchcord_relay::exchange::{Applied, Reply, Request};
use patchcord_relay::time::MonoTime;
use patchcord_relay::{Shard, ShardConfig};
use serde_json::{Value, json};

const CALLS: u32 = 10_000;
const LEGS: u32 = 2 * CALLS;
const BYTES_A_LEG_MAX: i64 = 4096;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// A shard that answers at once, in the caller's thread.
struct Direct {
    shard: Mutex<Shard>,
    control: Mutex<Option<Control>>,
}

impl Worker for Direct {
    fn send(&self, request: Request) -> Result<(), Request> {
        let Request::Apply { ticket, commands } = request else { return Err(request) };
        let now = MonoTime::from_nanos(1_000_000_000);
        let result =
            self.shard.lock().expect("one thread").apply(&commands, now).map(drop).map(|()| Applied { at: now });
        let control = self.control.lock().expect("one thread").clone().expect("set before the first call");
        control.accept(0, Reply::Applied { ticket, result });
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let before_engine = LIVE_BYTES.load(Ordering::Relaxed);
    let shard = Shard::new(ShardConfig { legs_max: LEGS, seed: 1 });
    let engine_at_start = LIVE_BYTES.load(Ordering::Relaxed) - before_engine;
    let worker = Arc::new(Direct { shard: Mutex::new(shard), control: Mutex::new(None) });
    let config = Config {
        dtls: patchcord_control::DtlsLibrary::default(),
        interfaces: vec![Interface { name: "bench".to_owned(), address: [127, 0, 0, 1].into(), advertised: None }],
        ports: 20_000..=60_001,
        allows_weak_srtp: false,
        detection: patchcord_control::api::DetectionConfig::default(),
        recording: patchcord_control::RecordingConfig::default(),
        legs_max_per_worker: LEGS,
        latch: LatchPolicy::default(),
        egress: EgressMode::default(),
        media_timeout: None,
        audio: AudioConfig::default(),
        token: None,
        version: "bench".to_owned(),
    };
    let workers: Vec<Arc<dyn Worker>> = vec![Arc::clone(&worker) as Arc<dyn Worker>];
    let control = Control::new(config, workers, || MonoTime::from_nanos(1_000_000_000)).expect("a valid configuration");
    *worker.control.lock().expect("one thread") = Some(control.clone());

    let empty = LIVE_BYTES.load(Ordering::Relaxed);
    for call in 0..CALLS {
        let name = format!("call-{call}@example.org");
        control.create_call(Some(&name), None).expect("there is room");
        run(&control, &name, leg("legs-a", "transferee", 5004 + (call % 1000) as u16)).await;
        run(&control, &name, leg("legs-b", "agent", 7004 + (call % 1000) as u16)).await;
        run(&control, &name, json!({"id": "bridge", "command": "bridge", "a": "transferee", "b": "agent"})).await;
    }
    let grown = LIVE_BYTES.load(Ordering::Relaxed) - empty;

    // The engine's tables are reserved at start for all legs, so they belong to the legs whether used or not.
    let a_leg = (engine_at_start + grown) / i64::from(LEGS);
    println!("memory at {LEGS} legs, engine and control together: {a_leg} bytes a leg");
    println!("  reserved by the engine at start: {} bytes a leg", engine_at_start / i64::from(LEGS));
    println!("  grown with {CALLS} calls of two bridged parties: {} bytes a leg", grown / i64::from(LEGS));
    if a_leg > BYTES_A_LEG_MAX {
        println!("above the bound of {BYTES_A_LEG_MAX} bytes");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn leg(id: &str, party: &str, port: u16) -> Value {
    json!({
        "id": id, "command": "leg-create", "party": party, "remote": format!("192.0.2.10:{port}"),
        "codecs": ["PCMU", "PCMA", "101 telephone-event/8000"],
    })
}

async fn run(control: &Control, call: &str, request: Value) {
    let request = CommandRequest::from_json(request.to_string().as_bytes()).expect("a request");
    control.execute(call, request).await.expect("a valid command");
}
