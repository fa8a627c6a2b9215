//! Learning and guarding the source address of a leg.
//!
//! A leg starts with what signalling says, if anything. Depending on the [`LatchMode`] it learns from packets where its
//! party really is (NAT, asymmetric ports). While it learns, a packet from the signalled address always wins and ends
//! the learning: an intruder who is faster than the party gains a moment, not the stream; and not even that where the
//! policy learns from hosts at which the party can be ([`LearnFrom`]). Once settled, a strict leg drops everything else, and
//! only a command opens the learning again.

use core::net::{IpAddr, SocketAddr};

use patchcord_rtp::RtpHeader;

use crate::command::{LatchMode, LatchPolicy, LearnFrom, RelatchGate};
use crate::scope::AddressScope;
use crate::time::MonoTime;

/// How well a source matches what signalling said; better is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Other,
    SamePort,
    SameIp,
    Exact,
}

/// What the latch says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// From the source in force.
    Accepted,
    /// Accepted, and the latch has moved or settled: the packet path must take over the change.
    Changed,
    /// From somebody else.
    Foreign,
}

/// A source that has yet to prove itself after a re-latch command.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    next_sequence: u16,
    seen: u8,
}

/// Learning by command.
#[derive(Debug)]
struct Relearning {
    /// What a new source must prove; `None`: one has, and that was it.
    gate: Option<RelatchGate>,
    candidate: Option<Candidate>,
}

/// The packets in sequence of a candidate count only while the old source has been silent for this long: five
/// packets of the usual 20 ms.
const OLD_SOURCE_SILENT_NANOS: u64 = 100_000_000;

/// Source address of a leg.
#[derive(Debug)]
pub(crate) struct Latch {
    policy: LatchPolicy,
    signalled: Option<SocketAddr>,
    /// Where packets are accepted from at present, provisional or settled.
    current: Option<SocketAddr>,
    rank: Rank,
    settled: bool,
    /// `current` was nominated by ICE: nothing else is accepted, whatever the policy says.
    nominated: bool,
    /// First packet of the learning window.
    learning_since: Option<MonoTime>,
    /// Made by the command that opens the learning anew; few legs ever get one.
    relearning: Option<Box<Relearning>>,
}

impl Latch {
    pub(crate) fn new(policy: LatchPolicy, signalled: Option<SocketAddr>) -> Self {
        let mut latch = Self {
            policy,
            signalled: None,
            current: None,
            rank: Rank::Other,
            settled: false,
            nominated: false,
            learning_since: None,
            relearning: None,
        };
        latch.signal(signalled);
        latch
    }

    /// The source in force once nothing can outrank it any more.
    pub(crate) fn settled_source(&self) -> Option<SocketAddr> {
        if self.policy.strict || self.nominated { self.settled() } else { None }
    }

    /// The source that the learning has ended with.
    pub(crate) fn settled(&self) -> Option<SocketAddr> {
        self.current.filter(|_| self.settled)
    }

    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    pub(crate) const fn is_nominated(&self) -> bool {
        self.nominated
    }

    pub(crate) fn is_relearning(&self) -> bool {
        self.gate().is_some()
    }

    fn gate(&self) -> Option<RelatchGate> {
        self.relearning.as_ref().and_then(|relearning| relearning.gate)
    }

    /// Nothing more is learned. What the learning needed stays, because packets free nothing.
    fn end_relearning(&mut self) {
        if let Some(relearning) = &mut self.relearning {
            **relearning = Relearning { gate: None, candidate: None };
        }
    }

