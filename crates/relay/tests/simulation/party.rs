//! A party and the network between it and the relay.

use core::net::SocketAddr;

use patchcord_rtp::{PayloadType, RtpHeader, TelephoneEvent};

use crate::support::rng::Rng;
use crate::support::wire::{Payload, Stream, packet};
use crate::support::{FRAME, MS, party, rtcp};

/// The key that parties press; lower ones are the relay's.
pub(crate) const KEY_OF_PARTIES: u8 = 7;

/// How bad the way to the relay is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    pub(crate) loss_permille: u64,
    pub(crate) duplicate_permille: u64,
    pub(crate) delay_ms: u64,
    /// Up to this much on top, packet by packet: above a packet time it reorders.
    pub(crate) jitter_ms: u64,
}

impl Network {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        // Half of the parties have a good line.
        let bad = rng.chance(500);
        let up_to = |rng: &mut Rng, most| if bad { rng.below(most) } else { 0 };
        Self {
            loss_permille: up_to(rng, 120),
            duplicate_permille: up_to(rng, 60),
            delay_ms: rng.below(40),
            jitter_ms: up_to(rng, 60),
        }
    }

    /// When the copies of a packet sent at `now` arrive; none if it is lost.
    pub(crate) fn arrivals(&self, now: u64, rng: &mut Rng) -> Vec<u64> {
        let mut arrivals = Vec::new();
        if !rng.chance(self.loss_permille) {
            arrivals.push(now + self.delay(rng));
            if rng.chance(self.duplicate_permille) {
                arrivals.push(now + self.delay(rng));
            }
        }
        arrivals
    }

    fn delay(&self, rng: &mut Rng) -> u64 {
        self.delay_ms * MS + rng.below(self.jitter_ms * MS + 1)
    }
}

/// One who talks, presses keys, pauses, restarts and moves.
#[derive(Debug)]
pub(crate) struct Party {
    pub(crate) leg: u64,
    pub(crate) stream: Stream,
    pub(crate) address: SocketAddr,
    /// All that it has had.
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) network: Network,
    /// Packet time of its own clock, in nanoseconds of ours.
    ptime_nanos: u64,
    /// Packets of the telephone-event that it is sending, sent so far.
    key: Option<u16>,
    /// All SSRCs that it has used.
    pub(crate) ssrcs: Vec<u32>,
    packets: u32,
    /// Packets since it began to count from elsewhere.
    since_change: u32,
}

impl Party {
    pub(crate) fn new(leg: u64, rng: &mut Rng) -> Self {
        let mut stream = Stream::of(leg).numbered(rng.next() as u16, rng.next() as u32);
        stream.ssrc = rng.next() as u32;
        if rng.chance(300) {
            // Near the roll-over.
            stream.sequence = 65_535 - rng.below(200) as u16;
        }
        // Clocks of cheap devices are off by some 100 ppm; these are worse.
        let ptime_nanos = 20 * MS * (1_000_000 + rng.below(2001) - 1000) / 1_000_000;
        let ssrcs = vec![stream.ssrc];
        Self {
            leg,
            stream,
            address: party(leg),
            addresses: vec![party(leg)],
            network: Network::random(rng),
            ptime_nanos,
            key: None,
            ssrcs,
            packets: 0,
            since_change: 0,
        }
    }

    /// What it sends now, and how many nanoseconds later it does so again.
    pub(crate) fn speak(&mut self, rng: &mut Rng) -> (Vec<u8>, u64) {
        let mut wait = self.ptime_nanos;
        if let Some(sent) = self.key {
            return (self.press(sent, rng), wait);
        }
        self.packets += 1;
        self.since_change += 1;
        let packet = self.stream.packet();
        match rng.below(3000) {
            // Not twice while packets of before are still under way.
            0 | 1 if self.since_change > 20 => self.change_ssrc(rng),
            2 | 3 if self.since_change > 20 => wait += self.restart(rng),
            4..=11 => wait += self.pause(rng),
            12..=21 => self.key = Some(0),
            _ => {}
        }
        (packet, wait)
    }

    pub(crate) fn move_to(&mut self, address: SocketAddr) {
        self.address = address;
        self.addresses.push(address);
    }

    /// A sender report, with a reception report on what it hears under `heard`.
    pub(crate) fn report(&self, ntp_seconds: u64, heard: Option<(u32, u16)>) -> Vec<u8> {
        let blocks: Vec<_> = heard.map(|(ssrc, sequence)| rtcp::block(ssrc, sequence.into())).into_iter().collect();
        let cname = format!("party-{}@example", self.leg);
        rtcp::sender_report_with(&self.stream, ntp_seconds, self.packets, cname.as_bytes(), &blocks)
    }

    /// One packet of an event (RFC 4733); behind the event's four bytes, which is all that a receiver reads, lies the
    /// usual payload.
    fn press(&mut self, sent: u16, rng: &mut Rng) -> Vec<u8> {
        let frames = sent + 1;
        let ends = frames > 4 && rng.chance(300);
        let mut header: RtpHeader = self.stream.header();
        header.payload_type = PayloadType::new(101).expect("below 128");
        header.marker = sent == 0;
        let mut event = [0; 4];
        TelephoneEvent { event: KEY_OF_PARTIES, end: ends, volume: 10, duration: frames * FRAME as u16 }
            .write(&mut event);
        let payload = Payload { marker: header.marker, ..self.stream.payload() };
        self.stream.sequence = self.stream.sequence.wrapping_add(1);
        self.stream.number += 1;
        self.key = (!ends).then_some(frames);
        if ends {
            self.stream.timestamp = self.stream.timestamp.wrapping_add(u32::from(frames) * FRAME);
        }
        self.packets += 1;
        packet(&header, &[&event[..], &payload.to_bytes()].concat())
    }

    fn change_ssrc(&mut self, rng: &mut Rng) {
        self.stream = self.stream.clone().under(rng.next() as u32).numbered(rng.next() as u16, rng.next() as u32);
        self.ssrcs.push(self.stream.ssrc);
        self.since_change = 0;
    }

    /// The same SSRC, other numbers: far from the old ones, as random numbers mostly are, and after a while, as a restart
    /// takes: nothing of before is under way any more.
    fn restart(&mut self, rng: &mut Rng) -> u64 {
        let sequence = self.stream.sequence.wrapping_add(rng.between(4_000, 61_000) as u16);
        self.stream = self.stream.clone().under(self.stream.ssrc).numbered(sequence, rng.next() as u32);
        self.since_change = 0;
        150 * MS
    }

    /// Silence suppression: time goes on, numbers do not.
    fn pause(&mut self, rng: &mut Rng) -> u64 {
        let frames = rng.between(10, 60);
        self.stream.timestamp = self.stream.timestamp.wrapping_add(FRAME * frames as u32);
        self.stream.marker = true;
        frames * self.ptime_nanos
    }
}
