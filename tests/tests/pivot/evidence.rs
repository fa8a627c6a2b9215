//! What is kept of a transfer: what was said, what was heard, and both as one file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;

use patchcord_tests::{Folder, eventually};
use serde_json::Value;

use crate::stage::{Side, Stage};

/// The name of the only transfer.
fn transfer(stage: &Stage) -> String {
    stage.latest()["transfer"].as_str().unwrap().to_owned()
}

fn trace(stage: &Stage, transfer: &str) -> Vec<Value> {
    let trace = stage.relay.client().get(&format!("/v1/transfers/{transfer}/trace"));
    assert_eq!((&trace["is_kept"], &trace["left_out"]), (&true.into(), &0.into()), "{trace}");
    trace["messages"].as_array().unwrap().clone()
}

/// Direction, party and the beginning of the first line; each must be seen after the one before.
fn must_be_seen_in_order(messages: &[Value], wanted: &[(&str, &str, &str)]) {
    let mut rest = messages.iter();
    for (direction, party, line) in wanted {
        let is_it = |message: &&Value| {
            message["direction"] == *direction
                && message["party"] == *party
                && message["first_line"].as_str().unwrap().starts_with(line)
        };
        let seen = || messages.iter().map(|m| format!("{} {} {}", m["direction"], m["party"], m["first_line"]));
        assert!(rest.any(|message| is_it(&message)), "{direction} {party} {line} in {:#?}", seen().collect::<Vec<_>>());
    }
}

