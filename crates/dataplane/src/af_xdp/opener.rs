//! Opens the workers' sockets on the interfaces that have the program `fast`, those that come later too.

#![allow(unsafe_code, reason = "an ioctl that std does not know, and our word that a type is plain bytes")]

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use crossbeam::channel::{self, Receiver, Sender};
use crossbeam::queue::ArrayQueue;

use super::socket::{Sharing, Socket};
use super::umem::{FRAME_BYTES, Queue, Umem};
use super::xsks::{RESERVE, Xsk, Xsks};
use crate::backend::Unavailable;
use crate::bpf::{Map, Object, Plain};
use crate::mapping::Mapping;
use crate::network::netdev;
use crate::socket::raise_memory_limit;
use crate::wake::Wake;

/// Queues of an interface that are listened to at most. What comes by others goes by the kernel's stack.
const QUEUES_MAX: usize = 64;
/// Interfaces that workers have sockets on at most.
const INTERFACES_MAX: usize = 16;

/// Frames that all queues of an interface receive into at most: 64 MiB.
const FRAMES_MAX: usize = 1 << 15;

/// A receive queue of an interface (`struct fast_queue`).
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct QueueKey {
    pub(crate) interface: u32,
    pub(crate) index: u32,
}

const _: () = assert!(size_of::<QueueKey>() == 8);

// SAFETY: two integers.
unsafe impl Plain for QueueKey {}

/// What a worker is told.
pub(crate) enum SocketNews {
    /// It has sockets on an interface.
    Open(Box<Xsks>),
    /// The interface with this index is gone, or has lost the program.
    Gone(u32),
}

/// See the module's documentation.
pub(crate) struct Opener {
    queues: Map<QueueKey, u32>,
    rings: Map<u32, u32>,
    /// The parts of `rings` that no queue has, by where they begin.
    free: Vec<u32>,
    /// Those that are taken, and by which queue.
    taken: Vec<(u32, QueueKey)>,
    /// The workers, and what wakes them.
    tells: Vec<(Sender<SocketNews>, Arc<Wake>)>,
    frames: u32,
    zero_copy: bool,
}

