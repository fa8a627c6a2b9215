//! ICE on a leg, as a lite agent has it (RFC 8445 2.5): it sends no checks of its own, and believes those that it gets.
//!
//! A check with the leg's credentials proves that who sends it is the party. Sources that have proved it may send media; one
//! that the party nominates is where media goes to, and from then on nobody else is heard. An ICE restart takes other
//! credentials, and what was nominated before stays in force until the party nominates anew (RFC 8445 9).

use core::net::SocketAddr;

use patchcord_stun::{BINDING, Class, IceRole, Key, Message};

use crate::command::IceCredentials;
use crate::ids::Component;
use crate::snapshot::IceSnapshot;

/// Sources of one component that are remembered: a host has few addresses, and what is forgotten checks again.
const VALID_MAX: usize = 4;

/// What makes a check one of ours.
#[derive(Debug)]
struct Credentials {
    ufrag: Box<str>,
    pwd: Secret,
    key: Key,
    remote_ufrag: Option<Box<str>>,
}

/// A password, which is shown to nobody.
#[derive(PartialEq, Eq)]
struct Secret(Box<str>);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("(..)")
    }
}

/// Where a component's checks come from.
#[derive(Debug, Default)]
struct Sources {
    /// Those with the present credentials; the oldest one is overwritten.
    valid: [Option<SocketAddr>; VALID_MAX],
    next: u8,
    nominated: Option<SocketAddr>,
    /// It was nominated with the present credentials.
    is_fresh: bool,
}

/// ICE on one leg.
#[derive(Debug)]
pub(crate) struct Ice {
    present: Credentials,
    /// Those before an ICE restart, until the party nominates: its consent (RFC 7675) must not expire meanwhile.
    former: Option<Credentials>,
    rtp: Sources,
    rtcp: Sources,
    /// Datagrams of STUN that were taken from the party.
    pub(crate) received: u64,
    answered: u64,
    refused: u64,
}

/// What ICE says of a source of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opinion {
    /// Nothing: nobody has proved anything yet.
    None,
    /// It is the party.
    Valid,
    /// Others have proved to be the party, and this one has not.
    Foreign {
        /// The party has nominated another one.
        nominated: bool,
    },
}

/// What a STUN message of the party's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// A check, right in everything.
    Valid {
        nominates: bool,
        /// It has the credentials from before an ICE restart: it is answered, and proves nothing.
        is_former: bool,
    },
    /// No request that is answered: an indication (RFC 8445 11).
    KeepAlive,
    /// A response to nothing, or a method that is not ICE's.
    Unexpected,
    /// Without name or integrity.
    Incomplete,
    /// With a wrong name or integrity.
    Unauthorized,
    /// All is right but the name of its sender: somebody else who was offered the same, or the party's answer is on its way.
    NotThePeer,
    /// It has attributes that must be understood and are not.
    UnknownAttributes,
    /// It says that the relay is to nominate, which a lite agent never does (RFC 8445 6.1.1).
    RoleConflict,
}

impl Credentials {
    fn new(given: &IceCredentials) -> Self {
        Self {
            ufrag: given.local_ufrag.as_str().into(),
            pwd: Secret(given.local_pwd.as_str().into()),
            key: Key::new(given.local_pwd.as_bytes()),
            remote_ufrag: given.remote_ufrag.as_deref().map(Into::into),
        }
    }

    /// `OURS:THEIRS` (RFC 8445 7.2.2): theirs, if ours is right.
    fn peer_in<'a>(&self, username: &'a [u8]) -> Option<&'a [u8]> {
        username.strip_prefix(self.ufrag.as_bytes())?.strip_prefix(b":")
    }

    fn is_peer(&self, name: &[u8]) -> bool {
        self.remote_ufrag.as_ref().is_none_or(|known| known.as_bytes() == name)
    }
}

impl Sources {
    fn is_valid(&self, source: SocketAddr) -> bool {
        self.valid.contains(&Some(source))
    }

    /// Says whether it is the first one with these credentials.
    fn note(&mut self, source: SocketAddr) -> bool {
        let is_first = self.valid[0].is_none();
        if !self.is_valid(source) {
            self.valid[usize::from(self.next)] = Some(source);
            self.next = (self.next + 1) % VALID_MAX as u8;
        }
        is_first
    }

    /// Other credentials: everything is to be proved anew.
    fn restart(&mut self) {
        self.valid = [None; VALID_MAX];
        self.next = 0;
        self.is_fresh = false;
    }

