//! One association on its way to keys.

use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use patchcord_dtls::{Endpoint, HandshakeError, KeyingMaterial, Output, Role, Session, SrtpProfile};
use patchcord_relay::command::{Command, SrtpKey, SrtpKeys};
use patchcord_relay::ids::AssociationId;

use super::{NewAssociation, Progress};

/// A handshake, and what is left of it: a peer that has missed the last packets asks for them again.
pub(super) struct Association {
    id: AssociationId,
    new: NewAssociation,
    endpoint: Arc<Endpoint>,
    /// `None` until the plan that it belongs to is in force: a client would speak before its leg can.
    session: Option<Session>,
    /// Where the peer's latest datagram that was answered came from.
    peer: Option<SocketAddr>,
    /// When the session is to be looked after.
    pub(super) due: Option<Instant>,
}

/// What is to be done about a session that something has happened to.
#[derive(Default)]
pub(super) struct ToDo {
    /// For the engine, to be applied as a whole.
    pub(super) commands: Vec<Command>,
    pub(super) progress: Option<Progress>,
}

impl Association {
    pub(super) fn new(id: AssociationId, new: NewAssociation, endpoint: Arc<Endpoint>) -> Self {
        Self { id, new, endpoint, session: None, peer: None, due: None }
    }

    pub(super) const fn owner(&self) -> &NewAssociation {
        &self.new
    }

    /// The leg is there and can send: a client says hello. A server may have been woken by its client before.
    pub(super) fn start(&mut self, now: Instant) -> ToDo {
        self.with_session(now, None, |_| ())
    }

    pub(super) fn expect(&mut self, announced: &[patchcord_dtls::Fingerprint], now: Instant) -> ToDo {
        self.new.announced = announced.to_vec();
        self.with_session(now, None, |session| session.expect(announced.to_vec()))
    }

    pub(super) fn take(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> ToDo {
        if self.session.is_none() && self.new.role == Role::Client {
            // Its hello has not left yet.
            return ToDo::default();
        }
        self.with_session(now, Some(from), |session| session.handle(datagram, now))
    }

    pub(super) fn wake(&mut self, now: Instant) -> ToDo {
        self.with_session(now, None, |session| session.handle_timeout(now))
    }

    fn with_session(&mut self, now: Instant, from: Option<SocketAddr>, act: impl FnOnce(&mut Session)) -> ToDo {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                let announced = self.new.announced.clone();
                match Session::new(&self.endpoint, self.new.role, announced, &SrtpProfile::ALL, now) {
                    Ok(session) => session,
                    Err(error) => return failed(&error),
                }
            }
        };
        act(&mut session);
        let to_do = self.poll(&mut session, from);
        self.session = Some(session);
        to_do
    }

    fn poll(&mut self, session: &mut Session, from: Option<SocketAddr>) -> ToDo {
        let mut to_do = ToDo::default();
        let mut keys = None;
        let mut datagrams = Vec::<Box<[u8]>>::new();
        let mut buffer = [0; Session::DATAGRAM_LEN];
        loop {
            match session.poll(&mut buffer) {
                Output::Transmit(datagram) => datagrams.push(datagram.into()),
                Output::Connected(material) => {
                    to_do.progress = Some(Progress::Connected(material.profile));
                    keys = Some(of_association(material));
                }
                Output::Closed => {
                    to_do.progress = Some(Progress::Closed);
                    keys = Some(SrtpKeys::default());
                }
                Output::Failed(error) => {
                    to_do.progress = failed(&error).progress;
                    keys = Some(SrtpKeys::default());
                }
                Output::Timeout(due) => {
                    self.due = due;
                    break;
                }
            }
        }
        if from.is_some() && (keys.is_some() || !datagrams.is_empty()) {
            self.peer = from;
        }
        let (leg, association, to) = (self.new.leg, self.id, self.peer);
        // First the keys: the peer may use them as soon as it has the last packets.
        if let Some(keys) = keys {
            let peer = to.filter(|_| keys.send.is_some());
            to_do.commands.push(Command::SetDtlsKeys { leg, association, keys: Box::new(keys), peer });
        }
        let sends = datagrams.into_iter().map(|datagram| Command::SendDtls { leg, association, to, datagram });
        to_do.commands.extend(sends);
        to_do
    }
}

pub(super) fn failed(error: &HandshakeError) -> ToDo {
    ToDo { commands: Vec::new(), progress: Some(Progress::Failed(error.to_string())) }
}

fn of_association(KeyingMaterial { local, remote, .. }: KeyingMaterial) -> SrtpKeys {
    SrtpKeys { receive: Some(SrtpKey::new(remote)), send: Some(SrtpKey::new(local)), restart: true }
}
