//! REGISTER (RFC 3261 10) for platforms that send calls only to who has registered.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use rsipstack::platform::CancellationToken;
use rsipstack::sip::{HasHeaders as _, Method, Request, Response};
use rsipstack::transaction::random_text;
use tokio::sync::{mpsc, watch};

use super::net::Net;
use super::session::{Input, caller};
use super::text::{self, field};
use super::transaction::{Reply, Way, ask};
use super::{build, digest};
use crate::message::{Credentials, Status};

/// After a failure it is tried again so much later, twice as much after the next, until [`LONGEST`].
const FIRST: Duration = Duration::from_secs(2);

const LONGEST: Duration = Duration::from_secs(300);

/// At least so much later after a refusal: a wrong password that comes again and again locks accounts.
const REFUSED: Duration = Duration::from_secs(30);

/// How often one REGISTER is sent, with other credentials or another time.
const TRIES: u8 = 3;

/// What is to be registered.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The registrar's domain: a SIP or SIPS URI without a user.
    pub registrar: Box<str>,
    /// Where REGISTER is sent, a SIP or SIPS URI; none: to the registrar.
    pub proxy: Option<Box<str>>,
    /// The address of record: a SIP or SIPS URI.
    pub aor: Box<str>,
    /// The user part of our Contact.
    pub contact_user: Box<str>,
    /// What a challenge is answered with.
    pub credentials: Option<Credentials>,
    /// For how long it asks, in seconds.
    pub expires_s: u32,
}

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The first REGISTER has no answer.
    Trying,
    /// Until it is refreshed, which is in time.
    Yes {
        /// For how long the registrar keeps it, in seconds.
        expires_s: u32,
        /// The address that it was registered at: calls come from there.
        at: Option<IpAddr>,
    },
    /// Refused, or nobody answered; it is tried again.
    No(Status),
    /// It was taken back: nothing more happens.
    Ended,
}

/// A registration that is kept. Dropping it takes it back.
#[derive(Debug)]
pub struct Registering {
    state: watch::Receiver<Registered>,
    stop: CancellationToken,
}

impl Registering {
    /// How it is, and how it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Registered> {
        self.state.clone()
    }
}

impl Drop for Registering {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Begins to register.
pub(super) fn register(net: &Arc<Net>, registration: Registration) -> Registering {
    let (says, state) = watch::channel(Registered::Trying);
    let stop = net.token.child_token();
    let keeper = Keeper {
        net: Arc::clone(net),
        call_id: random_text(24),
        tag: random_text(10),
        cseq: 0,
        expires_s: registration.expires_s.max(1),
        at: None,
        registration,
    };
    tokio::spawn(keeper.keep(says, stop.clone()));
    Registering { state, stop }
}

struct Keeper {
    net: Arc<Net>,
    registration: Registration,
    call_id: String,
    tag: String,
    cseq: u32,
    expires_s: u32,
    /// Where the latest REGISTER went.
    at: Option<IpAddr>,
}

impl Keeper {
    async fn keep(mut self, says: watch::Sender<Registered>, stop: CancellationToken) {
        let mut failures = FIRST;
        loop {
            let asked = tokio::select! {
                asked = self.ask(self.expires_s) => asked,
                () = stop.cancelled() => break,
            };
            let wait = match asked {
                Ok(expires_s) => {
                    failures = FIRST;
                    says.send_replace(Registered::Yes { expires_s, at: self.at });
                    // Refreshed while there is time to try it again.
                    Duration::from_secs(expires_s.into()) / 2
                }
                Err(status) => {
                    let is_refused = matches!(status.code, 401 | 403 | 407);
                    says.send_replace(Registered::No(status));
                    let wait = if is_refused { failures.max(REFUSED) } else { failures };
                    failures = (failures * 2).min(LONGEST);
                    wait
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait.max(Duration::from_secs(1))) => {}
                () = stop.cancelled() => break,
            }
        }
        // Nothing can be sent any more when the stack itself is gone.
        if matches!(&*says.borrow(), Registered::Yes { .. }) && !self.net.token.is_cancelled() {
            let _ = self.ask(0).await;
        }
        says.send_replace(Registered::Ended);
    }

    /// Sends a REGISTER until it is accepted, or refused for good: for how long it is kept, or why not.
    async fn ask(&mut self, expires_s: u32) -> Result<u32, Status> {
        let mut wanted = expires_s;
        let mut request = self.request(wanted).ok_or_else(|| Status {
            code: 416,
            phrase: format!("{} is no URI that can be registered at", self.registration.registrar).into(),
        })?;
        for attempt in 1.. {
            self.cseq += 1;
            caller::set_cseq(&mut request, self.cseq);
            let response = self.send(request.clone()).await?;
            let status = text::status(&response);
            let may_again = attempt < TRIES;
            match status.code {
                200..300 => return Ok(granted(&response, wanted)),
                401 | 407 if may_again => match &self.registration.credentials {
                    Some(credentials) => digest::authorize(&mut request, &response, credentials)
                        .map_err(|why| Status { code: status.code, phrase: why.into() })?,
                    None => return Err(status),
                },
                // Too short for the registrar (RFC 3261 10.2.8).
                423 if may_again && expires_s > 0 => {
                    let least = text::value(response.headers(), "Min-Expires").and_then(caller::number);
                    let Some(least) = least.filter(|least| *least > wanted) else { return Err(status) };
                    (wanted, self.expires_s) = (least, least);
                    request.headers.retain(|field| field.name() != "Expires");
                    request.headers.push(field("Expires", &wanted.to_string()));
                }
                _ => return Err(status),
            }
        }
        Err(Status { code: 500, phrase: "".into() })
    }

    fn request(&self, expires_s: u32) -> Option<Request> {
        let Registration { registrar, aor, .. } = &self.registration;
        let fields = vec![
            field("From", &format!("<{aor}>;tag={}", self.tag)),
            field("To", &format!("<{aor}>")),
            field("Call-ID", &self.call_id),
            field("Max-Forwards", "70"),
            field("User-Agent", &self.net.config.agent),
            field("Expires", &expires_s.to_string()),
        ];
        build::request(Method::Register, registrar, fields)
    }

    async fn send(&mut self, request: Request) -> Result<Response, Status> {
        let (to, mut inbox) = mpsc::unbounded_channel();
        let way = Way::To {
            uri: self.registration.proxy.clone().unwrap_or_else(|| self.registration.registrar.clone()),
            flow: None,
            contact_user: Some(self.registration.contact_user.clone()),
        };
        ask(&self.net, request, way, 0, &to, CancellationToken::new());
        drop(to);
        let mut why = "The stack has ended".into();
        while let Some(input) = inbox.recv().await {
            match input {
                Input::Client(_, Reply::Response(response)) if response.status_code.code() >= 200 => {
                    return Ok(*response);
                }
                Input::Client(_, Reply::Sent(sent)) => {
                    self.at = sent.hop.destination.get_socketaddr().ok().map(|at| at.ip());
                }
                Input::Client(_, Reply::Unreachable(error)) => why = error,
                _ => {}
            }
        }
        Err(Status { code: 503, phrase: String::into_boxed_str(why) })
    }
}

/// For how long the registrar keeps our Contact: what it says of it, or of all, or what was asked for.
fn granted(response: &Response, wanted: u32) -> u32 {
    let contact = text::list(response.headers(), "Contact").into_iter().find_map(|contact| {
        let (_, parameters) = text::address(contact)?;
        caller::number(text::parameter(parameters, "expires")?)
    });
    contact.or_else(|| text::value(response.headers(), "Expires").and_then(caller::number)).unwrap_or(wanted)
}
