//! Real telephones at the pivot: they transfer by themselves, and the transferee's is asked nothing.

use std::net::{IpAddr, SocketAddr};

use patchcord_tests::sip::{Baresip, Keying, Linphone};
use patchcord_tests::{Authority, Client, Folder, Relay, eventually, free_port, voices};
use serde_json::{Value, json};

use crate::support::{CALLEE, CALLER, TALK, TARGET};

/// A relay with a pivot.
struct Pivot {
    relay: Relay,
    _folder: Folder,
}

impl Pivot {
    fn start(at: SocketAddr, configuration: &str) -> Self {
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("pivoted-{}", at.port()));
        let file = folder.path().join("pivot.toml");
        std::fs::write(&file, configuration).unwrap();
        Self { relay: Relay::start(&["--config", file.to_str().unwrap()]), _folder: folder }
    }

    const fn client(&self) -> &Client {
        self.relay.client()
    }

    /// Both parties of each call are sent two seconds more.
    fn wait_for_talk(&self, calls: &[&String]) {
        self.client().wait_for_talk_in(calls, TALK);
    }

    /// The latest transfer, once it is over.
    fn transferred(&self, count: usize) -> Value {
        eventually("the transfer is over", || {
            let transfers = self.client().get("/v1/transfers")["transfers"].clone();
            let is_over = transfers.as_array().unwrap().len() == count && transfers[0]["ended_ms"].is_u64();
            is_over.then(|| transfers[0].clone())
        })
    }

    /// Waits until whoever transferred has left the call.
    fn wait_for_two(&self, call: &str) {
        eventually("two are in the call", || (self.client().call(call)["legs"].as_array()?.len() == 2).then_some(()));
    }
}

/// baresip 1.0 knows blind transfers and no others.
#[test]
fn a_blind_transfer_by_baresip_through_the_pivot() {
    let at = free_port();
    let [mut transferee, mut agent, mut target] =
        ["transferee", "agent", "target"].map(|name| Baresip::start_unregistered(name, at, Keying::None));
    let pivot = Pivot::start(
        at,
        &format!(
            "[pivot]\nlisten = [\"udp:{at}\"]\nroutes = [{{ from = \"phones\", to = \"sip:agent@{}\", by = \"phones\" }}]\n\
             [pivot.trunks.phones]\ndomain = \"phones.example\"\naddresses = [\"127.0.0.1\"]\nforeign_domains = [\"127.0.0.1\"]\n",
            agent.address()
        ),
    );
    transferee.command("dial", &format!("sip:agent@{at}"));
    for phone in [&mut transferee, &mut agent] {
        phone.wait_for("CALL_ESTABLISHED");
    }
    let call = pivot.client().only_call();
    pivot.wait_for_talk(&[&call]);

    agent.command("transfer", &format!("sip:target@{}", target.address()));
    target.wait_for("CALL_ESTABLISHED");
    agent.wait_for("CALL_CLOSED");
    let transfer = pivot.transferred(1);
    assert_eq!((&transfer["state"], &transfer["notify_refused"]), (&"done".into(), &false.into()), "{transfer}");
    assert_eq!(pivot.client().only_call(), call, "it is the same call");
    pivot.wait_for_two(&call);
    pivot.wait_for_talk(&[&call]);

    target.command("hangup", "");
    transferee.wait_for("CALL_CLOSED");
    pivot.client().must_be_idle();
    let heard = transferee.put_down();
    assert_eq!(heard.len(), 1, "one call for the transferee's telephone");
    voices::must_be_heard_in_order(&heard[0], &["agent", "target"]);
    for phone in [agent, target] {
        voices::must_be_heard_in_order(&phone.put_down()[0], &["transferee"]);
    }
}

