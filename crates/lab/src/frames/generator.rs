//! The thread that makes frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use aya::maps::xdp::DevMap;
use aya::maps::{Array, MapData};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use serde::Serialize;

use super::{Aligned, End, FramesError, Span, StreamPlan};
use crate::sys;
use crate::sys::layout::{Control, FRAME_LEN, INTERVAL_SHIFT, Sent, Stream};

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!("../../bpf/objects/generate.o"));

/// Frames that go out together, at the end of as many turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// 16, for latencies: no frame is kept back for longer than it has to be, and a device is given as many at once
    /// (the kernel's `DEV_MAP_BULK_SIZE`).
    Small,
    /// 64, for rates: what NAPI takes at once (`NAPI_POLL_WEIGHT`).
    Large,
}

impl Batch {
    const fn frames(self) -> u32 {
        match self {
            Self::Small => 16,
            Self::Large => 64,
        }
    }
}

/// What a generator sent in its last span, and earlier ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SentFrames {
    /// Packets sent.
    pub sent: u64,
    /// Packets that were due but left out, because the generator could not keep up.
    pub missed: u64,
    /// Turns in which nothing was due.
    pub waited: u64,
    /// Time in nanoseconds that the generator's CPU spent on packets: making them, and what the kernel does with them there.
    pub busy_ns: u64,
}

impl SentFrames {
    /// What was sent after `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent.saturating_sub(earlier.sent),
            missed: self.missed.saturating_sub(earlier.missed),
            waited: self.waited.saturating_sub(earlier.waited),
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
        }
    }
}

/// Makes the packets of all streams in turn, at a rate that is 0 at first. Its thread uses all of a CPU; it ends when this is dropped.
pub struct Generator {
    control: Array<MapData, Control>,
    sent: Array<MapData, Sent>,
    wanted: Control,
    stop: Arc<AtomicBool>,
    batch: Arc<AtomicU32>,
    thread: Option<JoinHandle<Result<(), std::io::Error>>>,
    /// Keeps the program and its other maps.
    _bpf: Ebpf,
}

