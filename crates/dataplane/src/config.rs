//! How the data plane is to run.

use core::net::IpAddr;
use core::time::Duration;
use std::path::PathBuf;

/// Settings of a [`crate::Dataplane`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many worker threads there are and where they run.
    pub workers: Workers,
    /// Run the workers as `SCHED_FIFO` with this priority, 1 to 99. Needs `CAP_SYS_NICE` or `RLIMIT_RTPRIO`; without them the
    /// workers run as usual and a warning says so.
    pub realtime_priority: Option<u8>,
    /// What moves the datagrams.
    pub backend: BackendChoice,
    /// What forwards flows that need no decision.
    pub offload: OffloadChoice,
    /// How XDP programs are attached.
    pub xdp_mode: XdpMode,
    /// Lets flows outlive the process; `None`: they end with it.
    pub pins: Option<PinConfig>,
    /// What a worker does when there is nothing to do.
    pub wait: Wait,
    /// Legs that each worker has room for.
    pub legs_max_per_worker: u32,
    /// Size of each socket's receive queue as in `SO_RCVBUF`: the kernel doubles it, and charges a datagram of ordinary
    /// audio with 768 bytes (loopback, small frames) to 4352 bytes (a page of a driver).
    ///
    /// The default of 64 KiB thus holds 30 to 170 packets, which is 0.6 s of one audio stream, or the burst of a video
    /// key frame. It is not what bounds the delay under overload: a thousand full queues of 170 packets take 280 ms to
    /// serve at 600,000 packets/s. That is what [`crate::OVERLOAD_AGE`] is for.
    pub receive_buffer_bytes: usize,
    /// Size of each socket's send buffer, as in `SO_SNDBUF`. It bounds what one port may have waiting in a device queue.
    pub send_buffer_bytes: usize,
    /// Differentiated services code point of everything sent (RFC 2474); 46 is expedited forwarding.
    pub dscp: Option<u8>,
    /// Buffers of 2 KiB that each io_uring worker receives into, rounded up to a power of two of at most 32768. They are
    /// used in turn, so more of them need more cache; when they run out nothing is lost but a system call.
    pub ring_buffers: u16,
    /// Frames of 2 KiB that each queue of an interface receives into by AF_XDP, rounded likewise. What gathers while a worker does something
    /// else is in them: the default of 2048 (4 MiB) is twice the 4 ms that an overloaded worker lets a packet wait, at 250,000 packets a second.
    pub af_xdp_frames: u16,
    /// The ports that legs will be given, as far as they are known: what others in this network namespace are told, and what the
    /// automatic choice looks at. Without them it takes ports for granted.
    pub media: Vec<MediaPorts>,
    /// Seed of the engines' randomness; each worker derives its own.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: Workers::Count(1),
            realtime_priority: None,
            backend: BackendChoice::Auto,
            offload: OffloadChoice::Auto,
            xdp_mode: XdpMode::Auto,
            pins: None,
            wait: Wait::Adaptive,
            legs_max_per_worker: 1024,
            receive_buffer_bytes: 64 << 10,
            send_buffer_bytes: 256 << 10,
            dscp: None,
            ring_buffers: 1024,
            af_xdp_frames: 2048,
            media: Vec::new(),
            seed: 0,
        }
    }
}

/// Ports of one local address that legs are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPorts {
    /// The local address; unspecified: all of its family.
    pub address: IpAddr,
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

impl MediaPorts {
    /// Whether a port of the one can be a port of the other.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.address, other.address);
        let address =
            ours.is_ipv4() == theirs.is_ipv4() && (ours == theirs || ours.is_unspecified() || theirs.is_unspecified());
        address && self.first <= other.last && other.first <= self.last
    }
}

/// Where the workers run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workers {
    /// This many, at least 1. Each is pinned to a CPU of its own as long as the process may use that many.
    Count(usize),
    /// One on each of these CPUs.
    Cpus(Vec<usize>),
}

/// Which backend to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// The fastest that works and harms nobody.
    #[default]
    Auto,
    /// One socket a worker for all its ports, by BPF programs, or refuse to start. Needs `CAP_BPF`, `CAP_NET_ADMIN` and
    /// `CAP_PERFMON`, and Linux 6.6.
    Steered,
    /// Packets to and from the workers' own memory, past the kernel's network stack, or refuse to start. Needs what
    /// [`BackendChoice::Steered`] needs, and an interface of Ethernet with a media address.
    AfXdp,
    /// io_uring, or refuse to start.
    IoUring,
    /// epoll, recvmmsg and sendmmsg.
    Mmsg,
}

/// What forwards flows that need no decision, past the workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffloadChoice {
    /// XDP where it works and nobody can take it amiss, else the workers.
    #[default]
    Auto,
    /// XDP, or refuse to start. Needs `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_PERFMON`, and Linux 5.12.
    Xdp,
    /// The workers.
    Off,
}

/// Where flows live on when the process is killed, and what the next one does with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinConfig {
    /// A folder in a BPF filesystem.
    pub folder: PathBuf,
    /// Flows that are found go on until nothing comes any more, and no leg gets their ports meanwhile; else they end.
    pub adopt: bool,
}

/// How XDP programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver where it runs programs and sends what they give it, else in front of the network stack.
    #[default]
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In front of the network stack.
    Generic,
}

/// What a worker does when there is nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Look again: the least latency, and a whole CPU for each worker.
    Spin,
    /// Sleep for this long and then take everything that has come: the fewest wake-ups. Requests end the sleep early.
    Tick {
        /// Added latency at worst; half of it on average.
        period: Duration,
    },
    /// Sleep until a datagram comes or something is due.
    Sleep,
    /// [`Wait::Sleep`] while there is little to do, else [`Wait::Tick`].
    #[default]
    Adaptive,
}
