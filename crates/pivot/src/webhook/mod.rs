//! Webhooks: one that decides about REFERs, or says whom to call, is asked by an HTTP POST with form fields and a signature, and answers in JSON
//! or in a small XML form; one that is told how transfers stand only takes it. What is sent and what may be answered is in docs/webhook.md.
//!
//! Nothing in here knows a call. Who asks waits in a task of its own, so that a webhook that is slow or down is nobody else's loss.

mod answer;
mod counts;
mod form;
mod json;
mod place;
mod report;
mod send;
mod xml;

use core::fmt;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;

pub use self::answer::{ANSWER_LEN_MAX, Answer, AnswerError};
pub use self::counts::{About, Counts};
pub use self::form::{encode, signature};
pub use self::place::{Place, PlaceError};
pub use self::report::{Reporter, Settings as ReportSettings};
use self::send::Letter;
pub(crate) use self::send::{Fault, Sender, broken, open};

/// Questions to one webhook at a time; more wait, within their deadline.
const AT_ONCE: usize = 64;
/// The pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);

/// A webhook that is asked: a trunk's, or a route's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub place: Place,
    /// What requests are signed with; not at all if none.
    pub secret: Option<Secret>,
    /// How long one try may take.
    pub timeout: Duration,
    /// How long all of it may take. Less than 32 s, in which a REFER has to be answered (RFC 3261 17.1.2.2).
    pub deadline: Duration,
    /// Tries after the first.
    pub retries: u32,
    /// What becomes of the REFER when there is no answer that can be used.
    pub on_fail: OnFail,
}

/// What becomes of a REFER without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFail {
    /// It is refused.
    #[default]
    Refuse,
    /// The pivot dials its target, if the trunk's rules allow that.
    Pivot,
}

/// A key of signatures; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Names the question: each try has the same.
    pub delivery: Box<str>,
    /// How often it was sent.
    pub tries: u32,
    /// How long it took, retries and pauses included.
    pub took: Duration,
    /// The answer, or what was wrong.
    pub outcome: Result<Answer, Box<str>>,
}

/// Asks a webhook.
#[allow(missing_debug_implementations, reason = "a TLS connector has none")]
pub struct Webhook {
    settings: Settings,
    tls: Option<TlsConnector>,
    room: Semaphore,
}

impl Webhook {
    /// `tls` is for places that are reached by https.
    #[must_use]
    pub fn new(settings: Settings, tls: Option<TlsConnector>) -> Self {
        Self { settings, tls, room: Semaphore::new(AT_ONCE) }
    }

    /// What it was made with.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends a question until it is answered. Whatever happens, it is over after [`Settings::deadline`]; dropping it ends it.
    pub async fn ask(&self, delivery: &str, fields: &[(String, String)]) -> Asked {
        let began = Instant::now();
        let mut tries = 0;
        let outcome = self.ask_until(began + self.settings.deadline, delivery, &encode(fields), &mut tries).await;
        Asked { delivery: delivery.into(), tries, took: began.elapsed(), outcome: outcome.map_err(Into::into) }
    }

    async fn ask_until(&self, end: Instant, delivery: &str, body: &str, tries: &mut u32) -> Result<Answer, String> {
        let Ok(Ok(_place)) = timeout_at(end, self.room.acquire()).await else {
            return Err(format!("{AT_ONCE} questions to it are under way, and none was answered in time"));
        };
        let mut pause = PAUSE;
        loop {
            *tries += 1;
            let limit = end.min(Instant::now() + self.settings.timeout);
            let why = match timeout_at(limit, self.try_once(delivery, body)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Fault::Final(why))) => return Err(why),
                Ok(Err(Fault::Again(why))) => why,
                Err(_) => format!("no answer within {} ms", self.settings.timeout.as_millis()),
            };
            if *tries > self.settings.retries || Instant::now() + pause >= end {
                return Err(why);
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    async fn try_once(&self, delivery: &str, body: &str) -> Result<Answer, Fault> {
        let signed = sign(self.settings.secret.as_ref(), body);
        let content_type = "application/x-www-form-urlencoded";
        let letter = Letter { content_type, delivery, signature: signed.as_deref(), body };
        let said = send::post(&self.settings.place, self.tls.as_ref(), letter).await?;
        answer::read(&said).map_err(|error| Fault::Final(error.to_string()))
    }
}

/// The signature of a try, which has the time of now.
fn sign(secret: Option<&Secret>, body: &str) -> Option<String> {
    secret.map(|Secret(secret)| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        signature(secret, now.as_secs(), body)
    })
}
