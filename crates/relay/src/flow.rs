//! Flows: what one party sends to one other, forwarded by another executor than the engine, be it in the kernel.
//!
//! Most packets of most calls need no decision: they come from the settled source, under the SSRC that is followed, and differ on their
//! way out by two offsets. While that is so for a leg, the engine hands the flow to an [`Offload`], and takes it back before
//! anything about it changes. The rules are the engine's own, to the bit; [`Flow::step`] says them in Rust.
//!
//! ```text
//!                    begin(flow)                  the next packet, if none is under way to the engine
//!    engine forwards ----------> armed  ---------------------------------------------> offload forwards
//!          ^                       |                                                         |
//!          +-----------------------+---------------------------------------------------------+
//!                    end(): before a change;  or by itself, at a packet that is not like the others
//! ```

use core::fmt;
use core::net::SocketAddr;

use patchcord_rtp::{
    PayloadType, Protocol, RTP_HEADER_LEN, ReceiverState, Reception, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc,
    classify,
};

use crate::time::MonoTime;

/// Another executor of the engine's rules.
///
/// Slots are those of the legs that send ([`crate::ids::PortId::slot`]).
pub trait Offload: fmt::Debug + Send {
    /// Takes over a flow, from the next packet on that finds none before it under way to the engine: the last that
    /// the engine has handled has the number [`Reception::extended_highest`]. A leg has at most one flow.
    ///
    /// # Errors
    /// Why it does not.
    fn begin(&mut self, slot: u32, flow: &Flow) -> Result<(), Obstacle>;

    /// How far the flow is; `None` while the offload has forwarded nothing of it.
    fn progress(&self, slot: u32) -> Option<Progress>;

    /// Why the leg's flow was not taken over when it was last offered.
    fn obstacle(&self, slot: u32) -> Obstacle;

    /// Gives the flow back: when this returns nothing of it is forwarded any more, and how far it is will not change. `None` if the
    /// offload has forwarded nothing of it.
    fn end(&mut self, slot: u32) -> Option<Progress>;

    /// The leg goes away; its flow has ended.
    fn forget(&mut self, slot: u32);

    /// Whether a flow that is none of this engine's comes to a local address, which no leg can have then.
    fn has_another(&self, local: SocketAddr) -> bool;

    /// Called now and then. A flow that cannot go on as it is ends as at a packet that is for the engine.
    fn keep_house(&mut self);
}

/// Why the engine forwards a leg's packets itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// Nothing has been relayed yet, or not since the last cut-over.
    NotFollowed,
    /// It is not settled where the party sends from.
    NotSettled,
    /// The party may not speak, or nobody may hear it.
    Closed,
    /// SRTP on either side.
    Srtp,
    /// It is relayed unread.
    Unread,
    /// A cut-over waits for its first packet.
    Awaited,
    /// What comes and goes is copied out.
    Tapped,
    /// It is mixed, recorded, or listened to by a detector.
    Overheard,
    /// Nobody hears it.
    NoListener,
    /// More than one leg hears it.
    Listeners,
    /// The listener hears it transcoded.
    Transcoded,
    /// The listener can be sent nothing, or is sent key presses.
    ListenerClosed,
    /// The listener's stream is not numbered by the relay.
    Transparent,
    /// A telephone-event is under way.
    TelephoneEvent,
    /// A local address that stands for all addresses.
    Wildcard,
    /// The parties are of different address families.
    Families,
    /// It is not known yet which way packets take to the listener, or they go by a device that is none of Ethernet.
    NoHop,
    /// They come or go by an interface that has no program.
    NoProgram,
    /// There is no room for another flow.
    Full,
    /// The next packet will be forwarded so.
    Armed,
}

impl Obstacle {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotFollowed => "nothing has been relayed yet, or not since the last cut-over",
            Self::NotSettled => "it is not settled where the party sends from",
            Self::Closed => "the party may not speak",
            Self::Srtp => "SRTP is read in user space",
            Self::Unread => "it is relayed unread",
            Self::Awaited => "a cut-over waits for its first packet",
            Self::Tapped => "it is being dumped",
            Self::Overheard => "it is mixed, recorded, or listened to by a detector",
            Self::NoListener => "nobody hears it",
            Self::Listeners => "more than one leg hears it",
            Self::Transcoded => "it is transcoded for its listener",
            Self::ListenerClosed => "the listener can be sent nothing, or is being sent key presses",
            Self::Transparent => "the listener's stream is transparent",
            Self::TelephoneEvent => "a key press is under way",
            Self::Wildcard => "a local address stands for all addresses: give the media interfaces by their addresses",
            Self::Families => "one party has IPv4, the other IPv6",
            Self::NoHop => "the way to the listener is not known yet, or goes by a device that is none of Ethernet",
            Self::NoProgram => "packets come or go by an interface that has no XDP program",
            Self::Full => "there is no room for another flow",
            Self::Armed => "the next packet will be forwarded in the kernel",
        }
    }
}

/// All that forwarding one leg's packets takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Where the party sends from.
    pub from: SocketAddr,
    /// Where it sends to: the leg's local RTP address.
    pub local: SocketAddr,
    /// The slot of the leg that hears it.
    pub sink: u32,
    /// Where packets leave from: the listener's local RTP address.
    pub sink_local: SocketAddr,
    /// Where they go to.
    pub to: SocketAddr,
    /// Differentiated services code point of what the listener is sent; `None`: as the backend is configured.
    pub dscp: Option<u8>,
    /// What the listener calls each payload type; [`Flow::ENGINE`] for those that the engine must see.
    pub payload_types: [u8; 128],
    /// Added to the source's sequence numbers.
    pub sequence_offset: u16,
    /// Added to the source's timestamps.
    pub timestamp_offset: u32,
    /// The SSRC that the listener sees. The source's is in [`Reception::ssrc`].
    pub ssrc: Ssrc,
    /// How far it is.
    pub progress: Progress,
}

