//! What became of a datagram. Every drop has a name, and the name is metric label, log field and test assertion.

use core::fmt;

/// Why a datagram was not relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum DropReason {
    /// No leg lives behind the port (any more).
    NoLeg,
    /// Neither RTP, RTCP nor anything else that RFC 7983 knows.
    UnknownProtocol,
    /// STUN, DTLS, ZRTP or TURN, which this leg does not use.
    UnexpectedProtocol,
    /// A connectivity check of ICE without the credentials of the leg.
    IceUnauthorized,
    /// Shorter than its header says, or contradicting itself.
    Malformed,
    /// It did not fit the receive buffer, or would not with the tag of SRTP behind it.
    Truncated,
    /// Not from the latched or signalled source.
    ForeignSource,
    /// The party's direction forbids it to send.
    Direction,
    /// The leg is muted.
    Muted,
    /// The leg feeds nobody: it was not bridged, or its listener is on hold.
    NoSink,
    /// The listener's direction forbids sending to it.
    SinkDirection,
    /// It is not known yet where the listener is.
    NoRemote,
    /// The listener has no payload type for this format.
    PayloadType,
    /// The old source, after a cut-over; or a packet of the new one older than its first relayed one.
    StaleAfterCutover,
    /// A telephone-event whose start the listener has not heard.
    MidEvent,
    /// The sequence number was sent already.
    Duplicate,
    /// So far from the newest that it cannot be told from a duplicate, or from a stray of another time.
    TooOld,
    /// A telephone-event of a party whose key presses are not to be relayed.
    DtmfBlocked,
    /// The listener is being sent a telephone-event of the relay's own instead.
    ReplacedByDtmf,
    /// SRTP that does not authenticate: another key, changed on its way, or no SRTP at all.
    SrtpUnauthentic,
    /// SRTP that was received before, or is too old to tell.
    SrtpReplayed,
    /// The leg passes nothing but SRTP, and its key is not known yet; or its source is relayed unread, so that nobody knows what it
    /// is; or its key is used up.
    SrtpRequired,
    /// DTLS beyond what any handshake needs.
    DtlsLimited,
    /// Lost to a full transmit list: more listeners than the batch has room for.
    OutboxFull,
}

impl DropReason {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 24] = [
        Self::NoLeg,
        Self::UnknownProtocol,
        Self::UnexpectedProtocol,
        Self::IceUnauthorized,
        Self::Malformed,
        Self::Truncated,
        Self::ForeignSource,
        Self::Direction,
        Self::Muted,
        Self::NoSink,
        Self::SinkDirection,
        Self::NoRemote,
        Self::PayloadType,
        Self::StaleAfterCutover,
        Self::MidEvent,
        Self::Duplicate,
        Self::TooOld,
        Self::DtmfBlocked,
        Self::ReplacedByDtmf,
        Self::SrtpUnauthentic,
        Self::SrtpReplayed,
        Self::SrtpRequired,
        Self::DtlsLimited,
        Self::OutboxFull,
    ];

    /// Whether the datagram was dropped before it counted as received from the leg's party.
    #[must_use]
    pub const fn precedes_reception(self) -> bool {
        matches!(
            self,
            Self::NoLeg
                | Self::UnknownProtocol
                | Self::UnexpectedProtocol
                | Self::IceUnauthorized
                | Self::Malformed
                | Self::Truncated
                | Self::ForeignSource
                | Self::Direction
                | Self::SrtpUnauthentic
                | Self::SrtpReplayed
                | Self::DtlsLimited
        )
    }

    /// The name in metrics, logs, JSON and tests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoLeg => "no_leg",
            Self::UnknownProtocol => "unknown_protocol",
            Self::UnexpectedProtocol => "unexpected_protocol",
            Self::IceUnauthorized => "ice_unauthorized",
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::ForeignSource => "foreign_source",
            Self::Direction => "direction",
            Self::Muted => "muted",
            Self::NoSink => "no_sink",
            Self::SinkDirection => "sink_direction",
            Self::NoRemote => "no_remote",
            Self::PayloadType => "payload_type",
            Self::StaleAfterCutover => "stale_after_cutover",
            Self::MidEvent => "mid_event",
            Self::Duplicate => "duplicate",
            Self::TooOld => "too_old",
            Self::DtmfBlocked => "dtmf_blocked",
            Self::ReplacedByDtmf => "replaced_by_dtmf",
            Self::SrtpUnauthentic => "srtp_unauthentic",
            Self::SrtpReplayed => "srtp_replayed",
            Self::SrtpRequired => "srtp_required",
            Self::DtlsLimited => "dtls_limited",
            Self::OutboxFull => "outbox_full",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Datagrams dropped, by [`DropReason`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops([u32; DropReason::ALL.len()]);

impl Drops {
    /// Counts one; the count stays at its largest value rather than start anew.
    pub(crate) const fn count(&mut self, reason: DropReason) {
        let slot = &mut self.0[reason as usize];
        *slot = slot.saturating_add(1);
    }

    /// As [`Drops::count`], for many.
    pub(crate) fn add(&mut self, reason: DropReason, how_many: u64) {
        let slot = &mut self.0[reason as usize];
        *slot = slot.saturating_add(u32::try_from(how_many).unwrap_or(u32::MAX));
    }

    /// How many for this reason.
    #[must_use]
    pub const fn get(&self, reason: DropReason) -> u32 {
        self.0[reason as usize]
    }

    /// Reasons with a count above zero.
    pub fn nonzero(&self) -> impl Iterator<Item = (DropReason, u32)> + '_ {
        DropReason::ALL.into_iter().map(|reason| (reason, self.get(reason))).filter(|&(_, count)| count > 0)
    }

    /// All drops together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(|&count| u64::from(count)).sum()
    }
}
