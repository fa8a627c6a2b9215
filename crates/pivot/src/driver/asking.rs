//! Between the call and a webhook that decides about its REFERs. The question is on its way in a task beside the call's, which takes
//! everything else meanwhile; the answer comes back like all that concerns the call.

use std::sync::Arc;

use rsipstack::transaction::random_text;
use tokio::task::JoinSet;

use super::task::{Message, Task};
use super::{Shared, TransferKey};
use crate::call::words::{Decision, Question};
use crate::call::{Input, TransferId};
use crate::message::Address;
use crate::webhook::{About, OnFail, Webhook};

impl Task {
    /// Asks the webhook of the transferor's trunk.
    pub(super) fn ask_webhook(&mut self, id: TransferId, question: &Question) {
        let Some(webhook) = self.shared.webhooks.get(&question.trunk).cloned() else {
            tracing::warn!(call = %self.name, trunk = %question.trunk, "the trunk has no webhook to ask");
            return self.happened.push(Input::Decision(id, Decision::Failed));
        };
        let key = TransferKey { call: self.number, transfer: id };
        let fields = fields(&self.name, self.shared.book.name_of(key), question);
        let (shared, name, handle) = (Arc::clone(&self.shared), Arc::clone(&self.name), self.handle.clone());
        // One transfer at a time: whoever was asked before has been overtaken.
        self.asking = JoinSet::new();
        self.asking.spawn(async move {
            let decision = decide(&shared, &webhook, &name, key, &fields).await;
            // The call may be over.
            let _ = handle.send(Message::Decided(id, Box::new(decision)));
        });
    }
}

async fn decide(
    shared: &Shared,
    webhook: &Webhook,
    call: &Arc<str>,
    key: TransferKey,
    fields: &[(String, String)],
) -> Decision {
    let asked = webhook.ask(&random_text(24), fields).await;
    shared.webhook_counts.asked(About::Refer, &asked);
    let decision = match (&asked.outcome, webhook.settings().on_fail) {
        (Ok(answer), _) => answer.decision.clone(),
        (Err(_), OnFail::Pivot) => Decision::Proceed,
        (Err(_), OnFail::Refuse) => Decision::Failed,
    };
    shared.book.asked(call, key.call, key.transfer, asked);
    decision
}

/// The form fields, named as in the REFER callbacks of telephony platforms.
fn fields(call: &str, transfer: String, question: &Question) -> Vec<(String, String)> {
    let uri = |address: &Address| address.uri.to_string();
    let mut fields = vec![
        ("ReferTransferTarget".to_owned(), question.refer_to.to_string()),
        ("CallSid".to_owned(), call.to_owned()),
        ("CallStatus".to_owned(), "in-progress".to_owned()),
        ("Direction".to_owned(), "inbound".to_owned()),
        ("From".to_owned(), uri(&question.caller)),
        ("To".to_owned(), uri(&question.callee)),
        ("Transfer".to_owned(), transfer),
        ("Transferor".to_owned(), uri(&question.transferor)),
        ("Transferee".to_owned(), uri(&question.transferee)),
        ("Trunk".to_owned(), question.trunk.to_string()),
    ];
    fields.extend(question.referred_by.iter().map(|by| ("ReferredBy".to_owned(), by.to_string())));
    let extra = question.extra.iter().map(|header| (format!("SipHeader_{}", header.name), header.value.to_string()));
    fields.extend(extra);
    fields
}
