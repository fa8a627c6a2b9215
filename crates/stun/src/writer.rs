//! Writing messages.

use core::net::SocketAddr;

use crate::address;
use crate::attribute::{ATTRIBUTE_HEADER_LEN, ErrorCode, IceRole, kind};
use crate::error::StunError;
use crate::fingerprint;
use crate::key::{INTEGRITY_LEN, Key};
use crate::message::{Class, HEADER_LEN, MAGIC_COOKIE, TransactionId};

/// A message in the making, in a buffer of the caller's. [`MessageWriter::integrity`] and [`MessageWriter::fingerprint`]
/// come last, in this order.
#[derive(Debug)]
pub struct MessageWriter<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> MessageWriter<'a> {
    /// Begins a message.
    ///
    /// # Errors
    /// The buffer has no room for a header.
    pub fn new(buffer: &'a mut [u8], class: Class, method: u16, transaction: TransactionId) -> Result<Self, StunError> {
        let room = buffer.len();
        let Some(header) = buffer.first_chunk_mut::<HEADER_LEN>() else {
            return Err(StunError::NoRoom { need: HEADER_LEN, room });
        };
        let class = match class {
            Class::Request => 0x000,
            Class::Indication => 0x010,
            Class::Success => 0x100,
            Class::Error => 0x110,
        };
        let kind = class | method & 0x000f | (method & 0x0070) << 1 | (method & 0x0f80) << 2;
        header[..2].copy_from_slice(&kind.to_be_bytes());
        header[2..4].copy_from_slice(&[0, 0]);
        header[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        header[8..].copy_from_slice(&transaction.0);
        Ok(Self { buffer, len: HEADER_LEN })
    }

    /// Any attribute; its padding is of zeros (RFC 8489 14).
    ///
    /// # Errors
    /// The buffer has no room for it, or a message cannot be so long.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> Result<(), StunError> {
        self.parts(kind, &[value])
    }

    /// USERNAME.
    ///
    /// # Errors
    /// As for [`MessageWriter::attribute`].
    pub fn username(&mut self, username: &str) -> Result<(), StunError> {
        self.attribute(kind::USERNAME, username.as_bytes())
    }

    /// PRIORITY.
    ///
    /// # Errors
    /// As for [`MessageWriter::attribute`].
    pub fn priority(&mut self, priority: u32) -> Result<(), StunError> {
        self.attribute(kind::PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE.
    ///
    /// # Errors
    /// As for [`MessageWriter::attribute`].
    pub fn use_candidate(&mut self) -> Result<(), StunError> {
        self.attribute(kind::USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLING or ICE-CONTROLLED.
    ///
    /// # Errors
    /// As for [`MessageWriter::attribute`].
    pub fn role(&mut self, role: IceRole) -> Result<(), StunError> {
        match role {
            IceRole::Controlling(number) => self.attribute(kind::ICE_CONTROLLING, &number.to_be_bytes()),
            IceRole::Controlled(number) => self.attribute(kind::ICE_CONTROLLED, &number.to_be_bytes()),
        }
    }

    /// XOR-MAPPED-ADDRESS.
    ///
    /// # Errors
    /// As for [`MessageWriter::attribute`].
    pub fn xor_mapped_address(&mut self, address: SocketAddr) -> Result<(), StunError> {
        let mut transaction = TransactionId::default();
        transaction.0.copy_from_slice(&self.buffer[8..HEADER_LEN]);
        let (value, len) = address::write(address, &transaction);
        self.attribute(kind::XOR_MAPPED_ADDRESS, &value[..len])
    }

    /// ERROR-CODE; `code` is 300 to 699.
    ///
    /// # Errors
    /// As for [`MessageWriter::attribute`].
    pub fn error_code(&mut self, code: u16, reason: &str) -> Result<(), StunError> {
        self.parts(kind::ERROR_CODE, &[&ErrorCode::first_bytes(code), reason.as_bytes()])
    }

    /// UNKNOWN-ATTRIBUTES: as many of these types as fit.
    ///
    /// # Errors
    /// Not even one fits.
    pub fn unknown_attributes(&mut self, mut kinds: impl Iterator<Item = u16>) -> Result<(), StunError> {
        /// Nobody who is told of eight mistakes learns more from a ninth.
        const KINDS_MAX: usize = 8;
        let mut value = [0; 2 * KINDS_MAX];
        let mut len = 0;
        for (room, kind) in value.chunks_exact_mut(2).zip(&mut kinds) {
            room.copy_from_slice(&kind.to_be_bytes());
            len += 2;
        }
        self.attribute(kind::UNKNOWN_ATTRIBUTES, &value[..len])
    }

    /// MESSAGE-INTEGRITY over everything before it.
    ///
    /// # Errors
    /// As for [`MessageWriter::attribute`].
    pub fn integrity(&mut self, key: &Key) -> Result<(), StunError> {
        let before = self.len;
        self.attribute(kind::MESSAGE_INTEGRITY, &[0; INTEGRITY_LEN])?;
        let length = (self.len - HEADER_LEN) as u16;
        let value = key.sign(&self.buffer[..before], length);
        self.buffer[before + ATTRIBUTE_HEADER_LEN..self.len].copy_from_slice(&value);
        Ok(())
    }

    /// FINGERPRINT over everything before it.
    ///
    /// # Errors
    /// As for [`MessageWriter::attribute`].
    pub fn fingerprint(&mut self) -> Result<(), StunError> {
        let before = self.len;
        self.attribute(kind::FINGERPRINT, &[0; fingerprint::LEN])?;
        let value = fingerprint::of(&self.buffer[..before]);
        self.buffer[before + ATTRIBUTE_HEADER_LEN..self.len].copy_from_slice(&value);
        Ok(())
    }

    /// How long the message has become.
    #[must_use]
    pub const fn finish(self) -> usize {
        self.len
    }

    /// An attribute whose value is in parts.
    fn parts(&mut self, kind: u16, parts: &[&[u8]]) -> Result<(), StunError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let end = self.len + ATTRIBUTE_HEADER_LEN + len.next_multiple_of(4);
        let no_room = StunError::NoRoom { need: end, room: self.buffer.len() };
        let (Ok(value_len), Ok(length)) = (u16::try_from(len), u16::try_from(end - HEADER_LEN)) else {
            return Err(no_room);
        };
        let Some(room) = self.buffer.get_mut(self.len..end) else { return Err(no_room) };
        room[..2].copy_from_slice(&kind.to_be_bytes());
        room[2..ATTRIBUTE_HEADER_LEN].copy_from_slice(&value_len.to_be_bytes());
        let mut at = ATTRIBUTE_HEADER_LEN;
        for part in parts {
            room[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        room[at..].fill(0);
        self.len = end;
        self.buffer[2..4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }
}
