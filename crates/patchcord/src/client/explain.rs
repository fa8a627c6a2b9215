//! `explain CALL`: why the call's media flows as it does, or why it does not.

use serde_json::json;

use super::args::Connection;
use super::call_path;
use super::model::{Call, Dtls, Ice, Leg, Offload, Recording, Srtp, SrtpStream, Worker, Workers};
use crate::failure::Failure;
use crate::output;

/// After this long without a packet a party counts as silent.
const SILENT_MS: u64 = 500;

pub(super) fn run(name: &str, to: &Connection) -> Result<(), Failure> {
    let api = to.api();
    let call: Call = api.get_as(&call_path(name))?;
    let workers: Workers = api.get_as("/v1/workers")?;
    let worker = workers.workers.iter().find(|worker| worker.worker == call.worker);
    let findings = explain(&call, worker);
    if to.json {
        let findings: Vec<_> = findings.iter().map(|f| json!({ "about": f.about, "finding": f.text })).collect();
        output::print_json(&json!({ "call": call.call, "findings": findings }));
    } else {
        let mut about = "";
        for finding in &findings {
            if about != finding.about {
                output::print_line(&finding.about);
                about = &finding.about;
            }
            output::print_line(&format!("  {}", finding.text));
        }
    }
    Ok(())
}

/// One thing worth knowing.
struct Finding {
    about: String,
    text: String,
}

fn explain(call: &Call, worker: Option<&Worker>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let about = format!("call {}", call.call);
    let mut say = |about: &str, text: String| findings.push(Finding { about: about.to_owned(), text });
    match worker {
        Some(Worker { error: Some(error), .. }) => {
            say(&about, format!("worker {} does not answer: {error}", call.worker));
        }
        Some(worker) => say(&about, path(worker)),
        None => say(&about, format!("worker {} is not among the relay's workers", call.worker)),
    }
    if let Some(Recording { name, format, paused }) = &call.recording {
        let so = if *paused { ", and paused until `patchcord record-resume`" } else { "" };
        say(&about, format!("is recorded as {name} ({format}){so}"));
    }
    if call.legs.is_empty() {
        say(&about, "it has no legs: create one with `patchcord leg`".to_owned());
    }
    for leg in &call.legs {
        let about = format!("party {}", leg.party);
        say(&about, hears(call, leg));
        say(&about, latch(leg));
        if let Some(ice) = leg.ice {
            say(&about, checks(ice));
        }
        if let Some(srtp) = &leg.srtp {
            say(&about, secured(srtp));
        }
        if let Some(dtls) = &leg.dtls {
            say(&about, association(dtls));
        }
        if let Some(offload) = &leg.offload {
            say(&about, forwarded(offload));
        }
        say(&about, arrives(leg));
        if leg.detecting {
            say(&about, "is listened to: what it says and presses is told by `patchcord events`".to_owned());
        }
        if let Some(gain_db) = leg.gain_db {
            say(&about, format!("is heard mixed, {gain_db} dB louder than it speaks, until `patchcord gain` with 0"));
        }
        if leg.muted {
            say(&about, "is muted: nobody hears it until `patchcord unmute`".to_owned());
        }
        if leg.direction != "sendrecv" {
            say(&about, format!("its direction is {}: {}", leg.direction, direction(&leg.direction)));
        }
        for (reason, count) in leg.drops.iter().filter(|&(_, &count)| count > 0) {
            say(&about, format!("{count} datagrams dropped as {reason}: {}", meaning(reason)));
        }
    }
    findings
}

/// Which way the packets take, and why.
fn path(worker: &Worker) -> String {
    let latency = worker.relay_latency_us;
    let why = match worker.backend.as_str() {
        "af-xdp" => "packets of the interfaces that have AF_XDP sockets pass the kernel's network stack by",
        "steered" => "BPF programs give all ports to one socket a worker",
        "io-uring" => "the fastest that needs no privilege; the start-up table says why not steered",
        "mmsg" => {
            "recvmmsg and sendmmsg, because io_uring is forbidden here or was not asked for; see `patchcord doctor`"
        }
        _ => "see the relay's start-up table for the reason",
    };
    format!(
        "runs on worker {} through {} ({why}); relay latency there p50 {} us, p99 {} us",
        worker.worker, worker.backend, latency.p50, latency.p99
    )
}