impl Generator {
    /// Starts the thread on a CPU, before everything else there, or wherever the system likes. Frames leave by `ends`, at most two.
    ///
    /// # Errors
    /// The program could not be loaded, a device does not exist, or a stream has too high a number.
    pub fn start(plans: &[StreamPlan], ends: &[End<'_>], cpu: Option<usize>) -> Result<Self, FramesError> {
        let count = u32::try_from(plans.len()).unwrap_or(u32::MAX);
        let loaded = EbpfLoader::new().map_max_entries("streams", count.max(1)).load(&OBJECT.0);
        let mut bpf = loaded.map_err(FramesError::bpf("load the generator"))?;
        set_streams(&mut bpf, plans)?;
        set_devices(&mut bpf, ends)?;
        let control = bpf.take_map("control").map(Array::try_from);
        let sent = bpf.take_map("sent").map(Array::try_from);
        let (Some(control), Some(sent)) = (control, sent) else { return Err(lacks("maps")) };
        let control = control.map_err(FramesError::bpf("use the generator's map"))?;
        let sent = sent.map_err(FramesError::bpf("use the generator's map"))?;
        let mut generator = Self {
            control,
            sent,
            wanted: Control { streams: count, batch: Batch::Small.frames(), ..Control::default() },
            stop: Arc::default(),
            batch: Arc::new(AtomicU32::new(Batch::Small.frames())),
            thread: None,
            _bpf: bpf,
        };
        generator.tell()?;
        // Frames begin with what is the same in all of them, the payload.
        let frame = plans.first().and_then(StreamPlan::frame).unwrap_or([0; FRAME_LEN]);
        generator.spawn(frame, ends, cpu)?;
        Ok(generator)
    }

    fn spawn(&mut self, frame: [u8; FRAME_LEN], ends: &[End<'_>], cpu: Option<usize>) -> Result<(), FramesError> {
        let program = self._bpf.program_mut("generate").ok_or_else(|| lacks("program"))?;
        let program: &mut Xdp = program.try_into().map_err(FramesError::bpf("use the generator"))?;
        program.load().map_err(FramesError::bpf("load the generator"))?;
        let fd = program.fd().map_err(FramesError::bpf("use the generator"))?;
        let fd = fd.try_clone().map_err(FramesError::bpf("use the generator"))?;
        sys::accept_interrupts().map_err(FramesError::system("handle a signal"))?;
        let (stop, batch) = (Arc::clone(&self.stop), Arc::clone(&self.batch));
        let run = move || {
            // Where that is not allowed, frames still go out; results show what others used.
            if let Some(cpu) = cpu {
                let _ = sys::pin_to_cpu(cpu);
                let _ = sys::go_before_ordinary();
            }
            while !stop.load(Ordering::Relaxed) {
                match sys::run_live_frames(
                    std::os::fd::AsFd::as_fd(&fd),
                    &frame,
                    u32::MAX,
                    batch.load(Ordering::Relaxed),
                ) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    result => result?,
                }
            }
            Ok(())
        };
        let name = || std::thread::Builder::new().name("lab-generator".to_owned());
        // The program runs as if its frames had come in by the loopback of the thread's namespace.
        let thread = match ends.first() {
            Some(end) => end.namespace.run(|| name().spawn(run))?,
            None => name().spawn(run),
        };
        self.thread = Some(thread.map_err(FramesError::system("start the generator's thread"))?);
        Ok(())
    }

    /// Sets how many packets a second go out, over all streams; 0 for none, infinity for as many as possible.
    ///
    /// # Errors
    /// The generator has failed.
    pub fn set_packets_per_s(&mut self, packets_per_s: f64) -> Result<(), FramesError> {
        let units = 1e9 * f64::from(1_u32 << INTERVAL_SHIFT) / packets_per_s;
        self.wanted.interval = if packets_per_s > 0.0 { (units.round() as u64).max(1) } else { 0 };
        self.tell()
    }

    /// Sets how many frames go out together; small batches at first.
    ///
    /// # Errors
    /// The generator has failed.
    pub fn set_batch(&mut self, batch: Batch) -> Result<(), FramesError> {
        let frames = batch.frames();
        if self.batch.swap(frames, Ordering::Relaxed) != frames {
            self.wanted.batch = frames;
            // Begins to run anew. A signal that comes just before the system call has no effect: the next one has.
            for _ in 0..3 {
                self.thread.as_ref().inspect(|thread| sys::interrupt(thread));
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.tell()
    }

    /// Counts what is sent in a span.
    ///
    /// # Errors
    /// The generator has failed.
    pub fn count_in(&mut self, span: Span) -> Result<(), FramesError> {
        (self.wanted.begin_ns, self.wanted.end_ns) = (span.begin_ns, span.end_ns);
        self.tell()
    }

    /// What was sent in all spans so far.
    ///
    /// # Errors
    /// The generator has failed.
    pub fn sent(&self) -> Result<SentFrames, FramesError> {
        let Sent { sent, missed, waited, busy_ns, .. } =
            self.sent.get(&0, 0).map_err(FramesError::bpf("read what the generator sent"))?;
        Ok(SentFrames { sent, missed, waited, busy_ns })
    }

    fn tell(&mut self) -> Result<(), FramesError> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            let result = self.thread.take().map(JoinHandle::join);
            let source = match result {
                Some(Ok(Err(error))) => error,
                _ => std::io::Error::other("the thread has ended"),
            };
            return Err(FramesError::System { what: "generate frames".to_owned(), source });
        }
        self.control.set(0, self.wanted, 0).map_err(FramesError::bpf("tell the generator what to do"))
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        // A signal that comes just before the system call does not end it: the next one does.
        while !thread.is_finished() {
            sys::interrupt(&thread);
            std::thread::sleep(Duration::from_millis(1));
        }
        // Its error, if any, was not asked for.
        let _ = thread.join();
    }
}

fn set_streams(bpf: &mut Ebpf, plans: &[StreamPlan]) -> Result<(), FramesError> {
    let map = bpf.map_mut("streams").ok_or_else(|| lacks("map of streams"))?;
    let mut streams = Array::<_, Stream>::try_from(map).map_err(FramesError::bpf("use the map of streams"))?;
    for (index, plan) in (0..).zip(plans) {
        let stream = plan.stream().ok_or_else(|| FramesError::System {
            what: format!("number a stream {}", plan.number),
            source: std::io::Error::other("there are not so many ports"),
        })?;
        streams.set(index, stream, 0).map_err(FramesError::bpf("add a stream"))?;
    }
    Ok(())
}

fn set_devices(bpf: &mut Ebpf, ends: &[End<'_>]) -> Result<(), FramesError> {
    let map = bpf.map_mut("devices").ok_or_else(|| lacks("map of devices"))?;
    let mut devices = DevMap::try_from(map).map_err(FramesError::bpf("use the map of devices"))?;
    for (index, end) in (0..).zip(ends) {
        // A device is looked up in the namespace of the thread that names it.
        end.namespace.run(|| {
            let device = sys::device_index(end.device).map_err(FramesError::system(format!("find {}", end.device)))?;
            devices.set(index, device, None, 0).map_err(FramesError::bpf("send by a device"))
        })??;
    }
    Ok(())
}

fn lacks(what: &str) -> FramesError {
    FramesError::Bpf { what: "load the generator", reason: format!("it has no {what}") }
}
