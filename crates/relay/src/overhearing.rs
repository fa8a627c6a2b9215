//! Who beside its listeners hears a party: a mixer, a recorder, a detector of what is said.
//!
//! They hear what the party sends, not what it is sent: packets as they came, decrypted, with gaps and out of order, while the
//! party is not muted. They are given copies, and no listener is any later for it.

use crate::forward::SourcePacket;
use crate::hand_out::Heard;
use crate::ids::LegId;
use crate::leg::Slot;
use crate::media::Codec;
use crate::shard::Shard;
use crate::time::MonoTime;
use crate::verdict::DropReason;

/// Who overhears a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ears {
    /// Other legs hear it mixed.
    pub mixer: bool,
    /// It is recorded.
    pub recorder: bool,
    /// Somebody finds out what is heard.
    pub detector: Option<Detecting>,
}

/// That a detector listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detecting {
    /// How often it was said that the party has answered: once more, and what was heard before does not matter any more.
    pub answers: u16,
}

/// How a detector listens. The engine passes it on, and keeps it for no leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// Who has answered is to be found out within so many milliseconds after the answer.
    pub answer_timeout_ms: u16,
    /// What is softer is silence: RMS in dBFS.
    pub audible_dbfs: i8,
    /// Speech has ended after so many milliseconds without any.
    pub hang_over_ms: u16,
    /// Silence is told of after so many milliseconds.
    pub silence_ms: u32,
    /// So many milliseconds of speech are a machine's.
    pub greeting_max_ms: u16,
    /// So many milliseconds of silence after less speech are a human's.
    pub listening_ms: u16,
}

impl Ears {
    /// Nobody.
    pub const NONE: Self = Self { mixer: false, recorder: false, detector: None };

    /// Whether anybody does.
    #[must_use]
    pub const fn any(self) -> bool {
        self.mixer || self.recorder || self.detector.is_some()
    }
}

/// Who overhears a leg from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overhearing {
    /// The leg.
    pub leg: LegId,
    /// Its formats; empty if they do not matter any more.
    pub formats: Vec<Codec>,
    /// Who; nobody: no packets will follow.
    pub by: Ears,
    /// How its detector listens from here on; `None`: as before.
    pub listening: Option<Listening>,
}

impl Shard {
    /// Who is told to overhear a leg; whether it is mixed is known here.
    pub(crate) fn set_overheard(&mut self, slot: Slot, by: Ears, listening: Option<Listening>) {
        let present = self.legs.cold[slot as usize].ears;
        let by = Ears { mixer: present.mixer, ..by };
        let listening = listening.filter(|_| by.detector.is_some());
        if by != present || listening.is_some() {
            self.overheard_by(slot, by, listening);
        }
    }

    /// Who overhears the leg is looked at again by [`Shard::refresh_ears`]: a cut-over from one mix to another must not make a
    /// party be unheard in between.
    pub(crate) fn ears_change(&mut self, slot: Slot) {
        self.ears_changed.push(slot);
    }

    /// Tells whoever overhears which legs from here on.
    pub(crate) fn refresh_ears(&mut self) {
        while let Some(slot) = self.ears_changed.pop() {
            let cold = &self.legs.cold[slot as usize];
            let by = Ears { mixer: cold.mixes > 0, ..cold.ears };
            if by != cold.ears {
                self.overheard_by(slot, by, None);
            }
        }
    }

    /// The formats of a leg have changed: whoever overhears it must know.
    pub(crate) fn formats_of_overheard_change(&mut self, slot: Slot) {
        let by = self.legs.cold[slot as usize].ears;
        if by.any() {
            self.overheard_by(slot, by, None);
        }
    }

    /// Nobody overhears a leg any more: it goes away.
    pub(crate) fn end_overhearing(&mut self, slot: Slot) {
        if self.legs.cold[slot as usize].ears.any() {
            self.overheard_by(slot, Ears::NONE, None);
        }
    }

    fn overheard_by(&mut self, slot: Slot, by: Ears, listening: Option<Listening>) {
        self.legs.descend_from(slot);
        let cold = &mut self.legs.cold[slot as usize];
        cold.ears = by;
        self.legs.ingress[slot as usize].set_overheard(by.any());
        let formats = if by.any() { cold.codecs.clone() } else { Vec::new() };
        self.outbox.overhear(Overhearing { leg: cold.id, formats, by, listening });
    }

    /// Hands a packet of a leg to whoever overhears it. Says whether it is heard mixed.
    #[cold]
    pub(crate) fn overhear(&mut self, slot: Slot, packet: &SourcePacket<'_>, at: MonoTime) -> bool {
        let cold = &mut self.legs.cold[slot as usize];
        let by = cold.ears;
        if !by.any() || !self.legs.ingress[slot as usize].is_open() {
            return false;
        }
        if !self.outbox.heard(&Heard { leg: cold.id, by, at, bytes: packet.bytes }) {
            cold.drops.count(DropReason::OutboxFull);
        }
        by.mixer
    }
}
