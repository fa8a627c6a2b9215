//! The RTP around a transfer, in one file with what was said.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use patchcord_tests::{Folder, eventually};
use serde_json::Value;

use crate::evidence::tshark;
use crate::remote::Media;
use crate::stage::{Side, Stage};

/// Clocks of the kernel, the relay and the test are read one after the other.
const INACCURACY_S: f64 = 0.1;

/// A packet of RTP as tshark sees it.
struct Packet {
    party: String,
    at_s: f64,
    from: String,
    to: String,
    captured: usize,
}

/// The bundle of the only transfer, unpacked.
fn bundle(stage: &Stage, folder: &Folder) -> PathBuf {
    let name = stage.latest()["transfer"].as_str().unwrap().to_owned();
    let file = folder.path().join("bundle.tar");
    let _said = stage.relay.ask(&["transfers", "show", &name, "--bundle", file.to_str().unwrap()]);
    let tar = Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(folder.path()).output().unwrap();
    assert!(tar.status.success(), "{tar:?}");
    folder.path().join(format!("transfer-{name}"))
}

fn note(stage: &Stage, folder: &Folder) -> Value {
    serde_json::from_slice(&std::fs::read(bundle(stage, folder).join("rtp.json")).unwrap()).unwrap()
}

fn packets(file: &Path) -> Vec<Packet> {
    let fields =
        ["frame.interface_name", "frame.time_epoch", "ip.src", "udp.srcport", "ip.dst", "udp.dstport", "frame.cap_len"];
    let lines = tshark(file, "rtp", &fields);
    let read = lines.iter().map(|line| {
        let fields: Vec<_> = line.split('\t').collect();
        let [party, at, from, from_port, to, to_port, captured] = fields[..] else { panic!("{line}") };
        Packet {
            party: party.to_owned(),
            at_s: at.parse().unwrap(),
            from: format!("{from}:{from_port}"),
            to: format!("{to}:{to_port}"),
            captured: captured.parse().unwrap(),
        }
    });
    read.collect()
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Somebody sent or was sent something in this time.
fn must_have(packets: &[Packet], party: &str, from: SocketAddr, to: SocketAddr, [begin, end]: [f64; 2]) {
    let is_it =
        |packet: &&Packet| packet.party == party && packet.from == from.to_string() && packet.to == to.to_string();
    let times: Vec<_> = packets.iter().filter(is_it).map(|packet| packet.at_s).collect();
    let is_then = |at: &f64| (begin - INACCURACY_S..end + INACCURACY_S).contains(at);
    assert!(times.iter().any(is_then), "{party}, {from} to {to}: {times:?} between {begin} and {end}");
}

fn transfer(stage: &mut Stage, agent: &mut Side) -> String {
    stage.refer(agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    stage.target_answers(&inbound, &offer);
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated");
    offer
}

/// Whom the caller sent to and heard before the cut-over and after it, with the messages of SIP between, and nothing of what was said.
#[test]
fn the_rtp_of_a_transfer_is_in_its_bundle() {
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), "evidence-rtp");
    let mut stage = Stage::with_more("evidence_rtp_s = 30", "", "");
    let (mut caller, mut agent) = stage.talking();
    let began = now_s();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    eventually("the packets of both are kept", || {
        stage.caller.media.send(caller.relay);
        stage.agent.media.send(agent.relay);
        let kept = note(&stage, &folder);
        assert_eq!((&kept["why_none"], &kept["is_over"]), (&Value::Null, &false.into()), "{kept}");
        (kept["packets"].as_u64() >= Some(4)).then_some(())
    });
    let answered = now_s();
    stage.target_answers(&inbound, &offer);
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated");
    stage.agent.bye(&mut agent.call);
    stage.caller.media.send(caller.relay);
    stage.target.media.must_hear(&stage.caller.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
    let ended = now_s();
    let kept =
        eventually("the last packet is kept", || Some(note(&stage, &folder)).filter(|kept| kept["is_over"] == true));
    assert_eq!(kept["missed"], 0, "{kept}");

    let file = bundle(&stage, &folder).join("signalling.pcapng");
    let packets = packets(&file);
    assert_eq!(kept["packets"], tshark(&file, "rtp or rtcp", &["frame.number"]).len(), "{kept}");
    let [of_caller, of_agent, of_target] =
        [&stage.caller, &stage.agent, &stage.target].map(|phone| phone.media.address());
    let to_target = crate::stage::media_of(&offer);
    let (before, after) = ([began, answered], [answered, ended]);
    must_have(&packets, "caller", of_caller, caller.relay, before);
    must_have(&packets, "agent", of_agent, agent.relay, before);
    must_have(&packets, "target-1", of_target, to_target, after);
    must_have(&packets, "caller", caller.relay, of_caller, after);
    must_have(&packets, "caller", of_caller, caller.relay, after);
    must_have(&packets, "target-1", to_target, of_target, after);

    // One file, in the order of time, with the answer of the target before what it says.
    let times: Vec<f64> = tshark(&file, "", &["frame.time_epoch"]).iter().map(|at| at.parse().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let ok = tshark(&file, "sip.Status-Code == 200 and frame.interface_name == \"target-1\"", &["frame.time_epoch"]);
    let ok: f64 = ok[0].parse().unwrap();
    let spoke = packets.iter().find(|packet| packet.from == of_target.to_string()).unwrap().at_s;
    assert!(ok < spoke, "{ok} {spoke}");
    // IPv4, UDP and RTP headers.
    assert!(packets.iter().all(|packet| packet.captured == 20 + 8 + 12));
    assert_eq!(tshark(&file, "_ws.malformed or ip.checksum.status == \"Bad\"", &["frame.number"]), [""; 0]);
}

/// What is not kept is left out, and the bundle says why.
#[test]
fn where_no_rtp_is_kept_the_bundle_says_why() {
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), "evidence-no-rtp");
    let elsewhere = Media::start();
    let of_elsewhere = format!("{}\nevidence_rtp_s = 5", elsewhere.keys());
    for (keys, why) in [("", "pivot.evidence_rtp_s is 0"), (&*of_elsewhere, "another process moves the media")] {
        let mut stage = Stage::with_more(keys, "", "");
        let (mut caller, mut agent) = stage.talking();
        transfer(&mut stage, &mut agent);
        let kept = note(&stage, &folder);
        assert!(kept["why_none"].as_str().is_some_and(|said| said.contains(why)), "{kept}");
        assert_eq!(packets(&bundle(&stage, &folder).join("signalling.pcapng")).len(), 0);
        stage.agent.bye(&mut agent.call);
        stage.caller.bye(&mut caller.call);
        let _bye = stage.target.must_take("BYE");
    }
}
