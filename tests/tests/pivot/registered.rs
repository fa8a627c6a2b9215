//! A pivot that registers at a real Kamailio, which asks it for its password.

use patchcord_tests::sip::{Phone, Registrar};
use patchcord_tests::{Folder, Relay, eventually, free_port};
use serde_json::Value;

use crate::stage::{AGENT, CALLER, media_of};

struct Stage {
    relay: Relay,
    registrar: Registrar,
    caller: Phone,
    agent: Phone,
    _folder: Folder,
}

impl Stage {
    fn new(password: &str) -> Self {
        let (registrar, pivot) = (Registrar::start(), free_port());
        let phone = |ip, name| Phone::signalling_from(ip, name, ip, registrar.address());
        let (caller, agent) = (phone(CALLER, "caller"), phone(AGENT, "agent"));
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("registered-{}", pivot.port()));
        let file = folder.path().join("pivot.toml");
        let text = format!(
            "[pivot]\nlisten = [\"udp:{pivot}\"]\nroutes = [{{ from = \"platform\", to = \"{}\", by = \"platform\" }}]\n\
             [pivot.trunks.platform]\ndomain = \"pbx.example\"\nproxy = \"sip:{}\"\nregister = true\nregister_expires_s = 4\n\
             username = \"pivot\"\npassword = \"{password}\"\n",
            agent.uri(),
            registrar.address(),
        );
        std::fs::write(&file, text).unwrap();
        let relay = Relay::start(&["--config", file.to_str().unwrap(), "--workers", "1"]);
        Self { relay, registrar, caller, agent, _folder: folder }
    }

    fn registration(&self) -> Value {
        self.relay.client().get("/v1/trunks")["trunks"][0]["registration"].clone()
    }

    /// Whether `/metrics` has it as registered, and for how many seconds.
    fn measured(&self) -> (f64, f64) {
        let metrics = self.relay.client().request("GET", "/metrics", "").body;
        let value = |name: &str| {
            let name = format!("patchcord_{name}{{trunk=\"platform\"}} ");
            let value = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&name));
            value.unwrap_or_else(|| panic!("{name} is not in {metrics}")).parse().unwrap()
        };
        assert!(metrics.as_str().unwrap().contains("# HELP patchcord_trunk_registered "), "{metrics}");
        (value("trunk_registered"), value("trunk_registration_expires_seconds"))
    }

    fn must_become(&self, state: &str) -> Value {
        eventually(&format!("the registration is {state}"), || {
            let registration = self.registration();
            (registration["state"] == state).then_some(registration)
        })
    }
}

/// Calls come from where it is registered and go there, each with the password; at the end it is taken back.
#[test]
fn calls_come_and_go_by_a_registration_and_it_is_taken_back() {
    let mut stage = Stage::new("secret");
    let registration = stage.must_become("registered");
    assert!(registration["until_ms"].as_u64().unwrap() > 0 && registration["error"].is_null(), "{registration}");
    assert!(stage.registrar.has_pivot());
    let (is_registered, left) = stage.measured();
    assert!(is_registered == 1.0 && left <= 4.0, "{is_registered}, for {left} s");

    let mut out = stage.caller.invite("sip:pivot@pbx.example", &stage.caller.media.sdp(""), "");
    let (inbound, offer) = stage.agent.ring();
    stage.agent.respond(&inbound, "200 OK", &stage.agent.media.sdp(""));
    let answer = stage.caller.must_get(&mut out, 200, Some(""));
    let _ack = stage.agent.must_take("ACK");
    stage.caller.media.speak_until_heard(media_of(&answer), &stage.agent.media);
    stage.agent.media.speak_until_heard(media_of(&offer), &stage.caller.media);

    let first = registration["until_ms"].as_u64();
    eventually("it is refreshed", || {
        (stage.registration()["until_ms"].as_u64() > first.map(|ms| ms + 1000)).then_some(())
    });
    stage.caller.bye(&mut out);
    let _bye = stage.agent.must_take("BYE");
    stage.relay.terminate();
    let ended = stage.relay.wait();
    assert!(ended.status.success(), "{ended:?}");
    assert!(!stage.registrar.has_pivot(), "{}", stage.registrar.stderr());
    assert_eq!(ended.stderr.matches("registered").count(), 1, "{}", ended.stderr);
}

/// It is said once, however often it is tried.
#[test]
fn a_wrong_password_is_seen_and_said() {
    let stage = Stage::new("wrong");
    let registration = stage.must_become("failed");
    let error = registration["error"].as_str().unwrap();
    assert!(error.starts_with("401 ") && error.contains("refused"), "{registration}");
    assert_eq!(stage.measured(), (0.0, 0.0));
    assert!(registration["until_ms"].is_null() && !stage.registrar.has_pivot(), "{registration}");
    let mut call = stage.caller.invite("sip:pivot@pbx.example", &stage.caller.media.sdp(""), "");
    stage.caller.must_get(&mut call, 404, Some(""));
    assert_eq!(stage.relay.stderr().matches("cannot register").count(), 1, "{}", stage.relay.stderr());
}
