//! Calls are set up by the relay's own API, played, and taken down whatever happens.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use patchcord_lab::endpoint::{Endpoint, EndpointOptions, Endpoints, Playback, Recording, SentLog};
use patchcord_lab::stream::RtpStream;
use serde_json::json;

use super::conversations::Conversation;
use crate::client::api::{Api, random_id};
use crate::client::call_path;
use crate::failure::Failure;
use crate::media::{create_leg, error};
use crate::output;

/// Calls begin spread over one frame, so that their packets do not all leave in one burst.
const SPREAD: Duration = Duration::from_millis(20);
/// How long the last packets may be on their way.
const LAST_PACKETS: Duration = Duration::from_secs(1);
/// How often progress is shown.
const PROGRESS: Duration = Duration::from_millis(250);

/// A call that was played.
#[derive(Debug)]
pub(super) struct ReplayedCall {
    pub(super) parties: [ReplayedParty; 2],
}

/// What one party sent and received.
#[derive(Debug)]
pub(super) struct ReplayedParty {
    pub(super) call: String,
    pub(super) name: &'static str,
    pub(super) sent: SentLog,
    pub(super) recording: Recording,
}

/// Deletes the calls that were created, also when something fails in between.
struct Cleanup<'a> {
    api: &'a Api,
    calls: Vec<String>,
}

impl Drop for Cleanup<'_> {
    fn drop(&mut self) {
        for call in &self.calls {
            if let Err(error) = self.api.delete(&call_path(call)) {
                output::tell(&format!("patchcord: call {call} could not be deleted: {error}"));
            }
        }
    }
}

struct Running {
    call: String,
    parties: [Endpoint; 2],
}

/// Plays the conversations in turn as that many calls.
pub(super) fn play(
    api: &Api,
    conversations: &[Conversation],
    calls: usize,
    bind: IpAddr,
) -> Result<Vec<ReplayedCall>, Failure> {
    let endpoints = Endpoints::start().map_err(error)?;
    let mut cleanup = Cleanup { api, calls: Vec::new() };
    // Short enough for a column of `top`, long enough not to meet another replay on the same relay.
    let batch = &random_id()[4..10];
    let mut running = Vec::new();
    for index in 0..calls {
        let call = format!("r{batch}-{index}");
        api.post("/v1/calls", &json!({ "call": call }))?;
        cleanup.calls.push(call.clone());
        let a = enter(api, &endpoints, &call, "a", bind)?;
        let b = enter(api, &endpoints, &call, "b", bind)?;
        api.command(&call, json!({ "command": "bridge", "a": "a", "b": "b" }))?;
        running.push(Running { call, parties: [a, b] });
    }
    let longest = speak(conversations, &running)?;
    wait(&running, longest)?;
    drop(cleanup);
    let party = |call: &Running, index: usize, name| ReplayedParty {
        call: call.call.clone(),
        name,
        sent: call.parties[index].sent(),
        recording: call.parties[index].recording(),
    };
    Ok(running.iter().map(|call| ReplayedCall { parties: [party(call, 0, "a"), party(call, 1, "b")] }).collect())
}

fn enter(api: &Api, endpoints: &Endpoints, call: &str, name: &str, bind: IpAddr) -> Result<Endpoint, Failure> {
    let endpoint = endpoints.add(name, (bind, 0).into(), EndpointOptions::default()).map_err(error)?;
    // No codec list: every payload type passes, whatever the capture holds.
    endpoint.set_remote(create_leg(api, call, name, endpoint.local_addr(), &[])?);
    Ok(endpoint)
}

/// Lets all calls begin; returns how long the longest takes.
fn speak(conversations: &[Conversation], running: &[Running]) -> Result<Duration, Failure> {
    let mut longest = Duration::ZERO;
    let mut later = Vec::new();
    for (index, (call, conversation)) in running.iter().zip(conversations.iter().cycle()).enumerate() {
        let playback = |direction: u32| Playback::default().numbered(index as u32 * 2 + direction);
        let (mut forth_ns, mut back_ns) = (0, 0);
        if let Some((_, delay_ns)) = &conversation.back {
            forth_ns = (-delay_ns).max(0).unsigned_abs();
            back_ns = (*delay_ns).max(0).unsigned_abs();
        }
        let spread_ns = SPREAD.as_nanos() as u64 * index as u64 / running.len().max(1) as u64;
        let mut begin = |party: &Endpoint, stream: &Arc<RtpStream>, at_ns: u64, playback| {
            let at = Duration::from_nanos(spread_ns + at_ns);
            longest = longest.max(at + stream.duration());
            later.push((at, party.clone(), Arc::clone(stream), playback));
        };
        begin(&call.parties[0], &conversation.forth, forth_ns, playback(0));
        if let Some((back, _)) = &conversation.back {
            begin(&call.parties[1], back, back_ns, playback(1));
        }
    }
    later.sort_by_key(|(at, ..)| *at);
    let started = Instant::now();
    for (at, party, stream, playback) in later {
        std::thread::sleep((started + at).saturating_duration_since(Instant::now()));
        party.play(stream, playback).map_err(error)?;
    }
    Ok(longest)
}

/// Waits until everything was played and the last packets have arrived, and shows progress to a user who watches.
fn wait(running: &[Running], longest: Duration) -> Result<(), Failure> {
    let watched = std::io::stderr().is_terminal();
    let started = Instant::now();
    let patience = longest * 2 + Duration::from_secs(10);
    let parties = || running.iter().flat_map(|call| &call.parties);
    let progress = || {
        let all = parties().map(Endpoint::progress);
        all.fold((0, 0, false), |(sent, received, playing), party| {
            (sent + party.sent, received + party.received, playing || party.playing)
        })
    };
    while progress().2 {
        if started.elapsed() > patience {
            return Err(Failure::failed(format!("the streams should have ended after {longest:?} and have not")));
        }
        if watched {
            let (sent, received, _) = progress();
            let line = format!(
                "{:.1} of {:.1} s, {} calls, {sent} packets sent, {received} received",
                started.elapsed().as_secs_f64().min(longest.as_secs_f64()),
                longest.as_secs_f64(),
                running.len()
            );
            output::tell_in_place(&line);
        }
        // Whoever plays longest is not known beforehand, so there is nobody in particular to wait for.
        std::thread::sleep(PROGRESS);
    }
    if watched {
        output::tell_in_place("");
    }
    let deadline = Instant::now() + LAST_PACKETS;
    for call in running {
        for (party, peer) in [(0, 1), (1, 0)] {
            let sent = call.parties[peer].progress().sent;
            // In vain if packets were lost: that is what the report is for.
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = call.parties[party].wait_for_packets(sent, left);
        }
    }
    Ok(())
}
