//! Port ranges that nobody uses, for relays that run side by side.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Ranges are looked for below the kernel's own range for ports of no matter which number (`ip_local_port_range`).
const FIRST: u16 = 10_000;
const LAST: u16 = 32_000;

/// Ports in a row, both ends included. As text it is what `--ports` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first, always even.
    pub first: u16,
    /// The last, always odd.
    pub last: u16,
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for Ports {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Ok(Self { first: first.parse()?, last: last.parse()? })
    }
}

/// So many UDP ports in a row that are free on 127.0.0.1 and that no other call of this process gets.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn free_ports(count: u16) -> Ports {
    static NEXT: Mutex<Option<u16>> = Mutex::new(None);
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    let count = count.next_multiple_of(2);
    // Processes begin at different places, so that they seldom meet.
    let places = u32::from(LAST - FIRST) / 2;
    let begin = next.unwrap_or(FIRST + 2 * (std::process::id().wrapping_mul(251) % places) as u16);
    let mut first = begin;
    loop {
        if first > LAST - count {
            first = FIRST;
        }
        let sockets: Result<Vec<_>, _> =
            (first..first + count).map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port))).collect();
        let last = first + count - 1;
        if sockets.is_ok() {
            *next = Some(last + 1);
            return Ports { first, last };
        }
        first = last + 1;
        assert!(!(first..=last + count).contains(&begin), "no {count} free UDP ports in a row in {FIRST}-{LAST}");
    }
}

/// An address of loopback whose UDP port nobody has at this moment, for a program that has to be told one.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> SocketAddr {
    free_port_on(Ipv4Addr::LOCALHOST.into())
}

/// [`free_port`] of another address of this host.
///
/// # Panics
/// If there is none, or the address is not of this host.
#[must_use]
pub fn free_port_on(ip: IpAddr) -> SocketAddr {
    let socket = UdpSocket::bind((ip, 0)).unwrap_or_else(|error| panic!("{ip}: {error}"));
    socket.local_addr().expect("it is bound")
}
