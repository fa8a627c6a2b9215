//! What goes into a jitter buffer and what comes out.

/// How a stream is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// RTP timestamp units a second.
    pub clock_rate: u32,
    /// The least delay, in milliseconds.
    pub delay_min_ms: u32,
    /// The greatest delay, in milliseconds: packets that come later are not heard.
    pub delay_max_ms: u32,
    /// What a packet plays until one has said so, and what the player plays at a time, in milliseconds.
    pub packet_ms: u32,
}

impl Config {
    /// For a stream of `clock_rate` with delays of 20 to 200 ms and packets of 20 ms.
    #[must_use]
    pub const fn new(clock_rate: u32) -> Self {
        Self { clock_rate, delay_min_ms: 20, delay_max_ms: 200, packet_ms: 20 }
    }
}

/// A packet as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Of the RTP header.
    pub sequence: u16,
    /// Of the RTP header.
    pub timestamp: u32,
    /// What it plays, in timestamp units; see [`crate::Decoder::samples_in`].
    pub units: u32,
    /// The codec's part of it.
    pub payload: &'a [u8],
}

/// What was done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It waits for its time.
    Kept,
    /// Its time has passed.
    Late,
    /// It is there already.
    Duplicate,
    /// Its timestamp is far from all others: it is left out unless another one follows.
    Stray,
    /// As another one had said before, the stream goes on elsewhere: everything is forgotten, and it is the first.
    Jumped,
    /// It plays nothing, or is too long.
    Refused,
}

/// What is to be heard next, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Playout<'a> {
    /// This payload.
    Play {
        /// To be decoded.
        payload: &'a [u8],
        /// What it plays.
        units: u32,
    },
    /// What came just before this payload and is lost: from its forward error correction, if it has some.
    Fec {
        /// The payload after the lost one, which will be played next.
        next: &'a [u8],
        /// What is lost.
        units: u32,
    },
    /// Something like what was heard before.
    Conceal {
        /// How much of it.
        units: u32,
    },
    /// Nothing.
    Silence {
        /// How much of it.
        units: u32,
    },
}

/// What has happened so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Played.
    pub played: u64,
    /// Lost, and made up from the packet after it or from the past.
    pub concealed: u64,
    /// Made up to play later.
    pub stretched: u64,
    /// Left out to play sooner.
    pub skipped: u64,
    /// See [`Inserted::Late`].
    pub late: u64,
    /// See [`Inserted::Duplicate`].
    pub duplicate: u64,
    /// See [`Inserted::Stray`] and [`Inserted::Refused`].
    pub refused: u64,
    /// Left out since there were [`PACKETS_MAX`](super::PACKETS_MAX).
    pub overflowed: u64,
    /// See [`Inserted::Jumped`].
    pub jumped: u64,
}
