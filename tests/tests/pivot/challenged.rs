//! Callers that have to prove who they are, from wherever they call.

use std::net::{IpAddr, Ipv4Addr};

use patchcord_tests::sip::{Call, Message, Phone, authorization};
use patchcord_tests::{Folder, Relay, free_port};

use crate::stage::AGENT;

struct Stage {
    relay: Relay,
    caller: Phone,
    agent: Phone,
    uri: String,
    _folder: Folder,
}

impl Stage {
    fn new() -> Self {
        let (pivot, anywhere) = (free_port(), IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)));
        let phone = |ip, name| Phone::signalling_from(ip, name, ip, pivot);
        let (caller, agent) = (phone(anywhere, "caller"), phone(AGENT, "agent"));
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("challenged-{}", pivot.port()));
        let file = folder.path().join("pivot.toml");
        let text = format!(
            "[pivot]\nlisten = [\"udp:{pivot}\"]\nroutes = [{{ from = \"clients\", to = \"{}\", by = \"agents\" }}]\n\
             [pivot.trunks.clients]\ndomain = \"clients.example\"\nchallenge = true\nusers = {{ alice = \"secret\" }}\n\
             [pivot.trunks.agents]\ndomain = \"agents.example\"\naddresses = [\"127.0.0.3\"]\n",
            agent.uri()
        );
        std::fs::write(&file, text).unwrap();
        let relay = Relay::start(&["--config", file.to_str().unwrap(), "--workers", "1"]);
        Self { relay, caller, agent, uri: format!("sip:+15550100@{pivot}"), _folder: folder }
    }

    fn invite(&self, headers: &str) -> Call {
        self.caller.invite(&self.uri, &self.caller.media.sdp(""), headers)
    }

    /// The challenge to the call's latest INVITE.
    fn challenge(&self, call: &Call) -> Message {
        let challenge = self.caller.must_be_answered(call, "INVITE", 401);
        self.caller.acknowledge(call, 401, "");
        challenge
    }

    fn answer(&self, call: &mut Call, challenge: &Message, algorithm: &str, user: (&str, &str)) -> String {
        let answer = authorization(challenge, algorithm, "INVITE", &self.uri, user);
        self.caller.request(call, "INVITE", &self.caller.media.sdp(""), &answer);
        answer
    }
}

/// Each algorithm; the answer of one call is of no use for another; a REFER in the call is asked for the password too.
#[test]
fn who_has_the_password_calls_and_refers_and_nobody_else_by_what_was_heard() {
    let stage = Stage::new();
    for algorithm in ["MD5", "SHA-256"] {
        let mut call = stage.invite("");
        let challenge = stage.challenge(&call);
        let answer = stage.answer(&mut call, &challenge, algorithm, ("alice", "secret"));
        let (mut inbound, _) = stage.agent.ring();
        stage.agent.respond(&inbound, "200 OK", &stage.agent.media.sdp(""));
        stage.caller.must_get(&mut call, 200, Some(""));
        let _ack = stage.agent.must_take("ACK");

        let replay = stage.invite(&answer);
        let stale = stage.challenge(&replay);
        assert!(stale.all("WWW-Authenticate").all(|challenge| challenge.ends_with("stale=true")), "{stale:?}");

        stage.caller.request(&mut call, "REFER", "", "Refer-To: <tel:911>\r\n");
        let challenge = stage.caller.must_be_answered(&call, "REFER", 401);
        let target = format!("sip:+15550100@{}", stage.uri.rsplit('@').next().unwrap());
        let answer = authorization(&challenge, algorithm, "REFER", &target, ("alice", "secret"));
        stage.caller.request(&mut call, "REFER", "", &format!("Refer-To: <tel:911>\r\n{answer}"));
        // It is the caller's, and what it wants is another matter.
        stage.caller.must_be_answered(&call, "REFER", 403);
        stage.agent.bye(&mut inbound);
        let _bye = stage.caller.must_take("BYE");
    }
}

/// Wrong ones are asked again, in the end refused, and that is said once.
#[test]
fn who_guesses_is_refused_in_the_end() {
    let stage = Stage::new();
    let mut call = stage.invite("");
    let mut challenge = stage.challenge(&call);
    for _ in 0..4 {
        stage.answer(&mut call, &challenge, "MD5", ("alice", "guess"));
        challenge = stage.challenge(&call);
    }
    for password in ["guess", "secret"] {
        stage.answer(&mut call, &challenge, "MD5", ("alice", password));
        let _refused = stage.caller.must_be_answered(&call, "INVITE", 403);
        stage.caller.acknowledge(&call, 403, "");
    }
    stage.agent.must_have_no_request();
    let stderr = stage.relay.stderr();
    assert_eq!(stderr.matches("wrong user name or password").count(), 1, "{stderr}");
    assert!(stderr.contains("127.0.0.9") && stderr.contains("alice") && !stderr.contains("guess"), "{stderr}");
}
