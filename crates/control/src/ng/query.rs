//! `query`, and what `delete` says of a call: its parties, their media and streams, and how good they were.

use core::net::SocketAddr;
use std::sync::Arc;

use patchcord_ng::{Dict, Options, Value};
use patchcord_relay::snapshot::{IngressStats, LegSnapshot};

use super::Ng;
use super::call::{said, unix_s};
use super::quality::Quality;
use super::refuse::Refused;
use super::session::{Media, Party, Session};
use crate::api::Direction;
use crate::call::Call;

impl Ng {
    /// Says what is known of a call; of no party, if a tag is given that none of them has.
    pub(super) async fn query(&self, options: &Options) -> Result<Dict, Refused> {
        let call = self.find(options)?;
        let tag = said(options.from_tag.as_ref());
        let is_unknown = tag.is_some_and(|tag| call.session().tagged(tag).is_none());
        let mut report = self.report(&call).await?;
        if is_unknown {
            report.0.retain(|(key, _)| **key != *b"tags");
            report.set("tags", Dict::new());
        }
        Ok(with_result(report))
    }

    /// A call in the shape that clients of the protocol read.
    pub(super) async fn report(&self, call: &Arc<Call>) -> Result<Dict, Refused> {
        let snapshots = self.0.control.snapshots_of(call).await?;
        Ok(report_of(call, &snapshots))
    }
}

/// A reply with what was found.
pub(super) fn with_result(report: Dict) -> Dict {
    let mut reply = Dict::new().with("result", Value::word("ok"));
    reply.0.extend(report.0);
    reply
}

/// A call in the shape that clients of the protocol read, from copies of its legs.
pub(super) fn report_of(call: &Call, snapshots: &[LegSnapshot]) -> Dict {
    let legs: Vec<_> = call.inner().model.legs.0.iter().map(|leg| (Arc::clone(&leg.party), leg.id)).collect();
    let of_party = |name: &str| {
        let (_, id) = legs.iter().find(|(party, _)| **party == *name)?;
        snapshots.iter().find(|snapshot| snapshot.leg == *id)
    };
    let now_s = unix_s();
    let quality = call.quality().as_deref().cloned().unwrap_or_default().up_to_now(snapshots, now_s);
    let session = call.session();
    let mut tags = Dict::new();
    for party in &session.parties {
        let Some(tag) = party.tag.as_deref() else { continue };
        tags.set_named(tag, tag_entry(&session, party, tag, now_s, &of_party));
    }
    let mut sources = Dict::new();
    for snapshot in snapshots {
        if let Some(ssrc) = snapshot.ingress.ssrc {
            sources.set_named(&ssrc.0.to_string(), source_entry(snapshot, &quality));
        }
    }
    let sum = |count: fn(&IngressStats) -> u64| snapshots.iter().map(|leg| count(&leg.ingress)).sum::<u64>();
    let errors: u64 = snapshots.iter().map(|leg| leg.drops.total()).sum();
    let totals = Dict::new()
        .with("RTP", counters(sum(|stats| stats.packets), sum(|stats| stats.bytes), errors))
        .with("RTCP", counters(sum(|stats| stats.rtcp_packets), 0, 0));
    Dict::new()
        .with("created", session.created_us / 1_000_000)
        .with("created_us", session.created_us % 1_000_000)
        .with("last signal", session.signalled_us / 1_000_000)
        .with("SSRC", sources)
        .with("tags", tags)
        .with("totals", totals)
}

fn tag_entry<'a>(
    session: &Session,
    party: &Party,
    tag: &str,
    now_s: u64,
    snapshot: &dyn Fn(&str) -> Option<&'a LegSnapshot>,
) -> Dict {
    let mut entry = Dict::new().with("tag", tag).with("created", party.created_s);
    if let Some(branch) = &party.via_branch {
        entry.set("via-branch", &**branch);
    }
    if let Some(label) = &party.label {
        entry.set("label", &**label);
    }
    if let Some(peer) = party.peer.and_then(|peer| session.party(peer)).and_then(|peer| peer.tag.as_deref()) {
        entry.set("in dialogue with", peer);
    }
    let hears = |one: &Party, other: &Party| {
        one.media.iter().filter_map(|media| media.hears).any(|source| source.party == other.id)
    };
    for (key, related) in [
        ("subscriptions", session.parties.iter().filter(|other| hears(party, other)).collect::<Vec<_>>()),
        ("subscribers", session.parties.iter().filter(|other| hears(other, party)).collect()),
    ] {
        let related = related.into_iter().filter_map(|other| other.tag.as_deref());
        let related: Vec<_> =
            related.map(|tag| Value::Dict(Dict::new().with("tag", tag).with("type", "pub/sub"))).collect();
        if !related.is_empty() {
            entry.set(key, related);
        }
    }
    let medias = party
        .media
        .iter()
        .enumerate()
        .map(|(index, media)| Value::Dict(media_entry(index, media, snapshot(&party.leg_name(index)), now_s)));
    entry.with("medias", medias.collect::<Vec<_>>())
}

