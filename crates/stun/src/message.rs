//! Reading messages.

use core::net::SocketAddr;

use crate::address;
use crate::attribute::{ATTRIBUTE_HEADER_LEN, Attribute, Attributes, ErrorCode, IceRole, kind};
use crate::error::StunError;
use crate::fingerprint;
use crate::key::{INTEGRITY_LEN, Key};

/// Bytes before the first attribute (RFC 8489 5).
pub const HEADER_LEN: usize = 20;
/// Tells STUN from other protocols.
pub(crate) const MAGIC_COOKIE: u32 = 0x2112_a442;
/// The one method of STUN itself (RFC 8489 18.1), and that of ICE's checks.
pub const BINDING: u16 = 0x001;

/// What a message is for (RFC 8489 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Wants a response.
    Request,
    /// Wants none.
    Indication,
    /// The request was done.
    Success,
    /// It was not.
    Error,
}

/// Chosen by who asks, repeated by who answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// Whether a datagram is a STUN message by all that its header says: the first bits, the magic cookie, the length. Enough
/// to tell it from media whose first byte is the same, as T.38's (ITU-T T.38 9.1) is.
#[must_use]
pub fn is_stun(datagram: &[u8]) -> bool {
    header(datagram).is_ok()
}

/// Type and transaction of a datagram whose header is STUN's.
fn header(datagram: &[u8]) -> Result<(u16, TransactionId), StunError> {
    let Some((header, rest)) = datagram.split_first_chunk::<HEADER_LEN>() else {
        return Err(StunError::TooShort { len: datagram.len() });
    };
    //  0                   1                   2                   3
    //  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    // +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
    // |0 0|     STUN Message Type     |         Message Length        |
    // |                         Magic Cookie                          |
    // |                     Transaction ID (96 bits)                  |
    let [t0, t1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *header;
    if t0 & 0xc0 != 0 || u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
        return Err(StunError::NotStun);
    }
    let said = usize::from(u16::from_be_bytes([l0, l1]));
    if said % 4 != 0 || said != rest.len() {
        return Err(StunError::Length { said, len: rest.len() });
    }
    Ok((u16::from_be_bytes([t0, t1]), TransactionId(transaction)))
}

/// A STUN message where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    kind: u16,
    transaction: TransactionId,
    /// Where MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
    /// Where the attributes end that may be believed: at MESSAGE-INTEGRITY, else FINGERPRINT, else at the end.
    attributes_end: usize,
}

impl<'a> Message<'a> {
    /// Checks a whole datagram: header, the bounds of every attribute, and FINGERPRINT if it has one.
    ///
    /// # Errors
    /// It is no STUN message, or a damaged one; the error says what and where.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let (kind, transaction) = header(bytes)?;
        let mut message = Self { bytes, kind, transaction, integrity: None, attributes_end: bytes.len() };
        let mut at = HEADER_LEN;
        while at < bytes.len() {
            let Some(Attribute { kind, value }) = Attributes(&bytes[at..]).next() else {
                let kind = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
                return Err(StunError::Attribute { kind, at });
            };
            let end = at + ATTRIBUTE_HEADER_LEN + value.len().next_multiple_of(4);
            if end > bytes.len() {
                return Err(StunError::Attribute { kind, at });
            }
            match kind {
                kind::MESSAGE_INTEGRITY if value.len() != INTEGRITY_LEN => {
                    return Err(StunError::Misplaced { kind, at });
                }
                // RFC 8489 14.5: what stands behind it is not protected, and not looked at.
                kind::MESSAGE_INTEGRITY if message.integrity.is_none() => {
                    message.integrity = Some(at);
                    message.attributes_end = at;
                }
                kind::FINGERPRINT => {
                    if value.len() != fingerprint::LEN || end != bytes.len() {
                        return Err(StunError::Misplaced { kind, at });
                    }
                    if fingerprint::of(&bytes[..at]) != *value {
                        return Err(StunError::Fingerprint);
                    }
                    message.attributes_end = message.attributes_end.min(at);
                }
                _ => {}
            }
            at = end;
        }
        Ok(message)
    }

    /// What it is for.
    #[must_use]
    pub const fn class(&self) -> Class {
        match (self.kind >> 7 & 2) | (self.kind >> 4 & 1) {
            0 => Class::Request,
            1 => Class::Indication,
            2 => Class::Success,
            _ => Class::Error,
        }
    }

    /// Its method, [`BINDING`] or another: 12 bits around those of the class.
    #[must_use]
    pub const fn method(&self) -> u16 {
        (self.kind & 0x000f) | (self.kind & 0x00e0) >> 1 | (self.kind & 0x3e00) >> 2
    }

    /// Its transaction.
    #[must_use]
    pub const fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// Bytes of the message.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The attributes before MESSAGE-INTEGRITY and FINGERPRINT, in their order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes(&self.bytes[HEADER_LEN..self.attributes_end])
    }

    /// The value of the first attribute of this type.
    #[must_use]
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// USERNAME.
    #[must_use]
    pub fn username(&self) -> Option<&'a [u8]> {
        self.attribute(kind::USERNAME)
    }

    /// PRIORITY that a peer-reflexive candidate would get.
    #[must_use]
    pub fn priority(&self) -> Option<u32> {
        self.attribute(kind::PRIORITY)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// USE-CANDIDATE: the sender nominates.
    #[must_use]
    pub fn nominates(&self) -> bool {
        self.attribute(kind::USE_CANDIDATE).is_some()
    }

    /// ICE-CONTROLLING or ICE-CONTROLLED.
    #[must_use]
    pub fn role(&self) -> Option<IceRole> {
        let number = |kind| self.attribute(kind)?.try_into().ok().map(u64::from_be_bytes);
        number(kind::ICE_CONTROLLING)
            .map(IceRole::Controlling)
            .or_else(|| number(kind::ICE_CONTROLLED).map(IceRole::Controlled))
    }

    /// XOR-MAPPED-ADDRESS.
    #[must_use]
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        address::read(self.attribute(kind::XOR_MAPPED_ADDRESS)?, &self.transaction)
    }

    /// ERROR-CODE.
    #[must_use]
    pub fn error_code(&self) -> Option<ErrorCode<'a>> {
        ErrorCode::read(self.attribute(kind::ERROR_CODE)?)
    }

    /// The types of attributes that must be understood and are not (RFC 8489 6.3.1).
    pub fn unknown_attributes(&self) -> impl Iterator<Item = u16> + Clone + 'a {
        self.attributes().filter(Attribute::is_unknown_and_required).map(|attribute| attribute.kind)
    }

    /// Whether it has MESSAGE-INTEGRITY, right or wrong.
    #[must_use]
    pub const fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether it has MESSAGE-INTEGRITY, and who made it has the key.
    #[must_use]
    pub fn has_integrity_by(&self, key: &Key) -> bool {
        let Some(at) = self.integrity else { return false };
        let value = &self.bytes[at + ATTRIBUTE_HEADER_LEN..at + ATTRIBUTE_HEADER_LEN + INTEGRITY_LEN];
        // A message is no longer than its length field can say.
        let length = (at - HEADER_LEN + ATTRIBUTE_HEADER_LEN + INTEGRITY_LEN) as u16;
        key.verify(&self.bytes[..at], length, value)
    }
}
