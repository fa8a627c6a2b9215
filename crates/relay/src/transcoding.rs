//! Listeners that share no format with their source hear it transcoded.
//!
//! The engine knows no codec. It hands out what such a source sends, and takes what somebody else has made of it as that
//! source's stream from there on: numbered, gated and protected like any other. So the way from relaying to transcoding and back is a
//! cut-over like any other.
//!
//! ```text
//!  source -> ingress -> [HandOut::Packet] -> a transcoder -> [Shard::made] -> egress -> sink
//! ```

use patchcord_rtp::RtpHeader;

use crate::command::EgressMode;
use crate::forward::SourcePacket;
use crate::ids::MadeId;
use crate::leg::formats::share_a_format;
use crate::leg::{Slot, SourceSlot};
use crate::media::Codec;
use crate::outbox::Outputs;
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

/// What one leg hears of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcoding {
    /// Its name; never used twice in a shard.
    pub id: MadeId,
    /// Formats of the leg that sends.
    pub from: Vec<Codec>,
    /// Formats of the leg that hears it, by its payload types.
    pub to: Vec<Codec>,
    /// For the stream's SSRC and first numbers.
    pub seed: u64,
}

/// Says which formats can be transcoded, each into each other.
pub(crate) type Transcodable = fn(&Codec) -> bool;

impl Shard {
    /// From now on listeners hear sources with whom they share no format, if both have one that `can` be transcoded.
    pub fn set_transcoder(&mut self, can: fn(&Codec) -> bool) {
        self.transcodable = Some(can);
    }

