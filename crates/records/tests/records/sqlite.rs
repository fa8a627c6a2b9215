//! A file of `SQLite`.

use std::fs;
use std::path::Path;

use patchcord_records::{Question, Settings, StartError, Target, TargetError};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::both;
use crate::stage::{Folder, all, ask, billed, ids, start, transfer, wait_until};

fn target(folder: &Folder) -> Target {
    Target::parse("", &folder.0, None).expect("it is the file")
}

fn count(path: &Path, of: &str) -> i64 {
    let connection = Connection::open(path).expect("there is a file");
    connection.query_row(&format!("SELECT count(*) FROM {of}"), [], |row| row.get(0)).expect("there is a table")
}

#[test]
fn finds_what_was_kept() {
    let folder = Folder::new();
    both::finds_what_was_kept(&folder.0, &target(&folder));
    let connection = Connection::open(folder.0.join("records.sqlite")).expect("there is a file");
    // What a billing system asks.
    let bill: (String, String, i64) = connection
        .query_row(
            "SELECT c.began, b.service, sum(b.duration_ms) FROM calls c JOIN bill_components b ON b.call = c.id
             WHERE c.ended > '1970-01-01T00:00:07' AND c.talked_ms = 5000 AND c.id = 'p-2' GROUP BY 1, 2",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .expect("there is a bill");
    assert_eq!(bill, ("1970-01-01T00:00:02.000Z".into(), "origination".into(), 5000));
}

#[test]
fn deletes_what_is_old() {
    let folder = Folder::new();
    both::deletes_what_is_old(&folder.0, &target(&folder));
    assert_eq!(count(&folder.0.join("records.sqlite"), "bill_components"), 2);
}

/// Another process holds the lock, the file is deleted, a table is missing: records wait.
#[test]
fn records_wait_while_the_file_cannot_be_had() {
    let folder = Folder::new();
    let path = folder.0.join("records.sqlite");
    let records = start(&folder.0, target(&folder));
    wait_until(&records, "it is open", |standing| standing.is_database_up);
    let other = Connection::open(&path).expect("there is a file");
    other.execute_batch("ALTER TABLE calls RENAME TO elsewhere").expect("it can be renamed");
    records.keep(billed("p-1", 1));
    wait_until(&records, "the table is missed", |standing| !standing.is_database_up && standing.waiting == 1);
    other.execute_batch("ALTER TABLE elsewhere RENAME TO calls").expect("it can be renamed");
    wait_until(&records, "the table is back", |standing| standing.is_database_up && standing.waiting == 0);
    drop(other);

    fs::rename(&path, folder.0.join("moved.sqlite")).expect("it can be moved");
    records.keep(billed("p-2", 2));
    wait_until(&records, "there is a new file", |standing| standing.written == 2 && path.exists());
    assert_eq!(ids(&ask(&records, Question::Calls(all())), "record"), ["p-2"]);
    assert_eq!(records.standing().lost, 0);
}

/// A process is killed while its database is gone; the next one brings in what it has left.
#[test]
fn the_next_process_brings_in_what_waits() {
    let folder = Folder::new();
    let path = folder.0.join("records.sqlite");
    fs::create_dir(&path).expect("a folder is no database");
    let records = start(&folder.0, target(&folder));
    records.keep(billed("p-1", 1));
    records.keep(transfer("p-1-1", "p-1", 1, "done"));
    wait_until(&records, "they wait", |standing| standing.waiting == 2 && !standing.is_database_up);
    let second = Settings { directory: folder.0.clone(), target: target(&folder), queue_octets: 1, retention: None };
    assert!(matches!(patchcord_records::Records::start(second), Err(StartError::InUse { .. })));
    drop(records);
    fs::remove_dir(&path).expect("it is empty");
    let records = start(&folder.0, target(&folder));
    wait_until(&records, "they are written", |standing| standing.written == 2 && standing.waiting == 0);
    assert_eq!(ids(&ask(&records, Question::Transfer("p-1-1".into())), "transfer"), ["p-1-1"]);
}

/// Neither queue nor database has room: what is over the limit is counted, and the rest is kept.
#[test]
fn what_finds_no_room_is_counted() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("records.sqlite")).expect("a folder is no database");
    let settings =
        Settings { directory: folder.0.clone(), target: target(&folder), queue_octets: 2000, retention: None };
    let records = patchcord_records::Records::start(settings).expect("the folder can be written to");
    let kept = 3000;
    for at in 0..kept {
        records.keep(transfer(&format!("p-{at}"), "p", at, "done"));
    }
    wait_until(&records, "each has its fate", |standing| standing.waiting + standing.lost == kept);
    let standing = records.standing();
    assert!(standing.lost > 0 && standing.waiting >= 1024 && standing.waiting_octets <= 2000, "{standing:?}");
    fs::remove_dir(folder.0.join("records.sqlite")).expect("it is empty");
    wait_until(&records, "the rest is written", |now| now.written == kept - standing.lost);
    drop(records);
    assert_eq!(count(&folder.0.join("records.sqlite"), "transfers") as u64, kept - standing.lost);
}

