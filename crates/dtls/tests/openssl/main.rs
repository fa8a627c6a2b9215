//! Handshakes with openssl over sockets: what it exports is what this side has, byte for byte.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod peer;

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use patchcord_dtls::{
    Endpoint, Fingerprint, HandshakeError, HashFunction, Identity, KeyingMaterial, Library, Output, Role, Session,
    Settings, SrtpProfile,
};
use peer::{Certificate, Kind, Peer, installed};

/// What the built-in library negotiates.
const PROFILES: [SrtpProfile; 3] =
    [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm];

/// All that are built in.
const LIBRARIES: &[Library] = &[
    Library::Rust,
    #[cfg(feature = "openssl")]
    Library::OpenSsl,
];

fn endpoint(library: Library) -> Arc<Endpoint> {
    let mut settings = Settings::default();
    settings.library = library;
    Endpoint::new(Identity::generate(SystemTime::now()).unwrap(), settings).unwrap()
}

/// A session and its socket.
struct Here {
    session: Session,
    socket: UdpSocket,
    peer: Option<SocketAddr>,
}

impl Here {
    fn new(library: Library, role: Role, announced: Vec<Fingerprint>, peer: Option<SocketAddr>) -> Self {
        let session = Session::new(&endpoint(library), role, announced, &SrtpProfile::ALL, Instant::now()).unwrap();
        Self { session, socket: UdpSocket::bind("127.0.0.1:0").unwrap(), peer }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Runs until there are keys, or none can come any more.
    fn run(&mut self) -> Result<KeyingMaterial, HandshakeError> {
        let mut buffer = [0; 2048];
        loop {
            match self.session.poll(&mut buffer) {
                Output::Transmit(datagram) => {
                    // Refused while the peer's port is not open yet: as good as lost.
                    let _ = self.socket.send_to(datagram, self.peer.unwrap());
                }
                Output::Connected(keys) => return Ok(keys),
                Output::Failed(error) => {
                    self.flush();
                    return Err(error);
                }
                Output::Closed => panic!("closed before it was open"),
                Output::Timeout(until) => self.wait(until, &mut buffer),
            }
        }
    }

    /// A last alert, for instance.
    fn flush(&mut self) {
        let mut buffer = [0; 2048];
        while let Output::Transmit(datagram) = self.session.poll(&mut buffer) {
            let _ = self.socket.send_to(datagram, self.peer.unwrap());
        }
    }

    fn wait(&mut self, until: Option<Instant>, buffer: &mut [u8]) {
        // A server may wait for ever, a test may not.
        let left = until.map_or(Duration::from_secs(30), |at| at.saturating_duration_since(Instant::now()));
        self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1)))).unwrap();
        match self.socket.recv_from(buffer) {
            Ok((len, from)) => {
                self.peer = Some(from);
                self.session.handle(&buffer[..len], Instant::now());
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(until.is_some(), "the peer has sent nothing for half a minute");
                self.session.handle_timeout(Instant::now());
            }
            // The peer's port is not open: a retransmission is on its way.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        }
    }
}

/// In the order of RFC 5764 4.2, as the peer has exported it.
fn exported(keys: &KeyingMaterial, role: Role) -> Vec<u8> {
    let (client, server) = match role {
        Role::Client => (&keys.local, &keys.remote),
        Role::Server => (&keys.remote, &keys.local),
    };
    let (client_key, client_salt) = client.key_and_salt().split_at(keys.profile.key_len());
    let (server_key, server_salt) = server.key_and_salt().split_at(keys.profile.key_len());
    [client_key, server_key, client_salt, server_salt].concat()
}

fn with_server(library: Library, certificate: &Certificate, profile: SrtpProfile, more: &[&str]) {
    let (mut peer, address) = Peer::server(certificate, profile, more);
    let mut here = Here::new(library, Role::Client, vec![certificate.fingerprint.clone()], Some(address));
    let keys = here.run().unwrap();
    assert_eq!(keys.profile, profile);
    assert_eq!(exported(&keys, Role::Client), peer.keying_material());
}

fn with_client(library: Library, certificate: &Certificate, profile: SrtpProfile, more: &[&str]) {
    let mut here = Here::new(library, Role::Server, vec![certificate.fingerprint.clone()], None);
    let mut peer = Peer::client(certificate, profile, here.address(), more);
    let keys = here.run().unwrap();
    assert_eq!(keys.profile, profile);
    here.flush();
    assert_eq!(exported(&keys, Role::Server), peer.keying_material());
}