    /// Takes what was made of packets that were handed out: RTP, with the payload types of those who hear it. What is late, because
    /// its listener hears something else by now, is dropped.
    pub fn made<B: AsRef<[u8]>>(
        &mut self,
        packets: impl IntoIterator<Item = (MadeId, B)>,
        now: MonoTime,
    ) -> Outputs<'_> {
        for (id, bytes) in packets {
            self.pass_made(id, bytes.as_ref(), now);
        }
        self.protect_outbox();
        Outputs::new(&mut self.outbox)
    }

    /// Whether a leg with the formats `to` has to hear one with those of `from` transcoded, and can.
    pub(crate) fn must_transcode(&self, from: &[Codec], to: &[Codec], mode: EgressMode) -> bool {
        let Some(can) = self.transcodable else { return false };
        // A translator has no stream of its own into which packets could be made.
        let possible = mode != EgressMode::Transparent && from.iter().any(can) && to.iter().any(can);
        let must_convert = || must_repack(from, to, can) || must_convert_keys(from, to);
        // Where something that cannot be encoded may come, all is relayed.
        let can_convert = || from.iter().filter(|codec| codec.carries_media()).all(can);
        possible && (!share_a_format(from, to) || must_convert() && can_convert())
    }

    /// As [`Shard::must_transcode`], of two legs as they are.
    pub(crate) fn transcodes(&self, source: Slot, sink: Slot) -> bool {
        let [from, to] = [source, sink].map(|slot| &*self.legs.cold[slot as usize].codecs);
        self.must_transcode(from, to, self.legs.egress[sink as usize].mode())
    }

    /// Whether a transcoder can make anything of a packet of this leg.
    pub(crate) fn is_transcodable(&self, source: Slot, packet: &SourcePacket<'_>) -> bool {
        let codecs = &self.legs.cold[source as usize].codecs;
        let codec = codecs.iter().find(|codec| codec.payload_type == packet.header.payload_type);
        codec.is_some_and(|codec| codec.is_telephone_event() || self.transcodable.is_some_and(|can| can(codec)))
    }

    /// Clock rate of what is made for a leg.
    pub(crate) fn made_clock_rate(&self, sink: Slot) -> Option<u32> {
        let can = self.transcodable?;
        let codec = self.legs.cold[sink as usize].codecs.iter().find(|codec| can(codec))?;
        Some(codec.clock_rate)
    }

    /// A leg's source is heard transcoded from here on, anew if it was before.
    pub(crate) fn begin_transcoding(&mut self, source: Slot, sink: Slot) {
        self.end_made(sink);
        let transcoding = self.new_transcoding(source, sink);
        self.legs.cold[sink as usize].made = Some(transcoding.id);
        // What is made of the same source anew has other numbers.
        self.legs.egress[sink as usize].resume_next();
        self.outbox.transcode(transcoding);
    }

    /// What is to be told to whoever transcodes a source for a leg, under a name of its own. This allocates, once for each: it has the formats.
    pub(crate) fn new_transcoding(&mut self, source: Slot, sink: Slot) -> Box<Transcoding> {
        let id = self.next_made(sink);
        let [from, to] = [source, sink].map(|slot| self.legs.cold[slot as usize].codecs.clone());
        Box::new(Transcoding { id, from, to, seed: self.rng.next_u64() })
    }

    /// Names a stream that is to be made for a leg.
    pub(crate) const fn next_made(&mut self, sink: Slot) -> MadeId {
        self.made = self.made.wrapping_add(1);
        MadeId::new(sink, self.made)
    }

    /// Nothing is made for a leg any more, if something was.
    pub(crate) fn end_made(&mut self, sink: Slot) {
        self.legs.by_packet.remove(&sink);
        if let Some(id) = self.legs.cold[sink as usize].made.take() {
            self.outbox.end_made(id);
        }
    }

    /// Hands a packet of its source out that a leg is to hear transcoded.
    #[cold]
    pub(crate) fn hand_to_transcoder(&mut self, sink: Slot, packet: &SourcePacket<'_>) -> Result<(), DropReason> {
        if self.is_relayed_again(sink, packet) {
            return self.send_copy(sink, packet);
        }
        self.claim_event(sink, packet, true)?;
        let egress = &self.legs.egress[sink as usize];
        // Beside a key of our own the source goes on: its packets are dropped when they come back.
        if let Some(reason) = egress.obstacle().filter(|_| !egress.is_reachable()) {
            return Err(reason);
        }
        let cold = &mut self.legs.cold[sink as usize];
        let id = cold.made.ok_or(DropReason::PayloadType)?;
        if self.outbox.source_packet(id, packet.bytes) {
            return Ok(());
        }
        cold.drops.count(DropReason::OutboxFull);
        Err(DropReason::OutboxFull)
    }

    fn pass_made(&mut self, id: MadeId, bytes: &[u8], now: MonoTime) {
        let sink = id.slot();
        let Some(cold) = self.legs.cold.get(sink as usize).filter(|cold| cold.made == Some(id)) else { return };
        if !self.legs.egress[sink as usize].is_made() {
            // Its source is relayed by now.
            return;
        }
        let leg = match self.legs.egress[sink as usize].source {
            SourceSlot::Leg(source) => Some(source),
            SourceSlot::Mix => None,
            SourceSlot::Silence | SourceSlot::Player => return,
        };
        let Ok(header) = RtpHeader::read(bytes) else { return };
        let named = cold.codecs.iter().find(|codec| codec.payload_type == header.payload_type);
        let packet = SourcePacket {
            header,
            bytes,
            len: bytes.len(),
            is_telephone_event: named.is_some_and(Codec::is_telephone_event),
            clock_rate: self.made_clock_rate(sink),
            leg,
            is_made: true,
            now,
        };
        // A full outbox has been counted already.
        if let Err(reason) = self.send_copy(sink, &packet)
            && reason != DropReason::OutboxFull
        {
            self.legs.cold[sink as usize].drops.count(reason);
        }
    }
}

/// Whether a leg is to be sent other packets than its source sends, though they share a format.
fn must_repack(from: &[Codec], to: &[Codec], can: Transcodable) -> bool {
    let first = |codecs: &[Codec]| codecs.iter().find(|codec| can(codec)).map(|codec| codec.sending);
    matches!((first(from), first(to)), (Some(source), Some(sink)) if sink.repacks(source))
}

/// Whether keys are to be converted between events and tones, though two legs share a format: one of them knows events, and the other
/// does not.
fn must_convert_keys(from: &[Codec], to: &[Codec]) -> bool {
    let events = |codecs: &[Codec]| codecs.iter().find(|codec| codec.is_telephone_event()).map(|codec| codec.sending);
    matches!((events(from), events(to)), (Some(known), None) | (None, Some(known)) if known.is_exact())
}
