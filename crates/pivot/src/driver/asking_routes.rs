//! Between a call that comes in and the webhook of its route, which says whom to call. The question is asked before the call has media or is
//! known: the caller may give up meanwhile, and nobody else waits.

use std::sync::Arc;

use rsipstack::transaction::random_text;
use tokio::sync::mpsc;

use super::Shared;
use super::route::{Route, Unroutable};
use super::routing::Chosen;
use super::settings::TrunkSettings;
use super::task::Message;
use crate::call::uri::Uri;
use crate::call::words::Decision;
use crate::call::{Plan, target_uri};
use crate::message::{DialogId, Event, Header, Incoming, Status};
use crate::webhook::{About, Asked, Webhook};

/// What the caller is told when nobody has said where its call goes.
const UNDECIDED: &str = "Nobody Said Where This Call Goes";

/// Where a call goes, as far as that is known when it comes in.
pub(super) enum Whither {
    Known(Box<Plan>),
    /// Somebody has to be asked.
    Asked(Box<Asking>),
}

/// Who has to be asked, by which route, for a caller of which trunk.
pub(super) struct Asking {
    webhook: Arc<Webhook>,
    route: Route,
    trunk: TrunkSettings,
}

/// What is awaited.
enum Waited {
    Answered(Asked),
    GivenUp,
    Stopped,
}

impl Shared {
    /// Where a call goes, or who has to be asked.
    pub(super) fn whither(&self, incoming: &Incoming, trunk: &TrunkSettings) -> Result<Whither, Unroutable> {
        let (at, route) = self.settings.route(incoming, trunk)?;
        Ok(match self.route_webhooks.get(&at) {
            Some(webhook) => {
                let (webhook, route, trunk) = (Arc::clone(webhook), route.clone(), trunk.clone());
                Whither::Asked(Box::new(Asking { webhook, route, trunk }))
            }
            None => Whither::Known(Box::new(self.settings.plan(incoming, trunk, route, None)?)),
        })
    }

    /// What the webhook makes of a call; none: it has been refused, or its caller has given up.
    pub(super) async fn ask_where(
        &self,
        asking: &Asking,
        dialog: DialogId,
        incoming: &Incoming,
        inbox: &mut mpsc::UnboundedReceiver<Message>,
    ) -> Option<Plan> {
        let planned = match self.wait(asking, incoming, inbox).await {
            Waited::Answered(asked) => self.decided(asking, incoming, &asked),
            Waited::GivenUp => {
                tracing::info!(call = %incoming.call_id, from = %incoming.from.uri, to = %incoming.request_uri,
                    "the caller gave up while the webhook was asked");
                self.traces.refused(&incoming.call_id);
                return None;
            }
            Waited::Stopped => Err(Unroutable::new(503, "the pivot stops")),
        };
        planned.map_err(|why| self.refuse(dialog, incoming, why)).ok()
    }

    /// Waits for the answer, and meanwhile for what ends the wait. Dropping the question ends it.
    async fn wait(&self, asking: &Asking, incoming: &Incoming, inbox: &mut mpsc::UnboundedReceiver<Message>) -> Waited {
        let fields = fields(incoming, &asking.trunk);
        let delivery = random_text(24);
        let asked = asking.webhook.ask(&delivery, &fields);
        let stopping = self.stopping.notified();
        tokio::pin!(asked, stopping);
        loop {
            tokio::select! {
                // An answer of the same moment is too late.
                biased;
                () = &mut stopping => return Waited::Stopped,
                message = inbox.recv() => match message {
                    Some(Message::Signal(Event::Cancelled(..) | Event::Ended(..))) | None => return Waited::GivenUp,
                    // Nothing else can be said to a call that nobody knows.
                    Some(_) => {}
                },
                asked = &mut asked => return Waited::Answered(asked),
            }
        }
    }

    fn decided(&self, asking: &Asking, incoming: &Incoming, asked: &Asked) -> Result<Plan, Unroutable> {
        let Asking { route, trunk, .. } = asking;
        let Asked { delivery, tries, outcome, .. } = asked;
        let took_ms = u64::try_from(asked.took.as_millis()).unwrap_or(u64::MAX);
        let call = &incoming.call_id;
        self.webhook_counts.asked(About::Call, asked);
        let goes_on = route.to.is_some();
        let chosen = match outcome {
            Ok(answer) => {
                let ignored = (!answer.ignored.is_empty()).then(|| answer.ignored.join(", "));
                tracing::info!(%call, %delivery, tries, took_ms, %answer, ignored, "webhook");
                match &answer.decision {
                    Decision::Refuse(status) => {
                        return Err(Unroutable { status: status.clone(), why: "the webhook refused".into() });
                    }
                    Decision::Proceed if goes_on => Ok(None),
                    decision => chosen(decision).map(Some),
                }
            }
            Err(why) => Err(why.clone()),
        };
        let chosen = chosen.or_else(|why| {
            tracing::warn!(%call, %delivery, tries, took_ms, %why, goes_on, "webhook without an answer");
            let status = Status { code: 503, phrase: UNDECIDED.into() };
            let why = format!("its webhook gave no answer, and its route has no `to`: {why}").into();
            if goes_on { Ok(None) } else { Err(Unroutable { status, why }) }
        });
        self.settings.plan(incoming, trunk, route, chosen?)
    }
}

/// Whom an answer has called.
fn chosen(decision: &Decision) -> Result<Chosen, Box<str>> {
    let Decision::Dial { targets, caller_id, headers, ring } = decision else {
        return Err("it says `proceed`, and the route has no `to`".into());
    };
    let [target] = &**targets else {
        return Err(format!("it has {} targets; a call has one", targets.len()).into());
    };
    let target = target_uri(target)?.parse::<Uri>().map_err(|error| format!("{target:?} is no target: {error}"))?;
    Ok(Chosen { target, shown: caller_id.clone(), headers: headers.clone(), ring: *ring })
}

/// The form fields, named as in the callbacks of telephony platforms.
fn fields(incoming: &Incoming, trunk: &TrunkSettings) -> Vec<(String, String)> {
    let caller = incoming.asserted.first().unwrap_or(&incoming.from);
    let mut fields: Vec<_> = [
        ("CallSid", &*incoming.call_id),
        ("CallStatus", "ringing"),
        ("Direction", "inbound"),
        ("From", &*caller.uri),
        ("To", &*incoming.to.uri),
        ("RequestUri", &*incoming.request_uri),
        ("Trunk", &*trunk.trunk.name),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    fields.extend(incoming.user.iter().map(|user| ("User".to_owned(), user.to_string())));
    let extra = |header: &Header| (format!("SipHeader_{}", header.name), header.value.to_string());
    fields.extend(incoming.extra.iter().map(extra));
    fields
}