/// Refused at first for want of credentials, then busy.
fn a_transfer_fails(stage: &mut Stage, agent: &mut Side) {
    stage.refer(agent, "<tel:+15550199>");
    let (first, _) = stage.target.ring();
    let challenge = "407 Proxy Authentication Required\r\nProxy-Authenticate: Digest realm=\"r\", nonce=\"abcdef\"";
    stage.target.respond(&first, challenge, "");
    let _ack = stage.target.must_take("ACK");
    let (second, _) = stage.target.ring();
    assert!(second.invite().header("Proxy-Authorization").unwrap().contains("response="));
    stage.target.respond(&second, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified("SIP/2.0 486 Busy Here\r\n", "terminated");
}

#[test]
fn a_failed_transfer_leaves_its_trace_its_media_and_a_bundle() {
    let kept = Folder::create(env!("CARGO_TARGET_TMPDIR"), "evidence");
    let directory = kept.path().join("of-the-pivot");
    let evidence = format!("evidence_directory = {directory:?}");
    let mut stage = Stage::with_more(&evidence, "username = \"user\"\npassword = \"hush\"", "");
    let (mut caller, mut agent) = stage.talking();
    a_transfer_fails(&mut stage, &mut agent);
    let name = transfer(&stage);

    let messages = trace(&stage, &name);
    must_be_seen_in_order(
        &messages,
        &[
            ("in", "caller", "INVITE "),
            ("out", "agent", "INVITE "),
            ("in", "agent", "SIP/2.0 200"),
            ("out", "caller", "SIP/2.0 200"),
            ("in", "caller", "ACK "),
            ("in", "agent", "REFER "),
            ("out", "agent", "SIP/2.0 202"),
            ("out", "agent", "NOTIFY "),
            ("out", "target-1", "INVITE "),
            ("in", "target-1", "SIP/2.0 407"),
            ("out", "target-1", "INVITE "),
            ("in", "target-1", "SIP/2.0 486"),
            ("out", "agent", "NOTIFY "),
        ],
    );
    let first = &messages[0];
    assert_eq!(
        (&first["at_ms"], &first["cseq"], &first["transport"]),
        (&0.0.into(), &"1 INVITE".into(), &"udp".into())
    );
    assert_eq!(first["call_id"], caller.call.id());
    assert_eq!(first["remote"], stage.caller.address().to_string());
    assert!(stage.uri().ends_with(first["local"].as_str().unwrap()), "{first}");
    assert!(messages.is_sorted_by_key(|message| message["at_ms"].as_f64().map(f64::to_bits)));
    let said = |what: &str| messages.iter().filter(|m| m["text"].as_str().unwrap().contains(what)).count();
    assert_eq!((said("response="), said("hush")), (0, 0));
    // The challenge itself is no secret.
    assert!(said("Proxy-Authorization: Digest masked\r\n") > 0 && said("nonce=\"abcdef\"") > 0);

    // The target has sent nothing, the two others have.
    let media = stage.relay.client().get(&format!("/v1/transfers/{name}"))["media"].clone();
    let party = |facts: &Value, party: &str| {
        let parties = facts["parties"].as_array().unwrap();
        parties.iter().find(|facts| facts["party"] == party).unwrap_or_else(|| panic!("{party} in {facts}")).clone()
    };
    let over = &media["when_over"];
    assert_eq!((&over["one_way"], &media["first_target_packet_ms"]), (&serde_json::json!(["target-1"]), &Value::Null));
    for name in ["caller", "agent"] {
        let facts = party(over, name);
        assert_eq!((&facts["received"], &facts["has_left"]), (&1.into(), &false.into()), "{facts}");
        assert!(facts["first_packet_ms"].as_u64() >= Some(1_600_000_000_000), "{facts}");
    }
    assert_eq!(media["at_call_end"], Value::Null);

    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    stage.must_be_idle();
    let media = eventually("the media as it was in the end", || {
        let media = stage.relay.client().get(&format!("/v1/transfers/{name}"))["media"].clone();
        (!media["at_call_end"].is_null()).then_some(media)
    });
    assert_eq!(party(&media["at_call_end"], "caller")["received"], 1, "{media}");
    // What comes when the call is over is its too.
    eventually("the answer to the last BYE", || {
        let last = trace(&stage, &name).pop().unwrap();
        (last["cseq"].as_str().unwrap().ends_with("BYE") && last["party"] == "agent").then_some(())
    });
    must_be_whole(&stage, &name);

    // The one in the directory is that of the whole call in the end.
    let inside = format!("transfer-{name}/media.json");
    eventually("the bundle in the directory", || {
        let files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = &files[..] else { return None };
        let read = Command::new("tar").arg("-xOf").arg(file).arg(&inside).output().unwrap();
        let media: Value = serde_json::from_slice(&read.stdout).ok()?;
        (!media["at_call_end"].is_null()).then_some(())
    });
}

/// The bundle has all its files, and programs that know nothing of Patchcord read them.
fn must_be_whole(stage: &Stage, name: &str) {
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), &format!("bundle-{}", stage.caller.address().port()));
    let file = folder.path().join("bundle.tar");
    let _said = stage.relay.ask(&["transfers", "show", name, "--bundle", file.to_str().unwrap()]);
    let tar = Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(folder.path()).output().unwrap();
    assert!(tar.status.success(), "{tar:?}");
    let files = folder.path().join(format!("transfer-{name}"));
    let text = |name: &str| std::fs::read_to_string(files.join(name)).unwrap();
    let json = |name: &str| serde_json::from_str::<Value>(&text(name)).unwrap();
    let transfer = json("transfer.json");
    assert_eq!((&transfer["state"], &transfer["failures"][0]["code"]), (&"failed".into(), &486.into()));
    assert!(!transfer["failures"][0]["explanation"].as_str().unwrap().is_empty());
    assert_eq!(json("media.json")["when_over"]["one_way"], serde_json::json!(["target-1"]));
    let call = json("call.json");
    assert_eq!((&call["transfers"], &call["direction"]), (&serde_json::json!([name]), &"origination".into()));
    assert!(call["ended_ms"].as_u64() >= call["began_ms"].as_u64(), "{call}");
    let readable = text("trace.txt");
    assert!(readable.contains("<-- target-1  SIP/2.0 486 Busy Here\n"), "{readable}");
    assert!(readable.contains("    Proxy-Authorization: Digest masked\n"), "{readable}");

    let messages = trace(stage, name);
    let seen = tshark(&files.join("signalling.pcapng"), "sip", &["frame.interface_name", "sip.Call-ID", "sip.CSeq"]);
    let wanted = messages.iter().map(|message| {
        let field = |name: &str| message[name].as_str().unwrap().to_owned();
        format!("{}\t{}\t{}", field("party"), field("call_id"), field("cseq"))
    });
    assert_eq!(seen, wanted.collect::<Vec<_>>());
    let wrong = "_ws.malformed or ip.checksum.status == \"Bad\" or udp.checksum.status == \"Bad\"";
    assert_eq!(tshark(&files.join("signalling.pcapng"), wrong, &["frame.number"]), [""; 0]);
}

