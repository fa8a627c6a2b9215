//! A party's packets in order. Nobody listens, so that each of them waits for as long as others are given to overtake it.

use std::collections::VecDeque;

use patchcord_rtp::{RtpHeader, SequenceNumber, Ssrc};

/// So many packets wait at most: more than half a second of the shortest.
const WAITING_MAX: usize = 256;
/// RFC 3550 A.1: so far behind the newest a packet is late, and so far ahead others are lost. Beyond, the source has started anew, if a
/// second one follows it.
const MISORDER_MAX: i16 = 100;
const DROPOUT_MAX: i16 = 3000;

/// A packet that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) at_ns: u64,
    pub(crate) header: RtpHeader,
    pub(crate) rtp: Box<[u8]>,
    /// Which of the party's streams it belongs to. They follow each other.
    pub(crate) stream: u32,
    /// Its number in that stream, which does not wrap around.
    number: i64,
    /// Packets of the stream before it that did not come.
    pub(crate) lost: u64,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// It waits.
    Kept,
    /// Its place has been passed over.
    Late,
    /// It is there.
    Duplicate,
    /// It is out of all range. If another one follows it, it was the first of a new stream.
    Stray,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: Ssrc,
    stream: u32,
    /// The number of its newest packet.
    newest: i64,
    newest_at_ns: u64,
}

/// Puts packets in order.
#[derive(Debug)]
pub(crate) struct Order {
    hold_ns: u64,
    /// Streams that have begun.
    streams: u32,
    current: Option<Source>,
    /// The one before, whose last packets may still be on their way.
    previous: Option<Source>,
    /// What would follow the latest stray.
    stray: Option<SequenceNumber>,
    waiting: VecDeque<Waiting>,
    /// The latest that was taken.
    taken: Option<(u32, i64)>,
}

impl Order {
    /// Each packet waits for so long.
    pub(crate) const fn new(hold_ns: u64) -> Self {
        Self { hold_ns, streams: 0, current: None, previous: None, stray: None, waiting: VecDeque::new(), taken: None }
    }

    /// The SSRC of the party's stream.
    pub(crate) fn ssrc(&self) -> Option<Ssrc> {
        self.current.map(|source| source.ssrc)
    }

    /// Takes a packet whose header has been read.
    pub(crate) fn insert(&mut self, at_ns: u64, header: RtpHeader, rtp: Box<[u8]>) -> Arrived {
        let Some((stream, number)) = self.number(at_ns, &header) else { return Arrived::Stray };
        if self.taken.is_some_and(|taken| (stream, number) <= taken) {
            return Arrived::Late;
        }
        let at = self.waiting.partition_point(|other| (other.stream, other.number) < (stream, number));
        if self.waiting.get(at).is_some_and(|other| (other.stream, other.number) == (stream, number)) {
            return Arrived::Duplicate;
        }
        self.waiting.insert(at, Waiting { at_ns, header, rtp, stream, number, lost: 0 });
        Arrived::Kept
    }

    /// The stream that a packet belongs to, and its number in it.
    fn number(&mut self, at_ns: u64, header: &RtpHeader) -> Option<(u32, i64)> {
        let hold_ns = self.hold_ns;
        let is_recent = |source: &&mut Source| at_ns.saturating_sub(source.newest_at_ns) <= hold_ns;
        let is_it = |source: &&mut Source| source.ssrc == header.ssrc;
        if let Some(previous) = self.previous.as_mut().filter(is_it).filter(is_recent)
            && self.current.is_none_or(|current| current.ssrc != header.ssrc)
            && let ahead = header.sequence.distance_from(SequenceNumber(previous.newest as u16))
            && ahead.unsigned_abs() <= MISORDER_MAX.unsigned_abs()
        {
            previous.newest = previous.newest.max(previous.newest + i64::from(ahead));
            return Some((previous.stream, previous.newest - i64::from(ahead.min(0).unsigned_abs())));
        }
        let Some(current) = self.current.as_mut().filter(is_it) else {
            return Some(self.begin(at_ns, header));
        };
        let ahead = header.sequence.distance_from(SequenceNumber(current.newest as u16));
        if !(-MISORDER_MAX..DROPOUT_MAX).contains(&ahead) {
            if self.stray == Some(header.sequence) {
                return Some(self.begin(at_ns, header));
            }
            self.stray = Some(header.sequence.next());
            return None;
        }
        self.stray = None;
        let number = current.newest + i64::from(ahead);
        if ahead > 0 {
            (current.newest, current.newest_at_ns) = (number, at_ns);
        }
        Some((current.stream, number))
    }

