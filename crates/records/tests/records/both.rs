//! What both databases do.

use std::path::Path;

use patchcord_records::{Filter, Question, Record, Settings, Target};

use crate::stage::{all, ask, billed, call, ids, start, transfer, wait_until};

/// Records are found by what they are asked for, the latest first; a later one takes the place of a former one.
pub(crate) fn finds_what_was_kept(directory: &Path, target: &Target) {
    let records = start(directory, target.clone());
    for at in 1..=5_u64 {
        let id = format!("p-{at}");
        records.keep(billed(&id, at * 1000));
        records.keep(transfer(&format!("{id}-1"), &id, at * 1000 + 500, "ringing"));
        records.keep(transfer(&format!("{id}-1"), &id, at * 1000 + 500, if at == 3 { "failed" } else { "done" }));
    }
    // What no text of PostgreSQL can hold, and more than an index takes.
    let mut odd = call("p-\0odd", 1);
    odd.call_id = "long".repeat(2000);
    odd.whole["record"] = "p-odd".into();
    odd.whole["from"] = "sip:\0@x".into();
    records.keep(Record::Call(Box::new(odd)));
    wait_until(&records, "everything is written", |standing| standing.written >= 11 && standing.waiting == 0);
    assert_eq!(records.standing().set_aside, 0);

    let found = ask(&records, Question::Transfers(all()));
    assert_eq!(ids(&found, "transfer"), ["p-5-1", "p-4-1", "p-3-1", "p-2-1", "p-1-1"]);
    assert!(found.iter().all(|one| one["state"] != "ringing"), "{found:?}");
    let of = |filter: Filter| ids(&ask(&records, Question::Transfers(filter)), "transfer");
    assert_eq!(of(Filter { limit: 2, ..all() }), ["p-5-1", "p-4-1"]);
    assert_eq!(of(Filter { state: Some("failed".into()), ..all() }), ["p-3-1"]);
    assert_eq!(of(Filter { call: Some("p-2".into()), ..all() }), ["p-2-1"]);
    assert_eq!(of(Filter { from_ms: Some(2500), to_ms: Some(4500), ..all() }), ["p-3-1", "p-2-1"]);
    assert_eq!(of(Filter { call: Some("' OR 1=1 --".into()), ..all() }), [""; 0]);
    let calls = ask(&records, Question::Calls(all()));
    assert_eq!(ids(&calls, "record"), ["p-5", "p-4", "p-3", "p-2", "p-1", "p-odd"]);
    assert_eq!(calls[5]["from"], "sip:\u{fffd}@x");
    assert_eq!(ids(&ask(&records, Question::Calls(Filter { call: Some("p-2@x".into()), ..all() })), "record"), ["p-2"]);
    assert_eq!(ids(&ask(&records, Question::Call("p-4".into())), "record"), ["p-4"]);
    assert_eq!(ask(&records, Question::Transfer("p-9-1".into())).len(), 0);
}

/// What is too old is deleted, with what belongs to it. Returns when it is.
pub(crate) fn deletes_what_is_old(directory: &Path, target: &Target) {
    let records = start(directory, target.clone());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later").as_millis();
    records.keep(billed("old", 1000));
    records.keep(transfer("old-1", "old", 2000, "done"));
    records.keep(billed("new", u64::try_from(now).expect("not that late")));
    wait_until(&records, "it is written", |standing| standing.written >= 3);
    drop(records);
    let retention = Some(core::time::Duration::from_secs(86_400));
    let settings =
        Settings { directory: directory.to_owned(), target: target.clone(), queue_octets: 1 << 20, retention };
    let records = patchcord_records::Records::start(settings).expect("the folder can be written to");
    crate::stage::until("the old one is gone", || {
        let calls = ids(&ask(&records, Question::Calls(all())), "record");
        let transfers = ask(&records, Question::Transfers(Filter { call: Some("old".into()), ..all() }));
        (!calls.contains(&"old".to_owned()) && calls.contains(&"new".to_owned()) && transfers.is_empty()).then_some(())
    });
}
