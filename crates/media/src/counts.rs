//! What became of the packets.

/// What became of the packets of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Everything that was pushed.
    pub packets_in: u64,
    /// Everything that was made: audio, events and comfort noise.
    pub packets_out: u64,
    /// Telephone-event packets of the source that were passed on.
    pub events_out: u64,
    /// Packets of the source that did not come, or too late.
    pub lost: u64,
    /// Lost packets that the decoder made something up for.
    pub concealed: u64,
    /// Lost packets that forward error correction restored.
    pub recovered: u64,
    /// Packets that came after their place had been filled, or from another time.
    pub late: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that were no RTP, or whose payload was none of its format.
    pub malformed: u64,
    /// Packets of payload types that the source has not, or that nothing can be made of.
    pub unknown: u64,
    /// Keys of events that were made tones.
    pub keys_sounded: u64,
    /// Keys in the audio that were made events.
    pub keys_told: u64,
    /// Events that are no keys, and comfort noise, that the listener has no format for.
    pub untranslated: u64,
    /// Times that the source began anew: with another SSRC, other sequence numbers, other timestamps or another clock.
    pub restarts: u64,
}
