//! What was sent and received in a measuring window.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use crate::report::histogram_ns;

/// The number of the window to which packets belong while nothing is measured.
pub(super) const UNMEASURED: u32 = 0;

/// Packets of one window, on both sides.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// Handed to the kernel.
    pub(super) sent: u64,
    /// Due, but not sent in time: the generator was held up or the kernel took no more.
    pub(super) missed: u64,
    /// Arrived at a sink.
    pub(super) received: u64,
    pub(super) latency_ns: Histogram<u64>,
}

/// What the generators are told, and what they report. Shared by all threads of a session.
#[derive(Debug)]
pub(super) struct Desk {
    /// Packets a second in each direction of each call.
    packets_per_s: AtomicU32,
    window: AtomicU32,
    stopped: AtomicBool,
    /// By the number of the window.
    accounts: Mutex<Vec<Account>>,
    /// Datagrams at the sinks that no generator sent, such as RTCP.
    strangers: AtomicU64,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self {
            packets_per_s: AtomicU32::new(0),
            window: AtomicU32::new(UNMEASURED),
            stopped: AtomicBool::new(false),
            accounts: Mutex::new(vec![Account::new()]),
            strangers: AtomicU64::new(0),
        }
    }

    pub(super) fn set_packets_per_s(&self, packets_per_s: u32) {
        self.packets_per_s.store(packets_per_s, Ordering::Relaxed);
    }

    pub(super) fn packets_per_s(&self) -> u32 {
        self.packets_per_s.load(Ordering::Relaxed)
    }

    /// Packets sent from now on belong to a new window, whose number is returned.
    pub(super) fn begin_window(&self) -> u32 {
        let mut accounts = self.lock();
        let number = accounts.len() as u32;
        accounts.push(Account::new());
        self.window.store(number, Ordering::Relaxed);
        number
    }

    pub(super) fn end_window(&self) {
        self.window.store(UNMEASURED, Ordering::Relaxed);
    }

    pub(super) fn window(&self) -> u32 {
        self.window.load(Ordering::Relaxed)
    }

    /// Adds what one side did.
    pub(super) fn book(&self, entries: &mut Vec<Entry>) {
        let mut accounts = self.lock();
        for entry in entries.drain(..) {
            let (Entry::Sent { window, .. } | Entry::Missed { window, .. } | Entry::Received { window, .. }) = entry;
            let Some(account) = accounts.get_mut(window as usize) else {
                self.strangers.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            match entry {
                Entry::Sent { packets, .. } => account.sent += packets,
                Entry::Missed { packets, .. } => account.missed += packets,
                Entry::Received { latency_ns, .. } => {
                    account.received += 1;
                    account.latency_ns += latency_ns;
                }
            }
        }
    }

    pub(super) fn stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }

    /// A copy of a window's account as of now.
    pub(super) fn account(&self, window: u32) -> Account {
        self.lock().get(window as usize).cloned().unwrap_or_else(Account::new)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something to be added to an account.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    Sent { window: u32, packets: u64 },
    Missed { window: u32, packets: u64 },
    Received { window: u32, latency_ns: u64 },
}

impl Account {
    fn new() -> Self {
        Self { sent: 0, missed: 0, received: 0, latency_ns: histogram_ns() }
    }

    /// Share of the packets sent that did not arrive.
    pub(super) fn loss(&self) -> f64 {
        if self.sent == 0 { 0.0 } else { self.sent.saturating_sub(self.received) as f64 / self.sent as f64 }
    }
}
