//! `cookie SP dictionary`, and the reply to it.

use thiserror::Error;

use crate::value::{Dict, Value};
use crate::{MESSAGE_LEN_MAX, bencode, json, reason};

/// The longest cookie, in bytes.
pub const COOKIE_LEN_MAX: usize = 256;

/// How a dictionary is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Begins with `d`.
    #[default]
    Bencode,
    /// Begins with `{`.
    Json,
}

/// A request or reply, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What tells requests from their repetitions; empty where the transport does without.
    pub cookie: &'a [u8],
    /// The dictionary, still encoded.
    pub body: &'a [u8],
}

/// Why a message cannot be answered at all: without a cookie nobody would know what the answer is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// No blank, and so no cookie.
    #[error("no cookie: a message is `cookie dictionary`")]
    NoCookie,
    /// A cookie that is none.
    #[error("the cookie has more than {COOKIE_LEN_MAX} bytes")]
    CookieTooLong,
    /// Larger than any datagram.
    #[error("the message has more than {MESSAGE_LEN_MAX} bytes")]
    TooLong,
}

impl<'a> Message<'a> {
    /// Takes a datagram, or the like, apart.
    ///
    /// # Errors
    /// It has no cookie.
    pub fn split(bytes: &'a [u8]) -> Result<Self, MessageError> {
        if bytes.len() > MESSAGE_LEN_MAX {
            return Err(MessageError::TooLong);
        }
        let blank = bytes.iter().position(|&byte| byte == b' ').ok_or(MessageError::NoCookie)?;
        match blank {
            0 => Err(MessageError::NoCookie),
            1..=COOKIE_LEN_MAX => Ok(Self { cookie: &bytes[..blank], body: &bytes[blank + 1..] }),
            _ => Err(MessageError::CookieTooLong),
        }
    }

    /// A message of a transport that does without cookies.
    #[must_use]
    pub const fn plain(body: &'a [u8]) -> Self {
        Self { cookie: &[], body }
    }

    /// How the dictionary is written, and the reply has to be.
    #[must_use]
    pub fn format(&self) -> Format {
        if self.body.first() == Some(&b'{') { Format::Json } else { Format::Bencode }
    }

    /// The dictionary.
    ///
    /// # Errors
    /// It is none: a text for `error-reason` that begins with one of [`reason`] and says where.
    pub fn dict(&self) -> Result<Dict, String> {
        // A line end behind the message is forgiven: people try things by hand.
        let body = self.body.trim_ascii_end();
        match body.first() {
            None => Err(reason::NO_PAYLOAD.to_owned()),
            Some(b'{') => json::decode(body).map_err(|error| format!("{}: {error}", reason::BAD_JSON)),
            // What follows the dictionary is not looked at, as elsewhere.
            Some(b'd') => match bencode::decode_prefix(body) {
                Ok((Value::Dict(dict), _)) => Ok(dict),
                Ok(_) => Err(reason::BAD_FORMAT.to_owned()),
                Err(error) => Err(format!("{}: {error}", reason::BAD_BENCODE)),
            },
            Some(_) => Err(reason::BAD_FORMAT.to_owned()),
        }
    }

    /// The reply with this message's cookie in this message's format.
    #[must_use]
    pub fn reply(&self, dict: &Dict) -> Vec<u8> {
        // Enough for an SDP, and for what is said of a call of two parties.
        let mut bytes = Vec::with_capacity(2048);
        if !self.cookie.is_empty() {
            bytes.extend_from_slice(self.cookie);
            bytes.push(b' ');
        }
        match self.format() {
            Format::Bencode => bencode::encode_dict(dict, &mut bytes),
            Format::Json => bytes.extend(json::encode(dict)),
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_has_cookie_and_format_of_the_request() {
        let pong = Dict::new().with("result", "pong");
        let bencode = Message::split(b"1_2 d7:command4:pinge\n").expect("a message");
        assert_eq!(bencode.dict().expect("bencode").text("command").as_deref(), Some("ping"));
        assert_eq!(bencode.reply(&pong), b"1_2 d6:result4:ponge");
        let json = Message::split(br#"x {"command": "ping"}"#).expect("a message");
        assert_eq!(json.dict().expect("JSON").text("command").as_deref(), Some("ping"));
        assert_eq!(json.reply(&pong), br#"x {"result":"pong"}"#);
        assert_eq!(Message::plain(b"de").reply(&pong), b"d6:result4:ponge");
    }

    #[test]
    fn what_is_no_dictionary_is_said() {
        for (message, text) in [
            (&b"1 "[..], "Invalid data (no payload)"),
            (b"1 \r\n", "Invalid data (no payload)"),
            (b"1 x", "Invalid NG data format"),
            (b"1  de", "Invalid NG data format"),
            (b"1 le", "Invalid NG data format"),
            (b"1 d7:command", "Could not decode bencode dictionary: it ends in the middle of a value"),
            (b"1 di1ei1ee", "Could not decode bencode dictionary: the key at byte 1 is no string"),
            (b"1 {\"a\"}", "Failed to parse JSON document: expected `:` at line 1 column 5"),
        ] {
            let message = Message::split(message).expect("it has a cookie");
            assert_eq!(message.dict(), Err(text.to_owned()));
        }
        let rest = Message::split(b"1 d1:a1:beanything").expect("it has a cookie");
        assert_eq!(rest.dict(), Ok(Dict::new().with("a", "b")));
    }

    #[test]
    fn what_has_no_cookie_cannot_be_answered() {
        assert_eq!(Message::split(b""), Err(MessageError::NoCookie));
        assert_eq!(Message::split(b"d7:command4:pinge"), Err(MessageError::NoCookie));
        assert_eq!(Message::split(b" de"), Err(MessageError::NoCookie));
        assert_eq!(Message::split(&[b'x'; 300]), Err(MessageError::NoCookie));
        let long = [&[b'x'; 300][..], b" de"].concat();
        assert_eq!(Message::split(&long), Err(MessageError::CookieTooLong));
    }
}
