//! Published vectors, and what must hold for every packet, suite and change on the way.

use patchcord_rtp::{RtpHeader, SequenceNumber, Ssrc};
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::crypto::{Backend, GcmKey};
use crate::error::SrtpError;
use crate::keys::{CipherKey, PartKeys};
use crate::{MKI_LEN_MAX, MasterKey, Mki, PacketIndex, Protections, Receiver, Sender, SessionKeys, Suite};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| (digit as char).to_digit(16).expect("a hex digit") as u8;
    digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

fn keys(suite: Suite, key_and_salt: &[u8]) -> SessionKeys {
    let master = MasterKey::new(suite, key_and_salt).expect("the right length");
    SessionKeys::derive(&master, None, Protections::ALL).expect("every protection goes with every suite")
}

/// Keys of every kind, different for every seed.
fn some_keys(suite: Suite, seed: u8, mki: Option<&[u8]>, protections: Protections) -> SessionKeys {
    let bytes: Vec<u8> = (0..suite.key_len() + suite.salt_len()).map(|at| seed.wrapping_mul(31) ^ at as u8).collect();
    let master = MasterKey::new(suite, &bytes).expect("the right length");
    let mki = mki.map(|mki| Mki::new(mki).expect("of a right length"));
    let protections = if suite.is_aead() { Protections::ALL } else { protections };
    SessionKeys::derive(&master, mki, protections).expect("a pair that goes together")
}

fn protected(keys: &SessionKeys, index: PacketIndex, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + OVERHEAD_MAX, 0x55);
    let len = protect_rtp(keys, index, &mut buffer, plain.len()).expect("a packet with room behind it");
    buffer.truncate(len);
    buffer
}

fn protected_rtcp(keys: &SessionKeys, index: u32, plain: &[u8]) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + OVERHEAD_MAX, 0x55);
    let len = protect_rtcp(keys, index, &mut buffer, plain.len()).expect("a compound with room behind it");
    buffer.truncate(len);
    buffer
}

/// One packet and one compound, as libsrtp's own tests have them (`srtp_validate`, `srtp_validate_gcm`).
#[test]
fn packets_are_those_of_libsrtp() {
    let rtp = hex("800f1234 decafbad cafebabe abababab abababab abababab abababab");
    let rtcp = hex("81c8000b cafebabe abababab abababab abababab abababab");
    let index = PacketIndex::new(0, SequenceNumber(0x1234));

    let counter =
        keys(Suite::AesCm128HmacSha1_80, &hex("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6"));
    let expected = hex("800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb");
    assert_eq!(protected(&counter, index, &rtp), expected);
    let expected = hex("81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798");
    assert_eq!(protected_rtcp(&counter, 1, &rtcp), expected);

    let gcm = keys(Suite::AeadAes128Gcm, &hex("000102030405060708090a0b0c0d0e0f a0a1a2a3a4a5a6a7a8a9aaab"));
    let expected =
        hex("800f1234 decafbad cafebabe c5002ede 04cfdd2e b91159e0 880aa06e d2976826 f796b201 df3131a1 27e8a392");
    assert_eq!(protected(&gcm, index, &rtp), expected);
    let expected =
        hex("81c8000b cafebabe c98b8b5d f0392a55 852b6c21 ac8e7025 c52c6fbe a2b3b446 ea31123b a88ce61e 80000001");
    assert_eq!(protected_rtcp(&gcm, 1, &rtcp), expected);
}

/// RFC 7714 16.1.1 and 16.2.1, which give session keys.
#[test]
fn packets_are_those_of_rfc_7714() {
    let plain = hex(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 \
         6573",
    );
    let key: Vec<u8> = (0..32).collect();
    for (suite, key, expected) in [
        (
            Suite::AeadAes128Gcm,
            &key[..16],
            "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833 899d7f27 beb16a91 \
             52cf765e e4390cce",
        ),
        (
            Suite::AeadAes256Gcm,
            &key[..],
            "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0 \
             f9bb7878 d7a76c13",
        ),
    ] {
        let mut keys = some_keys(suite, 1, None, Protections::ALL);
        let mut salt = Zeroizing::new([0; 14]);
        salt[..12].copy_from_slice(b"Quid pro quo");
        keys.rtp = PartKeys { cipher: CipherKey::Gcm(GcmKey::new(key, Backend::best())), salt };
        let index = PacketIndex::new(0, SequenceNumber(0xf17b));
        let packet = protected(&keys, index, &plain);
        assert_eq!(packet[..12], plain[..12], "{suite}");
        assert_eq!(packet[12..], hex(expected), "{suite}");
    }
}

