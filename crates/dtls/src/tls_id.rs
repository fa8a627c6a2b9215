//! The name of an association: `a=tls-id` (RFC 8842 4).

use core::fmt;
use core::str::FromStr;

/// Names one side's end of an association, so that the other side sees when a new one is wanted although nothing else has
/// changed. 20 to 255 letters, digits and `+/-_`, compared with regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsId(String);

impl TlsId {
    /// A new name of random bytes: 128 bits, where RFC 8842 wants 120 at least.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random)))
    }

    /// The value as SDP has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TlsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TlsId {
    type Err = TlsIdError;

    fn from_str(text: &str) -> Result<Self, TlsIdError> {
        let text = text.trim();
        if !(20..=255).contains(&text.len()) {
            return Err(TlsIdError::Length(text.len()));
        }
        match text.chars().find(|char| !char.is_ascii_alphanumeric() && !"+/-_".contains(*char)) {
            Some(char) => Err(TlsIdError::Char(char)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

/// Why a text is no `tls-id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsIdError {
    /// Too short to be unique, or too long.
    #[error("a tls-id has 20 to 255 characters, not {0}")]
    Length(usize),
    /// A character that it cannot have.
    #[error("a tls-id has letters, digits and + / - _, but no {0:?}")]
    Char(char),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_name_can_be_read_back() {
        let new = TlsId::new([0xab; 16]);
        assert_eq!(new.as_str(), "ab".repeat(16));
        assert_eq!(new.as_str().parse(), Ok(new));
        assert_eq!(TlsId::new([0; 16]).as_str().len(), 32);
    }

    #[test]
    fn only_names_of_the_grammar_are_taken() {
        assert!("aZ09+/-_aZ09+/-_aZ09".parse::<TlsId>().is_ok());
        assert_eq!("short".parse::<TlsId>(), Err(TlsIdError::Length(5)));
        assert_eq!("x".repeat(256).parse::<TlsId>(), Err(TlsIdError::Length(256)));
        assert_eq!("0123456789012345678=".parse::<TlsId>(), Err(TlsIdError::Char('=')));
    }
}
