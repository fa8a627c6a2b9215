//! A real server of `PostgreSQL`, by TLS.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

use patchcord_records::{Question, Records, Target};

use crate::server::{NOBODY, Server, is_root};
use crate::stage::{Folder, all, ask, billed, start, wait_until};

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

fn openssl(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(["req", "-x509", "-days", "2"]).args(KEY).args(arguments);
    let made = command.output().expect("openssl runs: apt-get install openssl");
    assert!(made.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
}

/// A server with a certificate for `localhost` by the authority of `ca.pem` in its folder; `other.pem` is an authority too.
fn secured() -> Option<Server> {
    let mut server = Server::new("right")?;
    let folder = server.folder.0.clone();
    for name in ["ca", "other"] {
        let [key, chain, subject] = [format!("{name}.key"), format!("{name}.pem"), format!("/CN=Test {name}")];
        openssl(&folder, &["-subj", &subject, "-keyout", &key, "-out", &chain]);
    }
    let by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem"];
    let of =
        ["-subj", "/CN=db", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"];
    openssl(&folder, &[&by[..], &of].concat());
    let key = folder.join("server.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    if is_root() {
        chown(&key, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
    let file = |name: &str| folder.join(name).display().to_string();
    server.settings = vec![
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", file("server.pem")),
        format!("ssl_key_file={}", file("server.key")),
    ];
    server.start();
    Some(server)
}

fn target(server: &Server, host: &str, mode: &str, ca: &str) -> Target {
    let url = format!("postgres://patchcord:right@{host}:{}/postgres?sslmode={mode}", server.port);
    Target::parse(&url, Path::new(""), Some(server.folder.0.join(ca))).expect("it is a URL")
}

fn problem(records: &Records) -> String {
    let (tell, told) = mpsc::channel();
    records.ask(Question::Calls(all()), move |answer| tell.send(answer).expect("it is waited for"));
    told.recv().expect("there is an answer").expect_err("it cannot be had").text
}

/// With whom nobody vouches for nothing is said, records wait; with the one for whom somebody does they arrive, and by TLS.
#[test]
fn records_arrive_by_tls_at_a_server_that_somebody_vouches_for() {
    let Some(server) = secured() else { return };
    let folder = Folder::new();
    let mut kept = 0;
    for (host, ca, why) in [
        ("localhost", "other.pem", "`records.ca`"),
        ("127.0.0.1", "ca.pem", "not valid for name"),
        ("localhost", "nowhere.pem", "nowhere.pem"),
    ] {
        let records = start(&folder.0, target(&server, host, "verify-full", ca));
        records.keep(billed(&format!("p-{kept}"), kept));
        kept += 1;
        wait_until(&records, "it waits", |now| now.waiting == kept && !now.is_database_up);
        let text = problem(&records);
        assert!(text.contains(why), "{host} {ca}: {text}");
        // Not even the tables are made.
        let there = "SELECT to_regclass('calls') IS NOT NULL";
        assert!(!server.client().query_one(there, &[]).expect("the server is up").get::<_, bool>(0));
    }
    let records = start(&folder.0, target(&server, "localhost", "verify-full", "ca.pem"));
    wait_until(&records, "they arrive", |now| now.is_database_up && now.waiting == 0);
    assert_eq!(ask(&records, Question::Calls(all())).len() as u64, kept);
    let mut client = server.client();
    let of_ours =
        "SELECT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'patchcord'";
    let rows = client.query(of_ours, &[]).expect("the server is up");
    assert!(!rows.is_empty());
    for row in rows {
        let (is_tls, version): (bool, Option<String>) = (row.get(0), row.get(1));
        assert!(is_tls && version.as_deref().is_some_and(|version| version.starts_with("TLSv1.")), "{version:?}");
    }
}

#[test]
fn a_mode_that_checks_less_than_is_checked_is_refused() {
    let parse =
        |mode: &str| Target::parse(&format!("postgres://u:secret@db.example/r?sslmode={mode}"), Path::new(""), None);
    for mode in ["disable", "prefer", "require", "verify-full"] {
        assert!(parse(mode).is_ok(), "{mode}");
    }
    for (mode, why) in [("verify-ca", "write verify-full"), ("allow", "sslmode")] {
        let error = parse(mode).expect_err(mode).to_string();
        assert!(error.contains(why) && !error.contains("secret"), "{error}");
    }
}
