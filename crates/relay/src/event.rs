//! What the engine has to tell, unasked.

use core::net::SocketAddr;

use patchcord_rtp::Ssrc;

use crate::detection::Detection;
use crate::ids::{CutOverId, LegId};
use crate::time::MonoTime;
use crate::verdict::DropReason;

/// Something happened on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The leg settled on a source address.
    Latched {
        /// The leg.
        leg: LegId,
        /// Where its party sends from.
        source: SocketAddr,
    },
    /// The first RTP packet that the leg accepted.
    FirstPacket {
        /// The leg.
        leg: LegId,
        /// Its SSRC.
        ssrc: Ssrc,
    },
    /// No packet for the leg's media timeout. Said once; the next packet arms it again.
    MediaTimeout {
        /// The leg.
        leg: LegId,
        /// How long nothing has come.
        silent_ms: u64,
    },
    /// The party changed its SSRC in mid-call; its listeners go on without a jump.
    SsrcChanged {
        /// The leg.
        leg: LegId,
        /// Before.
        from: Ssrc,
        /// After.
        to: Ssrc,
    },
    /// SRTP of the leg is refused. Said at the first packet, and then not more often than every few seconds.
    SrtpFailing {
        /// The leg.
        leg: LegId,
        /// Why, as far as the latest packet shows.
        reason: DropReason,
        /// Packets refused since this was last said.
        packets: u32,
    },
    /// The player that fed the leg is through; the leg falls silent unless a cut-over waited for this. Or the prompt over what it hears
    /// is, and it goes on hearing that.
    PlayFinished {
        /// The leg that heard it.
        leg: LegId,
    },
    /// The key presses of [`crate::command::Command::SendDtmf`] are through, or will not be sent any more.
    DtmfFinished {
        /// The leg that heard them.
        leg: LegId,
        /// How many were sent since it began, one that was cut short included.
        sent: u16,
        /// How many of these were tones.
        tones: u16,
        /// How many were not: they were stopped, or the leg could not be sent them any more.
        dropped: u16,
    },
    /// Something was heard of the party ([`crate::command::Command::SetOverheard`]). The engine itself never says this.
    Detected {
        /// The leg.
        leg: LegId,
        /// What was heard.
        detection: Detection,
    },
    /// A triggered cut-over replaced its sources. Its receipts follow, each with the first packet of a new source.
    Switched {
        /// Which one.
        id: CutOverId,
    },
    /// One direction of a cut-over took effect: the first packet of the new source left.
    CutOver(Receipt),
    /// A triggered cut-over was cancelled because one of its legs was deleted, or by a rollback.
    CutOverCancelled {
        /// Which one.
        id: CutOverId,
        /// The deleted leg; `None` after a rollback.
        gone: Option<LegId>,
    },
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One leg.
    Leg(LegId),
    /// A cut-over as a whole.
    CutOver(CutOverId),
}

impl Event {
    /// What it is about.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match *self {
            Self::Switched { id } | Self::CutOverCancelled { id, .. } => Subject::CutOver(id),
            Self::CutOver(receipt) => Subject::Leg(receipt.sink),
            Self::Latched { leg, .. }
            | Self::FirstPacket { leg, .. }
            | Self::MediaTimeout { leg, .. }
            | Self::SsrcChanged { leg, .. }
            | Self::SrtpFailing { leg, .. }
            | Self::PlayFinished { leg }
            | Self::Detected { leg, .. }
            | Self::DtmfFinished { leg, .. } => Subject::Leg(leg),
        }
    }
}

/// Proof of one direction of one cut-over, written when the first packet of the new source is sent; for a change to
/// silence, or to the source that was there already, at the switch itself and without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The cut-over.
    pub id: CutOverId,
    /// The leg that hears the new source.
    pub sink: LegId,
    /// What made it happen.
    pub trigger: TriggerKind,
    /// When the engine took the command.
    pub commanded_at: MonoTime,
    /// When the source was replaced.
    pub switched_at: MonoTime,
    /// When the first packet of the new source left.
    pub first_packet_at: MonoTime,
    /// From the last packet of the old source to the first of the new, in microseconds; `None` if there was none before.
    pub gap_us: Option<u64>,
    /// Sequence step between these two packets: 1 is seamless. `None` if there was none before, or on a new SSRC.
    pub seq_step: Option<u16>,
    /// Timestamp step between them, in timestamp units. `None` as for `seq_step`.
    pub ts_step: Option<u32>,
    /// Late packets of the old source that were dropped since, up to the moment of asking.
    pub stale: u32,
    /// From the command to the first packet of the new source, in microseconds.
    pub command_to_effect_us: u64,
}

/// [`crate::command::Trigger`] without its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerKind {
    /// At once.
    Immediate,
    /// On the first packet of the new source.
    OnFirstPacket,
    /// At a given time.
    At,
    /// When it was commanded.
    OnCommand,
    /// When a prompt had ended.
    AfterPrompt,
}

impl TriggerKind {
    /// The name in JSON and in the demo's table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::OnFirstPacket => "on-first-packet",
            Self::At => "at",
            Self::OnCommand => "on-command",
            Self::AfterPrompt => "after-prompt",
        }
    }
}
