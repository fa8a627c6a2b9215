//! Any bytes as a STUN message.

use patchcord_stun::{Class, Key, Message, MessageWriter, is_stun};

/// Attributes lie within the message; written again, with the integrity and fingerprint of who answers, they are read back.
pub fn stun(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else { return };
    assert!(is_stun(bytes));
    assert_eq!(message.len(), bytes.len());
    let key = Key::new(b"VOkJxbRl1RmTxUk/WvJxBt");
    let _ = (message.role(), message.priority(), message.error_code(), message.xor_mapped_address());
    assert!(message.has_integrity() || !message.has_integrity_by(&key));

    let mut room = vec![0xff; bytes.len() + 64];
    let write = |room: &mut [u8]| {
        let mut writer = MessageWriter::new(room, Class::Success, message.method(), message.transaction())?;
        for attribute in message.attributes() {
            writer.attribute(attribute.kind, attribute.value)?;
        }
        writer.integrity(&key)?;
        writer.fingerprint()?;
        Ok::<_, patchcord_stun::StunError>(writer.finish())
    };
    // What is nearly as long as a message can be has no room for more.
    let Ok(len) = write(&mut room) else { return assert!(bytes.len() > 65_000) };
    let again = Message::parse(&room[..len]).expect("what is written is a message");
    assert!(again.has_integrity_by(&key));
    assert_eq!((again.class(), again.method()), (Class::Success, message.method()));
    assert_eq!(again.transaction(), message.transaction());
    assert!(again.attributes().eq(message.attributes()));
    assert!(again.unknown_attributes().eq(message.unknown_attributes()));
}
