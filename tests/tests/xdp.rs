//! XDP as an operator meets it: what is said at start and of a call, what becomes of calls when the relay is killed, and what it
//! takes.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use patchcord_tests::PATIENCE;
use patchcord_tests::hosts::{Hosts, hear, rtp};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};
use serde_json::json;

#[test]
fn a_call_is_forwarded_in_the_kernel_and_explain_says_so() {
    let Some(hosts) = Hosts::new() else { return };
    let mut relay = hosts.start(&["--offload", "auto"]);
    let call = hosts.call(&relay, "c1");
    let before = hosts.leg(&relay, "c1", "alice");
    assert_eq!(before["offload"]["active"], false, "{before}");
    let number = hosts.climb(&relay, "c1", &call);
    let explained = hosts.relay.run(|| relay.ask(&["explain", "c1"])).unwrap();
    assert!(explained.contains("its packets are forwarded in the kernel (XDP)"), "{explained}");
    assert!(explained.contains("not in the kernel: it is not settled where the party sends from"), "{explained}");
    // A cut-over in full flow: bob's side hears the next number, from the same source.
    let [alice, bob] = &call;
    let client = hosts.relay.run(|| relay.client()).unwrap();
    hosts.relay.run(|| client.command("c1", json!({"command": "hold", "party": "alice"}))).unwrap();
    hosts.relay.run(|| client.command("c1", json!({"command": "resume", "party": "alice"}))).unwrap();
    // Who sends the next packet as soon as the last one is heard may be faster than the worker, which has yet to give the flow away.
    let number = hosts.climb_from(number, &relay, "c1", &call);
    for next in number..number + 50 {
        alice.send(&rtp(next)).unwrap();
        assert_eq!(hear(bob), next);
    }
    let metrics = hosts.relay.run(|| relay.client().request("GET", "/metrics", "").body).unwrap();
    let metrics = metrics.as_str().unwrap();
    let of_workers = metrics.lines().filter(|line| line.starts_with("patchcord_packets_offloaded_total{"));
    let offloaded: f64 = of_workers.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    assert!(offloaded > 40.0, "{offloaded}");
    relay.terminate();
    let said = relay.wait().stderr;
    assert!(said.contains("offload") && said.contains("in front of the network stack (generic)"), "{said}");
    assert!(!hosts.links().contains("xdp"), "nothing is left: {}", hosts.links());
}

#[test]
fn a_call_is_relayed_by_af_xdp_and_explain_says_so() {
    let Some(hosts) = Hosts::new() else { return };
    let mut relay = hosts.start(&["--backend", "af-xdp", "--offload", "off"]);
    let [alice, bob] = &hosts.call(&relay, "c1");
    let count = |what: &str| {
        let metrics = hosts.relay.run(|| relay.client().request("GET", "/metrics", "").body).unwrap();
        let wanted = format!("\"{what}\"");
        let of_workers = metrics.as_str().unwrap().lines().filter(|line| line.contains(&wanted));
        of_workers.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    let started = Instant::now();
    let mut number = 0;
    while count("sent_af_xdp") == 0 {
        assert!(started.elapsed() < PATIENCE, "{number} packets");
        alice.send(&rtp(number)).unwrap();
        assert_eq!(hear(bob), number);
        number += 1;
    }
    let before = ["received_af_xdp", "sent_af_xdp"].map(count);
    for next in number..number + 100 {
        alice.send(&rtp(next)).unwrap();
        assert_eq!(hear(bob), next);
    }
    let after = ["received_af_xdp", "sent_af_xdp"].map(count);
    // There may be a report among them.
    assert!(after[0] - before[0] >= 100 && after[1] - before[1] >= 100, "{before:?} and {after:?}");
    let explained = hosts.relay.run(|| relay.ask(&["explain", "c1"])).unwrap();
    assert!(explained.contains("through af-xdp"), "{explained}");
    relay.terminate();
    let said = relay.wait().stderr;
    assert!(said.contains("packets come and go by AF_XDP sockets at") && said.contains("(1 queue, copied)"), "{said}");
    assert!(!hosts.links().contains("xdp"), "nothing is left: {}", hosts.links());
}

#[test]
fn a_relay_that_is_killed_under_load_leaves_nothing_behind() {
    let Some(hosts) = Hosts::new() else { return };
    let mut killed = hosts.start(&["--offload", "xdp"]);
    let call = hosts.call(&killed, "c1");
    let mut number = hosts.climb(&killed, "c1", &call);
    let [alice, bob] = &call;
    assert!(hosts.links().contains("xdpgeneric"), "{}", hosts.links());
    std::thread::scope(|scope| {
        let killing = scope.spawn(|| killed.kill());
        while !killing.is_finished() {
            let _ = alice.send(&rtp(number));
            number = number.wrapping_add(1);
        }
    });
    let gone = Instant::now();
    while hosts.links().contains("xdpgeneric") {
        assert!(gone.elapsed() < PATIENCE, "{}", hosts.links());
    }
    bob.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    while bob.recv(&mut [0; 200]).is_ok() {}
    let _ = alice.send(&rtp(number));
    assert!(bob.recv(&mut [0; 200]).is_err(), "nobody forwards any more");
    let next = hosts.start(&["--offload", "xdp"]);
    let call = hosts.call(&next, "c2");
    hosts.climb(&next, "c2", &call);
}

/// A BPF filesystem of this test's own.
struct BpfFolder(PathBuf);

impl BpfFolder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("patchcord-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        mount("bpf", &folder, "bpf", MountFlags::empty(), None).unwrap();
        Self(folder)
    }

    /// Names of what lives on there.
    fn pinned(&self) -> usize {
        // The kernel may have files of its own beside them.
        let folders = std::fs::read_dir(&self.0).unwrap().flatten().filter(|entry| entry.path().is_dir());
        folders.map(|folder| std::fs::read_dir(folder.path()).unwrap().count()).sum()
    }
}