    fn opinion(&self, from: SocketAddr) -> Opinion {
        if self.is_fresh {
            let is_nominated = self.nominated == Some(from);
            return if is_nominated { Opinion::Valid } else { Opinion::Foreign { nominated: true } };
        }
        if self.nominated == Some(from) || self.is_valid(from) {
            return Opinion::Valid;
        }
        match (self.nominated, self.valid[0]) {
            (None, None) => Opinion::None,
            (nominated, _) => Opinion::Foreign { nominated: nominated.is_some() },
        }
    }
}

impl Ice {
    pub(crate) fn new(credentials: &IceCredentials) -> Self {
        Self {
            present: Credentials::new(credentials),
            former: None,
            rtp: Sources::default(),
            rtcp: Sources::default(),
            received: 0,
            answered: 0,
            refused: 0,
        }
    }

    /// Signalling names the credentials again. The same ones change nothing, and neither does the name of a party that had
    /// none yet; others are a restart.
    pub(crate) fn renew(&mut self, credentials: &IceCredentials) {
        let same = *self.present.ufrag == *credentials.local_ufrag && *self.present.pwd.0 == *credentials.local_pwd;
        let was = self.present.remote_ufrag.as_deref();
        let same_peer = was.is_none() || was == credentials.remote_ufrag.as_deref();
        let before = core::mem::replace(&mut self.present, Credentials::new(credentials));
        if !same {
            self.former = Some(before);
        }
        if !same || !same_peer {
            self.rtp.restart();
            self.rtcp.restart();
        }
    }

    /// What a message is; nothing is noted of it.
    pub(crate) fn judge(&self, message: &Message<'_>) -> Check {
        if message.method() != BINDING {
            return Check::Unexpected;
        }
        match message.class() {
            Class::Request => {}
            Class::Indication => return Check::KeepAlive,
            Class::Success | Class::Error => return Check::Unexpected,
        }
        let Some(username) = message.username().filter(|_| message.has_integrity()) else { return Check::Incomplete };
        let present = self.present.peer_in(username).map(|peer| (&self.present, peer));
        let named =
            present.or_else(|| self.former.as_ref().and_then(|former| Some((former, former.peer_in(username)?))));
        let Some((credentials, peer)) = named.filter(|(credentials, _)| message.has_integrity_by(&credentials.key))
        else {
            return Check::Unauthorized;
        };
        if !credentials.is_peer(peer) {
            return Check::NotThePeer;
        }
        if message.unknown_attributes().next().is_some() {
            return Check::UnknownAttributes;
        }
        if matches!(message.role(), Some(IceRole::Controlled(_))) {
            return Check::RoleConflict;
        }
        Check::Valid { nominates: message.nominates(), is_former: present.is_none() }
    }

    pub(crate) const fn count(&mut self, check: Check) {
        match check {
            Check::Unexpected => {}
            Check::KeepAlive => self.received += 1,
            Check::Valid { .. } => {
                self.received += 1;
                self.answered += 1;
            }
            Check::UnknownAttributes | Check::RoleConflict => {
                self.received += 1;
                self.refused += 1;
            }
            // These are counted as dropped.
            Check::Incomplete | Check::Unauthorized | Check::NotThePeer => self.refused += 1,
        }
    }

    /// The source has proved to be the party; says whether it is the first one that has.
    pub(crate) fn note_valid(&mut self, component: Component, source: SocketAddr) -> bool {
        self.sources_mut(component).note(source)
    }

    /// The party has nominated the source.
    pub(crate) fn nominate(&mut self, component: Component, source: SocketAddr) {
        let sources = self.sources_mut(component);
        sources.nominated = Some(source);
        sources.is_fresh = true;
        if component == Component::Rtp {
            self.former = None;
        }
    }

    pub(crate) fn nominated(&self, component: Component) -> Option<SocketAddr> {
        self.sources(component).nominated
    }

    pub(crate) fn opinion(&self, component: Component, from: SocketAddr) -> Opinion {
        self.sources(component).opinion(from)
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.present.key
    }

    /// The key of the credentials from before an ICE restart.
    pub(crate) fn former_key(&self) -> Option<&Key> {
        self.former.as_ref().map(|former| &former.key)
    }

    pub(crate) const fn snapshot(&self) -> IceSnapshot {
        IceSnapshot { nominated: self.rtp.is_fresh, answered: self.answered, refused: self.refused }
    }

    const fn sources(&self, component: Component) -> &Sources {
        match component {
            Component::Rtp => &self.rtp,
            Component::Rtcp => &self.rtcp,
        }
    }

    const fn sources_mut(&mut self, component: Component) -> &mut Sources {
        match component {
            Component::Rtp => &mut self.rtp,
            Component::Rtcp => &mut self.rtcp,
        }
    }
}
