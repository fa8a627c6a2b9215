//! What user space shares with the BPF program `fast`: as in `bpf/fast.h`.

#![allow(unsafe_code, reason = "the kernel writes to this memory too")]

use core::hint::spin_loop;
use core::mem::offset_of;
use core::ptr::{NonNull, addr_of, addr_of_mut};
use core::sync::atomic::{AtomicU32, Ordering};
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

/// A flow (`struct fast_flow`).
#[repr(C)]
pub(super) struct Entry {
    state: AtomicU32,
    version: AtomicU32,
    armed: u16,
    passed: u16,
    sequence_offset: u16,
    from_port: [u8; 2],
    from: [u8; 16],
    timestamp_offset: u32,
    ssrc: u32,
    interface: u32,
    len_max: u32,
    ip_sum: u32,
    udp_sum: u32,
    zero: u64,
    progress: Progress,
    headers: [u8; HEADER_MAX],
    zero2: [u8; 2],
    payload_types: [u8; 128],
    zero3: [u8; 56],
}

const _: () = assert!(size_of::<Progress>() == 136);
const _: () = assert!(offset_of!(Entry, from) == 16 && offset_of!(Entry, progress) == 64);
const _: () = assert!(offset_of!(Entry, headers) == 200 && offset_of!(Entry, payload_types) == 264);
const _: () = assert!(size_of::<Entry>() == 448);

/// One entry of the map, in the process's memory.
///
/// The program and its CPUs are no threads that Rust knows of: all but the two atomics is read and written as volatile, as memory of
/// a device is.
#[derive(Clone, Copy)]
pub(super) struct Shared(NonNull<Entry>);

impl Shared {
    /// # Safety
    /// An entry must lie there, aligned to 8 bytes, as long as this and its copies are used; nobody else in this process writes to it.
    pub(super) const unsafe fn new(at: NonNull<Entry>) -> Self {
        Self(at)
    }

    pub(super) fn state(self) -> u32 {
        self.atomic_state().load(Ordering::Acquire)
    }

    fn atomic_state(self) -> &'static AtomicU32 {
        // SAFETY: an atomic may be shared with anybody. It does not outlive this call's caller, which has the mapping.
        unsafe { &*addr_of!((*self.0.as_ptr()).state) }
    }

    fn version(self) -> u32 {
        // SAFETY: as for the state.
        unsafe { &*addr_of!((*self.0.as_ptr()).version) }.load(Ordering::Acquire)
    }

    /// From [`UP`], where the program reads nothing but the source: gives it all of a flow but the program's own fields.
    pub(super) fn arm(self, flow: &Flow, interface: u32, header: &Header) {
        let (headers, ip_sum, udp_sum, len_max) = header.parts();
        let (from, from_port) = (mapped(flow.from.ip()), flow.from.port().to_be_bytes());
        let handled = flow.progress.reception.extended_highest as u16;
        let at = self.0.as_ptr();
        // SAFETY: the entry is there, as `new` was promised, and ours to write in this state.
        unsafe {
            if addr_of!((*at).from).read_volatile() != from || addr_of!((*at).from_port).read_volatile() != from_port {
                // What passed of another source says nothing of this one.
                addr_of_mut!((*at).passed).write_volatile(!handled);
            }
            addr_of_mut!((*at).armed).write_volatile(handled);
            addr_of_mut!((*at).sequence_offset).write_volatile(flow.sequence_offset);
            addr_of_mut!((*at).from_port).write_volatile(from_port);
            addr_of_mut!((*at).from).write_volatile(from);
            addr_of_mut!((*at).timestamp_offset).write_volatile(flow.timestamp_offset);
            addr_of_mut!((*at).ssrc).write_volatile(flow.ssrc.0);
            addr_of_mut!((*at).interface).write_volatile(interface);
            addr_of_mut!((*at).len_max).write_volatile(len_max);
            addr_of_mut!((*at).ip_sum).write_volatile(ip_sum);
            addr_of_mut!((*at).udp_sum).write_volatile(udp_sum);
            addr_of_mut!((*at).progress).write_volatile(flow.progress);
            addr_of_mut!((*at).headers).write_volatile(*headers);
            addr_of_mut!((*at).payload_types).write_volatile(flow.payload_types);
        }
        self.atomic_state().store(ARMED, Ordering::Release);
    }

    /// Ends the flow as the program does: the engine gets all packets from here on, and finds it ended.
    pub(super) fn give_up(self) {
        for (present, new) in [(ARMED, UP), (ACTIVE, ENDED)] {
            self.swap_from(present, new);
        }
    }

    /// Takes the flow back; how far it is if anything of it was forwarded.
    pub(super) fn take_back(self) -> Option<Progress> {
        for present in [ARMED, ACTIVE, ENDED] {
            if self.swap_from(present, UP) {
                return (present != ARMED).then(|| self.read());
            }
        }
        None
    }

    /// How far it is, while the program may go on; `None` if nothing of it was forwarded.
    pub(super) fn peek(self) -> Option<Progress> {
        let mut patience = Patience::new();
        loop {
            let version = self.version();
            match self.state() {
                UP | ARMED => return None,
                BUSY => {}
                _ => {
                    let progress = self.read();
                    core::sync::atomic::fence(Ordering::Acquire);
                    if self.version() == version && self.state() != BUSY {
                        return Some(progress);
                    }
                }
            }
            patience.wait();
        }
    }

    /// If the state is `present`, or is about to be because a packet is being forwarded, makes it `new`.
    fn swap_from(self, present: u32, new: u32) -> bool {
        let mut patience = Patience::new();
        loop {
            match self.atomic_state().compare_exchange(present, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(BUSY) => patience.wait(),
                Err(_) => return false,
            }
        }
    }

    fn read(self) -> Progress {
        // SAFETY: the entry is there, as `new` was promised; all bytes of it are valid.
        unsafe { addr_of!((*self.0.as_ptr()).progress).read_volatile() }
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