impl Opener {
    /// How large the program's maps are to be.
    pub(crate) fn sizes(workers: usize) -> [(&'static str, usize); 2] {
        let queues = QUEUES_MAX * INTERFACES_MAX;
        [("queues", queues), ("rings", queues * workers)]
    }

    /// For the workers that these wake, with the receiving end of each. `frames`: those that each queue receives into, a power of two.
    pub(crate) fn new(
        object: &Object,
        wakes: Vec<Arc<Wake>>,
        frames: u32,
        zero_copy: bool,
    ) -> (Self, Vec<Receiver<SocketNews>>) {
        raise_memory_limit();
        let workers = wakes.len();
        let (tells, news): (Vec<_>, _) = wakes.iter().map(|_| channel::unbounded()).unzip();
        let tells = tells.into_iter().zip(wakes).collect();
        let [(_, queues), _] = Self::sizes(workers);
        let opener = Self {
            queues: object.map("queues"),
            rings: object.map("rings"),
            free: (0..queues).rev().map(|queue| (queue * workers) as u32).collect(),
            taken: Vec::new(),
            tells,
            frames,
            zero_copy,
        };
        (opener, news)
    }

    /// Opens the workers' sockets on an interface and tells them. What it came to in words: how many queues, and whether packets are copied.
    ///
    /// # Errors
    /// In words; then the interface's packets go by the kernel's stack.
    pub(crate) fn open(&mut self, interface: u32, name: &str) -> Result<String, String> {
        let queues = queues_of(name).clamp(1, QUEUES_MAX).min(self.free.len());
        if queues == 0 {
            return Err("as many queues as there is room for have sockets already".to_owned());
        }
        let zero_copy = self.zero_copy && netdev::copies_nothing(interface).unwrap_or(false);
        let (umem, xsks) = open(interface, queues, self.tells.len(), self.frames, zero_copy)
            .map_err(|(what, error)| format!("{what}: {error}{}", advice(&error)))?;
        let (queues, copies) = (umem.queues.len(), umem.copies);
        if let Err(error) = self.give(&umem, xsks) {
            self.close(interface);
            return Err(format!("the program cannot be given the sockets: {error}"));
        }
        let how = if copies { "copied" } else { "not copied" };
        Ok(format!("{queues} queue{}, {how}", if queues == 1 { "" } else { "s" }))
    }

    /// Puts the sockets where the program finds them, and gives them to the workers.
    fn give(&mut self, umem: &Arc<Umem>, xsks: Vec<Vec<Xsk>>) -> io::Result<()> {
        let mut firsts = Vec::new();
        for index in 0..umem.queues.len() as u32 {
            // There is one: no more queues than that were asked for.
            let Some(first) = self.free.pop() else { break };
            let key = QueueKey { interface: umem.interface, index };
            self.taken.push((first, key));
            firsts.push((first, key));
        }
        for (worker, sockets) in xsks.iter().enumerate() {
            for ((first, _), xsk) in firsts.iter().zip(sockets) {
                let (place, fd) = (first + worker as u32, xsk.socket.as_raw_fd() as u32);
                self.rings.insert(&place, &fd, Map::<u32, u32>::ANY)?;
            }
        }
        for (worker, sockets) in xsks.into_iter().enumerate() {
            self.tell(worker, SocketNews::Open(Box::new(Xsks::new(Arc::clone(umem), sockets.into(), worker))));
        }
        // The workers hear of the sockets before anything comes.
        for (first, key) in firsts {
            self.queues.insert(&key, &first, Map::<QueueKey, u32>::ANY)?;
        }
        Ok(())
    }

    /// Forgets an interface and tells the workers.
    pub(crate) fn close(&mut self, interface: u32) {
        let Self { queues, free, taken, .. } = self;
        taken.retain(|&(first, key)| {
            let stays = key.interface != interface;
            if !stays {
                let _ = queues.remove(&key);
                free.push(first);
            }
            stays
        });
        for worker in 0..self.tells.len() {
            self.tell(worker, SocketNews::Gone(interface));
        }
    }

    fn tell(&self, worker: usize, news: SocketNews) {
        let (tell, wake) = &self.tells[worker];
        let _ = tell.send(news);
        // What comes by sockets that it does not know of would not wake it.
        wake.wake();
    }
}

/// Opens a socket and lets it go.
pub(crate) fn try_socket() -> Result<(), Unavailable> {
    let socket = Socket::new().map(drop);
    socket.map_err(|error| Unavailable::new(format!("an AF_XDP socket: {error}{}", advice(&error))))
}

type Failed = (&'static str, io::Error);

/// The sockets of each worker on an interface: one for each queue, and a memory for all.
fn open(
    interface: u32,
    queues: usize,
    workers: usize,
    per_queue: u32,
    zero_copy: bool,
) -> Result<(Arc<Umem>, Vec<Vec<Xsk>>), Failed> {
    // Half of the next power of two is the one before it, or itself.
    let per_queue = per_queue.min((FRAMES_MAX / queues / 2 + 1).next_power_of_two() as u32);
    let frames = queues * per_queue as usize + workers * RESERVE;
    let memory = Mapping::new(frames * FRAME_BYTES).map_err(|error| ("mapping memory for packets", error))?;
    let mut xsks: Vec<Vec<Xsk>> = (0..workers).map(|_| Vec::new()).collect();
    let mut frame_rings = Vec::new();
    'queues: for queue in 0..queues as u32 {
        for worker in 0..workers {
            let socket = Socket::new().map_err(|error| ("an AF_XDP socket", error))?;
            // The first socket of all has the memory, the first of each queue the rings of frames.
            let first = xsks[0].first();
            if first.is_none() {
                socket.register(&memory, FRAME_BYTES as u32).map_err(|error| ("giving memory to the kernel", error))?;
            }
            if worker == 0 {
                // Everything may be on its way to be sent.
                let completion = (frames as u32).next_power_of_two();
                let rings = socket.frame_rings(per_queue, completion);
                frame_rings.push(rings.map_err(|error| ("making rings of frames", error))?);
            }
            let rings = socket.rings(per_queue).map_err(|error| ("making rings of packets", error))?;
            let sharing = match (first, xsks[0].last()) {
                (None, _) | (_, None) => Sharing::Own { zero_copy },
                (Some(first), _) if worker == 0 => Sharing::With(first.socket.as_fd()),
                // The rings of frames are those of the first worker's socket on the same queue.
                (_, Some(same_queue)) => Sharing::With(same_queue.socket.as_fd()),
            };
            match socket.bind(interface, queue, &sharing) {
                Ok(()) => {}
                // The interface has fewer queues than it said.
                Err(error) if queue > 0 && worker == 0 && error.raw_os_error() == Some(libc::EINVAL) => {
                    frame_rings.pop();
                    break 'queues;
                }
                Err(error) => return Err(("binding an AF_XDP socket", error)),
            }
            let (received, sent) = rings;
            xsks[worker].push(Xsk { socket, received, sent, dropped: 0 });
        }
    }
    Ok((finish(interface, memory, frame_rings, xsks[0][0].socket.copies()), xsks))
}

fn finish(
    interface: u32,
    memory: Mapping,
    frame_rings: Vec<(super::ring::Producer<u64>, super::ring::Consumer<u64>)>,
    copies: bool,
) -> Arc<Umem> {
    let frames = memory.len() / FRAME_BYTES;
    let spare = ArrayQueue::new(frames);
    let mut next = 0..frames as u64;
    let queues = frame_rings.into_iter().map(|(mut fill, completion)| {
        for _ in 0..fill.room(u32::MAX) {
            let Some(frame) = next.next() else { break };
            fill.put(frame * FRAME_BYTES as u64);
        }
        fill.publish();
        Queue::new(fill, completion)
    });
    let queues = queues.collect();
    for frame in next {
        let _ = spare.push(frame as u32);
    }
    Arc::new(Umem { interface, memory, queues, spare, copies })
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => "; this kernel was built without AF_XDP (CONFIG_XDP_SOCKETS)",
        Some(libc::EPERM) => "; AF_XDP takes CAP_NET_RAW",
        Some(libc::ENOBUFS) => {
            "; keep CAP_IPC_LOCK, raise the limit of locked memory (LimitMEMLOCK, ulimit -l), or lower workers.af_xdp_frames"
        }
        Some(libc::EBUSY) => "; another program has this queue",
        _ => "",
    }
}

/// How many receive queues an interface has (`ETHTOOL_GCHANNELS`); 1 if it does not say.
fn queues_of(name: &str) -> usize {
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    /// `struct ethtool_channels`
    #[repr(C)]
    #[derive(Default)]
    struct Channels {
        command: u32,
        max: [u32; 4],
        rx: u32,
        tx: u32,
        other: u32,
        combined: u32,
    }
    const ETHTOOL_GCHANNELS: u32 = 0x3c;
    let Ok(socket) = UdpSocket::bind("0.0.0.0:0").or_else(|_| UdpSocket::bind("[::]:0")) else { return 1 };
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    // struct ifreq: 16 bytes of name, and a union of which we need a pointer.
    let mut request = [0_u8; 40];
    let len = name.len().min(15);
    request[..len].copy_from_slice(&name.as_bytes()[..len]);
    request[16..24].copy_from_slice(&(&raw mut channels as usize).to_ne_bytes());
    // SAFETY: a struct ifreq with a name and a pointer to a struct ethtool_channels, which lives until after the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, request.as_mut_ptr()) };
    if result == 0 { (channels.rx + channels.combined) as usize } else { 1 }
}