    /// Where to send to: the learned source, else the signalled address.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        if self.policy.asymmetric && !self.nominated {
            self.signalled.or(self.current)
        } else {
            self.current.or(self.signalled)
        }
    }

    /// Another policy from now on. What was learned stays, unless nothing may be learned any more.
    pub(crate) fn set_policy(&mut self, policy: LatchPolicy) {
        let was = core::mem::replace(&mut self.policy, policy);
        if policy.mode == LatchMode::Off && was.mode != LatchMode::Off && !self.nominated {
            self.signal(self.signalled);
        }
    }

    pub(crate) const fn signalled(&self) -> Option<SocketAddr> {
        self.signalled
    }

    /// Signalling named an address. The same address again changes nothing; another one starts the learning anew, unless the
    /// party has nominated one: what it has proved goes before what it has written.
    pub(crate) fn set_signalled(&mut self, signalled: SocketAddr) {
        if self.nominated {
            self.signalled = Some(signalled);
        } else if self.signalled != Some(signalled) {
            self.signal(Some(signalled));
        }
    }

    fn signal(&mut self, signalled: Option<SocketAddr>) {
        self.signalled = signalled;
        self.current = None;
        self.rank = Rank::Other;
        self.settled = false;
        self.learning_since = None;
        self.end_relearning();
        if self.policy.mode == LatchMode::Off && signalled.is_some() {
            // Nothing to learn: the signalled address is the source.
            self.current = signalled;
            self.rank = Rank::Exact;
            self.settled = true;
        }
    }

    /// The party has nominated its source (RFC 8445 7.3.1.5); says whether that is news.
    pub(crate) fn nominate(&mut self, source: SocketAddr) -> bool {
        let is_news = !self.nominated || self.current != Some(source);
        self.take(source, self.rank_of(source), true);
        self.nominated = true;
        self.end_relearning();
        is_news
    }

    /// The party's first check has come from there: while nothing better is known, media goes there. The address that
    /// signalling says may be one where nobody is (RFC 8840 4.1.1). Says whether that changes anything.
    pub(crate) fn reach(&mut self, source: SocketAddr) -> bool {
        let changes = !self.settled && self.current != Some(source);
        if changes {
            self.take(source, self.rank_of(source), false);
        }
        changes
    }

    /// There is no ICE any more: what signalling says holds again.
    pub(crate) fn forget_nomination(&mut self) {
        let was = core::mem::replace(&mut self.nominated, false);
        if was && self.signalled.is_some() && self.current != self.signalled {
            self.signal(self.signalled);
        }
    }

    /// Opens the learning by command. The present source stays in force until another one has passed the gate; one that was
    /// nominated stays until another is.
    pub(crate) fn relearn(&mut self, gate: RelatchGate) {
        if self.nominated {
            return;
        }
        self.relearning = Some(Box::new(Relearning { gate: Some(gate), candidate: None }));
    }

    /// A packet from a source that has proved by ICE to be the party.
    pub(crate) fn admit_valid(&mut self, from: SocketAddr) -> Admission {
        if self.settled || self.current == Some(from) {
            return Admission::Accepted;
        }
        self.take(from, self.rank_of(from), false);
        Admission::Changed
    }

    /// A packet from a source that has not proved what others have: only what was settled before is accepted still.
    pub(crate) fn admit_settled(&self, from: SocketAddr) -> Admission {
        if self.settled() == Some(from) { Admission::Accepted } else { Admission::Foreign }
    }

    /// Whether a packet from there will be refused and nothing will be learned from it.
    pub(crate) fn is_foreign(&self, from: SocketAddr) -> bool {
        let may_move = self.is_relearning() || self.policy.handover || !self.policy.strict;
        self.settled && self.current != Some(from) && (self.nominated || !may_move)
    }

    /// Whether what comes from there can be the party's, as far as is known; nothing is learned.
    pub(crate) fn may_be_party(&self, from: SocketAddr) -> bool {
        if self.settled {
            return !self.is_foreign(from);
        }
        !self.policy.strict || (self.may_learn(self.rank_of(from)) && self.can_be_at(from.ip()))
    }

    /// Judges the source of one well-formed RTP packet, or of a datagram that is none; `last_packet_at` is when the leg accepted its last one.
    pub(crate) fn admit(
        &mut self,
        from: SocketAddr,
        header: Option<&RtpHeader>,
        last_packet_at: Option<MonoTime>,
        now: MonoTime,
    ) -> Admission {
        if self.nominated {
            return self.admit_settled(from);
        }
        if self.is_relearning() && self.current != Some(from) && self.passes_gate(from, header, last_packet_at, now) {
            self.end_relearning();
            self.take(from, self.rank_of(from), true);
            return Admission::Changed;
        }
        if self.settled && self.policy.handover && self.current != Some(from) {
            self.take(from, self.rank_of(from), true);
            return Admission::Changed;
        }
        if self.settled {
            return if self.current == Some(from) || !self.policy.strict {
                Admission::Accepted
            } else {
                Admission::Foreign
            };
        }
        self.learn(from, now)
    }

    fn learn(&mut self, from: SocketAddr, now: MonoTime) -> Admission {
        let rank = self.rank_of(from);
        let not_the_source = if self.policy.strict { Admission::Foreign } else { Admission::Accepted };
        if !self.may_learn(rank) || !self.can_be_at(from.ip()) {
            return not_the_source;
        }
        if rank == Rank::Exact {
            self.take(from, rank, true);
            return Admission::Changed;
        }
        let since = *self.learning_since.get_or_insert(now);
        let window_over = now.nanos_since(since) >= u64::from(self.policy.window_ms) * 1_000_000;
        match self.current {
            None => {
                // Without a signalled address nothing can outrank the first source of a first-packet latch.
                let settled = self.signalled.is_none() && self.policy.mode == LatchMode::FirstPacket;
                self.take(from, rank, settled);
                Admission::Changed
            }
            Some(current) if current == from => {
                if window_over {
                    self.settled = true;
                    Admission::Changed
                } else {
                    Admission::Accepted
                }
            }
            Some(_) if self.policy.mode == LatchMode::Heuristic && rank > self.rank && !window_over => {
                self.take(from, rank, false);
                Admission::Changed
            }
            Some(_) if self.policy.mode == LatchMode::Delayed => {
                self.take(from, rank, window_over);
                Admission::Changed
            }
            Some(_) => not_the_source,
        }
    }

    /// Whether the mode allows to learn a source of this rank.
    fn may_learn(&self, rank: Rank) -> bool {
        match self.policy.mode {
            LatchMode::Off => rank == Rank::Exact,
            LatchMode::Signalled => rank >= Rank::SameIp,
            LatchMode::FirstPacket | LatchMode::Heuristic | LatchMode::Delayed => true,
        }
    }

    /// Whether the party can be at this host, as far as signalling tells.
    fn can_be_at(&self, host: IpAddr) -> bool {
        let (LearnFrom::Party { vantage, received_from }, Some(signalled)) = (self.policy.learn_from, self.signalled)
        else {
            return true;
        };
        // Signalling that came by way of our own network says nothing of the NAT in front of the party.
        let nat = received_from.filter(|nat| AddressScope::of(*nat) >= vantage);
        let is_behind_nat = AddressScope::of(signalled.ip()) < vantage;
        host == signalled.ip() || received_from == Some(host) || (is_behind_nat && nat.is_none())
    }

    fn take(&mut self, source: SocketAddr, rank: Rank, settled: bool) {
        self.current = Some(source);
        self.rank = rank;
        self.settled = settled;
    }

    fn rank_of(&self, from: SocketAddr) -> Rank {
        match self.signalled {
            Some(signalled) if signalled == from => Rank::Exact,
            Some(signalled) if signalled.ip() == from.ip() => Rank::SameIp,
            Some(signalled) if signalled.port() == from.port() => Rank::SamePort,
            _ => Rank::Other,
        }
    }

    fn passes_gate(
        &mut self,
        from: SocketAddr,
        header: Option<&RtpHeader>,
        last_packet_at: Option<MonoTime>,
        now: MonoTime,
    ) -> bool {
        let signalled = self.signalled;
        let Some(Relearning { gate: Some(gate), candidate }) = self.relearning.as_deref_mut() else { return false };
        match *gate {
            RelatchGate::Signalled => signalled == Some(from),
            // What arrives here has been unprotected.
            RelatchGate::Authentication => true,
            RelatchGate::Packets(wanted) => {
                if last_packet_at.is_some_and(|at| now.nanos_since(at) < OLD_SOURCE_SILENT_NANOS) {
                    *candidate = None;
                    return false;
                }
                // What has no numbers can only come from the same place again.
                let (ssrc, sequence) = header.map_or((0, 0), |header| (header.ssrc.0, header.sequence.0));
                let in_sequence = candidate.filter(|candidate| {
                    let next = header.is_none() || candidate.next_sequence == sequence;
                    candidate.source == from && candidate.ssrc == ssrc && next
                });
                let seen = in_sequence.map_or(0, |candidate| candidate.seen).saturating_add(1);
                *candidate = Some(Candidate { source: from, ssrc, next_sequence: sequence.wrapping_add(1), seen });
                seen >= wanted.max(1)
            }
        }
    }
}
