//! An authority for TLS, and certificates by it, good and bad ones: files that OpenSSL makes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{io, thread};

use crate::folder::Folder;
use crate::ports::free_port;
use crate::process::{Process, Tool};

/// A certificate and its key, PEM files.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub chain: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Pair {
    /// A TLS server on a free port of 127.0.0.1 that shows the certificate: `openssl s_server` with further arguments.
    ///
    /// # Panics
    /// If it does not listen.
    #[must_use]
    pub fn serve(&self, folder: &Path, arguments: &[&str]) -> (SocketAddr, Process) {
        let place = free_port();
        let mut command = Tool { program: "openssl", package: "openssl" }.command();
        command.current_dir(folder).args(["s_server", "-accept", &place.to_string()]).args(arguments);
        command.arg("-cert").arg(&self.chain).arg("-key").arg(&self.key);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start("openssl s_server", &mut command);
        let mut stdout = BufReader::new(process.child().stdout.take().expect("it is piped"));
        let listens = stdout.by_ref().lines().any(|line| line.expect("text").starts_with("ACCEPT"));
        assert!(listens, "{}", process.stderr());
        // What it says of each connection must find somebody who reads it.
        thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        (place, process)
    }
}

/// An authority. Its files go with it.
#[derive(Debug)]
pub struct Authority(Folder);

fn openssl(folder: &Path, arguments: &[&str]) {
    let mut command: Command = Tool { program: "openssl", package: "openssl" }.command();
    let output = command.current_dir(folder).args(arguments).output().expect("it starts");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

impl Authority {
    /// A new one. `name` is for its folder.
    ///
    /// # Panics
    /// If OpenSSL does not do as it is told.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("authority-{name}"));
        let configuration = "[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=p\n\
                             copy_extensions=copy\nunique_subject=no\nprivate_key=ca.key\ncertificate=ca.pem\n[p]\ncommonName=supplied\n";
        for (file, text) in [("ca.cnf", configuration), ("index.txt", ""), ("serial", "01\n")] {
            std::fs::write(folder.path().join(file), text).expect("the folder is there");
        }
        let subject = ["-subj", "/CN=Test Authority", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(folder.path(), &[&["req", "-x509"], &KEY[..], &subject].concat());
        Self(folder)
    }

    /// Its own certificate, which vouches for those that it makes.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.0.path().join("ca.pem")
    }

    /// A certificate for a name such as `IP:127.0.0.1`, good from and until such a time: `20200101000000Z`.
    #[must_use]
    pub fn certify(&self, file: &str, name: &str, from: &str, until: &str) -> Pair {
        let (key, request, chain) = (format!("{file}.key"), format!("{file}.csr"), format!("{file}.pem"));
        let (subject, name) = (format!("/CN={file}"), format!("subjectAltName={name}"));
        let asks = ["-subj", &subject, "-addext", &name, "-keyout", &key, "-out", &request];
        openssl(self.0.path(), &[&["req", "-new"], &KEY[..], &asks].concat());
        let signs = ["ca", "-batch", "-notext", "-config", "ca.cnf", "-in", &request, "-out", &chain];
        openssl(self.0.path(), &[&signs[..], &["-startdate", from, "-enddate", until]].concat());
        self.pair(file)
    }

    /// A certificate that vouches for itself.
    #[must_use]
    pub fn alone(&self, file: &str, name: &str) -> Pair {
        let (key, chain) = (format!("{file}.key"), format!("{file}.pem"));
        let (subject, name) = (format!("/CN={file}"), format!("subjectAltName={name}"));
        let asks = ["-subj", &subject, "-addext", &name, "-addext", "basicConstraints=critical,CA:FALSE"];
        let files = ["-days", "2", "-keyout", &key, "-out", &chain];
        openssl(self.0.path(), &[&["req", "-x509"], &KEY[..], &asks, &files].concat());
        self.pair(file)
    }

    fn pair(&self, file: &str) -> Pair {
        let at = |end: &str| self.0.path().join(format!("{file}.{end}"));
        Pair { chain: at("pem"), key: at("key") }
    }
}
