//! `openssl s_server` and `openssl s_client` as peers, with certificates of every kind.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use patchcord_dtls::{Fingerprint, SrtpProfile};

/// So long a line of openssl's may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether there is an openssl. If not, says that the test is skipped, and with `CI=true` fails.
#[allow(clippy::print_stderr, reason = "a skipped test names its reason")]
pub(crate) fn installed() -> bool {
    if Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "continuous integration must have openssl");
    eprintln!("skipped: openssl is not installed: apt-get install openssl");
    false
}

/// What a peer's certificate is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    P256,
    P384,
    Rsa,
}

/// A certificate of a peer, in files.
#[derive(Debug)]
pub(crate) struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    pub(crate) fingerprint: Fingerprint,
}

impl Certificate {
    /// A new one. `name` is that of the test, so that two tests do not share files.
    pub(crate) fn new(name: &str, kind: Kind) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{kind:?}"));
        fs::create_dir_all(&folder).unwrap();
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        let algorithm: &[&str] = match kind {
            Kind::P256 => &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            Kind::P384 => &["ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"],
            Kind::Rsa => &["rsa:2048"],
        };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=peer", "-newkey"])
            .args(algorithm)
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let shown = Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
            .arg(&certificate)
            .output()
            .unwrap();
        // sha256 Fingerprint=4A:AD:...
        let shown = String::from_utf8(shown.stdout).unwrap();
        let (_, hex) = shown.split_once('=').unwrap();
        let fingerprint = format!("sha-256 {hex}").parse().unwrap();
        Self { certificate, key, fingerprint }
    }
}

/// A running openssl, ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Peer {
    /// A server on a free port of loopback. `more` are further arguments.
    pub(crate) fn server(certificate: &Certificate, profile: SrtpProfile, more: &[&str]) -> (Self, SocketAddr) {
        let arguments = ["s_server", "-accept", "127.0.0.1:0", "-verify", "1"];
        let mut peer = Self::start(&arguments, certificate, profile, more);
        let line = peer.line_with("ACCEPT 127.0.0.1:");
        let address = line.trim_start_matches("ACCEPT ").trim().parse().unwrap();
        (peer, address)
    }

    /// A client of `server`.
    pub(crate) fn client(certificate: &Certificate, profile: SrtpProfile, server: SocketAddr, more: &[&str]) -> Self {
        Self::start(&["s_client", "-connect", &server.to_string()], certificate, profile, more)
    }

    fn start(arguments: &[&str], certificate: &Certificate, profile: SrtpProfile, more: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .args(arguments)
            .args(["-dtls1_2", "-use_srtp", name(profile)])
            .args(["-keymatexport", "EXTRACTOR-dtls_srtp", "-keymatexportlen", &profile.material_len().to_string()])
            .arg("-cert")
            .arg(&certificate.certificate)
            .arg("-key")
            .arg(&certificate.key)
            .args(more)
            // Kept open: openssl ends with its input.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let errors = sender.clone();
        // Both end with the process, which Drop ends.
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).all(|line| errors.send(line).is_ok())
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that contains this.
    pub(crate) fn line_with(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("openssl does not say {text:?}, but:\n{}", self.seen.join("\n"))
            };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// What it has exported from its handshake.
    pub(crate) fn keying_material(&mut self) -> Vec<u8> {
        let line = self.line_with("Keying material: ");
        let (_, hex) = line.split_once("Keying material: ").unwrap();
        let hex = hex.trim();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As openssl calls it.
fn name(profile: SrtpProfile) -> &'static str {
    match profile {
        SrtpProfile::Aes128CmSha1_80 => "SRTP_AES128_CM_SHA1_80",
        SrtpProfile::Aes128CmSha1_32 => "SRTP_AES128_CM_SHA1_32",
        SrtpProfile::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
        SrtpProfile::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
    }
}
