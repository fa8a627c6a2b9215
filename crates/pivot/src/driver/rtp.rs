//! The RTP of calls around their transfers, as evidence of who was heard when: headers, and never what is said.
//!
//! While a transfer goes on, a task beside its call's reads copies of the call's packets, as a dump does, and keeps the latest; when it is
//! over they are read for as long again. Nobody waits for it, and what it cannot read in time is counted and missing.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use patchcord_control::{Seen, Watched};
use patchcord_recording::pcapng::Frame;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Shared, TransferKey};

/// So many packets of one transfer are kept for each second: those of ten parties, both ways.
const PACKETS_A_SECOND: usize = 1000;

/// Octets of a packet of RTCP that are kept.
const RTCP_LEN_MAX: usize = 256;

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RtpLimits {
    /// For so long before the end of a transfer, and after it. Zero: there is none.
    pub around: Duration,
    /// Octets of all transfers, what they are kept in included. The oldest go first.
    pub bytes: usize,
}

/// A packet of RTP or RTCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    /// When, since the driver's beginning of time.
    pub at: Duration,
    /// Whose.
    pub party: Arc<str>,
    /// It came from the party; otherwise it was sent to it.
    pub is_received: bool,
    /// Its headers.
    pub frame: Frame,
}

impl RtpPacket {
    /// What is kept of a packet; `None`: nothing, it is neither RTP nor RTCP. `at` is that of the driver.
    fn of(watched: &Watched, at: Duration) -> Option<Self> {
        let packet = watched.packet();
        let frame = Frame::new(&packet, kept(packet.datagram)?)?;
        Some(Self { at, party: Arc::clone(packet.party), is_received: packet.received, frame })
    }

    /// What it takes in memory.
    const fn size(&self) -> usize {
        self.frame.kept() + size_of::<Self>()
    }
}

/// Octets of a datagram that are kept (RFC 3550 5.1, RFC 7983): of RTP the header with its sources, without extensions and what is said.
const fn kept(datagram: &[u8]) -> Option<usize> {
    match datagram {
        // RFC 5761 4.
        [128..192, 192..224, ..] => Some(RTCP_LEN_MAX),
        [first @ 128..192, _, ..] => Some(12 + 4 * (*first as usize & 15)),
        _ => None,
    }
}

/// What there is of a transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rtp {
    /// In the order in which they came and went.
    pub packets: VecDeque<RtpPacket>,
    /// Packets that are missing: not read in time, or more than are kept.
    pub missed: u64,
    /// Nothing more will come.
    pub is_over: bool,
    /// Why there is nothing.
    pub why: Option<Arc<str>>,
}

/// The RTP of transfers.
#[derive(Debug)]
pub struct RtpBook {
    limits: RtpLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By call and transfer.
    transfers: BTreeMap<(u64, u32), Kept>,
    /// Octets of all.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Kept {
    rtp: Rtp,
    bytes: usize,
    /// The transfer goes on: packets that are too old are forgotten.
    going_on: Option<oneshot::Sender<()>>,
}

impl RtpBook {
    /// Nothing yet.
    pub(super) fn new(limits: RtpLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    /// Whether nothing is kept.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.limits.around.is_zero()
    }