/// How far a flow is: what each packet moves. The layout is fixed (C's).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Progress {
    /// Of the party's packets.
    pub reception: Reception,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// When the last one arrived, in nanoseconds of [`MonoTime`].
    pub last_packet_at: u64,
    /// Of the listener's stream.
    pub sending: Sending,
}

/// How far a stream is that a listener is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sending {
    /// Index (roll-overs and sequence number) of the newest packet.
    pub newest: u64,
    /// Index of the source's first packet: nothing older is sent.
    pub first: u64,
    /// Bit n: index `newest - n` was sent.
    pub sent_window: u64,
    /// Packets ever sent.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// When the last one was sent, in nanoseconds of [`MonoTime`].
    pub last_sent_at: u64,
    /// When the first one with the present timestamp was sent.
    pub timestamp_at: u64,
    /// Of the newest packet.
    pub timestamp: u32,
    /// Timestamp units from one packet to the next.
    pub frame_ts_units: u16,
    /// Longer steps are no frames.
    pub frame_ts_units_max: u16,
}

/// What is done with a datagram that has come to a flow's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is none of the flow's packets: the engine gets it, and the flow goes on.
    NotOurs,
    /// The flow ends here: the engine gets this one and all that follow.
    Descend,
    /// It was rewritten and is to be sent.
    Forward,
    /// It was sent before: it is dropped.
    Duplicate,
}

/// RFC 3550 A.1, as in `ReceiverState`.
const MAX_DROPOUT: u16 = 3000;
/// Packets behind the newest that are told from duplicates.
const WINDOW: u64 = 64;

impl Flow {
    /// In [`Flow::payload_types`]: the flow ends at a packet of this type.
    pub const ENGINE: u8 = 0x80;

    /// Does with one datagram what an offload does with it. This is the text that other executors are compared with; it is in no
    /// hurry.
    pub fn step(&mut self, from: SocketAddr, datagram: &mut [u8], now: MonoTime) -> Step {
        if from != self.from || datagram.len() < RTP_HEADER_LEN || classify(datagram) != Protocol::Rtp {
            return Step::NotOurs;
        }
        // Padding, an extension and a list of contributors can be malformed, which is for the engine to see.
        let Some(header) = RtpHeader::read(datagram).ok().filter(|_| datagram[0] == 0x80) else { return Step::Descend };
        let Progress { reception, sending, .. } = &self.progress;
        // `ENGINE` is none.
        let Some(payload_type) = PayloadType::new(self.payload_types[usize::from(header.payload_type.get())]) else {
            return Step::Descend;
        };
        if header.ssrc.0 != reception.ssrc {
            return Step::Descend;
        }
        let ahead = header.sequence.0.wrapping_sub(reception.extended_highest as u16);
        let is_newer = (1..MAX_DROPOUT).contains(&ahead);
        let behind = ahead.wrapping_neg();
        if !is_newer && u64::from(behind) >= WINDOW {
            return Step::Descend;
        }
        let was_seen = !is_newer && reception.seen >> behind & 1 == 1;
        let sequence = header.sequence.wrapping_add(self.sequence_offset);
        let sent_ahead = sequence.distance_from(SequenceNumber(sending.newest as u16));
        let sent_behind = u64::from(sent_ahead.unsigned_abs());
        let is_late = sent_ahead <= 0;
        if is_late && (sending.newest - sending.first < sent_behind || sent_behind >= WINDOW) {
            return Step::Descend;
        }
        let was_sent = is_late && sending.sent_window >> sent_behind & 1 == 1;
        if was_seen != was_sent {
            return Step::Descend;
        }
        self.receive(&header, datagram.len(), now);
        if was_sent {
            return Step::Duplicate;
        }
        let timestamp = header.timestamp.wrapping_add(self.timestamp_offset);
        self.send(sent_ahead, timestamp, datagram.len(), now);
        RtpHeader { marker: header.marker, payload_type, sequence, timestamp, ssrc: self.ssrc }.rewrite(datagram);
        Step::Forward
    }

    fn receive(&mut self, header: &RtpHeader, len: usize, now: MonoTime) {
        // What RFC 3550's rules are is said once, by the receiver's state.
        let mut receiver = ReceiverState::new(0);
        receiver.resume(&self.progress.reception);
        receiver.observe(header, now.as_nanos());
        self.progress.reception = receiver.reception();
        self.progress.bytes += len as u64;
        self.progress.last_packet_at = now.as_nanos();
    }

    fn send(&mut self, ahead: i16, timestamp: RtpTimestamp, len: usize, now: MonoTime) {
        let sending = &mut self.progress.sending;
        if ahead > 0 {
            let steps = u32::from(ahead.unsigned_abs());
            sending.newest += u64::from(steps);
            sending.sent_window = sending.sent_window.checked_shl(steps).unwrap_or(0) | 1;
            if timestamp.0 != sending.timestamp {
                let step = timestamp.0.wrapping_sub(sending.timestamp);
                if ahead == 1 && step <= u32::from(sending.frame_ts_units_max) {
                    sending.frame_ts_units = step as u16;
                }
                sending.timestamp = timestamp.0;
                sending.timestamp_at = now.as_nanos();
            }
        } else {
            sending.sent_window |= 1 << ahead.unsigned_abs();
        }
        sending.packets += 1;
        sending.bytes += len as u64;
        sending.last_sent_at = now.as_nanos();
    }
}
