//! What all sessions of a process share.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

#[cfg(feature = "openssl")]
use crate::library::OpenSslShared;
use crate::{EndpointError, Identity, Library};

/// How handshakes are done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// A handshake that takes longer has failed. Counted from the first `ClientHello`: waiting for one costs nothing and may
    /// take as long as it likes.
    pub handshake_limit: Duration,
    /// After so long without an answer packets are sent again, for the first time; then after twice as long, and so on. RFC 6347
    /// 4.2.4.1 has a second, but for calls less where delay matters: the first packets often arrive before the peer is ready.
    pub first_retransmission: Duration,
    /// The longest datagram that is sent.
    pub mtu: usize,
    /// Whether DTLS 1.3 is spoken with a peer that can. 1.2 always is.
    pub dtls_1_3: bool,
    /// Which library does them.
    pub library: Library,
    /// Makes what is no secret depend on a seed (waiting times, the hello's random bytes), so that a test can be repeated. Keys
    /// are always random. None in earnest.
    pub seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            handshake_limit: Duration::from_secs(30),
            first_retransmission: Duration::from_millis(250),
            mtu: 1200,
            dtls_1_3: true,
            library: Library::default(),
            seed: None,
        }
    }
}

/// Often enough never to be what ends a handshake: its limit in time does. Duplicates of the peer count too.
const RETRANSMISSIONS: usize = 16;

/// Datagrams that wait for one that got lost before them. A handshake has about ten.
const MAX_QUEUED: usize = 30;

/// One side of associations: a certificate and settings, shared by all its sessions.
pub struct Endpoint {
    identity: Identity,
    settings: Settings,
    config: Arc<dimpl::Config>,
    #[cfg(feature = "openssl")]
    open_ssl: Option<OpenSslShared>,
}

impl Endpoint {
    /// Of a certificate and settings.
    pub fn new(identity: Identity, settings: Settings) -> Result<Arc<Self>, EndpointError> {
        let mut config = dimpl::Config::builder()
            .mtu(settings.mtu)
            .max_queue_rx(MAX_QUEUED)
            .use_server_cookie(true)
            .require_client_certificate(true)
            .flight_start_rto(settings.first_retransmission)
            .flight_retries(RETRANSMISSIONS)
            .handshake_timeout(settings.handshake_limit)
            .with_crypto_provider(dimpl::crypto::rust_crypto::default_provider());
        if let Some(seed) = settings.seed {
            config = config.dangerously_set_rng_seed(seed);
        }
        let config = config.build().map_err(|error| EndpointError::Settings(error.to_string()))?;
        #[cfg(feature = "openssl")]
        let open_ssl = (settings.library == Library::OpenSsl).then(|| OpenSslShared::new(&identity)).transpose()?;
        Ok(Arc::new(Self {
            identity,
            settings,
            config: Arc::new(config),
            #[cfg(feature = "openssl")]
            open_ssl,
        }))
    }

    /// Who this side is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How handshakes are done.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    #[cfg(feature = "openssl")]
    pub(crate) fn open_ssl(&self) -> Option<&OpenSslShared> {
        self.open_ssl.as_ref()
    }

    pub(crate) fn config(&self) -> Arc<dimpl::Config> {
        Arc::clone(&self.config)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("identity", &self.identity)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