#[test]
fn what_cannot_be_used_is_refused_with_what_to_do() {
    let settings = |directory: &str| Settings {
        directory: directory.into(),
        target: Target::Sqlite("x".into()),
        queue_octets: 1,
        retention: None,
    };
    let error = patchcord_records::Records::start(settings("/proc/records")).expect_err("nobody may write there");
    assert!(error.to_string().contains("/proc/records") && error.to_string().contains("records.directory"), "{error}");
    assert!(matches!(Target::parse("mysql://x", Path::new(""), None), Err(TargetError::Unknown(_))));
}

/// A database of a later version is left alone.
#[test]
fn a_newer_schema_is_not_touched() {
    let folder = Folder::new();
    let path = folder.0.join("records.sqlite");
    drop(start(&folder.0, target(&folder)));
    let connection = Connection::open(&path).expect("there is a file");
    connection.execute_batch("UPDATE patchcord_schema SET version = 99").expect("there is a version");
    let records = start(&folder.0, target(&folder));
    records.keep(billed("p-1", 1));
    wait_until(&records, "it waits", |standing| !standing.is_database_up && standing.waiting == 1);
    assert_eq!(count(&path, "calls"), 0);
    connection.execute_batch("UPDATE patchcord_schema SET version = 1").expect("there is a version");
    wait_until(&records, "it is written", |standing| standing.written == 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    /// However often the process ends and the database goes: each record is there once, as it was last.
    #[test]
    fn each_record_is_there_once(steps in proptest::collection::vec((0..5_u8, 1..30_u64), 1..10)) {
        let folder = Folder::new();
        let path = folder.0.join("records.sqlite");
        let mut records = Some(start(&folder.0, target(&folder)));
        let mut last = std::collections::BTreeMap::new();
        let mut revision = 0;
        for (step, many) in steps {
            let now = records.take().unwrap_or_else(|| start(&folder.0, target(&folder)));
            match step {
                // The process is over.
                0 => drop(now),
                step => {
                    // Its table is away for a while.
                    let other = Connection::open(&path).expect("a file can be made");
                    let is_away = step == 1 && other.execute_batch("ALTER TABLE transfers RENAME TO away").is_ok();
                    for at in 0..many {
                        let (id, state) = (format!("p-{}", at % 7), format!("{revision}"));
                        revision += 1;
                        now.keep(transfer(&id, "p", at, &state));
                        last.insert(id, state);
                    }
                    if is_away {
                        wait_until(&now, "they are queued", |standing| standing.waiting > 0);
                        other.execute_batch("ALTER TABLE away RENAME TO transfers").expect("it can be renamed");
                    }
                    records = Some(now);
                }
            }
        }
        let now = records.take().unwrap_or_else(|| start(&folder.0, target(&folder)));
        now.stop(std::time::Duration::from_secs(20));
        drop(now);
        let now = start(&folder.0, target(&folder));
        wait_until(&now, "everything is written", |standing| standing.is_database_up && standing.waiting == 0);
        let found = ask(&now, Question::Transfers(all()));
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        let states: std::collections::BTreeMap<_, _> =
            found.iter().map(|one| (text(&one["transfer"]), text(&one["state"]))).collect();
        prop_assert_eq!(found.len(), states.len());
        prop_assert_eq!(states, last);
    }
}