fn any_suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(Suite::ALL.to_vec())
}

fn any_protections() -> impl Strategy<Value = Protections> {
    any::<(bool, bool, bool)>().prop_map(|(encrypts_rtp, encrypts_rtcp, authenticates_rtp)| Protections {
        encrypts_rtp,
        encrypts_rtcp,
        authenticates_rtp,
    })
}

fn any_mki() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 1..=MKI_LEN_MAX))
}

/// RTP with CSRCs and an extension of every length.
fn any_rtp() -> impl Strategy<Value = Vec<u8>> {
    let csrcs = 0..16_u8;
    let extension = prop::option::of(0..5_u8);
    (csrcs, extension, any::<[u8; 11]>(), prop::collection::vec(any::<u8>(), 0..400)).prop_map(
        |(csrcs, extension, fixed, payload)| {
            let mut packet = vec![0x80 | csrcs | if extension.is_some() { 0x10 } else { 0 }];
            packet.extend(fixed);
            packet.extend((0..4 * csrcs).map(|at| at ^ fixed[5]));
            if let Some(words) = extension {
                packet.extend([0xbe, 0xde, 0, words]);
                packet.extend((0..4 * words).map(|at| at ^ fixed[4]));
            }
            packet.extend(payload);
            packet
        },
    )
}

fn any_rtcp() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 6..200).prop_map(|rest| [&[0x81, 0xc8], &rest[..]].concat())
}

fn any_index() -> impl Strategy<Value = PacketIndex> {
    (any::<u32>(), any::<u16>()).prop_map(|(roc, sequence)| PacketIndex::new(roc, SequenceNumber(sequence)))
}

