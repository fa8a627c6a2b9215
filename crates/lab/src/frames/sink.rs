//! What arrives, counted where it arrives.

use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::Xdp;
use aya::programs::xdp::XdpMode;
use aya::{Ebpf, EbpfLoader};
use serde::Serialize;

use super::{Aligned, End, FramesError, Histogram, Span};
use crate::sys::layout::{Control, Received};

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../../bpf/objects/sink.o"));

/// What a sink has counted since it was attached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Arrivals {
    /// Packets that were sent in a span.
    pub received: u64,
    /// All packets of the streams.
    pub total: u64,
    /// Sequence numbers that never came.
    pub skipped: u64,
    /// Packets that came after a later one of their stream.
    pub late: u64,
    /// Datagrams to a stream's port that are no RTP of ours.
    pub strange: u64,
    /// Packets with a wrong checksum, if they are verified; they count nowhere else.
    pub corrupt: u64,
    /// Packets by the CPU on which they arrived.
    pub by_cpu: Vec<u64>,
    /// Latencies of those of a span.
    pub latency: Histogram,
}

impl Arrivals {
    /// Adds what another sink has counted.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.total += other.total;
        self.skipped = self.skipped.wrapping_add(other.skipped);
        self.late += other.late;
        self.strange += other.strange;
        self.corrupt += other.corrupt;
        self.by_cpu.resize(self.by_cpu.len().max(other.by_cpu.len()), 0);
        for (own, others) in self.by_cpu.iter_mut().zip(&other.by_cpu) {
            *own += others;
        }
        self.latency.merge(&other.latency);
    }

    /// What arrived after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let by_cpu = self.by_cpu.iter().enumerate();
        Self {
            received: self.received - earlier.received,
            total: self.total - earlier.total,
            // A packet that was missing may have come since.
            skipped: self.skipped.saturating_sub(earlier.skipped),
            late: self.late - earlier.late,
            strange: self.strange - earlier.strange,
            corrupt: self.corrupt - earlier.corrupt,
            by_cpu: by_cpu.map(|(cpu, count)| count - earlier.by_cpu.get(cpu).unwrap_or(&0)).collect(),
            latency: self.latency.since(&earlier.latency),
        }
    }
}

/// What a sink takes for packets of the streams; everything else that comes to their ports is strange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// RTP as it was generated.
    Rtp,
    /// The same, and each packet's checksums are computed, which takes time; a veth's are only there after
    /// [`super::compute_checksums`] on the side that sends.
    RtpWithChecksums,
    /// SRTP, as long as the RTP that it was made from and so many bytes of tag. It is not decrypted.
    Srtp {
        /// The authentication tag's length in bytes.
        tag_len: u32,
    },
}

/// Counts and drops what arrives at a device, until it is dropped.
pub struct Sink {
    control: Array<MapData, Control>,
    received: PerCpuArray<MapData, Received>,
    wanted: Control,
    /// Keeps the program attached.
    _bpf: Ebpf,
}

impl Sink {
    /// Attaches a sink for streams of numbers below `streams`.
    ///
    /// # Errors
    /// The program could not be loaded or attached.
    pub fn attach(end: End<'_>, streams: u32, expected: Expected) -> Result<Self, FramesError> {
        let lacks = |what: &str| FramesError::Bpf { what: "load the sink", reason: format!("it has no {what}") };
        let loaded = EbpfLoader::new().map_max_entries("heard", streams.max(1)).load(&OBJECT.0);
        let mut bpf = loaded.map_err(FramesError::bpf("load the sink"))?;
        let control = bpf.take_map("control").ok_or_else(|| lacks("map"))?;
        let received = bpf.take_map("received").ok_or_else(|| lacks("map"))?;
        let program = bpf.program_mut("sink").ok_or_else(|| lacks("program"))?;
        let program: &mut Xdp = program.try_into().map_err(FramesError::bpf("use the sink"))?;
        program.load().map_err(FramesError::bpf("load the sink"))?;
        end.namespace
            .run(|| program.attach(end.device, XdpMode::Driver))?
            .map_err(FramesError::bpf("attach the sink to its device"))?;
        let mut sink = Self {
            control: control.try_into().map_err(FramesError::bpf("use the sink's map"))?,
            received: received.try_into().map_err(FramesError::bpf("use the sink's map"))?,
            wanted: Control {
                verify: u32::from(expected == Expected::RtpWithChecksums),
                tag_len: if let Expected::Srtp { tag_len } = expected { tag_len } else { 0 },
                ..Control::default()
            },
            _bpf: bpf,
        };
        sink.tell()?;
        Ok(sink)
    }

    /// Counts what was sent in a span.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn count_in(&mut self, span: Span) -> Result<(), FramesError> {
        (self.wanted.begin_ns, self.wanted.end_ns) = (span.begin_ns, span.end_ns);
        self.tell()
    }

    /// What has arrived so far.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn arrivals(&self) -> Result<Arrivals, FramesError> {
        let by_cpu = self.received.get(&0, 0).map_err(FramesError::bpf("read what the sink received"))?;
        let mut all = Arrivals::default();
        for cpu in &*by_cpu {
            all.received += cpu.received;
            all.total += cpu.total;
            // A CPU that saw only the late one has a negative count.
            all.skipped = all.skipped.wrapping_add(cpu.skipped);
            all.late += cpu.late;
            all.strange += cpu.strange;
            all.corrupt += cpu.corrupt;
            all.by_cpu.push(cpu.total);
            all.latency.add(&cpu.buckets);
        }
        Ok(all)
    }

    fn tell(&mut self) -> Result<(), FramesError> {
        self.control.set(0, self.wanted, 0).map_err(FramesError::bpf("tell the sink what to do"))
    }
}