    /// What there is of a transfer; `None`: nothing is kept of it.
    #[must_use]
    pub fn of(&self, key: TransferKey) -> Option<Rtp> {
        self.state().transfers.get(&number(key)).map(|kept| kept.rtp.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transfer goes on. What says that it is over; `None`: that is known already.
    fn begin(&self, key: TransferKey) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state();
        if state.transfers.contains_key(&number(key)) {
            return None;
        }
        let (sender, over) = oneshot::channel();
        let kept = Kept { going_on: Some(sender), bytes: size_of::<Kept>(), ..Kept::default() };
        state.bytes += kept.bytes;
        state.transfers.insert(number(key), kept);
        state.fit(&self.limits);
        Some(over)
    }

    /// A transfer is over.
    fn over(&self, key: TransferKey) {
        let going_on = self.state().transfers.get_mut(&number(key)).and_then(|kept| kept.going_on.take());
        // Whoever reads may have ended.
        going_on.map(|going_on| going_on.send(()));
    }

    /// `false`: nobody wants it any more.
    fn push(&self, key: TransferKey, packet: RtpPacket) -> bool {
        let mut state = self.state();
        let Some(kept) = state.transfers.get_mut(&number(key)) else { return false };
        let before = kept.bytes;
        kept.push(packet, &self.limits);
        let after = kept.bytes;
        state.bytes = state.bytes - before + after;
        state.fit(&self.limits);
        true
    }

    fn note(&self, key: TransferKey, note: impl FnOnce(&mut Rtp)) {
        if let Some(kept) = self.state().transfers.get_mut(&number(key)) {
            note(&mut kept.rtp);
        }
    }
}

impl State {
    fn fit(&mut self, limits: &RtpLimits) {
        while self.bytes > limits.bytes {
            let Some((_, oldest)) = self.transfers.pop_first() else { return };
            self.bytes -= oldest.bytes;
        }
    }
}

impl Kept {
    fn push(&mut self, packet: RtpPacket, limits: &RtpLimits) {
        let at = packet.at;
        self.bytes += packet.size();
        self.rtp.packets.push_back(packet);
        let seconds = usize::try_from(limits.around.as_secs()).unwrap_or(usize::MAX).max(1);
        // Before its end and after it.
        let most = seconds.saturating_mul(2 * PACKETS_A_SECOND);
        while let Some(first) = self.rtp.packets.front() {
            let is_old = self.going_on.is_some() && first.at + limits.around < at;
            if !is_old && self.rtp.packets.len() <= most {
                break;
            }
            self.rtp.missed += u64::from(!is_old);
            self.bytes -= first.size();
            self.rtp.packets.pop_front();
        }
    }
}

impl Shared {
    /// A transfer of the call with this name at the relay stands so: its packets are kept.
    pub(super) fn watch_rtp(self: &Arc<Self>, key: TransferKey, call: &Arc<str>, is_over: bool) {
        if self.rtp.is_off() {
            return;
        }
        if is_over {
            return self.rtp.over(key);
        }
        if let Some(over) = self.rtp.begin(key) {
            tokio::spawn(watch(Arc::clone(self), key, Arc::clone(call), over));
        }
    }
}

/// Reads the packets of a call for as long as they are wanted for a transfer of it.
async fn watch(shared: Arc<Shared>, key: TransferKey, call: Arc<str>, mut over: oneshot::Receiver<()>) {
    let why = match shared.relay.packets(&call).await {
        Ok(Some(mut packets)) => {
            let clock = Clock::read(&shared);
            let mut until = None;
            loop {
                let end = async {
                    match until {
                        Some(until) => tokio::time::sleep_until(until).await,
                        None => core::future::pending().await,
                    }
                };
                tokio::select! {
                    seen = packets.next() => match seen {
                        Some(Seen::Packet(watched)) => {
                            let packet = RtpPacket::of(&watched, clock.of(watched.packet().at));
                            if !packet.is_none_or(|packet| shared.rtp.push(key, packet)) {
                                return;
                            }
                        }
                        Some(Seen::Missed(count, _)) => shared.rtp.note(key, |rtp| rtp.missed += count),
                        None => break,
                    },
                    // Either way it does not go on.
                    _ = &mut over, if until.is_none() => until = Some(Instant::now() + shared.rtp.limits.around),
                    () = end => break,
                }
            }
            None
        }
        Ok(None) => Some("another process moves the media (pivot.relay), and tells nobody its packets".into()),
        Err(error) => Some(error.to_string().into()),
    };
    shared.rtp.note(key, |rtp| (rtp.is_over, rtp.why) = (true, why));
    // What was written when it failed has not all of it.
    if shared.book.transfer_view(key).is_some_and(|transfer| transfer.state == "failed") {
        shared.write_evidence(key.call, key.transfer);
    }
}

/// The driver's time and the relay's.
struct Clock {
    /// Both are of one moment: since the driver's beginning of time, and since 1970.
    ours: Duration,
    since_1970: Duration,
}

impl Clock {
    fn read(shared: &Shared) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { ours: shared.started.elapsed(), since_1970 }
    }