/// Who forwards what the party sends.
fn forwarded(offload: &Offload) -> String {
    match &offload.obstacle {
        _ if offload.active => "its packets are forwarded in the kernel (XDP), past the worker".to_owned(),
        Some(obstacle) => format!("its packets are forwarded by the worker and not in the kernel: {obstacle}"),
        None => "its packets are forwarded by the worker".to_owned(),
    }
}

fn hears(call: &Call, leg: &Leg) -> String {
    let source = match leg.hears.split_once(':') {
        _ if leg.hears.contains(" + play:") => {
            let (others, audio) = leg.hears.split_once(" + play:").unwrap_or_default();
            format!("hears {others}, and {audio} over it until that ends or `patchcord stop`")
        }
        Some(("hold", audio)) => format!("hears hold audio ({audio}) until `patchcord resume`"),
        Some(("play", audio)) => format!("hears {audio}, and afterwards what it heard before"),
        Some(("ringback", country)) => {
            format!("hears the ringing tone of {country} until a bridge or `patchcord stop`")
        }
        _ if leg.hears == "silence" => match (&leg.peer, leg.held) {
            (Some(peer), _) => format!("hears nothing: its peer {peer} is on hold or bridged elsewhere"),
            (None, _) => "hears nothing: it is bridged to nobody".to_owned(),
        },
        _ if leg.monitors.as_ref() == Some(&leg.hears) => {
            format!("monitors {}, who does not hear it, until `patchcord unmonitor`", leg.hears)
        }
        _ if leg.hears.contains(" + ") => format!("hears {}, mixed", leg.hears),
        _ if leg.transcoded => format!("hears {}, transcoded: {}", leg.hears, why_transcoded(call, leg)),
        _ => format!("hears {}", leg.hears),
    };
    let source = match &leg.whisperer {
        Some(by) => format!("{source}; {by} whispers to it, until `patchcord unwhisper`"),
        None => source,
    };
    match leg.pending {
        Some(pending) => {
            let waits = call.cut_overs.iter().find(|cut_over| cut_over.cut_over == pending);
            let what = waits.map_or_else(String::new, |c| format!(" ({} {}, {})", c.command, c.id, c.trigger));
            format!("{source}; waits for cut-over {pending}{what}")
        }
        None => source,
    }
}

/// Why a party hears another one, whom it `hears`, transcoded.
fn why_transcoded(call: &Call, leg: &Leg) -> &'static str {
    // Behind the number.
    let formats = |codecs: &[String]| -> Vec<String> {
        let formats = codecs.iter().filter_map(|codec| codec.split_once(' ')).map(|(_, format)| format.to_lowercase());
        formats.filter(|format| !format.starts_with("telephone-event") && !format.starts_with("cn/")).collect()
    };
    let heard = call.legs.iter().find(|other| other.party == leg.hears).map(|other| formats(&other.codecs));
    let shares = heard.is_some_and(|heard| formats(&leg.codecs).iter().any(|format| heard.contains(format)));
    if shares { "packets or key presses are converted for one of them" } else { "they have no format in common" }
}

fn latch(leg: &Leg) -> String {
    match (&leg.remote, leg.latched) {
        (Some(remote), true) => format!("is latched to {remote}: media goes there and is taken from there only"),
        (Some(remote), false) => format!("is not latched yet: media goes to the signalled address {remote}"),
        (None, _) => "nobody knows where it is: no address was signalled and no packet has come".to_owned(),
    }
}

fn checks(ice: Ice) -> String {
    let Ice { nominated, answered, refused } = ice;
    match (nominated, answered, refused) {
        (true, ..) => format!("has nominated its address by ICE: {answered} checks answered, {refused} refused"),
        (false, 0, 0) => {
            "has ICE, and has sent no check: does it know the candidates, and do they reach the relay?".to_owned()
        }
        (false, 0, _) => format!(
            "has ICE, and all of its {refused} checks were refused: look at the ice-ufrag and ice-pwd of its SDP"
        ),
        (false, ..) => format!("has ICE, and has not nominated yet: {answered} checks answered, {refused} refused"),
    }
}

