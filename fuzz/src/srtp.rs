//! Any bytes as SRTP, as SRTCP, and as keys in SDP.

use patchcord_rtp::{Protocol, RtpHeader, classify};
use patchcord_srtp::sdes::Crypto;
use patchcord_srtp::{
    MasterKey, Mki, OVERHEAD_MAX, Protections, Receiver, Sender, SessionKeys, Suite, protect_rtcp, protect_rtp,
    rtcp_index, unprotect_rtcp, unprotect_rtp,
};

/// Keys that everybody has, of the suite that the first byte names, with an MKI or without.
fn keys(choice: u8) -> SessionKeys {
    let suite = Suite::ALL[usize::from(choice & 0x7f) % Suite::ALL.len()];
    let master = MasterKey::new(suite, &vec![7; suite.key_len() + suite.salt_len()]).expect("as long as it must be");
    let mki = (choice & 0x80 != 0).then(|| Mki::new(b"mk").expect("of a right length"));
    SessionKeys::derive(&master, mki, Protections::ALL).expect("every protection")
}

/// The first byte chooses keys, the rest arrives. Nothing authenticates by chance, and what is refused is as it was. Protected, it is
/// authentic, once.
pub fn unprotect(bytes: &[u8]) {
    let Some((&choice, packet)) = bytes.split_first() else { return };
    let keys = keys(choice);
    let mut receiver = Receiver::new(self::keys(choice));
    let mut changed = packet.to_vec();
    if let Ok(header) = RtpHeader::read_srtp(packet) {
        let index = receiver.expect(&header).expect("a receiver that has received nothing");
        assert!(unprotect_rtp(&keys, index, &mut changed).is_err(), "a forgery");
    }
    assert!(unprotect_rtcp(&keys, &mut changed).is_err(), "a forgery");
    assert_eq!(changed, packet);

    changed.resize(packet.len() + OVERHEAD_MAX, 0x55);
    let mut sender = Sender::new(self::keys(choice));
    match classify(packet) {
        Protocol::Rtp => {
            let Ok(header) = RtpHeader::read_srtp(packet) else { return };
            let index = sender.claim(&header).expect("the first packet of all");
            assert!(sender.claim(&header).is_err(), "an index twice");
            let Ok(len) = protect_rtp(&keys, index, &mut changed, packet.len()) else { panic!("there is room") };
            let plain = unprotect_rtp(&keys, index, &mut changed[..len]).expect("what was just protected");
            assert_eq!(&changed[..plain], packet);
            assert_eq!(receiver.accept(header.ssrc, index), Ok(()));
            assert!(receiver.expect(&header).is_err(), "a replay");
        }
        Protocol::Rtcp => {
            let index = sender.claim_rtcp().expect("the first compound of all");
            let Ok(len) = protect_rtcp(&keys, index, &mut changed, packet.len()) else {
                return assert!(packet.len() < 8);
            };
            let (ssrc, read) = rtcp_index(&keys, &changed[..len]).expect("what was just protected");
            assert_eq!(read, index);
            let plain = unprotect_rtcp(&keys, &mut changed[..len]).expect("what was just protected");
            assert_eq!(&changed[..plain], packet);
            assert_eq!(receiver.accept_rtcp(ssrc, index), Ok(()));
            assert!(receiver.expect_rtcp(ssrc, index).is_err(), "a replay");
        }
        _ => {}
    }
}

/// Lines of `a=crypto`: what is read is written so that it reads the same, tags are unlike, and no fault shows a key.
pub fn sdes(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let (usable, faults) = Crypto::parse_all(text.lines());
    assert!(usable.len() + faults.len() == text.lines().count());
    for (at, crypto) in usable.iter().enumerate() {
        assert!(usable[..at].iter().all(|other| other.tag != crypto.tag));
        for padded in [true, false] {
            let again = Crypto::parse(&crypto.to_value(padded));
            // An MKI of more than 128 bits is written as the number that it is, if that fits.
            let large = crypto.mki.as_ref().is_some_and(|mki| mki.as_bytes().len() > 16);
            assert!(large || again.as_ref() == Ok(crypto), "{again:?}");
        }
    }
    for fault in faults {
        assert!(fault.to_string().len() < 400, "{fault}");
    }
}
