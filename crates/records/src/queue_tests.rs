use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;
use crate::record::{Call, Record};

/// A folder of its own, which is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Memory, where there is some: nothing here outlives a power failure.
        let memory = PathBuf::from("/dev/shm");
        let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = place.join(format!("patchcord-queue-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self) -> Queue {
        Queue::open(&self.0, u64::MAX).expect("a folder can be made")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn item(revision: u64) -> Item {
    let call = Call { id: format!("p-{revision}"), from: "sip:x@y".repeat(revision as usize % 5), ..Call::default() };
    Item { revision, record: Record::Call(Box::new(call)) }
}

/// Everything, in turns of this length.
fn drain(queue: &mut Queue, turn: usize) -> Vec<u64> {
    let mut all = Vec::new();
    while !queue.is_empty() {
        let front = queue.front(turn).expect("it can be read");
        all.extend(front.items.iter().map(|item| item.revision));
        queue.done(&front);
    }
    all
}

/// Wherever a crash has cut the file, the lines before are there, and what is written afterwards is too.
#[test]
fn a_torn_file_loses_the_torn_line_alone() {
    let folder = Folder::new();
    let mut queue = folder.open();
    let (kept, why) = queue.append((1..=4).map(item).collect());
    assert!(kept.is_empty() && why.is_none());
    drop(queue);
    let path = folder.0.join("0000000001.queue");
    let whole = fs::read(&path).expect("it was written");
    let ends: Vec<_> = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    assert_eq!(ends.len(), 4);
    for len in 0..=whole.len() {
        let other = Folder::new();
        fs::create_dir_all(&other.0).expect("a folder can be made");
        fs::write(other.0.join("0000000001.queue"), &whole[..len]).expect("a file can be written");
        let mut queue = other.open();
        assert!(queue.append(vec![item(9)]).0.is_empty());
        let complete = ends.iter().filter(|end| **end <= len).count() as u64;
        assert_eq!(drain(&mut queue, 2), (1..=complete).chain([9]).collect::<Vec<_>>(), "cut at {len}");
        assert!(queue.damaged() <= 1 && queue.octets() == 0);
    }
}

/// A line that was damaged is left out, and those behind it are not.
#[test]
fn a_damaged_line_costs_no_other() {
    let folder = Folder::new();
    let mut queue = folder.open();
    assert!(queue.append((1..=3).map(item).collect()).0.is_empty());
    let path = folder.0.join("0000000001.queue");
    let mut text = fs::read(&path).expect("it was written");
    let second = text.iter().position(|byte| *byte == b'\n').expect("a line has an end") + 20;
    text[second] ^= 1;
    fs::write(&path, text).expect("a file can be written");
    assert_eq!(drain(&mut queue, 10), [1, 3]);
    assert_eq!(queue.damaged(), 1);
}

#[test]
fn a_full_queue_gives_back_what_does_not_fit() {
    let folder = Folder::new();
    let len = line::write(&item(1)).expect("it is JSON").len() as u64;
    let mut queue = Queue::open(&folder.0, 2 * len + 20).expect("a folder can be made");
    let (kept, why) = queue.append(vec![item(1), item(1), item(1), item(1)]);
    assert_eq!(kept.len(), 2);
    assert!(why.expect("it says why").to_string().contains("the queue is full"));
    assert_eq!(drain(&mut queue, 10).len(), 2);
    assert!(queue.append(kept).0.is_empty(), "there is room again");
}

/// A disk that takes nothing: what is there stays as it is.
#[test]
fn a_full_disk_takes_nothing_away() {
    let folder = Folder::new();
    let mut queue = folder.open();
    assert!(queue.append(vec![item(1)]).0.is_empty());
    queue.out = Some(OpenOptions::new().append(true).open("/dev/full").expect("Linux has it"));
    let (kept, why) = queue.append(vec![item(2)]);
    assert_eq!(kept, [item(2)]);
    assert_eq!(why.expect("it says why").kind(), io::ErrorKind::StorageFull);
    assert!(queue.append(kept).0.is_empty(), "another file takes it");
    assert_eq!(drain(&mut queue, 10), [1, 2]);
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    /// Reads, and takes away what was read unless there is a crash in between.
    Take(usize, bool),
    /// The process is killed, in the middle of a line or not.
    Crash(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..40_usize).prop_map(Step::Append),
        (1..40_usize, any::<bool>()).prop_map(|(max, is_done)| Step::Take(max, is_done)),
        any::<bool>().prop_map(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// However often it crashes, each record comes out at least once, and none before those that were put in before it.
    #[test]
    fn nothing_is_lost_by_crashes(steps in proptest::collection::vec(step(), 1..40)) {
        let folder = Folder::new();
        let mut queue = folder.open();
        let mut next = 1;
        let mut seen = Vec::new();
        for step in steps {
            match step {
                Step::Append(count) => {
                    prop_assert!(queue.append((next..next + count as u64).map(item).collect()).0.is_empty());
                    next += count as u64;
                }
                Step::Take(max, is_done) => {
                    let front = queue.front(max).expect("it can be read");
                    seen.extend(front.items.iter().map(|item| item.revision));
                    if is_done {
                        queue.done(&front);
                    }
                }
                Step::Crash(is_torn) => {
                    if is_torn && let Some(out) = &mut queue.out {
                        out.write_all(b"0badc0de [12,").expect("a file can be written");
                    }
                    queue = folder.open();
                }
            }
        }
        seen.extend(drain(&mut queue, 7));
        let mut highest = 0;
        for revision in seen {
            prop_assert!(revision <= highest + 1, "{revision} after {highest}");
            highest = highest.max(revision);
        }
        prop_assert_eq!(highest, next - 1);
    }
}