fn secured(srtp: &Srtp) -> String {
    let state = |stream: &SrtpStream| match stream.roc {
        Some(roc) => format!("{} (roll-over counter {roc}, {} SSRCs so far)", stream.suite, stream.ssrcs),
        None => format!("{} (no packet yet)", stream.suite),
    };
    let receive = srtp.receive.as_ref().map_or_else(
        || "its key is not known yet, so nothing of it is accepted".to_owned(),
        |stream| format!("sends {}", state(stream)),
    );
    let send = srtp.send.as_ref().map_or_else(
        || "there is no key for it, so it is sent nothing".to_owned(),
        |stream| format!("is sent {}", state(stream)),
    );
    let former = if srtp.former_key { "; it goes on with its former key" } else { "" };
    format!("speaks SRTP alone: {receive}; {send}{former}")
}

fn association(dtls: &Dtls) -> String {
    let waits = match dtls.role.as_deref() {
        Some("client") => "the relay says hello to it until it answers: does its firewall let that through?",
        Some(_) => "the relay waits for its hello: has it got the answer, and does the relay's address reach it?",
        None => "it has been offered one, and its SDP has not said yet who begins",
    };
    match (dtls.state.as_str(), &dtls.profile, &dtls.error) {
        ("handshake", ..) => format!("agrees on keys by DTLS, and the handshake is not complete: {waits}"),
        ("connected", Some(profile), _) => format!("has agreed on keys by DTLS: {profile}"),
        ("failed", _, Some(error)) => format!("has no keys, because DTLS has failed: {error}"),
        ("closed", ..) => "has ended DTLS, and with it its keys: it wants no more media".to_owned(),
        (state, ..) => format!("agrees on keys by DTLS: {state}"),
    }
}

fn arrives(leg: &Leg) -> String {
    match leg.idle_ms {
        None if leg.datagrams == 0 => format!("has never sent anything to {}", leg.advertised),
        None => format!("has sent {} datagrams, none of which was acceptable RTP", leg.datagrams),
        Some(idle) if idle > SILENT_MS => {
            format!("has been silent for {idle} ms after {} packets", leg.packets)
        }
        Some(_) => format!(
            "sends: {} packets so far, {} lost and {} reordered on the way here, jitter {:.2} ms",
            leg.packets, leg.lost, leg.reordered, leg.jitter_ms
        ),
    }
}

fn direction(direction: &str) -> &'static str {
    match direction {
        "sendonly" => "it is sent nothing",
        "recvonly" => "what it sends is dropped",
        "inactive" => "it is sent nothing and what it sends is dropped",
        _ => "see its SDP",
    }
}

