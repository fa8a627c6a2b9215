//! Transfers on the relay's event stream.

use patchcord_control::api::TransferEvent;

use super::TransferKey;
use super::task::Task;
use crate::call::record::TransferRecord;

impl Task {
    /// Keeps how a transfer stands, and tells whoever listens if that is news.
    pub(super) fn transfer_stands(&self, record: TransferRecord) {
        let key = TransferKey { call: self.number, transfer: record.id };
        let event = told(self.shared.book.name_of(key), &record);
        if self.shared.book.transfer(&self.name, self.number, record) {
            self.shared.relay.announce(&self.name, event);
            if let Some(reports) = &self.shared.reports {
                reports.tell(&self.shared.book, key);
            }
        }
    }
}

fn told(transfer: String, record: &TransferRecord) -> TransferEvent {
    let failure = record.failures.last().filter(|_| record.state.is_over());
    TransferEvent {
        transfer,
        state: record.state.as_str().to_owned(),
        method: record.method.as_str().to_owned(),
        transferor: record.transferor.clone(),
        transferee: record.transferee.clone(),
        target: record.target.clone(),
        refer_to: record.refer_to.to_string(),
        code: failure.map(|failure| failure.status.code),
        why: record.explain().map(|explanation| explanation.sentence.to_string()),
    }
}
