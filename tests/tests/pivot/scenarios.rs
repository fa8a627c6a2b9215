//! What went wrong in the products of others, and every order in which a transfer's messages can come: SIPp plays the caller, the agent and the
//! target by the scenarios beside this file, all of them at the same time at one pivot.
//!
//! A scenario is SIPp's XML. `<part name="...">` stands for a file of `sipp/parts`, whose `{words}` are its other attributes. SIPp takes a
//! message that its scenario does not have for a failure, so that one that succeeds has counted the messages too.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::thread;

use patchcord_tests::sip::{Cast, Sipp};
use patchcord_tests::{Folder, Ports, Relay, eventually, free_port, free_ports};
use serde_json::{Value, json};

use crate::stage::{AGENT, CALLER, TARGET};

/// Agents that may transfer a call twice.
const LIMITED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6));

/// When the test has the caller go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cue {
    /// When the transfer is over.
    Over,
    /// While the target rings.
    Ringing,
    /// While the target rings, and when the transfer is over.
    Both,
    /// When the two have referred to each other in vain; they are told one after the other.
    Loop,
    /// When it has been told over HTTP to refer the caller.
    Command,
    /// Never: it is hung up on.
    Never,
}

/// Three scenarios that are played with each other, and what comes of it.
struct Play {
    caller: &'static str,
    /// What the agent does, and from where.
    agent: (IpAddr, &'static str),
    /// Nobody, where the pivot does not call it.
    target: Option<&'static str>,
    /// With what the target refuses.
    refusal: &'static str,
    /// What the agent is told then.
    told: &'static str,
    cue: Cue,
    /// The transfers of the call, the latest first: state, and with what it failed.
    transfers: &'static [(&'static str, Option<u16>)],
    /// More that the record of the latest one says.
    says: fn(&Value) -> bool,
}

const DONE: &[(&str, Option<u16>)] = &[("done", None)];

/// A transfer as it should be; what is special about one is said beside it.
const PLAIN: Play = Play {
    caller: "caller-hangs-up",
    agent: (AGENT, "agent-refers-and-leaves"),
    target: Some("target-answers"),
    refusal: "",
    told: "",
    cue: Cue::Over,
    transfers: DONE,
    says: |_| true,
};

const fn by(agent: &'static str) -> Play {
    Play { agent: (AGENT, agent), ..PLAIN }
}

/// A target that refuses, and what the agent is told.
const fn refused(refusal: &'static str, told: &'static str, transfers: &'static [(&'static str, Option<u16>)]) -> Play {
    let says = |transfer: &Value| {
        let failure = &transfer["failures"][0];
        let code = failure["code"].to_string();
        failure["stage"] == "dialling" && failure["explanation"].as_str().is_some_and(|text| text.contains(&code))
    };
    let play = by("agent-hears-of-the-failure");
    Play { target: Some("target-refuses"), refusal, told, transfers, says, ..play }
}

fn plays() -> Vec<Play> {
    vec![
        PLAIN,
        Play {
            says: |transfer| transfer["transferor_left"] == true,
            target: Some("target-answers-without-180"),
            ..by("agent-leaves-280-ms-after-its-202")
        },
        Play {
            caller: "caller-is-hung-up-on",
            target: Some("target-refuses-late"),
            refusal: "486 Busy Here",
            cue: Cue::Never,
            transfers: &[("failed", Some(486))],
            says: |transfer| transfer["transferor_left"] == true,
            ..by("agent-leaves-280-ms-after-its-202")
        },
        by("agent-leaves-before-it-answers-the-last-notify"),
        by("agent-refers-twice-the-same"),
        Play { transfers: &[("refused", Some(491)), ("done", None)], ..by("agent-refers-again-meanwhile") },
        Play { says: |transfer| transfer["notify_refused"] == true, ..by("agent-refuses-notify") },
        Play {
            target: Some("target-is-cancelled"),
            cue: Cue::Ringing,
            transfers: &[("cancelled", Some(487))],
            ..by("agent-hears-that-the-caller-left")
        },
        Play { caller: "caller-holds-meanwhile", cue: Cue::Both, ..by("agent-holds-and-refers") },
        Play { target: Some("target-forks"), ..PLAIN },
        Play { target: Some("target-sends-early-media"), ..by("agent-hears-early-media") },
        refused("486 Busy Here", "486 Busy Here", &[("failed", Some(486))]),
        refused("603 Declined by user", "603 Declined by user", &[("failed", Some(603))]),
        refused("480 Temporarily Unavailable", "480 Temporarily Unavailable", &[("failed", Some(480))]),
        refused("408 Request Timeout", "408 Request Timeout", &[("failed", Some(408))]),
        Play {
            target: Some("target-is-cancelled"),
            transfers: &[("failed", Some(408))],
            says: |transfer| transfer["failures"][0]["is_local"] == true,
            ..by("agent-hears-of-the-timeout")
        },
        Play {
            caller: "caller-challenges-refer",
            target: None,
            cue: Cue::Command,
            says: |transfer| transfer["method"] == "refer",
            ..by("agent-is-referred-away")
        },
        Play {
            agent: (LIMITED, "refers-to-the-other"),
            target: Some("refers-to-the-other"),
            cue: Cue::Loop,
            transfers: &[("refused", Some(483)), ("done", None), ("done", None)],
            says: |transfer| transfer["rule"] == "too-many-transfers",
            ..PLAIN
        },
    ]
}