fn media_entry(index: usize, media: &Media, snapshot: Option<&LegSnapshot>, now_s: u64) -> Dict {
    let mut flags = vec![Value::word("initialized")];
    if let Some(leg) = &media.leg {
        if matches!(leg.direction, Direction::SendRecv | Direction::SendOnly) {
            flags.push(Value::word("send"));
        }
        if matches!(leg.direction, Direction::SendRecv | Direction::RecvOnly) {
            flags.push(Value::word("recv"));
        }
        if leg.muxed {
            flags.push(Value::word("rtcp-mux"));
        }
    }
    let index = u64::try_from(index + 1).unwrap_or(u64::MAX);
    let mut entry =
        Dict::new().with("index", index).with("type", media.kind.as_str()).with("protocol", media.protocol.as_str());
    let mut streams = Vec::new();
    if let (Some(leg), Some(snapshot)) = (&media.leg, snapshot) {
        let rtp = &snapshot.ingress;
        let idle_s = rtp.idle_ms.unwrap_or(0) / 1000;
        let mut stream = Dict::new().with("local port", snapshot.local_rtp.port());
        stream.set("local address", snapshot.local_rtp.ip().to_string());
        stream.set("family", family(snapshot.local_rtp));
        stream.set("endpoint", endpoint(snapshot.remote_rtp));
        stream.set("advertised endpoint", endpoint(leg.remote));
        stream.set("last packet", if rtp.idle_ms.is_some() { now_s.saturating_sub(idle_s) } else { 0 });
        let mut words = vec![Value::word("RTP")];
        words.extend(leg.remote.map(|_| Value::word("filled")));
        words.extend(snapshot.latched.then_some(Value::word("confirmed")));
        stream.set("flags", words);
        if let Some(ssrc) = rtp.ssrc {
            stream.set("SSRC", u64::from(ssrc.0));
        }
        stream.set("stats", counters(rtp.packets, rtp.bytes, snapshot.drops.total()));
        streams.push(Value::Dict(stream));
        let rtcp = Dict::new()
            .with("local port", leg.advertised_rtcp.port())
            .with("family", family(leg.advertised_rtcp))
            .with("endpoint", endpoint(leg.remote_rtcp.or_else(|| next_port(leg.remote))))
            .with("flags", vec![Value::word("RTCP")])
            .with("stats", counters(rtp.rtcp_packets, 0, 0));
        streams.push(Value::Dict(rtcp));
    }
    entry.set("streams", streams);
    entry.with("flags", flags)
}

/// Reception of one source: what was measured here.
fn source_entry(snapshot: &LegSnapshot, quality: &Quality) -> Dict {
    let LegSnapshot { ingress, .. } = snapshot;
    let mut entry = Dict::new()
        .with("packets", ingress.packets)
        .with("bytes", ingress.bytes)
        .with("packets lost", ingress.lost)
        .with("cumulative loss", ingress.lost);
    quality.describe(snapshot.leg, &mut entry);
    entry
}

fn counters(packets: u64, bytes: u64, errors: u64) -> Dict {
    Dict::new().with("packets", packets).with("bytes", bytes).with("errors", errors)
}

fn family(address: SocketAddr) -> Value {
    Value::word(if address.is_ipv4() { "IPv4" } else { "IPv6" })
}

/// RFC 3550 11: where RTCP goes without other word.
fn next_port(rtp: Option<SocketAddr>) -> Option<SocketAddr> {
    rtp.and_then(|rtp| Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)))
}

fn endpoint(address: Option<SocketAddr>) -> Dict {
    let Some(address) = address else { return Dict::new() };
    Dict::new().with("family", family(address)).with("address", address.ip().to_string()).with("port", address.port())
}
