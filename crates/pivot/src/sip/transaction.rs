//! rsipstack's transactions, each driven by a task of its own that tells the session what comes of it.

use core::time::Duration;
use std::sync::Arc;

use rsipstack::platform::CancellationToken;
use rsipstack::sip::{HasHeaders as _, Method, Request, Response, Scheme, SipMessage};
use rsipstack::transaction::endpoint::MessageInspector;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::transaction::{Transaction, TransactionEvent, TransactionEventSender};
use rsipstack::transaction::{TransactionState, random_text};
use rsipstack::transport::SipAddr;
use tokio::sync::mpsc::UnboundedSender;

use super::net::{Flow, Hop, Net};
use super::session::Input;
use super::text::{self, field};
use super::{build, uri};
use crate::message::Transport;

/// What comes of a request of ours.
pub(super) enum Reply {
    /// It has been sent so.
    Sent(Box<Sent>),
    /// A response, but no 2xx to an INVITE: those go to the dialog whatever its transactions are.
    Response(Box<Response>),
    /// It could not be sent; why.
    Unreachable(String),
}

/// How a request was sent.
#[derive(Clone)]
pub(super) struct Sent {
    pub hop: Hop,
    pub via: Box<str>,
    pub contact: Option<Box<str>>,
}

/// Where a request goes.
pub(super) enum Way {
    /// To whoever the URI says, over the connection if it is still there.
    To {
        uri: Box<str>,
        flow: Option<Box<Flow>>,
        /// It gets a Contact with this user.
        contact_user: Option<Box<str>>,
    },
    /// As another one: a CANCEL.
    Same(Box<Sent>),
}

/// Marks a response that rsipstack has made up: nobody answered.
const LOCAL: &str = "X-Patchcord-Nobody-Answered";

/// Whether nobody answered.
pub(super) fn is_local(response: &Response) -> bool {
    text::value(response.headers(), LOCAL).is_some()
}

/// Tells responses that came from those that rsipstack makes up.
pub(super) struct Marker;

impl MessageInspector for Marker {
    fn before_send(&self, message: SipMessage, _: Option<&SipAddr>) -> SipMessage {
        message
    }

    fn after_received(&self, mut message: SipMessage, from: Option<&SipAddr>) -> SipMessage {
        if let SipMessage::Response(response) = &mut message {
            response.headers.retain(|field| !field.name().eq_ignore_ascii_case(LOCAL));
            if from.is_none() {
                response.headers.push(field(LOCAL, "1"));
            }
        }
        message
    }
}

/// A Via of ours.
pub(super) fn via(hop: &Hop) -> Box<str> {
    let transport = uri::token(hop.transport);
    format!("SIP/2.0/{transport} {};branch=z9hG4bK{};rport", hop.local, random_text(16)).into()
}

/// Our Contact.
pub(super) fn contact(user: &str, local: &str, transport: Transport, is_secure: bool) -> Box<str> {
    let at = if user.is_empty() { "" } else { "@" };
    // Who is asked by SIPS answers by SIPS (RFC 3261 8.1.1.8, 12.1.1), which says TLS already.
    let (scheme, parameter) = match (is_secure, transport) {
        (true, Transport::Tls) => ("sips", ""),
        (true, Transport::Wss) => ("sips", uri::parameter(transport)),
        _ => ("sip", uri::parameter(transport)),
    };
    format!("<{scheme}:{user}{at}{local}{parameter}>").into()
}

/// Whether a request is for a SIPS URI.
pub(super) fn is_secure(request: &Request) -> bool {
    request.uri.scheme == Some(Scheme::Sips)
}

/// Sends a request and reports until its final response, or until `stop`.
pub(super) fn ask(
    net: &Arc<Net>,
    request: Request,
    way: Way,
    token: u64,
    to: &UnboundedSender<Input>,
    stop: CancellationToken,
) {
    let (net, to) = (Arc::clone(net), to.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = ask_until_answered(&net, request, way, token, &to) => {}
        }
    });
}

