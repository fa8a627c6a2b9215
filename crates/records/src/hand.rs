//! The thread that takes records from whoever makes them and puts them on disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::line::Item;
use crate::shared::Shared;

/// So many records at most are written to the disk at a time.
const BATCH: usize = 512;

pub(crate) fn run(shared: &Arc<Shared>, inbox: &Receiver<Item>) {
    while let Ok(first) = inbox.recv() {
        let more = inbox.try_iter().take(BATCH - 1);
        shared.enqueue(latest(core::iter::once(first).chain(more)));
    }
    shared.change(|state| state.is_closed = true);
}

/// Of each record the latest alone, in the order in which these came.
fn latest(items: impl Iterator<Item = Item>) -> Vec<Item> {
    let items: Vec<_> = items.collect();
    let mut last = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let (kind, id) = item.record.key();
        last.insert((kind, id.to_owned()), at);
    }
    let mut at: Vec<_> = last.into_values().collect();
    at.sort_unstable();
    let mut at = at.into_iter().peekable();
    let keep = |(number, item)| at.next_if_eq(&number).map(|_| item);
    items.into_iter().enumerate().filter_map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Call, Record, Transfer};

    #[test]
    fn a_record_that_changes_faster_than_the_disk_is_written_once() {
        let call = |id: &str| Record::Call(Box::new(Call { id: id.into(), ..Call::default() }));
        let transfer = |id: &str| Record::Transfer(Box::new(Transfer { id: id.into(), ..Transfer::default() }));
        let records = [call("a"), transfer("a"), call("b"), call("a"), transfer("c")];
        let items = records.into_iter().enumerate().map(|(at, record)| Item { revision: at as u64, record });
        let left: Vec<_> = latest(items).iter().map(|item| item.revision).collect();
        assert_eq!(left, [1, 2, 3, 4]);
    }
}