proptest! {
    #[test]
    fn what_is_protected_comes_back(
        suite in any_suite(), seed: u8, mki in any_mki(), protections in any_protections(), plain in any_rtp(),
        index in any_index(),
    ) {
        let keys = some_keys(suite, seed, mki.as_deref(), protections);
        let mut packet = protected(&keys, index, &plain);
        prop_assert_eq!(packet.len(), plain.len() + keys.rtp_overhead());
        let len = unprotect_rtp(&keys, index, &mut packet).expect("what was just protected");
        prop_assert_eq!(&packet[..len], &plain[..]);
    }

    #[test]
    fn what_is_protected_comes_back_rtcp(
        suite in any_suite(), seed: u8, mki in any_mki(), protections in any_protections(), plain in any_rtcp(),
        index in 0..1_u32 << 31,
    ) {
        let keys = some_keys(suite, seed, mki.as_deref(), protections);
        let mut packet = protected_rtcp(&keys, index, &plain);
        prop_assert_eq!(packet.len(), plain.len() + keys.rtcp_overhead());
        let ssrc = u32::from_be_bytes(*plain[4..].first_chunk().expect("8 bytes at least"));
        prop_assert_eq!(rtcp_index(&keys, &packet), Ok((Ssrc(ssrc), index)));
        let len = unprotect_rtcp(&keys, &mut packet).expect("what was just protected");
        prop_assert_eq!(&packet[..len], &plain[..]);
    }

    /// A flipped bit, a missing byte, another index or another key: refused, and not a byte of the packet has changed.
    #[test]
    fn what_is_not_authentic_is_refused_and_stays_as_it_is(
        suite in any_suite(), plain in any_rtp(), index in any_index(), at: prop::sample::Index, bit in 0..8_u8,
        mki in any_mki(),
    ) {
        let keys = some_keys(suite, 7, mki.as_deref(), Protections::ALL);
        let packet = protected(&keys, index, &plain);
        let refused = |keys: &SessionKeys, index, packet: &[u8]| {
            let mut changed = packet.to_vec();
            unprotect_rtp(keys, index, &mut changed).is_err() && changed == packet
        };
        let mut flipped = packet.clone();
        flipped[at.index(packet.len())] ^= 1 << bit;
        prop_assert!(refused(&keys, index, &flipped));
        prop_assert!(refused(&keys, index, &packet[..packet.len() - 1]));
        let later = PacketIndex::new(index.roc().wrapping_add(1), index.sequence());
        prop_assert!(refused(&keys, later, &packet));
        prop_assert!(refused(&some_keys(suite, 8, mki.as_deref(), Protections::ALL), index, &packet));
    }

    #[test]
    fn rtcp_that_is_not_authentic_is_refused_and_stays_as_it_is(
        suite in any_suite(), plain in any_rtcp(), at: prop::sample::Index, bit in 0..8_u8,
    ) {
        let keys = some_keys(suite, 7, None, Protections::ALL);
        let packet = protected_rtcp(&keys, 5, &plain);
        let mut flipped = packet.clone();
        flipped[at.index(packet.len())] ^= 1 << bit;
        let before = flipped.clone();
        prop_assert!(unprotect_rtcp(&keys, &mut flipped).is_err());
        prop_assert_eq!(flipped, before);
    }

    /// Any bytes: no panic, and nothing authenticates by chance.
    #[test]
    fn garbage_is_refused(suite in any_suite(), mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let keys = some_keys(suite, 7, None, Protections::ALL);
        let before = bytes.clone();
        prop_assert!(unprotect_rtp(&keys, PacketIndex::new(0, SequenceNumber(0)), &mut bytes).is_err());
        prop_assert!(unprotect_rtcp(&keys, &mut bytes).is_err());
        prop_assert_eq!(bytes, before);
    }

    /// A batch of packets of all suites, some of them broken, gives what each of them gives alone.
    #[test]
    fn a_batch_is_its_packets(
        packets in prop::collection::vec((any_suite(), any_rtp(), any_index(), any::<u8>(), any::<bool>()), 0..50),
    ) {
        let all: Vec<_> =
            packets.iter().map(|(suite, _, _, seed, _)| some_keys(*suite, *seed, None, Protections::ALL)).collect();
        let mut buffers: Vec<_> = packets.iter().map(|(_, plain, ..)| [&plain[..], &[0; OVERHEAD_MAX]].concat()).collect();
        let mut jobs: Vec<_> = all.iter().zip(&packets).zip(&mut buffers)
            .map(|((keys, (_, plain, index, ..)), buffer)| ProtectJob::new(keys, *index, buffer, plain.len()))
            .collect();
        protect_batch(&mut jobs);
        let lens: Vec<_> = jobs.iter().map(|job| job.outcome.map(|()| job.len)).collect();
        for (((keys, (_, plain, index, _, breaks)), buffer), len) in all.iter().zip(&packets).zip(&mut buffers).zip(lens) {
            buffer.truncate(len.expect("every one has room"));
            prop_assert_eq!(&buffer[..], &protected(keys, *index, plain)[..]);
            if *breaks {
                buffer.pop();
            }
        }
        let mut jobs: Vec<_> = all.iter().zip(&packets).zip(&mut buffers)
            .map(|((keys, (_, _, index, ..)), buffer)| UnprotectJob::new(keys, *index, buffer))
            .collect();
        unprotect_batch(&mut jobs);
        for (job, (_, plain, _, _, breaks)) in jobs.iter().zip(&packets) {
            match job.outcome {
                Ok(len) => prop_assert!(!breaks && job.packet[..len] == plain[..]),
                Err(_) => prop_assert!(breaks),
            }
        }
    }

    /// Whatever the network does, each packet that a sender was willing to protect is accepted once at most, and the
    /// sender never gives an index twice.
    #[test]
    fn each_packet_is_accepted_once(
        first: u16, steps in prop::collection::vec((0..300_u16, 0..40_usize, any::<bool>()), 1..300),
    ) {
        let mut sender = Sender::new(some_keys(Suite::AesCm128HmacSha1_80, 7, None, Protections::ALL));
        let mut receiver = Receiver::new(some_keys(Suite::AesCm128HmacSha1_80, 7, None, Protections::ALL));
        let mut sequence = first;
        let (mut claimed, mut delivered) = (std::collections::HashSet::new(), std::collections::HashSet::new());
        let mut on_the_way: Vec<Vec<u8>> = Vec::new();
        for (step, which, twice) in steps {
            sequence = sequence.wrapping_add(step);
            let mut packet = vec![0x80, 0];
            packet.extend(sequence.to_be_bytes());
            packet.extend([0; 8]);
            packet.extend([9; 20]);
            let header = RtpHeader::read(&packet).expect("a plain header");
            if let Ok(index) = sender.claim(&header) {
                prop_assert!(claimed.insert(index), "{index:?} was given twice");
                on_the_way.push(protected(sender.keys(), index, &packet));
            }
            let Some(arriving) = on_the_way.get(which.min(on_the_way.len().saturating_sub(1))).cloned() else { continue };
            for _ in 0..=usize::from(twice) {
                let mut packet = arriving.clone();
                let header = RtpHeader::read_srtp(&packet).expect("a plain header");
                let Ok(index) = receiver.expect(&header) else { continue };
                if unprotect_rtp(receiver.keys(), index, &mut packet).is_ok() && receiver.accept(header.ssrc, index).is_ok() {
                    prop_assert!(claimed.contains(&index));
                    prop_assert!(delivered.insert(index), "{index:?} was accepted twice");
                }
            }
        }
    }
}

