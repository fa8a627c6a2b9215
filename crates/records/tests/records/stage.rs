//! A store in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use patchcord_records::{Call, Component, Filter, Question, Record, Records, Settings, Standing, Target, Transfer};
use serde_json::{Value, json};

/// A folder that is gone afterwards.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("patchcord-records-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn start(directory: &Path, target: Target) -> Records {
    let settings = Settings { directory: directory.to_owned(), target, queue_octets: 16 << 20, retention: None };
    Records::start(settings).expect("the folder can be written to")
}

/// Waits until it is so.
pub(crate) fn until<T>(what: &str, mut is_so: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = is_so() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn wait_until(records: &Records, what: &str, is_so: impl Fn(&Standing) -> bool) -> Standing {
    let begun = Instant::now();
    loop {
        let standing = records.standing();
        if is_so(&standing) {
            return standing;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: not within a minute: {standing:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn ask(records: &Records, question: Question) -> Vec<Value> {
    let (tell, told) = mpsc::channel();
    records.ask(question, move |answer| tell.send(answer).expect("it is waited for"));
    told.recv().expect("there is an answer").expect("the database is there")
}

pub(crate) fn call(id: &str, began_ms: u64) -> Call {
    Call { id: id.into(), call_id: format!("{id}@x"), began_ms, whole: json!({ "record": id }), ..Call::default() }
}

pub(crate) fn transfer(id: &str, of: &str, began_ms: u64, state: &str) -> Record {
    let whole = json!({ "transfer": id, "state": state });
    let [id, call, state] = [id, of, state].map(str::to_owned);
    Record::Transfer(Box::new(Transfer { id, call, state, began_ms, whole, ..Transfer::default() }))
}

/// A call that is over, with a bill.
pub(crate) fn billed(id: &str, began_ms: u64) -> Record {
    let component = |transfer: Option<&str>| Component {
        transfer: transfer.map(str::to_owned),
        service: "origination".into(),
        began_ms: began_ms + 1000,
        ended_ms: began_ms + 3500,
        ..Component::default()
    };
    let components = vec![component(None), component(Some("t"))];
    let (answered_ms, ended_ms) = (Some(began_ms + 1000), Some(began_ms + 6000));
    Record::Call(Box::new(Call { answered_ms, ended_ms, components, ..call(id, began_ms) }))
}

pub(crate) fn all() -> Filter {
    Filter { limit: 1000, ..Filter::default() }
}

pub(crate) fn ids(found: &[Value], key: &str) -> Vec<String> {
    found.iter().map(|one| one[key].as_str().expect("it has an id").to_owned()).collect()
}
