//! What a lite agent tells of itself: credentials and candidates (RFC 8445 5).

use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};

pub(crate) use patchcord_relay::command::IceCredentials;
use patchcord_sdp::Candidate;

use crate::error::ApiError;
use crate::random::fill_random;

/// Characters of a user name fragment of ours: 48 bits, where RFC 8445 5.3 asks for 24.
pub(crate) const UFRAG_LEN: usize = 8;
/// Characters of a password of ours: 144 bits, where RFC 8445 5.3 asks for 128.
pub(crate) const PWD_LEN: usize = 24;

/// RFC 8839 5.4: `ice-char`, of which there are as many as six bits tell apart.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 8445 5.1.2.2: the type preference of host candidates.
const HOST: u32 = 126;
/// RFC 8445 5.1.2.1: the local preference where there is one address.
const ONLY_ADDRESS: u32 = 65_535;

/// Characters that nobody can guess, from the system's randomness.
///
/// # Errors
/// The system has none to give.
pub(crate) fn random_text(len: usize) -> Result<String, ApiError> {
    let mut bytes = [0; 64];
    let bytes = &mut bytes[..len.min(64)];
    fill_random(bytes)?;
    Ok(bytes.iter().map(|byte| char::from(ICE_CHARS[usize::from(byte & 63)])).collect())
}

/// Host candidates of a leg, as the party must be told: RTP, and RTCP where it has a port of its own.
pub(crate) fn candidates(rtp: SocketAddr, rtcp: Option<SocketAddr>) -> Vec<Candidate> {
    let candidate = |component: u16, address: SocketAddr| Candidate {
        foundation: foundation(address.ip()),
        component,
        transport: "UDP".to_owned(),
        priority: HOST << 24 | ONLY_ADDRESS << 8 | (256 - u32::from(component)),
        address: address.ip(),
        port: address.port(),
        kind: "host".to_owned(),
    };
    core::iter::once(candidate(1, rtp)).chain(rtcp.map(|rtcp| candidate(2, rtcp))).collect()
}

/// RFC 8445 5.1.1.3: one for each address.
fn foundation(ip: IpAddr) -> String {
    let mut text = String::with_capacity(32);
    let bytes: &[u8] = match &ip {
        IpAddr::V4(ip) => &ip.octets(),
        IpAddr::V6(ip) => &ip.octets(),
    };
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all that is written to it");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_and_have_only_characters_of_ice() {
        let texts: Vec<_> = (0..100).map(|_| random_text(PWD_LEN).expect("the system has randomness")).collect();
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(text.len(), PWD_LEN);
            assert!(text.bytes().all(|byte| ICE_CHARS.contains(&byte)), "{text}");
            assert!(!texts[..index].contains(text));
        }
    }

    #[test]
    fn candidates_are_those_of_the_only_address() {
        let port = |port| SocketAddr::new([203, 0, 113, 9].into(), port);
        let texts: Vec<_> = candidates(port(30_000), Some(port(30_001))).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "cb007109 1 UDP 2130706431 203.0.113.9 30000 typ host",
                "cb007109 2 UDP 2130706430 203.0.113.9 30001 typ host"
            ]
        );
        let six = SocketAddr::new("2001:db8::1".parse().expect("an address"), 30_000);
        let [only] = &candidates(six, None)[..] else { panic!("one candidate") };
        assert_eq!((only.foundation.len(), only.component), (32, 1));
    }
}
