//! The evidence of a transfer, as one file: what came of it, what was said, what was heard.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use patchcord_control::ApiError;
use patchcord_recording::pcapng::{Capture, Packet};
use serde::Serialize;

use super::records::CallView;
use super::timeline::{TimelineView, timeline_of};
use super::trace::{TraceView, readable};
use super::view::TransferView;
use super::{key, unknown};
use crate::driver::{Book, CallTrace, Kept, Pivot, Rtp, RtpBook, Settings, Traces, TransferKey};
use crate::replay::Setup;

/// Where it comes from.
pub(crate) struct Sources<'a> {
    pub(crate) book: &'a Book,
    pub(crate) traces: &'a Traces,
    pub(crate) rtp: &'a RtpBook,
    pub(crate) settings: &'a Settings,
}

/// What the bundle is made of.
pub(crate) struct Evidence {
    kept: Kept,
    trace: Option<CallTrace>,
    rtp: Option<Rtp>,
    is_rtp_off: bool,
    transfer: TransferView,
    /// Once it was answered or is over.
    call: Option<CallView>,
    /// What its parties heard.
    timeline: TimelineView,
    /// What somebody who lets it happen again has to set.
    setup: Setup,
    /// What happened between the messages.
    marks: Marks,
}

/// What happened between the messages of the trace, on its clock: milliseconds since the first one, with microseconds behind the point.
#[derive(Debug, Serialize)]
struct Marks {
    /// When the target took the place.
    connected_ms: Option<f64>,
    /// When the first packet of each party came.
    first_packets_ms: BTreeMap<Arc<str>, f64>,
}

impl Marks {
    fn of(key: TransferKey, kept: &Kept, book: &Book, trace: Option<&CallTrace>) -> Self {
        let began = trace.and_then(|trace| trace.messages.first()).map(|first| first.at).unwrap_or_default();
        let ms = |at: Duration| at.saturating_sub(began).as_micros() as f64 / 1000.0;
        let packets = book.first_packets(key.call).into_iter().map(|(party, at)| (party, ms(at)));
        let connected = kept.transfers.get(&key.transfer).and_then(|record| record.connected);
        Self { connected_ms: connected.map(ms), first_packets_ms: packets.collect() }
    }
}

impl Evidence {
    /// All that there is of a transfer now, since the pivot was started; `None`: it is not known.
    pub(crate) fn of(key: TransferKey, sources: &Sources<'_>, now: Duration) -> Option<Self> {
        let &Sources { book, traces, rtp, settings } = sources;
        let (kept, transfer) = (book.get(key.call)?, book.transfer_view(key)?);
        let (trace, call) = (traces.of(key.call), book.call_view(key.call));
        let trunks: Vec<_> = call.iter().flat_map(|call| [&call.from_trunk, &call.to_trunk]).cloned().collect();
        let setup = Setup::of(settings, &trunks, trace.as_ref());
        let marks = Marks::of(key, &kept, book, trace.as_ref());
        let timeline = timeline_of(&kept, now);
        Some(Self { kept, trace, rtp: rtp.of(key), is_rtp_off: rtp.is_off(), transfer, call, timeline, setup, marks })
    }

    /// The transfer's id, in all processes.
    pub(crate) fn id(&self) -> &str {
        &self.transfer.transfer
    }

    /// When the transfer began, milliseconds since 1970.
    pub(crate) const fn began_ms(&self) -> u64 {
        self.transfer.began_ms
    }