fn header(sequence: u16, ssrc: u32) -> RtpHeader {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(ssrc.to_be_bytes());
    RtpHeader::read(&packet).expect("a plain header")
}

#[test]
fn roll_over_counter_survives_a_new_key_and_old_packets_are_taken_until_the_new_one_is_used() {
    let key = |seed| some_keys(Suite::AesCm128HmacSha1_80, seed, None, Protections::ALL);
    let (mut sender, mut receiver) = (Sender::new(key(1)), Receiver::new(key(1)));
    let plain = |sequence: u16| {
        let mut packet = vec![0x80, 0];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0; 20]);
        packet
    };
    let send = |sender: &mut Sender, sequence: u16| {
        let packet = plain(sequence);
        let index = sender.claim(&RtpHeader::read(&packet).expect("a header")).expect("a new index");
        protected(sender.keys(), index, &packet)
    };
    let receive = |receiver: &mut Receiver, packet: &[u8]| {
        receiver.unprotect(&mut packet.to_vec())?;
        Ok(receiver.recent().expect("it has just been received").newest.roc())
    };
    for sequence in 65_534..=65_535 {
        let packet = send(&mut sender, sequence);
        assert_eq!(receive(&mut receiver, &packet), Ok(0));
    }
    let late = send(&mut sender, 0);
    receiver.rekey(key(2));
    let before = send(&mut sender, 1);
    assert_eq!(receive(&mut receiver, &before), Ok(1), "the old key goes on");
    sender.rekey(key(2));
    let after = send(&mut sender, 2);
    assert_eq!(receive(&mut receiver, &after), Ok(1), "the counter stays over the change of keys");
    assert_eq!(receive(&mut receiver, &late), Err(SrtpError::Authentication), "the old key is over");
    assert_eq!(receive(&mut receiver, &after), Err(SrtpError::Replayed));
}

#[test]
fn a_context_never_forgets_an_ssrc_but_asks_for_room() {
    let mut sender = Sender::new(some_keys(Suite::AesCm128HmacSha1_80, 1, None, Protections::ALL));
    let mut given = 0;
    for ssrc in 0..1000 {
        match sender.claim(&header(5, ssrc)) {
            Ok(_) => given += 1,
            Err(error) => assert_eq!(error, SrtpError::TooManyStreams),
        }
        sender.provide();
    }
    assert_eq!(given, 256);
    for ssrc in 0..256 {
        assert_eq!(sender.claim(&header(5, ssrc)), Err(SrtpError::IndexUsed));
    }
}

#[test]
fn no_room_is_said_and_changes_nothing() {
    let keys = some_keys(Suite::AesCm128HmacSha1_80, 1, None, Protections::ALL);
    let mut buffer = vec![0x80; 40];
    let index = PacketIndex::new(0, SequenceNumber(0x8080));
    assert_eq!(protect_rtp(&keys, index, &mut buffer, 31), Err(SrtpError::NoRoom));
    assert_eq!(protect_rtcp(&keys, 1, &mut buffer, 31), Err(SrtpError::NoRoom));
    assert_eq!(buffer, [0x80; 40]);
}