/// Three of linphone and the pivot that they call each other by.
fn linphones() -> (Pivot, SocketAddr, [Linphone; 3]) {
    let at = free_port();
    let phones = [("transferee", CALLER), ("agent", CALLEE), ("target", TARGET)]
        .map(|(name, ip): (&'static str, IpAddr)| Linphone::start_unregistered(name, ip));
    let pivot = Pivot::start(
        at,
        &format!(
            "[pivot]\nlisten = [\"udp:{at}\"]\nroutes = [{{ from = \"carrier\", to = \"sip:agent@{}\", by = \"agents\" }}, \
             {{ from = \"agents\", to = \"sip:target@{}\", by = \"carrier\" }}]\n\
             [pivot.trunks.carrier]\ndomain = \"carrier.example\"\naddresses = [\"{CALLER}\", \"{TARGET}\"]\n\
             [pivot.trunks.agents]\ndomain = \"agents.example\"\naddresses = [\"{CALLEE}\"]\nforeign_domains = [\"{TARGET}\"]\n",
            phones[1].address(),
            phones[2].address(),
        ),
    );
    (pivot, at, phones)
}

/// The transferee calls the agent.
fn talk(pivot: &Pivot, at: SocketAddr, transferee: &mut Linphone, agent: &mut Linphone) -> String {
    transferee.say(&format!("call sip:agent@{at}"));
    for phone in [transferee, agent] {
        phone.wait_for("Media streams established");
    }
    let call = pivot.client().only_call();
    pivot.wait_for_talk(&[&call]);
    call
}

/// The two of a call that has been transferred hear each other until the target hangs up.
fn end(pivot: &Pivot, call: &String, transferee: &mut Linphone, target: &mut Linphone) {
    assert_eq!(pivot.client().only_call(), *call, "it is the transferee's call still");
    pivot.wait_for_two(call);
    pivot.wait_for_talk(&[call]);
    target.say("terminate");
    transferee.wait_for("Call 1 with");
    pivot.client().must_be_idle();
}

#[test]
fn a_blind_transfer_by_linphone_through_the_pivot() {
    let (pivot, at, [mut transferee, mut agent, mut target]) = linphones();
    let call = talk(&pivot, at, &mut transferee, &mut agent);
    agent.say(&format!("transfer 1 sip:target@{}", target.address()));
    target.wait_for("Media streams established");
    let transfer = pivot.transferred(1);
    assert_eq!((&transfer["state"], &transfer["method"]), (&"done".into(), &"pivot".into()), "{transfer}");
    end(&pivot, &call, &mut transferee, &mut target);
    voices::must_be_heard_in_order(&transferee.put_down(), &["agent", "target"]);
    voices::must_be_heard_in_order(&target.put_down(), &["transferee"]);
    voices::must_be_heard_in_order(&agent.put_down(), &["transferee"]);
}

/// The agent holds the transferee, talks with the target, and connects the two.
#[test]
fn an_attended_transfer_by_linphone_through_the_pivot() {
    let (pivot, at, [mut transferee, mut agent, mut target]) = linphones();
    let call = talk(&pivot, at, &mut transferee, &mut agent);
    agent.say("pause");
    agent.wait_for("is now paused");
    agent.say(&format!("call sip:target@{at}"));
    for phone in [&mut agent, &mut target] {
        phone.wait_for("Media streams established");
    }
    let calls = pivot.client().calls();
    let second = calls.iter().find(|name| **name != call).unwrap();
    pivot.wait_for_talk(&[second]);
    agent.say("transfer 1 --to-call 2");
    let transfer = pivot.transferred(1);
    assert_eq!((&transfer["state"], &transfer["method"]), (&"done".into(), &"attended".into()), "{transfer}");
    end(&pivot, &call, &mut transferee, &mut target);
    voices::must_be_heard_in_order(&transferee.put_down(), &["agent", "target"]);
    voices::must_be_heard_in_order(&target.put_down(), &["agent", "transferee"]);
    voices::must_be_heard_in_order(&agent.put_down(), &["transferee", "target"]);
}

/// Either side of the pivot shows a certificate that the other one checks, and has SRTP. A target whose certificate has expired is not
/// spoken to, and the record says why; the two talk on. One that has no SRTP is offered none.
#[test]
fn baresip_by_tls_is_not_transferred_to_whose_certificate_has_expired() {
    let at = free_port();
    let udp = free_port();
    let authority = Authority::new(&format!("pivoted-{}", at.port()));
    let certify = |name: &str, until: &str| {
        authority.certify(name, "IP:127.0.0.1", "20200101000000Z", &format!("{until}0101000000Z"))
    };
    let own = certify("pivot", "2099");
    let [mut transferee, mut agent, mut target, late] =
        [("transferee", "2099"), ("agent", "2099"), ("target", "2099"), ("late", "2021")].map(|(name, until)| {
            let certificate = certify(name, until);
            // Only three have voices.
            let voice = if name == "late" { "target" } else { name };
            let keying = if voice == "target" { Keying::None } else { Keying::Sdes };
            Baresip::start_with_tls(voice, at, keying, &certificate, &authority.ca())
        });
    let address = agent.address();
    let pivot = Pivot::start(
        at,
        &format!(
            "[pivot]\nlisten = [\"tls:{at}\", \"udp:{udp}\"]\ncertificate = \"{}\"\nkey = \"{}\"\nca = \"{}\"\n\
             routes = [{{ from = \"phones\", to = \"sip:agent@{address};transport=tls\", by = \"phones\" }}]\n\
             [pivot.trunks.phones]\ndomain = \"phones.example\"\nproxy = \"sip:{address};transport=tls\"\n\
             addresses = [\"127.0.0.1\"]\nforeign_domains = [\"127.0.0.1\"]\nsrtp = \"sdes\"\n",
            own.chain.display(),
            own.key.display(),
            authority.ca().display(),
        ),
    );
    transferee.command("dial", &format!("sip:agent@{at};transport=tls"));
    for phone in [&mut transferee, &mut agent] {
        phone.wait_for("CALL_ESTABLISHED");
    }
    let call = pivot.client().only_call();
    pivot.wait_for_talk(&[&call]);
    must_be_secured(&pivot, &call, 2);

    // By itself baresip 1.0 hangs up on whom it could not transfer.
    let late_at = format!("sip:target@{};transport=tls", late.address());
    let body = json!({"id": "late", "call": call, "targets": [late_at], "method": "invite"});
    let answer = pivot.client().request("POST", "/v1/transfers", &body.to_string());
    assert_eq!(answer.status, 202, "{}", answer.body);
    let failed = pivot.transferred(1);
    assert_eq!(failed["state"], "failed", "{failed}");
    let failure = &failed["failures"][0];
    assert!(failure["explanation"].as_str().is_some_and(|text| text.contains("certificate expired")), "{failure}");
    assert!(failure["causes"][0]["what"].as_str().is_some_and(|what| what.contains("certificate")), "{failure}");
    must_be_secured(&pivot, &call, 2);
    pivot.client().wait_for_talk_in(&[&call], TALK / 10);

    agent.command("transfer", &format!("sip:target@{};transport=tls", target.address()));
    target.wait_for("CALL_ESTABLISHED");
    let done = pivot.transferred(2);
    assert_eq!(done["state"], "done", "{done}");
    agent.wait_for("CALL_CLOSED");
    pivot.wait_for_two(&call);
    pivot.wait_for_talk(&[&call]);
    must_be_secured(&pivot, &call, 1);
    target.command("hangup", "");
    transferee.wait_for("CALL_CLOSED");

    // Whoever reads UDP would read the keys.
    let mut stranger = Baresip::start_unregistered("agent", udp, Keying::Sdes);
    stranger.command("dial", &format!("sip:agent@{udp}"));
    let closed = stranger.wait_for("CALL_CLOSED");
    assert!(closed["param"].as_str().is_some_and(|why| why.starts_with("488")), "{closed}");
    pivot.client().must_be_idle();
    assert_eq!(late.put_down().len(), 0, "it was never in a call");
    voices::must_be_heard_in_order(&transferee.put_down()[0], &["agent", "target"]);
    voices::must_be_heard_in_order(&agent.put_down()[0], &["transferee"]);
    voices::must_be_heard_in_order(&target.put_down()[0], &["transferee"]);
}

/// So many legs are SRTP in both directions, and nothing was refused.
fn must_be_secured(pivot: &Pivot, call: &str, count: usize) {
    let state = pivot.client().call(call);
    let legs = state["legs"].as_array().unwrap();
    let is_secured = |leg: &&Value| ["receive", "send"].iter().all(|way| leg["srtp"][way]["suite"].is_string());
    assert_eq!(legs.iter().filter(is_secured).count(), count, "{state}");
    for leg in legs {
        for reason in ["srtp_unauthentic", "srtp_replayed"] {
            assert_eq!(leg["drops"][reason], Value::Null, "{leg}");
        }
    }
}
