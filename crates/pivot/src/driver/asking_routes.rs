//! Between a call that comes in and the webhook of its route, which says where it goes. The question is asked before the call has media or a
//! task: the caller may give up meanwhile, and nobody else waits.

use rsipstack::transaction::random_text;

use super::routing::{Called, Refusal};
use super::settings::{Route, TrunkSettings};
use super::task::Message;
use super::{Shared, TakenIn};
use crate::call::uri::Uri;
use crate::call::words::Decision;
use crate::call::{Plan, target_uri};
use crate::message::{Event, Header, Incoming, Status};
use crate::webhook::{About, Asked, Webhook};

/// What the caller is told when nobody has said where its call goes.
const UNDECIDED: &str = "Nobody Said Where This Call Goes";

/// What is awaited.
enum Waited {
    Answered(Asked),
    GivenUp,
    Stopped,
}

impl Shared {
    /// What the webhook of the call's route makes of it; none: it has been refused, or its caller has given up.
    pub(super) async fn ask_where(&self, taken: &mut TakenIn) -> Option<Plan> {
        let (webhook, route) = (taken.webhook.clone()?, self.settings.routes.get(taken.at)?);
        let trunk = self.settings.caller(&taken.incoming)?;
        match wait(&webhook, trunk, taken).await {
            Waited::Answered(asked) => match self.decided(&taken.incoming, trunk, route, &asked) {
                Ok(plan) => return Some(plan),
                Err(refusal) => self.refuse(taken.dialog, &taken.incoming, refusal),
            },
            Waited::GivenUp => {
                tracing::info!(call = %taken.incoming.call_id, from = %taken.incoming.from.uri, to = %taken.incoming.request_uri,
                    "the caller gave up while the webhook was asked");
                self.traces.refused(&taken.incoming.call_id);
            }
            Waited::Stopped => self.refuse(taken.dialog, &taken.incoming, Refusal::new(503, "the pivot stops")),
        }
        None
    }

    fn decided(
        &self,
        incoming: &Incoming,
        trunk: &TrunkSettings,
        route: &Route,
        asked: &Asked,
    ) -> Result<Plan, Refusal> {
        let Asked { delivery, tries, outcome, .. } = asked;
        let took_ms = u64::try_from(asked.took.as_millis()).unwrap_or(u64::MAX);
        let call = &incoming.call_id;
        self.webhook_counts.asked(About::Call, asked);
        let done = match outcome {
            Ok(answer) => {
                let ignored = (!answer.ignored.is_empty()).then(|| answer.ignored.join(", "));
                tracing::info!(%call, %delivery, tries, took_ms, %answer, ignored, "webhook");
                match &answer.decision {
                    Decision::Refuse(status) => {
                        return Err(Refusal { status: status.clone(), why: "the webhook refused".into() });
                    }
                    Decision::Proceed if route.to.is_some() => return self.settings.plan(incoming, trunk, route),
                    decision => called(decision),
                }
            }
            Err(why) => Err(why.clone()),
        };
        match done {
            Ok(called) => self.settings.plan_for(incoming, trunk, route, called),
            Err(why) => {
                let goes_on = route.to.is_some();
                tracing::warn!(%call, %delivery, tries, took_ms, %why, goes_on, "webhook without an answer");
                if goes_on {
                    return self.settings.plan(incoming, trunk, route);
                }
                let status = Status { code: 503, phrase: UNDECIDED.into() };
                Err(Refusal {
                    status,
                    why: format!("its webhook gave no answer, and its route has no `to`: {why}").into(),
                })
            }
        }
    }
}

/// Waits for the answer, and meanwhile for what ends the wait. Dropping the question ends it.
async fn wait(webhook: &Webhook, trunk: &TrunkSettings, taken: &mut TakenIn) -> Waited {
    let fields = fields(&taken.incoming, trunk);
    let delivery = random_text(24);
    let asked = webhook.ask(&delivery, &fields);
    tokio::pin!(asked);
    loop {
        tokio::select! {
            // An answer of the same moment is too late.
            biased;
            message = taken.inbox.recv() => match message {
                Some(Message::Signal(Event::Cancelled(..) | Event::Ended(..))) => return Waited::GivenUp,
                Some(Message::Stop) | None => return Waited::Stopped,
                // Nothing else can be said to a call that nobody knows.
                Some(_) => {}
            },
            asked = &mut asked => return Waited::Answered(asked),
        }
    }
}

/// Whom an answer has called.
fn called(decision: &Decision) -> Result<Called, Box<str>> {
    let Decision::Dial { targets, caller_id, headers, ring } = decision else {
        return Err("it says `proceed`, and the route has no `to`".into());
    };
    let [target] = &**targets else {
        return Err(format!("it has {} targets; a call has one", targets.len()).into());
    };
    let uri = target_uri(target)?.parse::<Uri>().map_err(|error| format!("{target:?} is no target: {error}"))?;
    Ok(Called { shown: caller_id.clone(), headers: headers.clone(), ring: *ring, ..Called::new(uri) })
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