    /// A tar with a folder of the transfer's name.
    pub(crate) fn bundle(&self) -> Vec<u8> {
        let files = [
            ("transfer.json", json(&self.transfer)),
            ("call.json", json(&self.call)),
            ("media.json", json(&self.transfer.media)),
            ("timeline.json", json(&self.timeline)),
            ("settings.json", json(&self.setup)),
            ("marks.json", json(&self.marks)),
            ("trace.json", json(&TraceView::new(self.trace.as_ref(), self.kept.clock))),
            ("trace.txt", readable(self.trace.as_ref(), &self.kept.name).into_bytes()),
            ("rtp.json", json(&RtpNote::new(self))),
            ("signalling.pcapng", self.packets()),
        ];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut bundle = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(now);
            let path = format!("transfer-{}/{name}", self.id());
            bundle.append_data(&mut header, path, &*content).expect("memory takes everything, and the path is short");
        }
        bundle.into_inner().expect("memory takes everything")
    }

    /// What was said and, where that is kept, the headers of RTP around the transfer, in the order of time. Messages are UDP datagrams,
    /// whatever they came by: that is what readers of SIP understand. What is longer than one can be is in `trace.txt` alone.
    fn packets(&self) -> Vec<u8> {
        let mut file = Capture::new(&self.kept.name, concat!("patchcord ", env!("CARGO_PKG_VERSION")));
        let messages = || self.trace.iter().flat_map(|trace| &trace.messages);
        for message in messages() {
            let description = format!("SIP of {} by {}", message.party, message.transport.as_str());
            file.describe(&message.party, &description);
        }
        let mut rtp = self.rtp.iter().flat_map(|rtp| &rtp.packets).peekable();
        let since_1970 = |at| (self.kept.clock + at).duration_since(UNIX_EPOCH).unwrap_or_default();
        for message in messages() {
            while let Some(packet) = rtp.next_if(|packet| packet.at < message.at) {
                file.add_frame(&packet.party, packet.is_received, since_1970(packet.at), &packet.frame);
            }
            file.add(&Packet {
                party: &message.party,
                local: message.local,
                remote: message.remote,
                received: !message.is_outgoing,
                at: since_1970(message.at),
                datagram: &message.bytes,
            });
        }
        for packet in rtp {
            file.add_frame(&packet.party, packet.is_received, since_1970(packet.at), &packet.frame);
        }
        file.take()
    }
}

/// What `signalling.pcapng` has of RTP, or why it has none.
#[derive(Serialize)]
struct RtpNote {
    packets: usize,
    missed: u64,
    began_ms: Option<u64>,
    ended_ms: Option<u64>,
    /// More may come.
    is_over: bool,
    why_none: Option<String>,
}

impl RtpNote {
    fn new(evidence: &Evidence) -> Self {
        let none = if evidence.is_rtp_off {
            "pivot.evidence_rtp_s is 0"
        } else {
            "the transfer was over at once, or newer ones took its place (pivot.evidence_rtp_mib)"
        };
        let Some(rtp) = &evidence.rtp else {
            let why_none = Some(none.to_owned());
            return Self { packets: 0, missed: 0, began_ms: None, ended_ms: None, is_over: true, why_none };
        };
        Self {
            packets: rtp.packets.len(),
            missed: rtp.missed,
            began_ms: rtp.packets.front().map(|packet| evidence.kept.at(packet.at)),
            ended_ms: rtp.packets.back().map(|packet| evidence.kept.at(packet.at)),
            is_over: rtp.is_over,
            why_none: rtp.why.as_deref().map(str::to_owned),
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("our own values have string keys");
    text.push(b'\n');
    text
}

/// Gives the evidence of a transfer as a tar: transfer.json, call.json, media.json, timeline.json, settings.json, marks.json, trace.json, trace.txt,
/// rtp.json, signalling.pcapng.
#[utoipa::path(
    get, path = "/v1/transfers/{transfer}/bundle", tag = "transfers", params(("transfer" = String, Path, description = "Its name")),
    responses(
        (status = 200, content_type = "application/x-tar", body = [u8]),
        (status = 404, description = "unknown-transfer"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn bundle(State(pivot): State<Arc<Pivot>>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let evidence = pivot.evidence(key(&pivot, &name)?).ok_or_else(|| unknown(&name))?;
    let file = format!("attachment; filename=\"transfer-{}.tar\"", evidence.id());
    Ok(([(CONTENT_TYPE, "application/x-tar".to_owned()), (CONTENT_DISPOSITION, file)], evidence.bundle())
        .into_response())
}
