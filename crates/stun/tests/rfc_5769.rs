//! The test vectors of RFC 5769.

use core::net::SocketAddr;

use patchcord_stun::{BINDING, Class, IceRole, Key, Message, MessageWriter, StunError, TransactionId, is_stun, kind};

const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
const TRANSACTION: TransactionId =
    TransactionId([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);

/// RFC 5769 2.1; its padding is of blanks.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
    802200105354554e207465737420636c69656e74\
    002400046e0001ff\
    80290008932ff9b151263b36\
    000600096576746a3a68367659202020\
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
    80280004e57a3bcf";

/// RFC 5769 2.2.
const IPV4_RESPONSE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220\
    002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7\
    80280004c07d4c96";

/// RFC 5769 2.3.
const IPV6_RESPONSE: &str = "010100482112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220\
    002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed41\
    80280004c8fb0b4c";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = core::str::from_utf8(pair).expect("it is ASCII");
            u8::from_str_radix(pair, 16).expect("it is hexadecimal")
        })
        .collect()
}

#[test]
fn request_is_read() {
    let bytes = bytes(REQUEST);
    assert!(is_stun(&bytes));
    let message = Message::parse(&bytes).expect("it is a message");
    assert_eq!((message.class(), message.method()), (Class::Request, BINDING));
    assert_eq!(message.transaction(), TRANSACTION);
    assert_eq!(message.username(), Some(&b"evtj:h6vY"[..]));
    assert_eq!(message.attribute(kind::SOFTWARE), Some(&b"STUN test client"[..]));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(message.role(), Some(IceRole::Controlled(0x932f_f9b1_5126_3b36)));
    assert!(!message.nominates());
    assert_eq!(message.unknown_attributes().count(), 0);
    assert!(message.has_integrity_by(&Key::new(PASSWORD)));
    assert!(!message.has_integrity_by(&Key::new(b"VOkJxbRl1RmTxUk/WvJxBu")));
}

#[test]
fn responses_are_read_and_written() {
    for (hex, address) in
        [(IPV4_RESPONSE, "192.0.2.1:32853"), (IPV6_RESPONSE, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let bytes = bytes(hex);
        let address: SocketAddr = address.parse().expect("it is an address");
        let message = Message::parse(&bytes).expect("it is a message");
        assert_eq!((message.class(), message.method()), (Class::Success, BINDING));
        assert_eq!(message.xor_mapped_address(), Some(address));
        assert!(message.has_integrity_by(&Key::new(PASSWORD)));

        let mut room = [0; 128];
        let mut writer = MessageWriter::new(&mut room, Class::Success, BINDING, TRANSACTION).expect("there is room");
        // The vectors pad with blanks where this writer has zeros: the blank is made a part of the value.
        writer.attribute(kind::SOFTWARE, b"test vector ").expect("there is room");
        writer.xor_mapped_address(address).expect("there is room");
        let len = writer.finish();
        let mut expected = bytes[..len].to_vec();
        expected[2..4].copy_from_slice(&room[2..4]);
        expected[23] = 12;
        assert_eq!(room[..len], expected);
    }
}

#[test]
fn what_is_damaged_is_refused() {
    let whole = bytes(REQUEST);
    // An attribute that is no FINGERPRINT any more, behind the integrity, is none of the message's.
    let type_of_the_last = 8 * (whole.len() - 8)..8 * (whole.len() - 6);
    for bit in (0..whole.len() * 8).filter(|bit| !type_of_the_last.contains(bit)) {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let sound = Message::parse(&damaged).is_ok_and(|message| message.has_integrity_by(&Key::new(PASSWORD)));
        assert!(!sound, "bit {bit} does not matter");
    }
    let mut damaged = whole.clone();
    damaged[25] ^= 1;
    assert_eq!(Message::parse(&damaged).err(), Some(StunError::Fingerprint));
}
