//! Listeners that have some of their source's formats, and not all: a packet of one that they have is relayed as it is, one of another
//! is transcoded.
//!
//! Which it is stands in the table of payload types ([`PayloadTypeMap`]), so that a packet that is relayed costs what it costs anyhow.
//! The source is either relayed or handed out, and changes over with the first packet of media of the other kind. Each time is a
//! splice, and gives what is made a name of its own: what is still under way under the former one comes too late.
//!
//! ```text
//!  source    A A A  u u u  A A       A: the listener has it; u: it does not
//!  relayed   A A A         A A
//!  made             a a a            under its first name; the next u has another
//! ```
//!
//! Events and comfort noise go the way that the audio before them went.

use patchcord_rtp::{RtpTimestamp, SequenceNumber};

use crate::forward::{SourcePacket, is_event_remembered};
use crate::leg::Slot;
use crate::leg::egress::Hearing;
use crate::leg::formats::{PayloadTypeMap, share_a_format};
use crate::shard::Shard;
use crate::transcoding::Transcoding;
use crate::verdict::DropReason;

/// What it takes for such a listener; beside the legs, since few are.
#[derive(Debug, Default)]
pub(crate) struct ByPacket {
    /// What is told when the first packet has to be transcoded: so that nobody transcodes for a source that never sends one.
    prepared: Option<Box<Transcoding>>,
    /// The source's timestamp of its latest event, and whether that is handed out.
    event: Option<(RtpTimestamp, bool)>,
}

impl Shard {
    /// What becomes of the payload types of a source that is not transcoded as a whole.
    pub(crate) fn map_between(&self, source: Slot, sink: Slot) -> PayloadTypeMap {
        let [from, to] = [source, sink].map(|slot| &*self.legs.cold[slot as usize].codecs);
        let map = PayloadTypeMap::between(from, to);
        let is_translator = self.legs.egress[sink as usize].is_translator();
        match self.transcodable {
            Some(can) if !is_translator && to.iter().any(can) && share_a_format(from, to) => map.converting(from, can),
            _ => map,
        }
    }

    /// A listener is given a source of which this becomes. This allocates, so that its packets need not.
    pub(crate) fn prepare_by_packet(&mut self, source: Slot, sink: Slot, map: &PayloadTypeMap) {
        if !map.converts_any() {
            return;
        }
        let prepared = Some(self.new_transcoding(source, sink));
        self.legs.by_packet.insert(sink, ByPacket { prepared, event: None });
    }

    /// A listener cannot be sent a packet as it is; has it transcoded, if that was because it does not have the format. Gives why not.
    #[cold]
    pub(crate) fn pass_otherwise(
        &mut self,
        sink: Slot,
        packet: &SourcePacket<'_>,
        reason: DropReason,
    ) -> Result<(), DropReason> {
        let cold = &self.legs.cold[sink as usize];
        if reason != DropReason::PayloadType || !cold.payload_types.converts(packet.header.payload_type) {
            return Err(reason);
        }
        if !self.is_newest(packet) {
            return Err(DropReason::StaleAfterCutover);
        }
        if self.hears_event(sink, packet) {
            // It would be torn.
            return Err(DropReason::MidEvent);
        }
        let Some(by_packet) = self.legs.by_packet.get_mut(&sink) else { return Err(reason) };
        if let Some(prepared) = by_packet.prepared.take() {
            self.outbox.transcode(prepared);
        }
        self.change_over(sink, packet, Hearing::Made);
        self.legs.cold[sink as usize].made = Some(self.next_made(sink));
        self.hand_to_transcoder(sink, packet)
    }

    /// Whether a packet of a source that is transcoded is relayed as it is, as all are from here on.
    pub(crate) fn is_relayed_again(&mut self, sink: Slot, packet: &SourcePacket<'_>) -> bool {
        let (cold, number) = (&self.legs.cold[sink as usize], packet.header.payload_type);
        let Some(source) = packet.leg.filter(|_| cold.payload_types.get(number).is_some()) else { return false };
        let codecs = &self.legs.cold[source as usize].codecs;
        let is_media = codecs.iter().any(|codec| codec.payload_type == number && codec.carries_media());
        let can_be_sent = self.legs.egress[sink as usize].obstacle().is_none();
        if !is_media || !can_be_sent || !self.is_newest(packet) || self.hears_event(sink, packet) {
            return false;
        }
        self.change_over(sink, packet, Hearing::Mapped);
        true
    }

    /// An event goes one way as a whole: what the other way has begun is not to be heard as another key.
    pub(crate) fn claim_event(
        &mut self,
        sink: Slot,
        packet: &SourcePacket<'_>,
        handed_out: bool,
    ) -> Result<(), DropReason> {
        if !packet.is_telephone_event || packet.is_made || self.legs.by_packet.is_empty() {
            return Ok(());
        }
        let Some(by_packet) = self.legs.by_packet.get_mut(&sink) else { return Ok(()) };
        let timestamp = packet.header.timestamp;
        match by_packet.event {
            Some((known, way)) if known == timestamp && way != handed_out => Err(DropReason::MidEvent),
            _ => {
                by_packet.event = Some((timestamp, handed_out));
                Ok(())
            }
        }
    }

    fn change_over(&mut self, sink: Slot, packet: &SourcePacket<'_>, hearing: Hearing) {
        self.end_event_in_flight(sink, packet.now);
        let egress = &mut self.legs.egress[sink as usize];
        egress.hearing = hearing;
        egress.change_next();
    }

    /// Whether a packet is not one that comes late: those change nothing.
    fn is_newest(&self, packet: &SourcePacket<'_>) -> bool {
        let Some(source) = packet.leg else { return false };
        let highest = self.legs.ingress[source as usize].receiver.extended_highest();
        SequenceNumber(highest as u16) == packet.header.sequence
    }

    /// Whether the listener hears an event that has not ended yet.
    fn hears_event(&self, sink: Slot, packet: &SourcePacket<'_>) -> bool {
        let event = &self.legs.cold[sink as usize].event_in_flight;
        event.as_ref().is_some_and(|event| is_event_remembered(event, packet.now))
    }
}