/// What a drop reason means and what to do about it.
fn meaning(reason: &str) -> &'static str {
    match reason {
        "no_leg" => "no leg lives behind the port any more; the sender has not noticed yet that the call is over",
        "unknown_protocol" => "neither RTP nor RTCP nor anything else of RFC 7983; something else is sent to this port",
        "unexpected_protocol" => {
            "STUN, DTLS, ZRTP or TURN, which this leg does not use; the sender expects ICE (see `leg-ice`) or DTLS-SRTP"
        }
        "ice_unauthorized" => {
            "ICE checks without this leg's user name and password: from before a restart, of another call, or somebody's guesses"
        }
        "malformed" => "shorter than their header says; look at a capture of the sender",
        "truncated" => "longer than the receive buffer; the sender's packets are too big for media",
        "foreign_source" => {
            "not from the party's latched or nominated address: an attempt to inject media, or the party moved (then `patchcord relatch`), or it sends from a host that no signalling names (then `learn_from`)"
        }
        "direction" => "the party's direction forbids it to send",
        "muted" => "the party is muted",
        "no_sink" => "nobody was listening: not bridged at the time, or the listener was on hold",
        "sink_direction" => "the listener's direction forbids sending to it",
        "no_remote" => "it was not known yet where the listener is: signal its address or let it send first",
        "payload_type" => "the listener has no payload type for this format: see `patchcord check`",
        "stale_after_cutover" => "late packets of a source that a cut-over had replaced: expected, and never sent",
        "mid_event" => "telephone-event packets whose beginning the listener has not heard: expected at a cut-over",
        "duplicate" => "copies of packets that had been relayed already",
        "too_old" => "so late that they cannot be told from duplicates",
        "dtmf_blocked" => "key presses that `dtmf-block` (ng: block DTMF) keeps from the listener, as asked",
        "replaced_by_dtmf" => "audio in whose place the listener was sent a key press, as asked",
        "srtp_unauthentic" => {
            "no SRTP under the key of this leg: the wrong key (see the a=crypto of both SDPs), plain RTP where SRTP was agreed on, or somebody's guesses"
        }
        "srtp_replayed" => {
            "SRTP that was received before, or is too old to tell: a replay, or a network that doubles packets"
        }
        "srtp_required" => {
            "the leg passes SRTP alone, and its key is not known yet (no answer so far, or no DTLS handshake), or its source is relayed unread"
        }
        "dtls_limited" => {
            "more DTLS than any handshake needs: somebody floods the port, or the party repeats itself without end"
        }
        "outbox_full" => "the transmit list was full: the worker is overloaded",
        _ => "this version has no explanation for it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drop_reason_is_explained() {
        for reason in patchcord_relay::verdict::DropReason::ALL {
            assert!(!meaning(reason.name()).contains("no explanation"), "{reason}");
        }
    }

    #[test]
    fn a_recorded_call_and_a_party_that_is_listened_to_are_named() {
        let recording = Recording { name: "order-42".to_owned(), format: "wav".to_owned(), paused: true };
        let leg = Leg { party: "a".to_owned(), detecting: true, ..Leg::default() };
        let call = Call { recording: Some(recording), legs: vec![leg], ..Call::default() };
        let said: Vec<_> = explain(&call, None).into_iter().map(|finding| finding.text).collect();
        let paused = "is recorded as order-42 (wav), and paused until `patchcord record-resume`";
        assert!(said.iter().any(|text| text == paused), "{said:?}");
        assert!(said.iter().any(|text| text.starts_with("is listened to")), "{said:?}");
    }

    #[test]
    fn keys_that_are_missing_are_named() {
        let stream = |roc| Some(SrtpStream { suite: "AES_CM_128_HMAC_SHA1_80".to_owned(), roc, ssrcs: 1 });
        let waiting = secured(&Srtp { receive: None, send: stream(None), former_key: false });
        assert!(waiting.contains("its key is not known yet") && waiting.contains("(no packet yet)"), "{waiting}");
        let flowing = secured(&Srtp { receive: stream(Some(2)), send: None, former_key: true });
        assert!(flowing.contains("roll-over counter 2") && flowing.contains("is sent nothing"), "{flowing}");
        assert!(flowing.ends_with("former key"), "{flowing}");
    }

    #[test]
    fn what_keeps_an_association_from_keys_is_named() {
        let dtls = |state: &str, role: Option<&str>| Dtls {
            state: state.to_owned(),
            role: role.map(str::to_owned),
            profile: Some("SRTP_AEAD_AES_128_GCM".to_owned()),
            error: Some("no common cipher suite".to_owned()),
        };
        for (state, role, part) in [
            ("handshake", Some("client"), "says hello"),
            ("handshake", Some("server"), "waits for its hello"),
            ("handshake", None, "not said yet who begins"),
            ("connected", Some("client"), "SRTP_AEAD_AES_128_GCM"),
            ("failed", Some("client"), "no common cipher suite"),
            ("closed", Some("client"), "wants no more media"),
        ] {
            let said = association(&dtls(state, role));
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn what_a_party_hears_is_explained() {
        let leg = |hears: &str, peer: Option<&str>| Leg {
            hears: hears.to_owned(),
            peer: peer.map(str::to_owned),
            ..Leg::default()
        };
        let call = Call::default();
        assert!(hears(&call, &leg("hold:hold", None)).contains("patchcord resume"));
        assert!(hears(&call, &leg("agent + play:welcome", None)).contains("hears agent, and welcome over it"));
        assert!(hears(&call, &leg("ringback:us", None)).contains("ringing tone of us"));
        assert!(hears(&call, &leg("silence", Some("b"))).contains("peer b is on hold"));
        assert!(hears(&call, &leg("silence", None)).contains("bridged to nobody"));
        assert_eq!(hears(&call, &leg("agent", Some("agent"))), "hears agent");
        let listener = Leg { monitors: Some("agent".to_owned()), ..leg("agent", None) };
        assert!(hears(&call, &listener).contains("patchcord unmonitor"));
        let coached = Leg { whisperer: Some("coach".to_owned()), ..leg("agent + coach", Some("agent")) };
        assert!(hears(&call, &coached).starts_with("hears agent + coach, mixed; coach whispers to it"));
    }
}