    /// Another stream begins with this packet.
    fn begin(&mut self, at_ns: u64, header: &RtpHeader) -> (u32, i64) {
        let stream = self.streams;
        self.streams = self.streams.wrapping_add(1);
        // Numbers of those that were before it are below.
        let newest = i64::from(header.sequence.0) + (1 << 16);
        self.previous = self.current;
        self.current = Some(Source { ssrc: header.ssrc, stream, newest, newest_at_ns: at_ns });
        self.stray = None;
        (stream, newest)
    }

    /// What has not come so far is nothing that is lost: the next packet begins a stream.
    pub(crate) const fn begin_anew(&mut self) {
        (self.current, self.previous, self.stray) = (None, None, None);
    }

    /// The next packet that has waited long enough at `now_ns`.
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<Waiting> {
        let due_ns = self.waiting.front()?.at_ns.saturating_add(self.hold_ns);
        if due_ns <= now_ns || self.waiting.len() > WAITING_MAX { self.take_any() } else { None }
    }

    /// The next packet, however long it has waited.
    pub(crate) fn take_any(&mut self) -> Option<Waiting> {
        let mut first = self.waiting.pop_front()?;
        if let Some((stream, number)) = self.taken
            && stream == first.stream
        {
            first.lost = u64::try_from(first.number - number - 1).unwrap_or(0);
        }
        self.taken = Some((first.stream, first.number));
        Some(first)
    }

    /// Those that wait, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use patchcord_rtp::{PayloadType, RtpTimestamp};

    fn insert(order: &mut Order, at_ns: u64, ssrc: u32, sequence: u16) -> Arrived {
        let header = RtpHeader {
            marker: false,
            payload_type: PayloadType::default(),
            sequence: SequenceNumber(sequence),
            timestamp: RtpTimestamp(0),
            ssrc: Ssrc(ssrc),
        };
        order.insert(at_ns, header, Box::default())
    }

    /// SSRC, sequence number and the number of those lost before it, of all that are due.
    fn taken(order: &mut Order, now_ns: u64) -> Vec<(u32, u16, u64)> {
        let mut taken = Vec::new();
        while let Some(packet) = order.take(now_ns) {
            taken.push((packet.header.ssrc.0, packet.header.sequence.0, packet.lost));
        }
        taken
    }

    #[test]
    fn packets_wait_for_those_before_them() {
        let mut order = Order::new(10);
        for (at, sequence) in [(0, 65_534), (1, 1), (2, 65_535), (3, 3)] {
            assert_eq!(insert(&mut order, at, 7, sequence), Arrived::Kept);
        }
        assert_eq!(insert(&mut order, 4, 7, 1), Arrived::Duplicate);
        assert_eq!(taken(&mut order, 9), []);
        assert_eq!(taken(&mut order, 12), [(7, 65_534, 0), (7, 65_535, 0), (7, 1, 1)]);
        assert_eq!(insert(&mut order, 12, 7, 0), Arrived::Late);
        assert_eq!(taken(&mut order, 13), [(7, 3, 1)]);
    }

    #[test]
    fn the_last_packets_of_a_stream_may_come_after_the_first_of_the_next() {
        let mut order = Order::new(100);
        for (at, ssrc, sequence) in [(0, 1, 10), (20, 2, 500), (21, 1, 12), (22, 1, 11), (40, 2, 501)] {
            assert_eq!(insert(&mut order, at, ssrc, sequence), Arrived::Kept);
        }
        let all = [(1, 10, 0), (1, 11, 0), (1, 12, 0), (2, 500, 0), (2, 501, 0)];
        assert_eq!(taken(&mut order, 1000), all);
        assert_eq!(insert(&mut order, 1000, 1, 13), Arrived::Kept, "it is back: a stream of its own");
        assert_eq!(taken(&mut order, 2000), [(1, 13, 0)]);
    }

    #[test]
    fn a_stray_is_dropped_and_two_in_a_row_are_a_new_start() {
        let mut order = Order::new(10);
        assert_eq!(insert(&mut order, 0, 7, 1000), Arrived::Kept);
        assert_eq!(insert(&mut order, 1, 7, 20_000), Arrived::Stray);
        assert_eq!(insert(&mut order, 2, 7, 1001), Arrived::Kept);
        assert_eq!(insert(&mut order, 3, 7, 50), Arrived::Stray);
        assert_eq!(insert(&mut order, 4, 7, 51), Arrived::Kept);
        assert_eq!(taken(&mut order, 100), [(7, 1000, 0), (7, 1001, 0), (7, 51, 0)]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut order = Order::new(u64::MAX);
        for sequence in 0..2000 {
            insert(&mut order, 0, 7, sequence);
            while order.take(0).is_some() {}
            assert!(order.waiting().count() <= WAITING_MAX);
        }
    }
}
