//! Records of calls and transfers beyond the process: the pivot's in the words of their store.

use std::sync::Arc;
use std::time::Duration;

use patchcord_control::http::{Measure, Measures};
use patchcord_pivot::driver::{Archive, Filter, Question};
use patchcord_pivot::http::{CallView, ComponentView, TransferView, document};
use patchcord_pivot::media::Pending;
use patchcord_records as store;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::config::{Config, pivot};
use crate::failure::Failure;

/// How long a stopping process waits for the database to have the last records.
const PATIENCE: Duration = Duration::from_secs(5);

const DAY: Duration = Duration::from_secs(86_400);

/// The store of this process.
#[derive(Clone, Debug)]
pub(super) struct Kept(Arc<store::Records>);

impl Kept {
    /// Begins to keep records, where there is a pivot that makes some and a directory for them.
    pub(super) fn start(config: &Config) -> Result<Option<Self>, Failure> {
        let records = &config.records;
        if config.pivot.listen.is_empty() || records.is_off() {
            return Ok(None);
        }
        let Some(directory) = records.directory(std::env::var("STATE_DIRECTORY").ok().as_deref()) else {
            if records.database.is_empty() {
                tracing::info!("records of calls and transfers end with this process: `records.directory` is not set");
                return Ok(None);
            }
            return Err(Failure::Usage(
                "`records.database` is set and `records.directory` is not: give a directory in which records wait while the database cannot be had"
                    .to_owned(),
            ));
        };
        let target = store::Target::parse(&records.database, &directory, pivot::Pivot::path(&records.ca))
            .map_err(|error| Failure::Usage(format!("`records.database` {error}")))?;
        tracing::info!(database = %target, "records of calls and transfers are kept");
        let settings = store::Settings {
            directory,
            target,
            queue_octets: u64::from(records.queue_mib) << 20,
            retention: (records.retention_days > 0).then(|| DAY * records.retention_days),
        };
        let kept = store::Records::start(settings).map_err(|error| Failure::failed(error.to_string()))?;
        Ok(Some(Self(Arc::new(kept))))
    }

    /// What `/metrics` says of it.
    pub(super) fn measures(&self) -> Measures {
        let kept = Arc::clone(&self.0);
        Arc::new(move || {
            let standing = kept.standing();
            let measure = |name, help, is_counter, value| Measure { name, labels: Vec::new(), help, is_counter, value };
            vec![
                measure(
                    "records_database_up",
                    "The database of records takes them",
                    false,
                    standing.is_database_up.into(),
                ),
                measure("records_waiting", "Records that wait for the database", false, standing.waiting),
                measure("records_waiting_bytes", "Octets of these on disk", false, standing.waiting_octets),
                measure("records_written", "Records that the database has taken", true, standing.written),
                measure("records_lost", "Records that are in the log alone", true, standing.lost),
                measure(
                    "records_set_aside",
                    "Records that the database refuses, or that were damaged",
                    true,
                    standing.set_aside,
                ),
            ]
        })
    }

    /// Gives the database a while to have the last of them.
    pub(super) async fn stop(self) {
        // It has nothing to say.
        let _ = tokio::task::spawn_blocking(move || self.0.stop(PATIENCE)).await;
    }
}

impl Archive for Kept {
    fn call(&self, call: CallView) {
        let whole = document(&call);
        self.0.keep(store::Record::Call(Box::new(store::Call {
            id: call.record,
            call_id: call.call_id,
            direction: call.direction.to_owned(),
            from: call.from,
            to: call.to,
            from_trunk: call.from_trunk.to_string(),
            to_trunk: call.to_trunk.to_string(),
            began_ms: call.began_ms,
            answered_ms: call.answered_ms,
            ended_ms: call.ended_ms,
            cause: call.cause,
            refused: call.refused,
            transfers: call.transfers,
            components: call.components.into_iter().map(component).collect(),
            whole,
        })));
    }

    fn transfer(&self, transfer: TransferView) {
        let whole = document(&transfer);
        let failure = transfer.failures.last();
        let is_explained = transfer.state != "done";
        let heard = transfer.receipts.iter().find(|receipt| receipt.party == transfer.transferee);
        self.0.keep(store::Record::Transfer(Box::new(store::Transfer {
            code: failure.map(|failure| failure.code),
            explanation: failure.filter(|_| is_explained).map(|failure| failure.explanation.clone()),
            gap_us: heard.and_then(|receipt| receipt.gap_us),
            id: transfer.transfer,
            call: transfer.call_record,
            call_id: transfer.call.to_string(),
            method: transfer.method.to_owned(),
            chosen_by: transfer.chosen_by.to_owned(),
            transferor: transfer.transferor.to_string(),
            transferee: transfer.transferee.to_string(),
            target: transfer.target.as_deref().map(str::to_owned),
            refer_to: transfer.refer_to,
            state: transfer.state.to_owned(),
            rule: transfer.rule.map(str::to_owned),
            began_ms: transfer.began_ms,
            connected_ms: transfer.connected_ms,
            ended_ms: transfer.ended_ms,
            whole,
        })));
    }

    fn find(&self, question: Question) -> Pending<'_, Result<Vec<Value>, String>> {
        let question = match question {
            Question::Calls(filter) => store::Question::Calls(wanted(filter)),
            Question::Call(id) => store::Question::Call(id),
            Question::Transfers(filter) => store::Question::Transfers(wanted(filter)),
            Question::Transfer(id) => store::Question::Transfer(id),
        };
        let (tell, told) = oneshot::channel();
        // Who asked may be gone.
        self.0.ask(question, move |answer| drop(tell.send(answer)));
        Box::pin(async move {
            match told.await {
                Ok(answer) => answer.map_err(|problem| problem.text),
                Err(_) => Err("the server is stopping".to_owned()),
            }
        })
    }
}

fn component(part: ComponentView) -> store::Component {
    store::Component {
        transfer: part.transfer,
        service: part.service.to_owned(),
        from_role: part.from.to_owned(),
        to_role: part.to.to_owned(),
        from: part.from_uri,
        to: part.to_uri,
        log_from: part.log_from.to_owned(),
        log_to: part.log_to.to_owned(),
        began_ms: part.began_ms,
        ended_ms: part.ended_ms,
    }
}

fn wanted(Filter { limit, call, state, from_ms, to_ms }: Filter) -> store::Filter {
    store::Filter { limit, call, state, from_ms, to_ms }
}