/// The fields of what fits, a line for each.
pub(crate) fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(file).args(["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]);
    tshark.args(["-T", "fields", "-Y", filter]).args(fields.iter().flat_map(|field| ["-e", field]));
    let output = tshark.output().expect("scripts/test installs it");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Whoever floods the pivot takes nothing away from what is kept of calls, and what is no text does no harm.
#[test]
fn strangers_and_garbage_leave_the_traces_whole() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    let pivot: SocketAddr = stage.uri().rsplit('@').next().unwrap().parse().unwrap();
    let bind = |last| UdpSocket::bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0)).unwrap();
    let (trunk, stranger) = (bind(2), bind(9));
    let request = |from: &UdpSocket, method: &str, call_id: &str, body: &str| {
        let at = from.local_addr().unwrap();
        let text = format!(
            "{method} sip:x@{pivot} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{call_id};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:x@{at}>;tag=1\r\nTo: <sip:x@{pivot}>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\nContact: <sip:x@{at}>\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        from.send_to(text.as_bytes(), pivot).unwrap();
    };
    // Some are lost before the pivot reads them; it answers again when it is through.
    let catches_up = |name: &str| {
        trunk.set_nonblocking(true).unwrap();
        eventually("an answer to OPTIONS", || {
            request(&trunk, "OPTIONS", name, "");
            let mut buffer = [0; 65_536];
            let came = core::iter::from_fn(|| trunk.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec()));
            came.into_iter().any(|bytes| String::from_utf8_lossy(&bytes).contains(name)).then_some(())
        });
    };
    for number in 0..10_000 {
        match number % 20 {
            0 => request(&stranger, "INVITE", &format!("stray-{number}"), ""),
            1..10 => request(&trunk, "BYE", &format!("stray-{number}"), ""),
            _ => request(&stranger, "INFO", &format!("stray-{number}"), "x"),
        }
        if number % 500 == 499 {
            catches_up(&format!("catch-up-{number}"));
        }
    }
    // As much as a datagram holds, and what is no SIP under the call's own name.
    stage.agent.request(&mut agent.call, "INFO", &"y".repeat(60 << 10), "");
    stage.agent.must_be_answered(&agent.call, "INFO", 415);
    let mut garbage = format!("\u{1b}[2J garbage\r\nCall-ID: {}\r\n\r\n", caller.call.id()).into_bytes();
    garbage.extend((0..4096_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8));
    trunk.send_to(&garbage, pivot).unwrap();
    catches_up("behind-the-garbage");

    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    stage.target_answers(&inbound, &offer);
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated");
    let _bye = stage.agent.must_take("BYE");
    let name = transfer(&stage);
    let messages = trace(&stage, &name);
    must_be_seen_in_order(
        &messages,
        &[
            ("in", "caller", "INVITE "),
            ("in", "agent", "INFO "),
            ("out", "agent", "SIP/2.0 415"),
            ("in", "caller", "\u{1b}[2J garbage"),
            ("in", "agent", "REFER "),
            ("out", "target-1", "INVITE "),
            ("in", "target-1", "SIP/2.0 200"),
        ],
    );
    assert!(messages.iter().all(|message| !message["call_id"].as_str().unwrap().starts_with("stray")));
    let long = messages.iter().find(|message| message["cseq"].as_str().unwrap().ends_with("INFO")).unwrap();
    assert!(long["text"].as_str().unwrap().ends_with(&"y".repeat(60 << 10)));

    let done = eventually("the media of the transfer", || {
        let transfer = stage.relay.client().get(&format!("/v1/transfers/{name}"));
        (!transfer["media"].is_null()).then_some(transfer)
    });
    assert!(done["media"]["first_target_packet_ms"].as_u64() >= done["began_ms"].as_u64(), "{done}");
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
}

/// There is no trace where nobody wants one, and no transfer that was never made.
#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let stage = Stage::new();
    for path in ["trace", "bundle"] {
        let answer = stage.relay.client().request("GET", &format!("/v1/transfers/7-1/{path}"), "");
        assert_eq!((answer.status, answer.code()), (404, "unknown-transfer"), "{}", answer.body);
    }
}
