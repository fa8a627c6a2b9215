//! Where the telephones are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use patchcord_tests::sip::{Cast, Sipp, Switch};

/// baresip signals from the address that it is given, and sends media from whichever the system takes: on loopback only
/// this one is both.
pub(crate) const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

pub(crate) const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
pub(crate) const CALLEE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
pub(crate) const TARGET: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 4));
pub(crate) const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Packets of 20 ms that both parties are sent before the next step: two seconds.
pub(crate) const TALK: u64 = 100;

/// So many SIPp callers and callees of these scenarios.
pub(crate) fn sipp(switch: &Switch, calls: usize, caller: &str, callee: &str) -> (Sipp, Sipp) {
    sipp_with_media(switch, calls, caller, callee, CALLEE, "")
}

/// [`sipp`] with the callees' media elsewhere, and flags for the relay.
pub(crate) fn sipp_with_media(
    switch: &Switch,
    calls: usize,
    caller: &str,
    callee: &str,
    media: IpAddr,
    flags: &str,
) -> (Sipp, Sipp) {
    let proxy = switch.kamailio.address();
    let callee = Sipp::callee(callee, Cast { calls, ip: CALLEE, media, voice: "agent", proxy });
    let cast = Cast { calls, ip: CALLER, media: CALLER, voice: "transferee", proxy };
    (Sipp::caller(caller, cast, &callee, flags), callee)
}
