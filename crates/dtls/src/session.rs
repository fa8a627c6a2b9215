//! One association with one peer.

use core::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::library::{Association, Step};
use crate::records::records;
use crate::{Endpoint, Fingerprint, HandshakeError, HashFunction, KeyingMaterial, Role, SrtpProfile};

/// What a session wants of its caller.
#[derive(Debug)]
pub enum Output<'a> {
    /// Send this datagram to the peer.
    Transmit(&'a [u8]),
    /// The handshake is complete and the certificate is the one that SDP announced: the keys, given once.
    Connected(KeyingMaterial),
    /// The peer has ended the association (`close_notify`): its keys are not to be used any longer.
    Closed,
    /// There will be no keys, or the association has broken. Said once.
    Failed(HandshakeError),
    /// Nothing more to do before a datagram comes or this time has come: call [`Session::handle_timeout`] then.
    Timeout(Option<Instant>),
}

/// The handshake with one peer, and the association that comes of it. Knows no socket and no clock.
///
/// After [`Session::new`] and after each call of another method [`Session::poll`] is to be called until it gives
/// [`Output::Timeout`]. A session is kept as long as the association: a peer that has missed the last packets asks for them
/// again, and one that leaves says so.
///
/// Which datagrams are the peer's is the caller's to say: a session knows no addresses. Whatever they hold, it does not grow by
/// them. A restart (another fingerprint, `tls-id` or role) is a new session.
pub struct Session {
    library: Association,
    role: Role,
    profiles: Vec<SrtpProfile>,
    announced: Vec<Fingerprint>,
    certificate: Option<Vec<u8>>,
    keys: Option<KeyingMaterial>,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Handshake,
    /// Complete; the keys wait for the fingerprint.
    Complete,
    /// The keys are given away.
    Connected,
    /// Over, with something left to be said.
    Failing(HandshakeError),
    Over,
}

impl Session {
    /// A buffer for [`Session::poll`] of this length is enough for every MTU that Ethernet can have.
    pub const DATAGRAM_LEN: usize = 1500;

    /// Begins a handshake. `announced` are the fingerprints of the peer's SDP; none if it has not come yet, as the peer's first
    /// datagrams can overtake its answer: then [`Session::expect`] gives them later. A profile that is negotiated and is not
    /// among `profiles` fails the handshake.
    pub fn new(
        endpoint: &Arc<Endpoint>,
        role: Role,
        announced: Vec<Fingerprint>,
        profiles: &[SrtpProfile],
        now: Instant,
    ) -> Result<Self, HandshakeError> {
        Ok(Self {
            library: Association::new(endpoint, role, now)?,
            role,
            profiles: profiles.to_vec(),
            announced,
            certificate: None,
            keys: None,
            state: State::Handshake,
        })
    }

    /// This side's role.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether the keys have been given away and the association still holds.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Whether it has failed, or was closed by either side.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Failing(_) | State::Over)
    }

    /// What the peer's SDP announces, where it was not known at the start. Once keys are given away it is too late: other
    /// fingerprints then mean another association (RFC 8842 5.4), a new session.
    pub fn expect(&mut self, announced: Vec<Fingerprint>) {
        if matches!(self.state, State::Handshake | State::Complete) {
            self.announced = announced;
            self.compare();
        }
    }

    /// A datagram has come from the peer. What comes of it, [`Session::poll`] says.
    pub fn handle(&mut self, datagram: &[u8], now: Instant) {
        for record in records(datagram) {
            if self.is_over() {
                return;
            }
            let result = self.library.handle(record, now);
            self.note(result);
        }
    }

    /// The time has come that [`Output::Timeout`] named. Too early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.is_over() {
            let result = self.library.handle_timeout(now);
            self.note(result);
        }
    }

    /// Ends the association. The peer is told if the handshake is complete; poll once more to send that.
    pub fn close(&mut self) {
        if !self.is_over() {
            self.library.close();
            self.keys = None;
            self.state = State::Over;
        }
    }

    /// What is to be done next. `buffer` has room for a datagram: [`Session::DATAGRAM_LEN`] is enough.
    pub fn poll<'a>(&mut self, buffer: &'a mut [u8]) -> Output<'a> {
        loop {
            match &self.state {
                State::Failing(error) => {
                    let error = error.clone();
                    self.state = State::Over;
                    return Output::Failed(error);
                }
                State::Complete if self.is_genuine() => {
                    if let Some(keys) = self.keys.take() {
                        self.state = State::Connected;
                        return Output::Connected(keys);
                    }
                }
                _ => {}
            }
            match self.library.poll(buffer) {
                Ok(Step::Transmit(len)) => return Output::Transmit(&buffer[..len]),
                // What is over sends its goodbye and does nothing else.
                Ok(Step::Wait(_)) | Err(_) if self.state == State::Over => return Output::Timeout(None),
                Ok(_) if self.state == State::Over => {}
                Ok(Step::Certificate(der)) => {
                    self.certificate = Some(der);
                    self.compare();
                }
                Ok(Step::Keys(keys)) if self.profiles.contains(&keys.profile) => self.keys = Some(keys),
                Ok(Step::Keys(keys)) => self.refuse(HandshakeError::Profile(keys.profile)),
                Ok(Step::Connected) => self.state = State::Complete,
                Ok(Step::Closed) => {
                    self.keys = None;
                    self.state = State::Over;
                    return Output::Closed;
                }
                // The keys come before or behind the news that the handshake is complete, but at once.
                Ok(Step::Wait(_)) if self.state == State::Complete && self.keys.is_none() => {
                    self.refuse(HandshakeError::NoSrtp);
                }
                Ok(Step::Wait(until)) => return Output::Timeout(until),
                Err(error) => self.fail(error),
            }
        }
    }

    /// Compares certificate and fingerprints as soon as both are known, so that a handshake with somebody else ends early.
    fn compare(&mut self) {
        if let Some(der) = &self.certificate
            && !self.announced.is_empty()
            && !Fingerprint::any_matches(&self.announced, der)
        {
            // In the words of the SDP that it differs from.
            let strongest = self.announced.iter().map(Fingerprint::function).max().unwrap_or(HashFunction::Sha256);
            self.refuse(HandshakeError::Fingerprint { actual: Fingerprint::of(strongest, der) });
        }
    }

    /// Asked again before keys are given away: that `compare` was called is not what that should depend on.
    fn is_genuine(&self) -> bool {
        self.certificate.as_ref().is_some_and(|der| Fingerprint::any_matches(&self.announced, der))
    }

    fn note(&mut self, result: Result<(), HandshakeError>) {
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Fails although the library is content: it is not to go on.
    fn refuse(&mut self, error: HandshakeError) {
        self.library.close();
        self.fail(error);
    }

    fn fail(&mut self, error: HandshakeError) {
        if !self.is_over() {
            self.keys = None;
            self.state = State::Failing(error);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("role", &self.role).field("state", &self.state).finish_non_exhaustive()
    }
}
