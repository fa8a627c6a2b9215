//! `patchcord trunk check` against a real Kamailio, TLS servers with good and bad certificates, and nobody at all.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::net::{SocketAddr, TcpListener};

use patchcord_tests::sip::Registrar;
use patchcord_tests::{Authority, Folder, Relay, free_port, run};
use serde_json::Value;

/// What a check of one trunk found, and how it ended.
struct Report {
    findings: Vec<Value>,
    code: i32,
}

impl Report {
    /// Checks a trunk that has these keys, as a user would.
    fn of(pivot: &str, trunk: &str) -> Self {
        let place = free_port();
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("check-{}", place.port()));
        let file = folder.path().join("pivot.toml");
        std::fs::write(&file, format!("[pivot]\nlisten = [\"udp:{place}\"]\n{pivot}\n[pivot.trunks.t]\n{trunk}\n"))
            .unwrap();
        let output = run(&["trunk", "check", "t", "--config", file.to_str().unwrap(), "--timeout", "1", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let code = output.status.code().unwrap();
        assert_eq!(report["ok"], code == 0);
        let findings = report["checks"].as_array().unwrap().clone();
        for finding in &findings {
            let explained = finding["cause"].is_string() && finding["fix"].is_string();
            assert!(finding["state"] == "ok" || explained, "{finding}");
        }
        Self { findings, code }
    }

    /// The first finding of a check: how it stands, and what was seen.
    fn must(&self, check: &str, state: &str, found: &str) {
        let finding = self.findings.iter().find(|finding| finding["check"] == check);
        let finding = finding.unwrap_or_else(|| panic!("no {check} in {:?}", self.findings));
        let is_right = finding["state"] == state && finding["found"].as_str().unwrap().contains(found);
        assert!(is_right, "{check} must be {state} with {found:?}: {finding}");
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.findings.iter().filter(|finding| finding["state"] == "fail");
        failed.map(|finding| finding["check"].as_str().unwrap()).collect()
    }
}

/// A trunk at Kamailio, asked as this user.
fn at(kamailio: SocketAddr, transport: &str, user: &str, more: &str) -> Report {
    let keys = format!(
        "domain = \"pbx.example\"\nproxy = \"sip:{kamailio};transport={transport}\"\naddresses = [\"127.0.0.5\"]\nusername = \"{user}\"\n{more}"
    );
    Report::of("", &keys)
}

#[test]
fn a_provider_that_answers_is_examined_over_udp_and_tcp() {
    let kamailio = Registrar::start();
    let place = kamailio.address();
    for transport in ["udp", "tcp"] {
        let report = at(place, transport, "open", "password = \"secret\"");
        assert_eq!((report.code, report.failed()), (0, vec![]), "{:?}", report.findings);
        report.must("name", "ok", &format!("{transport} {place}"));
        report.must("OPTIONS", "ok", "200 OK in");
        report.must("OPTIONS", "ok", "kamailio");
        report.must("methods", "ok", "Allow has REFER, UPDATE, not INFO");
        report.must("account", "warn", "never asked for");
        report.must("SRTP", "ok", "off");
        report.must("its calls", "ok", "the trunk's own among them");
        report.must("number", "ok", &format!("is called as sip:+15550100@{place};user=phone"));
        report.must("target", "ok", "tel:911 is refused with 403, emergency-number");
    }
    at(place, "tcp", "open", "").must("TCP", "ok", "accepts a connection");
}

#[test]
fn credentials_are_told_apart() {
    let kamailio = Registrar::start();
    let place = kamailio.address();
    let right = at(place, "udp", "asked", "password = \"secret\"");
    assert_eq!(right.code, 0, "{:?}", right.findings);
    right.must("account", "ok", "\"asked\" is accepted by its password (realm \"pbx.example\", OPTIONS)");
    let wrong = at(place, "udp", "asked", "password = \"wrong\"");
    assert_eq!((wrong.code, wrong.failed()), (1, vec!["account"]));
    wrong.must("account", "fail", "\"asked\" is refused: OPTIONS was answered 401");
    let other = at(place, "udp", "asked", "password = \"secret\"\nrealm = \"other.example\"");
    other.must("account", "fail", "cannot be answered");

    let register = "register = true\npassword = ";
    at(place, "udp", "pivot", &format!("{register}\"secret\"")).must("account", "ok", "has no contact registered");
    assert!(!kamailio.has_pivot(), "the check has registered nobody");
    at(place, "tcp", "pivot", &format!("{register}\"wrong\"")).must("account", "fail", "REGISTER was answered 401");

    // A pivot that runs keeps its registration while it is checked.
    let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("check-{}", place.port()));
    let file = folder.path().join("pivot.toml");
    let text = format!(
        "[pivot]\nlisten = [\"udp:{}\"]\n[pivot.trunks.t]\ndomain = \"pbx.example\"\nproxy = \"sip:{place}\"\nregister = true\n\
         username = \"pivot\"\npassword = \"secret\"\n",
        free_port()
    );
    std::fs::write(&file, text).unwrap();
    let relay = Relay::start(&["--config", file.to_str().unwrap(), "--workers", "1"]);
    patchcord_tests::eventually("it is registered", || kamailio.has_pivot().then_some(()));
    let output = run(&["trunk", "check", "t", "--config", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("which has a contact registered"), "{text}");
    assert!(text.ends_with(" 0 failures\n") && text.contains("\nok "), "{text}");
    assert!(kamailio.has_pivot());
    drop(relay);
}

#[test]
fn who_refuses_and_who_is_silent_and_who_is_not_there_are_told_apart() {
    let kamailio = Registrar::start();
    let place = kamailio.address();
    let refused = at(place, "udp", "blocked", "password = \"secret\"");
    assert_eq!(refused.failed(), ["OPTIONS"]);
    refused.must("OPTIONS", "fail", "403 Your address is not on the list");
    let silent = at(place, "udp", "silent", "");
    assert_eq!((silent.code, silent.failed()), (1, vec!["OPTIONS"]));
    silent.must("OPTIONS", "fail", "has answered nothing for 1 s");

    let nobody = free_port();
    assert!(TcpListener::bind(nobody).is_ok(), "nobody listens there by TCP either");
    let trunk = |proxy: &str| Report::of("", &format!("domain = \"pbx.example\"\nproxy = \"{proxy}\"\nsrtp = \"off\""));
    trunk(&format!("sip:{nobody}")).must("OPTIONS", "fail", "nobody listens at udp");
    for transport in ["tcp", "tls"] {
        let report = trunk(&format!("sip:{nobody};transport={transport}"));
        assert_eq!((report.code, report.failed()), (1, vec!["TCP"]));
        report.must("TCP", "fail", "refused");
        report.must("OPTIONS", "warn", "not tried");
    }
    let nowhere = trunk("sip:nobody.invalid");
    assert_eq!((nowhere.code, nowhere.failed()), (1, vec!["name"]));
    nowhere.must("name", "fail", "sip:nobody.invalid leads nowhere");
    nowhere.must("its calls", "warn", "from nowhere");
}

/// Keys of `[pivot]` and of a trunk that is at `place` by TLS.
fn by_tls(place: SocketAddr, ca: Option<&Authority>) -> Report {
    let ca = ca.map(|authority| format!("ca = \"{}\"", authority.ca().display())).unwrap_or_default();
    Report::of(
        &ca,
        &format!(
            "domain = \"pbx.example\"\nproxy = \"sip:{place};transport=tls\"\nsrtp = \"sdes\"\naddresses = [\"127.0.0.1\"]"
        ),
    )
}

#[test]
fn certificates_are_good_or_it_is_named_what_is_wrong() {
    const FROM: &str = "20200101000000Z";
    const UNTIL: &str = "20991231235959Z";
    let authority = Authority::new("check");
    let good = authority.certify("good", "IP:127.0.0.1", FROM, UNTIL);
    let place = free_port();
    let (tls, chain, key) = (format!("pivot.listen=tls:{place}"), good.chain.display(), good.key.display());
    let (certificate, key) = (format!("pivot.certificate={chain}"), format!("pivot.key={key}"));
    let _relay = Relay::start(&["--workers", "1", "--set", &tls, "--set", &certificate, "--set", &key]);
    let report = by_tls(place, Some(&authority));
    assert_eq!((report.code, report.failed()), (0, vec![]), "{:?}", report.findings);
    report.must("TLS", "ok", "TLSv1.3");
    report.must("certificate", "ok", "good for 127.0.0.1 until 2099-12-31");
    report.must("OPTIONS", "ok", "Patchcord/");
    report.must("account", "ok", "none is configured");
    report.must("SRTP", "ok", "over TLS");
    // Without the authority the same is nobody's.
    let report = by_tls(place, None);
    assert_eq!((report.code, report.failed()), (1, vec!["certificate"]));
    report.must("certificate", "fail", "does not know this authority");
    report.must("SRTP", "warn", "not up");

    for (pair, ca, found) in [
        (
            authority.certify("old", "IP:127.0.0.1", FROM, "20200201000000Z"),
            Some(&authority),
            "has expired on 2020-02-01",
        ),
        (
            authority.certify("other", "DNS:other.example", FROM, UNTIL),
            Some(&authority),
            "is for another name than 127.0.0.1",
        ),
        (authority.alone("alone", "IP:127.0.0.1"), None, "vouches for itself"),
    ] {
        // A TLS server that says no word of SIP.
        let (place, _server) = pair.serve(&std::env::temp_dir(), &[]);
        let report = by_tls(place, ca);
        assert_eq!((report.code, report.failed()), (1, vec!["certificate"]), "{:?}", report.findings);
        report.must("certificate", "fail", found);
        report.must("OPTIONS", "warn", "not tried");
    }

    // Something that speaks no TLS.
    let kamailio = Registrar::start();
    by_tls(kamailio.address(), None).must("TLS", "fail", "does not get through the handshake");
}

#[test]
fn a_trunk_that_is_not_there_is_answered_with_those_that_are() {
    let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), "check-names");
    let file = folder.path().join("pivot.toml");
    std::fs::write(&file, "[pivot.trunks.one]\ndomain = \"a\"\n[pivot.trunks.two]\ndomain = \"b\"\n").unwrap();
    for (arguments, said) in [
        (vec!["trunk", "check", "three", "--config", file.to_str().unwrap()], "there are: one, two"),
        (vec!["trunk", "check", "three"], "--config FILE"),
    ] {
        let output = run(&arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr.contains(said), "{stderr}");
    }
}
