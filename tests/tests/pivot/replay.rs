//! Stored transfers happen again: `patchcord transfers replay` plays their peers, and says whether the pivot does what it did.

use std::path::{Path, PathBuf};

use patchcord_tests::{Folder, eventually, run};
use serde_json::Value;

use crate::routes::stage as asking;
use crate::stage::Stage;
use crate::web::{Web, ok};

/// Transfers that were stored once; with this variable set the tests store theirs anew: `PATCHCORD_STORE_TRANSFERS=1`.
const STORED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/transfers");
const STORE: &str = "PATCHCORD_STORE_TRANSFERS";

/// A stored transfer in a folder of its own.
struct Recorded {
    file: PathBuf,
    /// The trace's messages.
    messages: Vec<Value>,
    _folder: Folder,
}

impl Recorded {
    /// Stores the only transfer of a stage, once the pivot has had the answer to its last BYE.
    fn of(stage: &Stage, name: &str) -> Self {
        let id = stage.latest()["transfer"].as_str().unwrap().to_owned();
        let messages = eventually("the answers to all BYEs", || {
            let trace = stage.relay.client().get(&format!("/v1/transfers/{id}/trace"));
            let messages = trace["messages"].as_array().unwrap().clone();
            let of_bye = |line: &str| {
                let is_it = |message: &&Value| {
                    message["cseq"].as_str().unwrap().ends_with("BYE")
                        && message["first_line"].as_str().unwrap().starts_with(line)
                };
                messages.iter().filter(is_it).count()
            };
            (of_bye("BYE") > 0 && of_bye("BYE") == of_bye("SIP/2.0 200")).then_some(messages)
        });
        let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), &format!("replay-{name}"));
        let file = folder.path().join(format!("{name}.tar"));
        let _said = stage.relay.ask(&["transfers", "show", &id, "--bundle", file.to_str().unwrap()]);
        if std::env::var_os(STORE).is_some() {
            std::fs::copy(&file, Path::new(STORED).join(format!("{name}.tar"))).unwrap();
        }
        Self { file, messages, _folder: folder }
    }

    /// The same with something else in its place, of the same length: a tar has no checksum of contents.
    fn changed(&self, from: &str, to: &str) -> PathBuf {
        assert_eq!(from.len(), to.len());
        let mut bundle = std::fs::read(&self.file).unwrap();
        let places: Vec<_> =
            bundle.windows(from.len()).enumerate().filter(|(_, part)| *part == from.as_bytes()).collect();
        let places: Vec<usize> = places.into_iter().map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "{from} is not in it");
        for at in places {
            bundle[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        let file = self.file.with_extension("changed.tar");
        std::fs::write(&file, bundle).unwrap();
        file
    }

    /// The number of the first message of the pivot to this party that has this text.
    fn number(&self, party: &str, text: &str) -> usize {
        let is_it = |message: &Value| {
            message["party"] == party
                && message["direction"] == "out"
                && message["text"].as_str().unwrap().contains(text)
        };
        self.messages.iter().position(is_it).unwrap() + 1
    }
}

/// Plays a bundle; gives the exit code and the report.
fn replay(file: &Path, more: &[&str]) -> (i32, Value) {
    let mut arguments = vec!["transfers", "replay", file.to_str().unwrap(), "--json", "--seed", "7"];
    arguments.extend(more);
    let output = run(&arguments);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code().unwrap(), report)
}

/// It is as it was.
fn must_be_the_same(file: &Path, more: &[&str]) -> Value {
    let (code, report) = replay(file, more);
    assert_eq!((code, &report["same"]), (0, &true.into()), "{report:#}");
    report
}

#[test]
fn a_transfer_that_succeeded_does_so_again() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+1-555-0199>");
    let (inbound, offer) = stage.target.ring();
    stage.target.respond(&inbound, "180 Ringing", "");
    stage.must_be_notified("SIP/2.0 180 Ringing\r\n", "active");
    stage.target_answers(&inbound, &offer);
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated;reason=noresource");
    stage.agent.bye(&mut agent.call);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    let recorded = Recorded::of(&stage, "blind-succeeds");
    let report = must_be_the_same(&recorded.file, &[]);
    assert_eq!((&report["state"], &report["peers"]), (&"done".into(), &3.into()), "{report:#}");
    assert!(report["took_ms"].as_u64() >= report["recorded_ms"].as_u64(), "the recorded pauses are kept: {report:#}");
    assert!(report["heard"]["caller"]["target-1"].as_u64() > Some(0), "the target was heard: {report:#}");
    // Somebody else would be called.
    let other = recorded.changed("tel:+1-555-0199", "tel:+1-555-0198");
    let (code, report) = replay(&other, &["--no-wait"]);
    let found = &report["difference"];
    assert_eq!((code, &found["message"]), (1, &recorded.number("target-1", "INVITE ").into()), "{report:#}");
    assert_eq!((&found["expected"], &found["got"]), (&"+15550199".into(), &"+15550198".into()));
}