#[test]
fn as_client_the_keys_are_those_of_a_server() {
    if !installed() {
        return;
    }
    for kind in [Kind::P256, Kind::P384] {
        let certificate = Certificate::new("client", kind);
        for &library in LIBRARIES {
            for profile in PROFILES {
                with_server(library, &certificate, profile, &[]);
            }
        }
    }
}

#[test]
fn as_server_the_keys_are_those_of_a_client() {
    if !installed() {
        return;
    }
    for kind in [Kind::P256, Kind::P384] {
        let certificate = Certificate::new("server", kind);
        for &library in LIBRARIES {
            for profile in PROFILES {
                with_client(library, &certificate, profile, &[]);
            }
        }
    }
}

#[test]
fn a_server_that_asks_for_a_cookie_gets_it() {
    if installed() {
        let certificate = Certificate::new("cookie", Kind::P256);
        for &library in LIBRARIES {
            with_server(library, &certificate, SrtpProfile::AeadAes128Gcm, &["-listen"]);
        }
    }
}

#[test]
fn messages_in_many_small_datagrams_are_put_together() {
    if installed() {
        let certificate = Certificate::new("small", Kind::P384);
        for &library in LIBRARIES {
            with_server(library, &certificate, SrtpProfile::AeadAes128Gcm, &["-mtu", "256"]);
            with_client(library, &certificate, SrtpProfile::AeadAes128Gcm, &["-mtu", "256"]);
        }
    }
}

#[test]
fn a_certificate_that_was_not_announced_is_refused() {
    if !installed() {
        return;
    }
    let certificate = Certificate::new("refused", Kind::P256);
    let announced = Fingerprint::of(HashFunction::Sha256, b"another certificate");
    let expected = HandshakeError::Fingerprint { actual: certificate.fingerprint.clone() };
    for &library in LIBRARIES {
        let (_peer, address) = Peer::server(&certificate, SrtpProfile::AeadAes128Gcm, &[]);
        let mut here = Here::new(library, Role::Client, vec![announced.clone()], Some(address));
        assert_eq!(here.run().unwrap_err(), expected);
        let mut here = Here::new(library, Role::Server, vec![announced.clone()], None);
        let _peer = Peer::client(&certificate, SrtpProfile::AeadAes128Gcm, here.address(), &[]);
        assert_eq!(here.run().unwrap_err(), expected);
    }
}

#[test]
fn an_error_says_that_the_peer_has_an_rsa_certificate() {
    if !installed() {
        return;
    }
    let certificate = Certificate::new("rsa", Kind::Rsa);
    let announced = vec![certificate.fingerprint.clone()];
    let (_peer, address) = Peer::server(&certificate, SrtpProfile::AeadAes128Gcm, &[]);
    let error = Here::new(Library::Rust, Role::Client, announced.clone(), Some(address)).run().unwrap_err();
    assert_eq!(error, HandshakeError::CipherSuites);
    assert!(error.to_string().contains("RSA certificate"), "{error}");
    let mut here = Here::new(Library::Rust, Role::Server, announced, None);
    let mut peer = Peer::client(&certificate, SrtpProfile::AeadAes128Gcm, here.address(), &[]);
    let error = here.run().unwrap_err();
    assert_eq!(error, HandshakeError::NoCertificate);
    assert!(error.to_string().contains("RSA certificate"), "{error}");
    peer.line_with("alert");
}

#[test]
fn a_peer_without_use_srtp_gives_no_keys() {
    if !installed() {
        return;
    }
    // openssl takes the last of two values: one that this side does not have.
    let certificate = Certificate::new("no-srtp", Kind::P256);
    let more = ["-use_srtp", "SRTP_AES128_CM_SHA1_32"];
    let mut here = Here::new(Library::Rust, Role::Server, vec![certificate.fingerprint.clone()], None);
    let _peer = Peer::client(&certificate, SrtpProfile::AeadAes128Gcm, here.address(), &more);
    assert_eq!(here.run().unwrap_err(), HandshakeError::NoSrtp);
}

#[cfg(feature = "openssl")]
#[test]
fn with_openssl_rsa_certificates_are_taken() {
    if !installed() {
        return;
    }
    let certificate = Certificate::new("rsa-taken", Kind::Rsa);
    for profile in PROFILES {
        with_server(Library::OpenSsl, &certificate, profile, &[]);
        with_client(Library::OpenSsl, &certificate, profile, &[]);
    }
}