/// A scenario with its parts in place.
fn scenario(name: &str, play: &Play) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pivot/sipp");
    let read = |file: PathBuf| fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let text = read(folder.join(format!("{name}.xml")));
    let mut whole = String::new();
    for line in text.lines() {
        let Some(part) = line.trim().strip_prefix("<part ") else {
            whole += line;
            whole.push('\n');
            continue;
        };
        let quoted: Vec<&str> = part.split('"').collect();
        let attributes = || quoted.chunks_exact(2).map(|pair| (pair[0].trim().trim_end_matches('='), pair[1]));
        let (_, file) = attributes().find(|(name, _)| *name == "name").unwrap();
        let mut part = read(folder.join(format!("parts/{file}.xml")));
        for (name, value) in attributes() {
            part = part.replace(&format!("{{{name}}}"), value);
        }
        whole += &part;
    }
    // It refuses a scenario with a variable that nothing is done with.
    let assigned = whole.split("assign_to=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let names: BTreeSet<_> = assigned.collect();
    let names = Vec::from_iter(names).join(",");
    let end = if names.is_empty() { String::new() } else { format!("  <Reference variables=\"{names}\"/>\n") };
    whole.replace("[refusal]", play.refusal).replace("[told]", play.told).replace("</scenario>", &(end + "</scenario>"))
}

/// Where the three of a play are.
struct Places {
    caller: Ports,
    agent: Ports,
    target: Ports,
}

fn configuration(pivot: &str, plays: &[(Play, Places)]) -> String {
    let trunk_of = |agent: IpAddr| match agent {
        LIMITED => "limited",
        _ => "agents",
    };
    let route = |(number, (play, places)): (usize, &(Play, Places))| {
        let (ip, port, by) = (play.agent.0, places.agent.first, trunk_of(play.agent.0));
        format!(
            "{{ from = \"carrier\", number = \"{}\", to = \"sip:agent@{ip}:{port}\", by = \"{by}\" }}",
            1000 + number
        )
    };
    let routes: Vec<String> = plays.iter().enumerate().map(route).collect();
    let agents = |name: &str, ip: IpAddr, more: &str| {
        format!(
            "[pivot.trunks.{name}]\ndomain = \"{name}.example\"\naddresses = [\"{ip}\"]\nforeign_domains = [\"{TARGET}\", \"{ip}\"]\n{more}\n"
        )
    };
    format!(
        "[pivot]\nlisten = [\"udp:{pivot}\"]\nring_timeout_s = 2\nleave_timeout_s = 2\nroutes = [{}]\n\
         [pivot.trunks.carrier]\ndomain = \"carrier.example\"\naddresses = [\"{CALLER}\"]\nforeign_domains = [\"{TARGET}\"]\n\
         username = \"pivot\"\npassword = \"secret\"\n{}{}",
        routes.join(", "),
        agents("agents", AGENT, ""),
        agents("limited", LIMITED, "transfers_max = 2"),
    )
}

