//! Records outlive the process.

use std::fs;
use std::path::Path;

use patchcord_tests::{Folder, eventually};

use crate::stage::Stage;

/// Whether something below the folder has this text in it.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds(&path, text);
        }
        // A file of the queue may be gone by now.
        let bytes = fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

/// A call is transferred and over, and the relay is killed: the next one tells the same of it, by the same ids.
#[test]
fn a_transfer_is_known_after_the_relay_was_killed() {
    let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("records-{}", std::process::id()));
    let mut stage = Stage::with("", &format!("[records]\ndirectory = {:?}", folder.path()));
    let (mut caller, mut agent) = stage.talking();
    stage.refer(&mut agent, "<tel:+15550199>");
    let (inbound, offer) = stage.target.ring();
    stage.target_answers(&inbound, &offer);
    stage.must_be_notified("SIP/2.0 200 OK\r\n", "terminated");
    stage.agent.bye(&mut agent.call);
    stage.caller.bye(&mut caller.call);
    let _bye = stage.target.must_take("BYE");
    stage.must_be_idle();

    let call = eventually("the call is over", || {
        let list = stage.relay.client().get("/v1/records/calls?limit=1");
        let call = list["calls"][0].clone();
        call["ended_ms"].is_u64().then_some(call)
    });
    let bill: Vec<_> = call["components"].as_array().unwrap().iter().map(|part| part["service"].clone()).collect();
    assert_eq!(bill, ["origination", "origination", "termination"], "{call}");
    let id = call["record"].as_str().unwrap();
    let transfer = call["transfers"][0].as_str().unwrap();
    let paths = [format!("/v1/records/calls/{id}"), format!("/v1/transfers/{transfer}"), "/v1/transfers".to_owned()];
    let told = |stage: &Stage| paths.each_ref().map(|path| stage.relay.client().get(path));
    // What the media did is known last.
    eventually("the end of the call is on disk", || holds(folder.path(), "\"at_call_end\":{").then_some(()));
    let before = told(&stage);
    assert_eq!(before[1]["state"], "done");
    assert_eq!(before[1]["call_record"], id);

    eventually("the call's bill is on disk", || holds(folder.path(), "\"service\":\"termination\"").then_some(()));
    stage.kill_and_restart();
    eventually("the next relay tells the same", || (told(&stage) == before).then_some(()));
    let unknown = stage.relay.client().request("GET", &format!("/v1/transfers/{id}-9"), "");
    assert_eq!(unknown.status, 404);
    assert_eq!(stage.relay.client().request("GET", "/v1/transfers?limit=1001", "").status, 400);
    assert!(stage.relay.ask(&["records", "show", id]).contains("termination"));
}
