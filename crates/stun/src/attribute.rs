//! The numbers of attributes, and single values.

/// Types of attributes. Those below 0x8000 must be understood by whoever gets them (RFC 8489 14).
pub mod kind {
    /// MAPPED-ADDRESS (RFC 8489 14.1).
    pub const MAPPED_ADDRESS: u16 = 0x0001;
    /// USERNAME (RFC 8489 14.3).
    pub const USERNAME: u16 = 0x0006;
    /// MESSAGE-INTEGRITY (RFC 8489 14.5).
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    /// ERROR-CODE (RFC 8489 14.8).
    pub const ERROR_CODE: u16 = 0x0009;
    /// UNKNOWN-ATTRIBUTES (RFC 8489 14.13).
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    /// REALM (RFC 8489 14.9).
    pub const REALM: u16 = 0x0014;
    /// NONCE (RFC 8489 14.10).
    pub const NONCE: u16 = 0x0015;
    /// MESSAGE-INTEGRITY-SHA256 (RFC 8489 14.6).
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
    /// XOR-MAPPED-ADDRESS (RFC 8489 14.2).
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    /// PRIORITY (RFC 8445 16.1).
    pub const PRIORITY: u16 = 0x0024;
    /// USE-CANDIDATE (RFC 8445 16.1).
    pub const USE_CANDIDATE: u16 = 0x0025;
    /// SOFTWARE (RFC 8489 14.14).
    pub const SOFTWARE: u16 = 0x8022;
    /// FINGERPRINT (RFC 8489 14.7).
    pub const FINGERPRINT: u16 = 0x8028;
    /// ICE-CONTROLLED (RFC 8445 16.1).
    pub const ICE_CONTROLLED: u16 = 0x8029;
    /// ICE-CONTROLLING (RFC 8445 16.1).
    pub const ICE_CONTROLLING: u16 = 0x802a;
}

/// Those that must be understood and are, by an agent that is asked for a binding with a short-term credential. REALM and
/// NONCE are of the long-term one: they say nothing here, and are no reason to refuse.
const UNDERSTOOD: [u16; 11] = [
    kind::MAPPED_ADDRESS,
    kind::USERNAME,
    kind::MESSAGE_INTEGRITY,
    kind::ERROR_CODE,
    kind::UNKNOWN_ATTRIBUTES,
    kind::REALM,
    kind::NONCE,
    kind::MESSAGE_INTEGRITY_SHA256,
    kind::XOR_MAPPED_ADDRESS,
    kind::PRIORITY,
    kind::USE_CANDIDATE,
];

/// Type and length of an attribute.
pub(crate) const ATTRIBUTE_HEADER_LEN: usize = 4;

/// One attribute where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its type, one of [`kind`] or any other.
    pub kind: u16,
    /// Its value, without padding.
    pub value: &'a [u8],
}

impl Attribute<'_> {
    /// Whether whoever does not know it must not act on the message (RFC 8489 14), and nobody here knows it.
    #[must_use]
    pub fn is_unknown_and_required(&self) -> bool {
        self.kind < 0x8000 && !UNDERSTOOD.contains(&self.kind)
    }
}

/// The attributes of a message, in their order. Over bytes that [`crate::Message::parse`] has walked through already.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let [k0, k1, l0, l1, rest @ ..] = self.0 else { return None };
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = rest.get(..len)?;
        self.0 = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind: u16::from_be_bytes([*k0, *k1]), value })
    }
}

/// Which of two agents decides (RFC 8445 6.1.1), with the number that settles a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceRole {
    /// The sender nominates.
    Controlling(u64),
    /// The receiver is to nominate.
    Controlled(u64),
}

/// ERROR-CODE (RFC 8489 14.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode<'a> {
    /// 300 to 699.
    pub code: u16,
    /// In words; bytes that need not be text.
    pub reason: &'a [u8],
}

impl<'a> ErrorCode<'a> {
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let [_, _, class, number, reason @ ..] = value else { return None };
        let (class, number) = (u16::from(class & 7), u16::from(*number));
        ((3..=6).contains(&class) && number < 100).then_some(Self { code: class * 100 + number, reason })
    }

    /// What stands before the reason.
    pub(crate) const fn first_bytes(code: u16) -> [u8; 4] {
        [0, 0, ((code / 100) & 7) as u8, (code % 100) as u8]
    }
}