/// A play from its first message to its last.
fn perform(relay: &Relay, pivot: std::net::SocketAddr, number: usize, (play, places): &(Play, Places)) {
    let start = |name: &str, ip: IpAddr, calls: usize, voice: &'static str, ports: Ports, target: &str| {
        let cast = Cast { calls, ip, media: ip, voice, proxy: pivot };
        let number = (1000 + number).to_string();
        Sipp::play(name, &scenario(name, play), cast, ports, &[("number", &number), ("target", target)])
    };
    let at = |ip: IpAddr, ports: Ports| format!("{ip}:{}", ports.first);
    let (agent, target) = (at(play.agent.0, places.agent), at(TARGET, places.target));
    // Where two refer to each other, the one is called twice.
    let calls = if play.agent.0 == LIMITED { 2 } else { 1 };
    let mut third = play.target.map(|name| start(name, TARGET, 1, "target", places.target, &agent));
    let mut second = start(play.agent.1, play.agent.0, calls, "agent", places.agent, &target);
    let mut first = start(play.caller, CALLER, 1, "transferee", places.caller, &target);
    let call = first.wait_for("talks").remove(0);

    let client = relay.client();
    let transfers = || client.get(&format!("/v1/transfers?call={call}"))["transfers"].as_array().unwrap().clone();
    let is_ringing = || transfers().iter().any(|transfer| transfer["state"] == "ringing").then_some(());
    match play.cue {
        Cue::Command => {
            let body =
                json!({"id": "scenario", "call": call, "targets": [format!("sip:target@{target}")], "method": "refer"});
            let answer = client.request("POST", "/v1/transfers", &body.to_string());
            assert_eq!(answer.status, 202, "{}", answer.body);
        }
        Cue::Ringing => {
            third.as_mut().unwrap().wait_for("rings");
            eventually("it rings", is_ringing);
            first.cue(&call);
        }
        Cue::Both => {
            eventually("it rings", is_ringing);
            first.cue(&call);
            first.wait_for("holds no longer");
        }
        Cue::Loop => {
            let target = third.as_mut().unwrap();
            let done = |count: usize| {
                eventually(&format!("{count} are transferred"), || {
                    let transfers = transfers();
                    let is_done = |one: &&Value| one["state"] == "done";
                    (transfers.iter().filter(is_done).count() == count).then_some(())
                });
            };
            let call = second.wait_for_calls("is there", 1).remove(0);
            second.cue(&call);
            done(1);
            let call = target.wait_for("is there").remove(0);
            target.cue(&call);
            done(2);
            let call = second.wait_for("is there").remove(1);
            second.cue(&call);
        }
        Cue::Over | Cue::Never => {}
    }
    let what = format!("{} with {} and {:?} is over", play.agent.1, play.caller, play.target);
    let over = eventually(&what, || {
        for sipp in [&mut first, &mut second].into_iter().chain(&mut third) {
            sipp.must_not_have_failed();
        }
        let transfers = transfers();
        let is_over = transfers.len() >= play.transfers.len() && transfers.iter().all(|one| one["ended_ms"].is_u64());
        is_over.then_some(transfers)
    });
    if matches!(play.cue, Cue::Over | Cue::Both | Cue::Loop) {
        first.cue(&call);
    }
    first.must_succeed();
    second.must_succeed();
    if let Some(third) = third {
        third.must_succeed();
    }
    let found: Vec<_> = over
        .iter()
        .map(|transfer| {
            let code = transfer["failures"][0]["code"].as_u64().map(|code| u16::try_from(code).unwrap());
            (transfer["state"].as_str().unwrap(), code)
        })
        .collect();
    assert_eq!(found, play.transfers, "{what}: {over:?}");
    assert!((play.says)(&over[0]), "{what}: {}", over[0]);
}

#[test]
fn whatever_the_three_do_and_in_which_order() {
    let pivot = free_port();
    let places = || Places { caller: free_ports(6), agent: free_ports(12), target: free_ports(6) };
    let plays: Vec<_> = plays().into_iter().map(|play| (play, places())).collect();
    let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("scenarios-{}", pivot.port()));
    let file = folder.path().join("pivot.toml");
    fs::write(&file, configuration(&pivot.to_string(), &plays)).unwrap();
    let relay =
        Relay::start(&["--config", file.to_str().unwrap(), "--workers", "2", "--ports", &free_ports(400).to_string()]);
    thread::scope(|scope| {
        for (number, play) in plays.iter().enumerate() {
            let relay = &relay;
            scope.spawn(move || perform(relay, pivot, number, play));
        }
    });
    relay.client().must_be_idle();
}
