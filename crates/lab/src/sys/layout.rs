//! What the BPF programs share with user space: bpf/frames.h in Rust, with the same sizes and offsets.

use std::mem::offset_of;

/// Length of a frame: Ethernet, IPv4, UDP and RTP headers and 160 samples of G.711.
pub(crate) const FRAME_LEN: usize = 214;
/// Of the headers that a stream's template holds, and two bytes of payload.
pub(crate) const HEAD_LEN: usize = 56;
/// The port of stream 0 of each side.
pub(crate) const FIRST_PORT: u16 = 10_000;
/// Intervals are in units of 2^-8 ns.
pub(crate) const INTERVAL_SHIFT: u32 = 8;
/// Buckets are 2^-5 of a power of two wide.
pub(crate) const BUCKET_BITS: u32 = 5;
/// Buckets of all latencies of 32 bits.
pub(crate) const BUCKETS: usize = 896;

/// One direction of a call, as the generator sends it (`struct frames_stream`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(8))]
pub(crate) struct Stream {
    /// Headers and the first bytes of payload.
    pub(crate) head: [u8; HEAD_LEN],
    /// Sequence number of the next packet.
    pub(crate) sequence: u16,
    /// Index into the map of devices.
    pub(crate) device: u16,
    /// Sum of all that the UDP checksum covers, but for sequence number and timestamp.
    pub(crate) sum: u32,
}

/// What user space wants (`struct frames_control`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Control {
    /// Packets that are sent from this time of `CLOCK_MONOTONIC` on are counted,
    pub(crate) begin_ns: u64,
    /// up to this one.
    pub(crate) end_ns: u64,
    /// Time between two packets in units of 2^-8 ns; 0 sends none.
    pub(crate) interval: u64,
    /// Streams in use.
    pub(crate) streams: u32,
    /// 1: the sink recomputes checksums.
    pub(crate) verify: u32,
    /// Frames of a batch.
    pub(crate) batch: u32,
    /// Bytes that SRTP adds to a packet; 0 for RTP.
    pub(crate) tag_len: u32,
}

/// What the generator did (`struct frames_sent`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Sent {
    /// When the next packet is due, in units of 2^-8 ns.
    pub(crate) next: u64,
    /// Sent in the window.
    pub(crate) sent: u64,
    /// Due in the window, but left out.
    pub(crate) missed: u64,
    /// Turns in the window in which nothing was due.
    pub(crate) waited: u64,
    /// Time of the window that was spent on packets.
    pub(crate) busy_ns: u64,
    /// When the last turn began.
    pub(crate) last_ns: u64,
    /// Running mean of the time that a turn takes in which nothing is due, in units of 2^-6 ns.
    pub(crate) idle_turn: u64,
    /// Whose turn it is.
    pub(crate) stream: u32,
    /// Turns since a packet was sent.
    pub(crate) idle: u32,
}

/// What the sink received on one CPU (`struct frames_received`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Received {
    /// Sent in the window.
    pub(crate) received: u64,
    /// Sent at any time.
    pub(crate) total: u64,
    /// Sequence numbers that were skipped, less those that came late.
    pub(crate) skipped: u64,
    /// Arrived after a later one of their stream.
    pub(crate) late: u64,
    /// To a stream's port, but nothing that the generator sends.
    pub(crate) strange: u64,
    /// With a wrong checksum.
    pub(crate) corrupt: u64,
    /// Latencies of those of the window.
    pub(crate) buckets: [u64; BUCKETS],
}

impl Default for Received {
    fn default() -> Self {
        Self { received: 0, total: 0, skipped: 0, late: 0, strange: 0, corrupt: 0, buckets: [0; BUCKETS] }
    }
}

const _: () = {
    assert!(size_of::<Stream>() == 64);
    assert!(offset_of!(Stream, sequence) == 56 && offset_of!(Stream, sum) == 60);
    assert!(size_of::<Control>() == 40 && offset_of!(Control, batch) == 32);
    assert!(size_of::<Sent>() == 64 && offset_of!(Sent, stream) == 56);
    assert!(size_of::<Received>() == 48 + 8 * BUCKETS && offset_of!(Received, buckets) == 48);
};

// SAFETY: made of numbers, without padding (asserted above), and valid whatever its bytes are.
unsafe impl aya::Pod for Stream {}
// SAFETY: as above.
unsafe impl aya::Pod for Control {}
// SAFETY: as above.
unsafe impl aya::Pod for Sent {}
// SAFETY: as above.
unsafe impl aya::Pod for Received {}