impl Drop for BpfFolder {
    fn drop(&mut self) {
        unmount(&self.0, UnmountFlags::DETACH).unwrap();
        std::fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn flows_outlive_a_relay_that_is_killed_and_the_next_one_adopts_or_ends_them() {
    let Some(hosts) = Hosts::new() else { return };
    let folder = BpfFolder::new("pins");
    let pin = format!("workers.xdp_pin={}", folder.0.display());
    let start = |adopt| {
        let adopt = format!("workers.xdp_adopt={adopt}");
        hosts.start(&["--offload", "xdp", "--set", &pin, "--set", &adopt])
    };
    let mut killed = start(true);
    let call = hosts.call(&killed, "c1");
    let mut number = hosts.climb(&killed, "c1", &call);
    killed.kill();
    let mut talk = |whether: &str| {
        let [alice, bob] = &call;
        for _ in 0..20 {
            alice.send(&rtp(number)).unwrap();
            assert_eq!(hear(bob), number, "{whether}");
            number += 1;
        }
    };
    talk("nobody is there, and the call goes on");
    let mut next = start(true);
    talk("the next relay knows nothing of the call, and it goes on");
    let second = hosts.call(&next, "c2");
    hosts.climb(&next, "c2", &second);
    talk("beside calls of its own");
    next.kill();
    talk("over another death");
    let mut last = start(false);
    let [alice, bob] = &call;
    bob.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    while bob.recv(&mut [0; 200]).is_ok() {}
    let _ = alice.send(&rtp(9_999));
    assert!(bob.recv(&mut [0; 200]).is_err(), "the last one has ended it");
    let third = hosts.call(&last, "c3");
    hosts.climb(&last, "c3", &third);
    assert!(folder.pinned() > 0);
    last.terminate();
    let _ = last.wait();
    assert_eq!(folder.pinned(), 0, "an orderly end leaves nothing");
    assert!(!hosts.links().contains("xdp"), "{}", hosts.links());
    // What is no BPF filesystem is said to be none.
    let elsewhere = std::env::temp_dir();
    let pin = format!("workers.xdp_pin={}", elsewhere.display());
    let refused = hosts.try_start(&["--offload", "xdp", "--set", &pin]).unwrap_err();
    assert!(refused.stderr.contains("does not lie in a BPF filesystem"), "{refused:?}");
}

#[test]
fn without_the_capability_the_relay_goes_on_without_or_refuses_with_the_reason() {
    let Some(hosts) = Hosts::new() else { return };
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                // What this thread starts from here on cannot have them, root or not.
                for capability in [CapabilitySet::BPF, CapabilitySet::SYS_ADMIN] {
                    remove_capability_from_bounding_set(capability).unwrap();
                }
                let refused = hosts.try_start(&["--offload", "xdp"]).unwrap_err();
                assert_eq!(refused.status.code(), Some(1), "{refused:?}");
                assert!(refused.stderr.contains("xdp") && refused.stderr.contains("CAP_BPF"), "{refused:?}");
                let mut relay = hosts.start(&["--backend", "io-uring", "--offload", "auto"]);
                let call = hosts.call(&relay, "c1");
                call[0].send(&rtp(1)).unwrap();
                assert_eq!(call[1].recv(&mut [0; 200]).unwrap(), 172);
                relay.terminate();
                let said = relay.wait().stderr;
                assert!(said.contains("CAP_BPF"), "{said}");
            })
            .join()
            .unwrap();
    });
}