async fn ask_until_answered(net: &Arc<Net>, mut request: Request, way: Way, token: u64, to: &UnboundedSender<Input>) {
    // Whoever asked may be gone; the transaction goes on for the peer's sake.
    let report = |reply| drop(to.send(Input::Client(token, reply)));
    let sent = match way {
        Way::Same(sent) => *sent,
        Way::To { uri, flow, contact_user } => match net.hop(&uri, flow.as_deref()).await {
            Ok(hop) => {
                let contact = contact_user.map(|user| contact(&user, &hop.local, hop.transport, is_secure(&request)));
                Sent { via: via(&hop), contact, hop }
            }
            Err(why) => return report(Reply::Unreachable(why)),
        },
    };
    request.headers.push_front(field("Via", &sent.via));
    if let Some(contact) = &sent.contact {
        request.headers.push(field("Contact", contact));
    }
    let key = TransactionKey::from_request(&request, TransactionRole::Client);
    let (Ok(key), Some(endpoint)) = (key, net.endpoint()) else {
        return report(Reply::Unreachable("the request cannot be written".to_owned()));
    };
    let connection = sent.hop.connection.clone();
    let mut transaction = Transaction::new_client(key, request, endpoint, Some(connection.clone()));
    transaction.destination = Some(sent.hop.destination.clone());
    report(Reply::Sent(Box::new(sent)));
    if let Err(error) = transaction.send().await {
        return report(Reply::Unreachable(error.to_string()));
    }
    let gone = connection.cancel_token().unwrap_or_default();
    loop {
        let message = tokio::select! {
            message = transaction.receive() => message,
            () = gone.cancelled() => {
                // What came just before the end is on its way through rsipstack.
                match tokio::time::timeout(net.config.t1, transaction.receive()).await {
                    Ok(message) => message,
                    Err(_) => return report(Reply::Unreachable("the connection ended".to_owned())),
                }
            }
        };
        match message {
            Some(SipMessage::Response(response)) => {
                let is_final = response.status_code.code() >= 200;
                report(Reply::Response(Box::new(response)));
                if is_final {
                    return;
                }
            }
            Some(SipMessage::Request(_)) => {}
            None => return report(Reply::Unreachable("the transaction ended".to_owned())),
        }
    }
}

/// Answers a request of theirs.
#[derive(Clone)]
pub(super) struct Answerer {
    to: TransactionEventSender,
    /// Of a request that is followed by nothing: unlike an INVITE it has no ACK.
    only: Option<TransactionKey>,
}

impl Answerer {
    /// Sends a response; one after the final one is left out.
    pub(super) fn respond(&self, mut response: Response, content: Option<(&str, &str)>) {
        build::set_body(&mut response.headers, &mut response.body, content);
        let is_final = response.status_code.code() >= 200;
        // The transaction may have ended.
        let _ = self.to.send(TransactionEvent::Respond(response));
        if let Some(key) = self.only.as_ref().filter(|_| is_final) {
            // It would be held for 32 s. What answers when the request comes again is kept without it.
            let _ = self.to.send(TransactionEvent::Terminate(key.clone()));
        }
    }
}

/// Drives a request of theirs: CANCEL and ACK are reported. `patience`: after so long without an answer nobody waits for it any more.
pub(super) fn answer(
    mut transaction: Transaction,
    token: u64,
    to: &UnboundedSender<Input>,
    patience: Option<Duration>,
) -> Answerer {
    let only = (transaction.original.method != Method::Invite).then(|| transaction.key.clone());
    let answerer = Answerer { to: transaction.tu_sender.clone(), only };
    let to = to.clone();
    tokio::spawn(async move {
        let deadline = patience.map(|patience| tokio::time::Instant::now() + patience);
        loop {
            let unanswered = matches!(transaction.state, TransactionState::Trying | TransactionState::Proceeding);
            tokio::select! {
                biased;
                message = transaction.receive() => match message {
                    Some(message) => drop(to.send(Input::Server(token, Box::new(message)))),
                    None => break,
                },
                // Whoever was to answer is gone.
                () = to.closed(), if unanswered => {
                    let over = build::response(&transaction.original, 500, "Server Internal Error", &random_text(8), "");
                    if transaction.respond(over).await.is_err() {
                        // It had been answered while we looked.
                        while transaction.receive().await.is_some() {}
                        break;
                    }
                }
                () = until(deadline), if unanswered && deadline.is_some() => break,
            }
        }
        let _ = to.send(Input::ServerOver(token));
    });
    answerer
}

/// Answers a request at once, without anybody who waits for what comes of it.
pub(super) fn answer_at_once(mut transaction: Transaction, mut response: Response) {
    build::set_body(&mut response.headers, &mut response.body, None);
    tokio::spawn(async move {
        if transaction.respond(response).await.is_ok() && transaction.original.method == Method::Invite {
            // Until its ACK.
            while transaction.receive().await.is_some() {}
        }
    });
}

/// Until then; for ever, if there is no such time.
pub(super) async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => core::future::pending().await,
    }
}