#[test]
fn a_busy_target_is_so_again_and_a_change_is_named() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, _) = stage.target.ring();
    // The caller is on hold, which takes as long to be sure of as silence.
    stage.agent.media.send(agent.relay);
    stage.caller.media.must_not_hear(&stage.agent.media);
    stage.target.respond(&inbound, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified("SIP/2.0 486 Busy Here\r\n", "terminated");
    stage.agent.media.send(agent.relay);
    stage.caller.media.must_hear(&stage.agent.media);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    let recorded = Recorded::of(&stage, "busy-resumes");
    let report = must_be_the_same(&recorded.file, &["--speed", "2"]);
    assert_eq!(report["state"], "failed");

    let notify = recorded.number("agent", "SIP/2.0 486 ");
    // The recording has the pivot say something else.
    let told = recorded.changed("\\r\\n\\r\\nSIP/2.0 486 ", "\\r\\n\\r\\nSIP/2.0 603 ");
    let (code, report) = replay(&told, &["--no-wait"]);
    let found = &report["difference"];
    assert_eq!((code, &found["message"], &found["party"]), (1, &notify.into(), &"agent".into()), "{report:#}");
    assert_eq!(
        (&found["part"], &found["peer"]),
        (&"sipfrag of NOTIFY".into(), &stage.agent.address().to_string().into())
    );
    assert_eq!((&found["expected"], &found["got"]), (&"SIP/2.0 603 Busy Here".into(), &"SIP/2.0 486 Busy Here".into()));
    // What the target says is something else, and the pivot with it.
    let said = recorded.changed("SIP/2.0 486 Busy Here\\r\\nVia", "SIP/2.0 603 Busy Here\\r\\nVia");
    let (code, report) = replay(&said, &["--no-wait"]);
    assert_eq!((code, &report["difference"]["message"]), (1, &notify.into()), "{report:#}");
    assert_eq!(report["difference"]["got"], "SIP/2.0 603 Busy Here");
    // Every message is right, and the record is not.
    let kept = recorded.changed("\"transferor_left\": false", "\"transferor_left\":  true");
    let (code, report) = replay(&kept, &["--no-wait"]);
    assert_eq!((code, &report["difference"]["message"]), (1, &Value::Null), "{report:#}");
    assert_eq!(report["difference"]["part"], "whether the transferor had left");
}

/// Against a pivot that runs: the stage's own, whose telephones have gone.
#[test]
fn a_transferor_that_left_at_once_does_so_against_a_running_pivot() {
    let mut stage = Stage::new();
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    stage.agent.bye(&mut agent.call);
    stage.target_answers(&inbound, &offer);
    stage.caller.media.send(caller.relay);
    stage.target.media.must_hear(&stage.caller.media);
    // A caller that hung up before the pivot knows that both hear each other would have taken the transfer back.
    eventually("the end of the transfer", || (stage.latest()["state"] == "done").then_some(()));
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();
    let recorded = Recorded::of(&stage, "transferor-leaves");
    assert_eq!(must_be_the_same(&recorded.file, &["--no-wait"])["state"], "done");

    let pivot = stage.uri().rsplit('@').next().unwrap().to_owned();
    let at = [stage.caller.address(), stage.agent.address(), stage.target.address()].map(|at| format!("{at}={at}"));
    let Stage { relay, caller, agent, target, .. } = stage;
    drop((caller, agent, target));
    let mut more = vec!["--no-wait", "--against", &pivot, "--server", relay.client().base()];
    more.extend(at.iter().flat_map(|at| ["--peer", at.as_str()]));
    let report = must_be_the_same(&recorded.file, &more);
    assert_eq!(report["state"], "done");
    assert_eq!(relay.client().get("/v1/transfers")["transfers"].as_array().unwrap().len(), 2);
}

/// Nobody is there to be asked.
#[test]
fn whom_a_webhook_had_called_is_called_again() {
    let web = Web::answering(|_, _| ok("<Response><Dial><Sip>sip:agent@agents.example</Sip></Dial></Response>"));
    let mut stage = asking(&format!("{{ from = \"carrier\", webhook = \"{}\", by = \"agents\" }}", web.url("/")));
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, _) = stage.target.ring();
    stage.target.respond(&inbound, "486 Busy Here", "");
    let _ack = stage.target.must_take("ACK");
    stage.must_be_notified("SIP/2.0 486 Busy Here\r\n", "terminated");
    stage.caller.bye(&mut caller.call);
    let _bye = stage.agent.must_take("BYE");
    let recorded = Recorded::of(&stage, "asked");
    assert_eq!(must_be_the_same(&recorded.file, &["--no-wait"])["state"], "failed");
}

/// These were recorded by an earlier pivot: what it did then is what it does now.
#[test]
fn stored_transfers_are_as_they_were() {
    let mut files: Vec<_> = std::fs::read_dir(STORED).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "tar"));
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        must_be_the_same(&file, &["--no-wait"]);
    }
}

#[test]
fn what_is_no_bundle_is_refused() {
    let folder = Folder::create(env!("CARGO_TARGET_TMPDIR"), "replay-refused");
    let file = folder.path().join("bundle.tar");
    let whole = std::fs::read(Path::new(STORED).join("busy-resumes.tar")).unwrap();
    let nothing: &[u8] = &[];
    for (content, why) in
        [(nothing, "no whole tar"), (&whole[..700], "no whole tar"), (&whole[..whole.len() / 2], "no whole tar")]
    {
        std::fs::write(&file, content).unwrap();
        let output = run(&["transfers", "replay", file.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.contains(why)), (Some(2), true), "{said}");
    }
    std::fs::write(&file, &whole).unwrap();
    for (more, why) in [(["--speed", "5000"], "0.001 to 1000"), (["--peer", "1.2.3.4:5=127.0.0.1:6"], "has no peer")] {
        let output = run(&[&["transfers", "replay", file.to_str().unwrap()], &more[..]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() != Some(0) && said.contains(why), "{said}");
    }
}
