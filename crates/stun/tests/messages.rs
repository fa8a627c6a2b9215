//! What is written is read back, what must not be is refused, and no bytes at all do harm.

use core::net::{IpAddr, SocketAddr};

use patchcord_stun::{
    Attribute, BINDING, Class, ErrorCode, IceRole, Key, Message, MessageWriter, StunError, TransactionId, is_stun, kind,
};
use proptest::prelude::*;

const TRANSACTION: TransactionId = TransactionId([7; 12]);

/// A request of a buffer of that size, written by `write`.
fn request(write: impl FnOnce(&mut MessageWriter<'_>) -> Result<(), StunError>) -> Vec<u8> {
    let mut room = vec![0xff; 600];
    let mut writer = MessageWriter::new(&mut room, Class::Request, BINDING, TRANSACTION).expect("there is room");
    write(&mut writer).expect("there is room");
    let len = writer.finish();
    room.truncate(len);
    room
}

#[test]
fn types_are_where_rfc_8489_puts_them() {
    // RFC 8489 5 has the example of a success response to a binding; RFC 8656 18 has methods of more bits.
    for (class, method, kind) in [
        (Class::Request, 0x001, 0x0001_u16),
        (Class::Indication, 0x001, 0x0011),
        (Class::Success, 0x001, 0x0101),
        (Class::Error, 0x001, 0x0111),
        (Class::Error, 0x009, 0x0119),
        (Class::Request, 0xfff, 0x3eef),
    ] {
        let mut room = [0; 20];
        let writer = MessageWriter::new(&mut room, class, method, TRANSACTION).expect("there is room");
        assert_eq!(writer.finish(), 20);
        assert_eq!(u16::from_be_bytes([room[0], room[1]]), kind, "{class:?} of {method:#x}");
        let message = Message::parse(&room).expect("a header is a message");
        assert_eq!((message.class(), message.method(), message.transaction()), (class, method, TRANSACTION));
    }
}

#[test]
fn unknown_attributes_are_told_if_they_must_be_understood() {
    let bytes = request(|writer| {
        writer.attribute(0x7777, b"")?;
        writer.attribute(kind::SOFTWARE, b"x")?;
        writer.attribute(0x8777, b"may be ignored")?;
        writer.attribute(0x0003, b"CHANGE-REQUEST of old")?;
        writer.integrity(&Key::new(b"secret"))?;
        // Behind the integrity anybody may have put it.
        writer.attribute(0x7778, b"")
    });
    let message = Message::parse(&bytes).expect("it is a message");
    assert_eq!(message.unknown_attributes().collect::<Vec<_>>(), [0x7777, 0x0003]);
    let mut room = [0; 100];
    let mut writer = MessageWriter::new(&mut room, Class::Error, BINDING, TRANSACTION).expect("there is room");
    writer.error_code(420, "Unknown Attribute").expect("there is room");
    writer.unknown_attributes(message.unknown_attributes()).expect("there is room");
    let len = writer.finish();
    let answer = Message::parse(&room[..len]).expect("it is a message");
    assert_eq!(answer.error_code(), Some(ErrorCode { code: 420, reason: b"Unknown Attribute" }));
    assert_eq!(answer.attribute(kind::UNKNOWN_ATTRIBUTES), Some(&[0x77, 0x77, 0x00, 0x03][..]));
}

#[test]
fn what_stands_behind_the_integrity_is_not_believed() {
    let key = Key::new(b"secret");
    let bytes = request(|writer| {
        writer.username("right")?;
        writer.integrity(&key)?;
        writer.username("wrong")?;
        writer.use_candidate()?;
        writer.fingerprint()
    });
    let message = Message::parse(&bytes).expect("it is a message");
    assert!(message.has_integrity_by(&key));
    assert_eq!(message.username(), Some(&b"right"[..]));
    assert!(!message.nominates());
    assert_eq!(message.attributes().count(), 1);
}

#[test]
fn fingerprint_is_the_last_and_has_its_length() {
    let behind = request(|writer| {
        writer.fingerprint()?;
        writer.attribute(kind::SOFTWARE, b"x")
    });
    let refused = Message::parse(&behind).err();
    assert_eq!(refused, Some(StunError::Misplaced { kind: kind::FINGERPRINT, at: 20 }));
    let short = request(|writer| writer.attribute(kind::FINGERPRINT, b"xyz"));
    assert!(matches!(Message::parse(&short), Err(StunError::Misplaced { .. })));
    let integrity = request(|writer| writer.attribute(kind::MESSAGE_INTEGRITY, &[0; 19]));
    assert!(matches!(Message::parse(&integrity), Err(StunError::Misplaced { .. })));
}

#[test]
fn media_is_no_stun() {
    let stun = request(|writer| writer.priority(1));
    assert!(is_stun(&stun));
    let longer = [&stun[..], &[0; 4]].concat();
    for other in [&stun[..19], &longer[..], &[0; 100], b"", &[0x80; 40]] {
        assert!(!is_stun(other) && Message::parse(other).is_err(), "{other:02x?}");
    }
}

#[test]
fn a_full_buffer_is_an_error_and_leaves_what_was_written() {
    let mut room = [0; 30];
    let mut writer = MessageWriter::new(&mut room, Class::Success, BINDING, TRANSACTION).expect("there is room");
    writer.priority(1).expect("there is room");
    assert_eq!(writer.fingerprint(), Err(StunError::NoRoom { need: 36, room: 30 }));
    assert_eq!(writer.finish(), 28);
    assert_eq!(Message::parse(&room[..28]).expect("it is a message").priority(), Some(1));
    assert!(MessageWriter::new(&mut room[..19], Class::Success, BINDING, TRANSACTION).is_err());
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        transaction in any::<[u8; 12]>(),
        username in "[a-zA-Z0-9+/:]{0,60}",
        (priority, number) in (any::<u32>(), any::<u64>()),
        (controlling, nominates) in any::<(bool, bool)>(),
        address in address(),
        password in proptest::collection::vec(any::<u8>(), 0..80),
        (code, reason) in (300_u16..700, "[ -~]{0,40}"),
    ) {
        let key = Key::new(&password);
        let role = if controlling { IceRole::Controlling(number) } else { IceRole::Controlled(number) };
        let mut room = [0xff; 400];
        let mut writer = MessageWriter::new(&mut room, Class::Indication, 0x00d, TransactionId(transaction))?;
        writer.username(&username)?;
        writer.priority(priority)?;
        writer.role(role)?;
        writer.xor_mapped_address(address)?;
        writer.error_code(code, &reason)?;
        if nominates {
            writer.use_candidate()?;
        }
        writer.integrity(&key)?;
        writer.fingerprint()?;
        let len = writer.finish();
        let message = Message::parse(&room[..len])?;
        prop_assert_eq!((message.class(), message.method(), message.len()), (Class::Indication, 0x00d, len));
        prop_assert_eq!(message.transaction(), TransactionId(transaction));
        prop_assert_eq!(message.username(), Some(username.as_bytes()));
        prop_assert_eq!((message.priority(), message.role()), (Some(priority), Some(role)));
        prop_assert_eq!(message.nominates(), nominates);
        prop_assert_eq!(message.xor_mapped_address(), Some(address));
        prop_assert_eq!(message.error_code(), Some(ErrorCode { code, reason: reason.as_bytes() }));
        prop_assert!(message.has_integrity_by(&key));
        let other = [&password[..], b"x"].concat();
        prop_assert!(!message.has_integrity_by(&Key::new(&other)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), cookie: bool) {
        if cookie && bytes.len() >= 20 {
            // So that it is not always refused for the same reason.
            bytes[0] &= 0x3f;
            let len = (bytes.len() - 20) / 4 * 4;
            bytes.truncate(20 + len);
            bytes[2..4].copy_from_slice(&u16::try_from(len)?.to_be_bytes());
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        }
        if let Ok(message) = Message::parse(&bytes) {
            let read: Vec<Attribute<'_>> = message.attributes().collect();
            prop_assert!(read.iter().map(|attribute| attribute.value.len() + 4).sum::<usize>() <= bytes.len());
            let _ = (message.username(), message.xor_mapped_address(), message.error_code(), message.role());
            prop_assert!(!message.has_integrity_by(&Key::new(b"secret")));
        }
    }
}
