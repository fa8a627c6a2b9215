//! What user space shares with the BPF program `fast`: as in `bpf/fast.h`.

#![allow(unsafe_code, reason = "the kernel writes to this memory too")]

use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering, fence};
use core::time::Duration;

use patchcord_relay::flow::{Flow, Progress};

use crate::network::frame::{HEADER_MAX, Header};
use crate::port::mapped;

/// All packets go to the engine.
pub(super) const UP: u32 = 0;
/// The next packet is forwarded if the one before it has been handled.
pub(super) const ARMED: u32 = 1;
/// Packets are forwarded.
pub(super) const ACTIVE: u32 = 2;
/// The program is at it.
const BUSY: u32 = 3;
/// All packets go to the engine, from one on that was for it.
pub(super) const ENDED: u32 = 4;

/// A flow (`struct fast_flow`), as the program and user space share it.
#[repr(C)]
pub(super) struct Entry {
    state: AtomicU32,
    version: AtomicU32,
    passed: AtomicU16,
    zero: u16,
    terms: Shared<Terms>,
    progress: Shared<Progress>,
    headers: Shared<[u8; HEADER_MAX]>,
    zero3: [u8; 2],
    payload_types: Shared<[u8; 128]>,
    zero4: [u8; 56],
}

/// What does not change from packet to packet.
#[derive(Clone, Copy)]
#[repr(C)]
struct Terms {
    armed: u16,
    sequence_offset: u16,
    from: [u8; 16],
    from_port: [u8; 2],
    zero1: u16,
    timestamp_offset: u32,
    ssrc: u32,
    interface: u32,
    len_max: u32,
    ip_sum: u32,
    udp_sum: u32,
    zero2: u32,
}

const _: () = assert!(size_of::<Progress>() == 136 && size_of::<Terms>() == 52);
const _: () =
    assert!(offset_of!(Entry, terms) == 12 && offset_of!(Terms, from) == 4 && offset_of!(Terms, udp_sum) == 44);
const _: () = assert!(offset_of!(Entry, progress) == 64 && offset_of!(Entry, headers) == 200);
const _: () = assert!(offset_of!(Entry, payload_types) == 264 && size_of::<Entry>() == 448);

/// A part that the program reads, or writes, when it is its turn. It and its CPUs are no threads that Rust knows of, so that this is
/// memory of a device: volatile.
#[repr(transparent)]
struct Shared<T>(UnsafeCell<T>);

impl<T: Copy> Shared<T> {
    fn read(&self) -> T {
        // SAFETY: all of it is initialised, and every value is valid: integers and bytes. What is read while the program writes is
        // thrown away (`Entry::peek`).
        unsafe { self.0.get().read_volatile() }
    }

    fn write(&self, value: T) {
        // SAFETY: the memory is there as long as `self` is, and no reference to the value was ever given out.
        unsafe { self.0.get().write_volatile(value) }
    }
}

impl Entry {
    pub(super) fn state(&self) -> u32 {
        self.state.load(Ordering::Acquire)
    }

    /// Forgets whose it was: what passed of another leg's source says nothing, though it may have had the same address.
    pub(super) fn vacate(&self) {
        self.take_back();
        self.terms.write(Terms { from: [0; 16], from_port: [0; 2], ..self.terms.read() });
    }

    /// From [`UP`], where the program reads nothing but the source: gives it all of a flow.
    pub(super) fn arm(&self, flow: &Flow, interface: u32, header: &Header) {
        let (headers, ip_sum, udp_sum, len_max) = header.parts();
        let terms = Terms {
            armed: flow.progress.reception.extended_highest as u16,
            sequence_offset: flow.sequence_offset,
            from: mapped(flow.from.ip()),
            from_port: flow.from.port().to_be_bytes(),
            zero1: 0,
            timestamp_offset: flow.timestamp_offset,
            ssrc: flow.ssrc.0,
            interface,
            len_max,
            ip_sum,
            udp_sum,
            zero2: 0,
        };
        let former = self.terms.read();
        if (former.from, former.from_port) != (terms.from, terms.from_port) {
            // What passed of another source says nothing of this one.
            self.passed.store(!terms.armed, Ordering::Relaxed);
        }
        self.terms.write(terms);
        self.progress.write(flow.progress);
        self.headers.write(*headers);
        self.payload_types.write(flow.payload_types);
        self.state.store(ARMED, Ordering::Release);
    }

    /// Ends the flow as the program does: the engine gets all packets from here on, and finds it ended.
    pub(super) fn give_up(&self) {
        for (present, new) in [(ARMED, UP), (ACTIVE, ENDED)] {
            self.swap_from(present, new);
        }
    }

    /// Takes the flow back; how far it is if anything of it was forwarded.
    pub(super) fn take_back(&self) -> Option<Progress> {
        for present in [ARMED, ACTIVE, ENDED] {
            if self.swap_from(present, UP) {
                return (present != ARMED).then(|| self.progress.read());
            }
        }
        None
    }

    /// How far it is, while the program may go on; `None` if nothing of it was forwarded.
    pub(super) fn peek(&self) -> Option<Progress> {
        let mut patience = Patience::new();
        loop {
            let version = self.version.load(Ordering::Acquire);
            match self.state() {
                UP | ARMED => return None,
                BUSY => {}
                _ => {
                    let progress = self.progress.read();
                    fence(Ordering::Acquire);
                    if self.version.load(Ordering::Acquire) == version && self.state() != BUSY {
                        return Some(progress);
                    }
                }
            }
            patience.wait();
        }
    }

    /// If the state is `present`, or is about to be because a packet is being forwarded, makes it `new`.
    fn swap_from(&self, present: u32, new: u32) -> bool {
        let mut patience = Patience::new();
        loop {
            match self.state.compare_exchange(present, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(BUSY) => patience.wait(),
                Err(_) => return false,
            }
        }
    }
}

/// The program takes a fraction of a microsecond for a packet, unless the host has taken its CPU away meanwhile.
struct Patience(u32);

impl Patience {
    const fn new() -> Self {
        Self(0)
    }

    fn wait(&mut self) {
        const SPINS: u32 = 1000;
        self.0 += 1;
        if self.0 < SPINS { spin_loop() } else { std::thread::sleep(Duration::from_micros(50)) }
    }
}
