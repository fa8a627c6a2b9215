//! Requests that only ask: OPTIONS (RFC 3261 11), and a REGISTER that changes nothing (10.2.3), for whoever wants to know how a peer answers.

use core::net::SocketAddr;
use core::time::Duration;
use std::time::Instant;

use rsipstack::platform::CancellationToken;
use rsipstack::sip::{HasHeaders as _, Method, Request, Response};
use rsipstack::transaction::random_text;
use tokio::sync::mpsc;

use super::session::{Input, caller};
use super::stack::Stack;
use super::text::{self, field};
use super::transaction::{Reply, Way, ask, is_local};
use super::uri::Target;
use super::{build, digest};
use crate::message::{Credentials, Status, Transport};

/// Which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// OPTIONS.
    Options,
    /// A REGISTER without a Contact: the registrar says what it keeps, and keeps it.
    Bindings,
}

/// A request that only asks.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Which.
    pub kind: Kind,
    /// The request URI: a SIP or SIPS URI.
    pub uri: Box<str>,
    /// Where it is sent, a SIP or SIPS URI; none: where the request URI says.
    pub proxy: Option<Box<str>>,
    /// What From says, and of a REGISTER To.
    pub from: Box<str>,
    /// What a challenge is answered with, once.
    pub credentials: Option<Credentials>,
    /// How long each request is waited for.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It could not be sent: why.
    Unreachable(String),
    /// Nothing came back.
    Silence,
    /// A final response.
    Answer(Box<Answer>),
}

/// A final response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The last one's, after a challenge that was answered.
    pub status: Status,
    /// From the first request to its response.
    pub took: Duration,
    /// `Server`, or `User-Agent`.
    pub agent: Option<Box<str>>,
    /// `Allow`, if it says.
    pub allow: Option<Vec<Box<str>>>,
    /// `Accept`, if it says.
    pub accept: Option<Vec<Box<str>>>,
    /// Every `Contact`.
    pub contacts: usize,
    /// The realm of the challenge, if there was one.
    pub realm: Option<Box<str>>,
    /// Why the challenge was not answered, if there was something to answer it with.
    pub unanswerable: Option<String>,
}

impl Stack {
    /// Where requests to a URI would go, the first choice first: SRV records and addresses of its host (RFC 3263), or what it says itself.
    ///
    /// # Errors
    /// There is nowhere: why.
    pub async fn resolve(&self, uri: &str) -> Result<Vec<(Transport, SocketAddr)>, String> {
        let target = Target::of(uri).ok_or_else(|| format!("{uri} is no SIP URI"))?;
        self.net().resolve(&target).await
    }

    /// Sends a request that only asks, and waits for what comes of it.
    pub async fn probe(&self, probe: &Probe) -> Outcome {
        let Some(mut request) = self.probing(probe) else {
            return Outcome::Unreachable(format!("{} is no URI that can be asked", probe.uri));
        };
        let began = Instant::now();
        let first = match self.asked(probe, request.clone()).await {
            Ok(response) => response,
            Err(outcome) => return outcome,
        };
        let mut answer = Answer::of(&first, began.elapsed());
        let Some(credentials) = probe.credentials.as_ref().filter(|_| answer.realm.is_some()) else {
            return Outcome::Answer(Box::new(answer));
        };
        if let Err(why) = digest::authorize(&mut request, &first, credentials) {
            answer.unanswerable = Some(why);
            return Outcome::Answer(Box::new(answer));
        }
        caller::set_cseq(&mut request, 2);
        let again = match self.asked(probe, request).await {
            Ok(response) => Answer::of(&response, answer.took),
            Err(outcome) => return outcome,
        };
        Outcome::Answer(Box::new(Answer {
            agent: again.agent.or(answer.agent),
            allow: again.allow.or(answer.allow),
            realm: answer.realm,
            ..again
        }))
    }

    fn probing(&self, probe: &Probe) -> Option<Request> {
        let (method, to) = match probe.kind {
            Kind::Options => (Method::Options, &probe.uri),
            Kind::Bindings => (Method::Register, &probe.from),
        };
        let mut fields = vec![
            field("From", &format!("<{}>;tag={}", probe.from, random_text(10))),
            field("To", &format!("<{to}>")),
            field("Call-ID", &random_text(24)),
            field("Max-Forwards", "70"),
            field("User-Agent", &self.net().config.agent),
        ];
        if probe.kind == Kind::Options {
            fields.push(field("Accept", build::ACCEPT));
        }
        let mut request = build::request(method, &probe.uri, fields)?;
        caller::set_cseq(&mut request, 1);
        Some(request)
    }

    async fn asked(&self, probe: &Probe, request: Request) -> Result<Response, Outcome> {
        let (to, mut inbox) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        // An OPTIONS has a Contact (RFC 3261 11.1); a REGISTER with one would change what is registered.
        let contact_user = (probe.kind == Kind::Options).then(Box::default);
        let uri = probe.proxy.clone().unwrap_or_else(|| probe.uri.clone());
        ask(self.net(), request, Way::To { uri, flow: None, contact_user }, 0, &to, stop);
        drop(to);
        let answered = async {
            while let Some(input) = inbox.recv().await {
                match input {
                    Input::Client(_, Reply::Response(response)) if is_local(&response) => {
                        return Err(Outcome::Silence);
                    }
                    Input::Client(_, Reply::Response(response)) if response.status_code.code() >= 200 => {
                        return Ok(*response);
                    }
                    Input::Client(_, Reply::Unreachable(why)) => return Err(Outcome::Unreachable(why)),
                    _ => {}
                }
            }
            Err(Outcome::Silence)
        };
        tokio::time::timeout(probe.patience, answered).await.unwrap_or(Err(Outcome::Silence))
    }
}

impl Answer {
    fn of(response: &Response, took: Duration) -> Self {
        let headers = response.headers();
        let status = text::status(response);
        let challenges = ["WWW-Authenticate", "Proxy-Authenticate"].into_iter();
        let mut realms = challenges.flat_map(|name| text::values(headers, name));
        let realm = realms.find_map(|value| digest::field_parameter(value, "realm"));
        Self {
            realm: realm.filter(|_| matches!(status.code, 401 | 407)).map(Into::into),
            status,
            took,
            agent: text::value(headers, "Server").or_else(|| text::value(headers, "User-Agent")).map(Into::into),
            allow: text::tokens(headers, "Allow"),
            accept: text::tokens(headers, "Accept"),
            contacts: text::list(headers, "Contact").len(),
            unanswerable: None,
        }
    }
}
