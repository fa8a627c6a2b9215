//! What the SIP stack is told at its start.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use super::auth::{Accounts, CredentialsOf};
use super::trace::Trace;
use crate::message::{Origin, Transport};

/// Says whether requests of an origin are accepted.
pub type Allows = Arc<dyn Fn(&Origin) -> bool + Send + Sync>;

/// How the stack speaks SIP.
#[derive(Clone)]
pub struct Config {
    /// Where it listens; at least one.
    pub listen: Vec<Listen>,
    /// For listeners of TLS and WSS.
    pub certificate: Option<Certificate>,
    /// Who vouches for the TLS servers that are called: a PEM file. The system's, if none.
    pub ca: Option<PathBuf>,
    /// `User-Agent` and `Server`.
    pub agent: Box<str>,
    /// What is too much.
    pub limits: Limits,
    /// Whose requests outside of dialogs are accepted; everybody's, if none.
    pub allows: Option<Allows>,
    /// Others get no answer at all instead of 403.
    pub is_silent: bool,
    /// Who has to prove who they are; nobody, if none.
    pub accounts: Option<Accounts>,
    /// What challenges are answered with in a dialog that somebody at an origin has begun.
    pub credentials: Option<CredentialsOf>,
    /// The SIP trace.
    pub trace: Option<Trace>,
    /// T1 (RFC 3261 17.1.1.1), from which the other timers follow.
    pub t1: Duration,
    /// What our INVITEs ask for as `Session-Expires` (RFC 4028), in seconds; nothing, if none.
    pub session_expires_s: Option<u32>,
    /// The least `Session-Expires` that is accepted: 90 s, says RFC 4028 4.
    pub min_session_expires_s: u32,
}

impl Config {
    /// The usual: limits of a host with some thousand calls, everybody may call, T1 of 500 ms.
    #[must_use]
    pub fn new(listen: Vec<Listen>) -> Self {
        Self {
            listen,
            certificate: None,
            ca: None,
            agent: concat!("Patchcord/", env!("CARGO_PKG_VERSION")).into(),
            limits: Limits::default(),
            allows: None,
            is_silent: false,
            accounts: None,
            credentials: None,
            trace: None,
            t1: Duration::from_millis(500),
            session_expires_s: None,
            min_session_expires_s: 90,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("listen", &self.listen).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// A listener.
#[derive(Clone, Debug)]
pub struct Listen {
    /// By what.
    pub transport: Transport,
    /// Where; the system chooses a port instead of 0.
    pub address: SocketAddr,
    /// Host and port that Via and Contact say instead; the port of the listener, if 0.
    pub advertised: Option<(Box<str>, u16)>,
}

/// A server's certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The chain, the server's first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What is too much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets of a message.
    pub message: usize,
    /// Dialogs, and what is about to become one. An INVITE beyond gets 503.
    pub dialogs: usize,
    /// Dialogs of ours that are over, of which each is remembered for 64*T1 because a fork may answer late (RFC 3261 13.2.2.4). Those beyond are
    /// forgotten at once.
    pub lingering: usize,
    /// Connections of TCP, TLS and WebSocket that others have opened.
    pub connections: usize,
    /// Requests in one dialog that wait for an answer. Those beyond get 503.
    pub requests: usize,
    /// How long a UDP socket may always have something left to read: from then on calls that would begin get 503, until it is empty. None: as
    /// long as it likes.
    pub behind: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message: 65_535, dialogs: 8_192, lingering: 32_768, connections: 4_096, requests: 16, behind: None }
    }
}

/// Why the stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Nowhere to listen.
    #[error("SIP has no address to listen at: give one, such as udp:0.0.0.0:5060")]
    NoListener,
    /// A socket could not be bound.
    #[error("cannot listen for SIP at {transport:?} {address}: {error}: free it, or choose an address of this host")]
    Bind {
        /// By what.
        transport: Transport,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// TLS without a certificate.
    #[error("SIP over {transport:?} at {address} needs a certificate and its key: give both, as PEM files")]
    NoCertificate {
        /// TLS or WSS.
        transport: Transport,
        /// Where.
        address: SocketAddr,
    },
    /// A PEM file is not what it should be.
    #[error("{path}: {what}")]
    Pem {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what to do.
        what: String,
    },
    /// Bundles of failed transfers cannot be kept.
    #[error("cannot keep evidence of transfers in {directory}: {error}: give a directory that can be written, or none")]
    Evidence {
        /// Where.
        directory: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// rsipstack refused.
    #[error("the SIP stack did not start: {0}")]
    Stack(String),
}
