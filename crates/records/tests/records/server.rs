//! A real server of `PostgreSQL`.

#![allow(clippy::print_stderr, reason = "a test says what it has skipped")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use patchcord_records::{Question, Target};
use postgres::{Client, NoTls};

use crate::both;
use crate::stage::{Folder, all, ask, billed, ids, start, transfer, until, wait_until};

/// Nobody: the server does not run as root.
pub(crate) const NOBODY: u32 = 65_534;

pub(crate) struct Server {
    pub(crate) folder: Folder,
    bin: PathBuf,
    pub(crate) port: u16,
    /// Further settings.
    pub(crate) settings: Vec<String>,
    child: Option<Child>,
}

/// Where Debian has it.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions.flatten().map(|entry| entry.path().join("bin")).collect();
    found.sort();
    found.into_iter().rfind(|bin| bin.join("initdb").exists())
}

impl Server {
    /// A cluster of its own; nothing where there is no `PostgreSQL`, which CI has.
    pub(crate) fn new(password: &str) -> Option<Self> {
        let Some(bin) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "CI needs PostgreSQL: apt-get install postgresql");
            eprintln!("skipped: there is no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)");
            return None;
        };
        let folder = Folder::new();
        let data = folder.0.join("data");
        let secret = folder.0.join("password");
        fs::write(&secret, password).expect("a file can be written");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("there is one").port();
        if is_root() {
            for path in [&folder.0, &secret] {
                chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
            }
        }
        let server = Self { folder, bin, port, settings: Vec::new(), child: None };
        let made = server
            .command("initdb")
            .args(["--no-sync", "--auth=scram-sha-256", "--username=patchcord", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data)
            .arg(format!("--pwfile={}", secret.display()))
            .output()
            .expect("initdb can be run");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(server)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.current_dir(&self.folder.0).stdin(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Children of one that was killed may still be in the way: then it is tried again.
    pub(crate) fn start(&mut self) {
        until("the server takes connections", || {
            if self.child.as_mut().is_none_or(|child| child.try_wait().is_ok_and(|ended| ended.is_some())) {
                self.spawn();
            }
            Client::connect(&self.url("right"), NoTls).ok().map(drop)
        });
    }

    fn spawn(&mut self) {
        let log = fs::File::create(self.folder.0.join("log")).expect("a file can be made");
        let child = self
            .command("postgres")
            .arg("-D")
            .arg(self.folder.0.join("data"))
            .args(["-h", "127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-p"])
            .arg(self.port.to_string())
            .args(self.settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("postgres can be run"));
    }

    /// At once, as a power failure does; its children end when they notice.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is ours");
            child.wait().expect("it is ours");
        }
        let file = self.folder.0.join("data/postmaster.pid");
        // The next one refuses to start while children of the former are there.
        let _ = fs::remove_file(file);
    }

    pub(crate) fn url(&self, password: &str) -> String {
        format!("postgres://patchcord:{password}@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    fn target(&self, password: &str) -> Target {
        Target::parse(&self.url(password), Path::new(""), None).expect("it is a URL")
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.url("right"), NoTls).expect("the server is up")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The server is killed in mid-stream, its password is wrong for a while, a table is missing: nothing is lost, and nothing is there twice.
#[test]
fn a_server_that_goes_and_comes_costs_nothing() {
    let Some(mut server) = Server::new("right") else { return };
    server.start();
    let folder = Folder::new();
    both::finds_what_was_kept(&folder.0, &server.target("right"));
    server.client().batch_execute("DELETE FROM calls; DELETE FROM transfers").expect("there are tables");
    both::deletes_what_is_old(&folder.0, &server.target("right"));
    server.client().batch_execute("DELETE FROM calls; DELETE FROM bill_components").expect("there are tables");

    let records = start(&folder.0, server.target("wrong"));
    let mut kept = 0_u64;
    let mut keep = |records: &patchcord_records::Records, many: u64| {
        for at in kept..kept + many {
            records.keep(billed(&format!("p-{at}"), at));
            records.keep(transfer(&format!("p-{at}-1"), &format!("p-{at}"), at, "done"));
        }
        kept += many;
    };
    keep(&records, 20);
    wait_until(&records, "the password is wrong", |now| !now.is_database_up && now.waiting == 40);
    drop(records);

    let records = start(&folder.0, server.target("right"));
    keep(&records, 100);
    wait_until(&records, "some are written", |now| now.written > 0);
    server.kill();
    keep(&records, 100);
    wait_until(&records, "it is missed", |now| !now.is_database_up && now.waiting >= 100);
    server.start();
    keep(&records, 100);
    wait_until(&records, "it is back", |now| now.is_database_up && now.waiting == 0);

    server.client().batch_execute("ALTER TABLE transfers RENAME TO elsewhere").expect("there is a table");
    keep(&records, 10);
    wait_until(&records, "the table is missed", |now| !now.is_database_up && now.waiting > 0);
    server.client().batch_execute("ALTER TABLE elsewhere RENAME TO transfers").expect("there is a table");
    wait_until(&records, "the table is back", |now| now.is_database_up && now.waiting == 0);
    let standing = records.standing();
    assert_eq!((standing.lost, standing.set_aside), (0, 0), "{standing:?}");

    let mut client = server.client();
    let mut count = |of: &str| -> i64 { client.query_one(of, &[]).expect("there is a table").get(0) };
    assert_eq!(count("SELECT count(*) FROM calls"), 330);
    assert_eq!(count("SELECT count(*) FROM transfers JOIN calls ON calls.id = transfers.call"), 330);
    assert_eq!(count("SELECT sum(duration_ms)::bigint FROM bill_components"), 330 * 2 * 2500);
    assert_eq!(count("SELECT count(*) FROM calls WHERE document->>'record' = id AND ended - began = '6 s'"), 330);
    assert_eq!(ids(&ask(&records, Question::Transfers(all())), "transfer").len(), 330);
}

/// A server that asks for TLS is not spoken with in the clear, and one that has none not either.
#[test]
fn a_server_elsewhere_is_not_spoken_with_in_the_clear() {
    let Some(mut server) = Server::new("right") else { return };
    server.start();
    let url = server.url("right").replace("sslmode=disable", "sslmode=require");
    let folder = Folder::new();
    let records = start(&folder.0, Target::parse(&url, Path::new(""), None).expect("it is a URL"));
    records.keep(billed("p-1", 1));
    wait_until(&records, "it waits", |now| now.waiting == 1 && !now.is_database_up);
    let (tell, told) = std::sync::mpsc::channel();
    records.ask(Question::Calls(all()), move |answer| tell.send(answer).expect("it is waited for"));
    let problem = told.recv().expect("there is an answer").expect_err("there is no TLS");
    assert!(problem.text.contains("TLS"), "{problem}");
}
