//! SDES (RFC 4568) and opportunistic SRTP (RFC 8643).

/// `SDES`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sdes {
    /// `off`, `no` or `disable`: is neither offered nor taken.
    pub off: bool,
    /// `no-SUITE`.
    pub no: Vec<String>,
    /// `only-SUITE`; goes before [`Sdes::no`].
    pub only: Vec<String>,
    /// `nonew`: no suite is added.
    pub nonew: bool,
    /// `order:SUITE;SUITE`.
    pub order: Vec<String>,
    /// `offerer_pref:SUITE;SUITE`.
    pub offerer_pref: Vec<String>,
    /// `pad`: base64 of keys keeps its padding.
    pub pad: bool,
    /// `lifetime`: keys say theirs.
    pub lifetime: bool,
    /// `static`: suites stay over a re-INVITE.
    pub fixed: bool,
    /// `unencrypted_srtp` (true) or `encrypted_srtp` (false).
    pub unencrypted_srtp: Option<bool>,
    /// `unencrypted_srtcp` (true) or `encrypted_srtcp` (false).
    pub unencrypted_srtcp: Option<bool>,
    /// `unauthenticated_srtp` (true) or `authenticated_srtp` (false).
    pub unauthenticated_srtp: Option<bool>,
}

/// `OSRTP`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Osrtp {
    /// `offer` or `offer-RFC`: crypto lines are added to an offer of plain RTP.
    pub offer: bool,
    /// `offer-legacy`: each media section is doubled, once as plain RTP and once as SRTP.
    pub offer_legacy: bool,
    /// `accept-RFC`.
    pub accept_rfc: bool,
    /// `accept-legacy`.
    pub accept_legacy: bool,
}
