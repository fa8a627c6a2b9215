//! What a leg costs in the control plane and the engine together, at 20,000 legs.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use patchcord_control::api::CommandRequest;
use patchcord_control::{AudioConfig, Config, Control, Interface, Worker};
use patchcord_relay::command::{EgressMode, LatchPolicy};
use patchcord_relay::exchange::{Applied, Reply, Request};
use patchcord_relay::time::MonoTime;
use patchcord_relay::{Shard, ShardConfig};
use serde_json::json;

const CALLS: usize = 10_000;
const LEGS: usize = 2 * CALLS;
/// The promise: 4 KiB a leg.
const BYTES_A_LEG_MAX: usize = 4096;

struct Engine {
    shard: Mutex<Shard>,
    control: Mutex<Option<Control>>,
}

impl Worker for Engine {
    fn send(&self, request: Request) -> Result<(), Request> {
        let control = self.control.lock().unwrap().clone().unwrap();
        if let Request::Apply { ticket, commands } = request {
            let mut shard = self.shard.lock().unwrap();
            let (result, events) = match shard.apply(&commands, MonoTime::ZERO) {
                Ok(mut outputs) => (Ok(Applied { at: MonoTime::ZERO }), outputs.events().collect()),
                Err(refused) => (Err(refused), Vec::new()),
            };
            control.accept(0, Reply::Applied { ticket, result });
            for event in events {
                control.accept(0, Reply::Event { at: MonoTime::ZERO, event });
            }
        }
        Ok(())
    }
}

/// Memory of this process that is really there and its own, in bytes (proc(5): `RssAnon`). Pages of the program's file count
/// once for all legs, and more of them are touched the less the code is optimised.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_leg_costs_at_most_four_kibibytes() {
    // One address has 65,536 ports; two interfaces leave room.
    let interface =
        |name: &str, last| Interface { name: name.to_owned(), address: [10, 0, 0, last].into(), advertised: None };
    let config = Config {
        interfaces: vec![interface("one", 1), interface("two", 2)],
        ports: 1024..=65535,
        allows_weak_srtp: false,
        detection: patchcord_control::api::DetectionConfig::default(),
        recording: patchcord_control::RecordingConfig::default(),
        dtls: patchcord_control::DtlsLibrary::default(),
        legs_max_per_worker: LEGS as u32,
        latch: LatchPolicy::default(),
        egress: EgressMode::default(),
        media_timeout: None,
        audio: AudioConfig::default(),
        token: None,
        version: String::new(),
    };
    let empty = Shard::new(ShardConfig { legs_max: 1, seed: 1 });
    let engine = Arc::new(Engine { shard: Mutex::new(empty), control: Mutex::default() });
    let control = Control::new(config, vec![Arc::clone(&engine) as Arc<dyn Worker>], || MonoTime::ZERO).unwrap();
    *engine.control.lock().unwrap() = Some(control.clone());
    let before = resident();
    *engine.shard.lock().unwrap() = Shard::new(ShardConfig { legs_max: LEGS as u32, seed: 1 });
    for number in 0..CALLS {
        let call = control.create_call(None, None).unwrap().call;
        let leg = |party: &str, interface: &str| {
            let codecs = json!(["PCMU", "101 telephone-event/8000"]);
            let remote = format!("192.0.2.1:{}", 1024 + number);
            json!({"command": "leg-create", "party": party, "codecs": codecs, "interface": interface, "remote": remote})
        };
        for (id, commands) in BTreeMap::from([
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", json!([leg("transferee", "one")])),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf7", json!([leg("agent", "two")])),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf8", json!([{"command": "bridge", "a": "transferee", "b": "agent"}])),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf9", json!([{"command": "hold", "party": "transferee"}])),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bfa", json!([{"command": "resume", "party": "transferee"}])),
        ]) {
            let body = json!({"id": id, "commands": commands}).to_string();
            let request = CommandRequest::from_json(body.as_bytes()).unwrap();
            control.execute(&call, request).await.unwrap();
        }
    }
    let bytes_a_leg = (resident() - before) / LEGS;
    assert_eq!(engine.shard.lock().unwrap().worker().legs as usize, LEGS);
    assert!(bytes_a_leg <= BYTES_A_LEG_MAX, "{bytes_a_leg} bytes a leg");
    assert!(bytes_a_leg > 256, "{bytes_a_leg} bytes a leg: that was not measured right");
    let _shown = std::io::Write::write_all(&mut std::io::stderr(), format!("{bytes_a_leg} bytes a leg\n").as_bytes());
    *engine.control.lock().unwrap() = None;
}
