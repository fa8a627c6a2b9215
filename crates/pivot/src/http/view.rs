//! A transfer as clients see it.

use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::media::MediaView;
use crate::call::explain::Failure;
use crate::call::record::TransferRecord;
use crate::call::route::Rule;
use crate::driver::Kept;
use crate::webhook::Asked;

/// A transfer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TransferView {
    /// Its id, in all processes.
    pub transfer: String,
    /// The id of its call's record.
    pub call_record: String,
    /// The call, as the relay knows it.
    #[schema(value_type = String)]
    pub call: Arc<str>,
    /// How it was made: `pivot`, `forward`, `attended` (a REFER came in), `invite`, `refer`, `warm` (somebody commanded it).
    pub method: &'static str,
    /// Who said so: `refer`, `controller`, `command`, `invite`.
    pub chosen_by: &'static str,
    /// Who transferred.
    #[schema(value_type = String)]
    pub transferor: Arc<str>,
    /// Who was transferred.
    #[schema(value_type = String)]
    pub transferee: Arc<str>,
    /// The party that took the place, or would.
    #[schema(value_type = Option<String>)]
    pub target: Option<Arc<str>>,
    /// `Refer-To` as written, or the target as commanded.
    pub refer_to: String,
    /// How it stands: `deciding`, `referring`, `ringing`, `consulting`, `whispering`, `conferencing`, `connecting`, `done`, `refused`,
    /// `failed`, `cancelled`.
    pub state: &'static str,
    /// When it was asked for, milliseconds since 1970.
    pub began_ms: u64,
    /// When the target took the place.
    pub connected_ms: Option<u64>,
    /// When it was over.
    pub ended_ms: Option<u64>,
    /// The rule that refused it.
    pub rule: Option<&'static str>,
    /// Targets that could not be had, each with why.
    pub failures: Vec<FailureView>,
    /// The cut-over's receipts.
    pub receipts: Vec<ReceiptOf>,
    /// The transferor hung up before it was decided.
    pub transferor_left: bool,
    /// The transferor would have no NOTIFY.
    pub notify_refused: bool,
    /// Settings and header fields that had no effect.
    pub without_effect: Vec<String>,
    /// What its media did; absent in a list, and while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaView>,
    /// What came of asking a webhook, where one decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookView>,
}

/// What came of asking a webhook.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WebhookView {
    /// Names the question: `Patchcord-Delivery` of each try.
    pub delivery: String,
    /// How often it was sent.
    pub tries: u32,
    /// How long it took, retries and pauses included.
    pub took_ms: u64,
    /// The answer: `dial` and whom, `proceed`, or `refuse` and with what.
    pub answer: Option<String>,
    /// What was wrong, if there was no answer that can be used.
    pub error: Option<String>,
}

/// A target that could not be had.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FailureView {
    /// Whom it was about.
    pub target: String,
    /// How far it was: `request`, `dialling`, `ringing`, `detection`, `connecting`, `consultation`.
    pub stage: &'static str,
    /// The SIP code.
    pub code: u16,
    /// Its reason phrase.
    pub phrase: String,
    /// The hop that answered, by its `Server` or `User-Agent`.
    pub hop: Option<String>,
    /// No response said so: we found out.
    pub is_local: bool,
    /// The Q.850 cause.
    pub q850: Option<u16>,
    /// The other side said it; else it is derived from the code.
    pub q850_was_said: bool,
    /// From the INVITE to the end.
    pub took_ms: u64,
    /// How long it rang.
    pub ringing_ms: u64,
    /// How long it sent early media.
    pub early_media_ms: u64,
    /// One sentence for people.
    pub explanation: String,
    /// What may be the matter, the likeliest first.
    pub causes: Vec<CauseView>,
}

/// Something that may be the matter.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CauseView {
    /// What.
    pub what: &'static str,
    /// What to look at next.
    #[schema(value_type = String)]
    pub check: Cow<'static, str>,
}

/// One direction of a cut-over.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReceiptOf {
    /// Who hears it.
    #[schema(value_type = String)]
    pub party: Arc<str>,
    /// From the last packet of the old source to the first of the new.
    pub gap_us: Option<u64>,
    /// 1 is seamless.
    pub seq_step: Option<i64>,
    /// In timestamp units.
    pub ts_step: Option<i64>,
    /// Packets of the old source that came too late.
    pub stale: u64,
    /// From the command to the first packet of the new source.
    pub command_to_effect_us: u64,
}

impl TransferView {
    /// A transfer of a call, by the ids of both.
    #[must_use]
    pub fn new(id: String, call_record: String, kept: &Kept, record: &TransferRecord) -> Self {
        let at = |since: Duration| kept.at(since);
        Self {
            transfer: id,
            call_record,
            call: Arc::clone(&kept.name),
            method: record.method.as_str(),
            chosen_by: record.chosen_by.as_str(),
            transferor: Arc::clone(&record.transferor),
            transferee: Arc::clone(&record.transferee),
            target: record.target.clone(),
            refer_to: record.refer_to.to_string(),
            state: record.state.as_str(),
            began_ms: at(record.began),
            connected_ms: record.connected.map(at),
            ended_ms: record.ended.map(at),
            rule: record.rule.map(Rule::as_str),
            failures: record.failures.iter().map(FailureView::from).collect(),
            receipts: record
                .receipts
                .iter()
                .map(|receipt| ReceiptOf {
                    party: Arc::clone(&receipt.party),
                    gap_us: receipt.gap_us,
                    seq_step: receipt.sequence_step,
                    ts_step: receipt.timestamp_step,
                    stale: receipt.stale,
                    command_to_effect_us: receipt.command_to_effect_us,
                })
                .collect(),
            transferor_left: record.transferor_left,
            notify_refused: record.notify_refused,
            without_effect: record.without_effect.iter().map(ToString::to_string).collect(),
            media: None,
            webhook: None,
        }
    }

    /// With what came of asking a webhook about it.
    #[must_use]
    pub fn decided_by(self, asked: Option<&Arc<Asked>>) -> Self {
        Self { webhook: asked.map(|asked| WebhookView::from(&**asked)), ..self }
    }
}

impl From<&Asked> for WebhookView {
    fn from(asked: &Asked) -> Self {
        Self {
            delivery: asked.delivery.to_string(),
            tries: asked.tries,
            took_ms: ms(asked.took),
            answer: asked.outcome.as_ref().ok().map(ToString::to_string),
            error: asked.outcome.as_ref().err().map(ToString::to_string),
        }
    }
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        let explanation = failure.explain();
        let rejection = failure.rejection.as_deref();
        Self {
            target: failure.target.to_string(),
            stage: failure.stage.as_str(),
            code: failure.status.code,
            phrase: failure.status.phrase.to_string(),
            hop: rejection.and_then(|rejection| rejection.by.as_deref()).map(str::to_owned),
            is_local: rejection.is_none_or(|rejection| rejection.is_local),
            q850: explanation.q850,
            q850_was_said: explanation.q850_was_said,
            took_ms: ms(failure.took),
            ringing_ms: ms(failure.ringing),
            early_media_ms: ms(failure.early_media),
            explanation: explanation.sentence.to_string(),
            causes: explanation
                .causes
                .into_iter()
                .map(|cause| CauseView { what: cause.what, check: cause.check })
                .collect(),
        }
    }
}

pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