    fn of(&self, since_1970: Duration) -> Duration {
        (self.ours + since_1970).saturating_sub(self.since_1970)
    }
}

const fn number(key: TransferKey) -> (u64, u32) {
    (key.call, key.transfer.0)
}

#[cfg(test)]
mod tests {
    use patchcord_recording::pcapng::Packet;

    use super::*;
    use crate::call::TransferId;

    const LIMITS: RtpLimits = RtpLimits { around: Duration::from_secs(2), bytes: 1 << 20 };

    fn key(call: u64) -> TransferKey {
        TransferKey { call, transfer: TransferId(1) }
    }

    fn packet(ms: u64) -> RtpPacket {
        let (party, at) = (Arc::from("caller"), Duration::from_millis(ms));
        let (local, remote) = ("192.0.2.1:1".parse().expect("one"), "192.0.2.2:1".parse().expect("one"));
        let packet = Packet { party: &party, local, remote, received: true, at, datagram: &[128; 172] };
        RtpPacket { at, frame: Frame::new(&packet, 12).expect("one family"), party, is_received: true }
    }

    fn times(book: &RtpBook, key: TransferKey) -> Vec<u128> {
        book.of(key).expect("it is there").packets.iter().map(|packet| packet.at.as_millis()).collect()
    }

    #[test]
    fn what_is_said_is_not_kept() {
        for (datagram, octets) in [
            (&[0x80, 0, 1, 2][..], Some(12)),
            (&[0x92, 0xff, 1, 2], Some(20)),
            (&[0x81, 200, 0, 6], Some(RTCP_LEN_MAX)),
            (&[0, 1, 0, 8], None),
            (&[22, 254, 255, 0], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(kept(datagram), octets, "{datagram:?}");
        }
        assert_eq!(packet(0).frame.kept(), 20 + 8 + 12);
    }

    #[test]
    fn the_latest_before_the_end_and_all_after_it_are_kept() {
        let book = RtpBook::new(LIMITS);
        let mut over = book.begin(key(1)).expect("it is new");
        assert!(book.begin(key(1)).is_none(), "it is known");
        for ms in [0, 1000, 2000, 3000] {
            assert!(book.push(key(1), packet(ms)));
        }
        assert_eq!(times(&book, key(1)), [1000, 2000, 3000]);
        assert!(over.try_recv().is_err());
        book.over(key(1));
        assert!(over.try_recv().is_ok());
        for ms in [4000, 5000] {
            assert!(book.push(key(1), packet(ms)));
        }
        assert_eq!(times(&book, key(1)), [1000, 2000, 3000, 4000, 5000]);
        assert_eq!(book.of(key(1)).expect("it is there").missed, 0, "what is too old is not missed");
    }

    #[test]
    fn a_flood_costs_no_more_than_it_may() {
        let book = RtpBook::new(LIMITS);
        let _over = book.begin(key(1)).expect("it is new");
        for _ in 0..5000 {
            assert!(book.push(key(1), packet(7)));
        }
        let kept = book.of(key(1)).expect("it is there");
        assert_eq!((kept.packets.len(), kept.missed), (4000, 1000));

        // The oldest go when there are too many, and whoever reads for them is told.
        for call in 2..10 {
            let _over = book.begin(key(call)).expect("it is new");
            for _ in 0..2000 {
                book.push(key(call), packet(7));
            }
        }
        assert!(book.of(key(1)).is_none() && book.of(key(9)).is_some());
        assert!(!book.push(key(1), packet(8)));
        let state = book.state();
        let bytes: usize = state.transfers.values().map(|kept| kept.bytes).sum();
        assert!(state.bytes == bytes && bytes <= LIMITS.bytes, "{bytes} {}", state.bytes);
    }
}
