//! Where messages end in a stream: TCP and UNIX sockets carry `cookie SP bencode` one behind the other.

use thiserror::Error;

use crate::{COOKIE_LEN_MAX, MESSAGE_LEN_MAX};

/// Finds the ends of messages. What was looked at is not looked at again when more bytes come.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    /// Bytes of the message that are understood.
    at: usize,
    /// The cookie is among them.
    in_body: bool,
    /// Lists and dictionaries that are open there. A bomb is refused by who decodes it: he can say so to its sender.
    open: usize,
}

/// Why a stream is no longer one of messages: nobody can say where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("byte {at} of a message: {what}")]
pub struct StreamError {
    /// Bytes from the beginning of the message.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Splitter {
    /// How many bytes the message takes that `bytes` begin with; `None`: it goes on.
    ///
    /// After `None`, the next call must begin with the same bytes and have more. After a length, the next call begins behind
    /// that message. Line ends in front of a message count to it, see [`trim_line_ends`]: people try things by hand.
    ///
    /// # Errors
    /// It is no message, or longer than [`MESSAGE_LEN_MAX`].
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<usize>, StreamError> {
        let failed = |at, what| Err(StreamError { at, what });
        if !self.in_body {
            self.at = bytes.len() - trim_line_ends(&bytes[self.at..]).len();
            let begin = &bytes[self.at..bytes.len().min(self.at + COOKIE_LEN_MAX + 1)];
            match begin.iter().position(|&byte| byte == b' ') {
                Some(0) => return failed(self.at, "a blank instead of a cookie"),
                Some(len) => (self.at, self.in_body) = (self.at + len + 1, true),
                None if begin.len() > COOKIE_LEN_MAX => return failed(self.at, "no blank after a cookie"),
                None if bytes.len() > MESSAGE_LEN_MAX => return failed(self.at, "nothing but line ends"),
                None => return Ok(None),
            }
        }
        while let Some(len) = self.token(&bytes[self.at..]).or_else(|what| failed(self.at, what))? {
            self.at += len;
            if self.at > MESSAGE_LEN_MAX {
                break;
            }
            if self.open == 0 {
                let len = self.at;
                *self = Self::default();
                return Ok(Some(len));
            }
        }
        if bytes.len() > MESSAGE_LEN_MAX { failed(self.at, "the message is too long") } else { Ok(None) }
    }

    /// The length of a string or a number, or of a byte that opens or closes; `None`: it goes on.
    fn token(&mut self, rest: &[u8]) -> Result<Option<usize>, &'static str> {
        let Some(&first) = rest.first() else { return Ok(None) };
        match first {
            b'0'..=b'9' => {
                let Some(digits) = until(rest, b':')? else { return Ok(None) };
                let len: usize = digits.parse().map_err(|_| "a malformed length")?;
                if len > MESSAGE_LEN_MAX {
                    return Err("a string is too long");
                }
                let len = digits.len() + 1 + len;
                Ok((rest.len() >= len).then_some(len))
            }
            // Whether it is a number is judged by who decodes it.
            b'i' => Ok(until(rest, b'e')?.map(|number| number.len() + 1)),
            b'l' | b'd' => {
                self.open += 1;
                Ok(Some(1))
            }
            b'e' if self.open > 0 => {
                self.open -= 1;
                Ok(Some(1))
            }
            _ => Err("no value begins like this"),
        }
    }
}

/// A message of a stream without the line ends in front of it.
#[must_use]
pub fn trim_line_ends(message: &[u8]) -> &[u8] {
    let at = message.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(message.len());
    &message[at..]
}

/// What is in front of `end`, which must come within the length of a number.
fn until(rest: &[u8], end: u8) -> Result<Option<&str>, &'static str> {
    /// `i`, a sign, and as many digits as 64 bits have.
    const LEN_MAX: usize = 22;
    let begin = &rest[..rest.len().min(LEN_MAX)];
    match begin.iter().position(|&byte| byte == end) {
        Some(len) => std::str::from_utf8(&begin[..len]).map(Some).map_err(|_| "a malformed number"),
        None if begin.len() == LEN_MAX => Err("a malformed number"),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_is_cut_where_messages_end() {
        let stream = b"1 d1:ai1ee\r\n2 d1:al0:i-3eee";
        let mut splitter = Splitter::default();
        for len in 0..10 {
            assert_eq!(splitter.next(&stream[..len]), Ok(None), "{len}");
        }
        assert_eq!(splitter.next(stream), Ok(Some(10)));
        assert_eq!(splitter.next(&stream[10..]), Ok(Some(stream.len() - 10)));
        assert_eq!(trim_line_ends(&stream[10..]), &stream[12..]);
        assert_eq!((trim_line_ends(b"\t de"), trim_line_ends(b"\n")), (&b"\t de"[..], &b""[..]));
        assert_eq!(splitter.next(b""), Ok(None));
    }

    #[test]
    fn what_is_no_dictionary_still_ends_somewhere() {
        for message in [&b"1 i1e"[..], b"1 3:abc", b"1 le", b"1 di1ei2ee", b"1 i1x2e"] {
            assert_eq!(Splitter::default().next(&[message, b"2 de"].concat()), Ok(Some(message.len())));
        }
        let deep = [b"1 ".to_vec(), vec![b'l'; 30_000], vec![b'e'; 30_000]].concat();
        assert_eq!(Splitter::default().next(&deep), Ok(Some(deep.len())));
    }

    #[test]
    fn garbage_is_refused_where_it_begins() {
        for (bytes, at) in [
            (&b" de"[..], 0),
            (b"\n\n de", 2),
            (b"hello world", 6),
            (b"1 e", 2),
            (b"1 {}", 2),
            (b"1 d1:ax", 6),
            (b"1 99999:", 2),
            (b"1 d1x:", 3),
            (b"1 i1111111111111111111111", 2),
            (&[b'x'; 300], 0),
        ] {
            let error = Splitter::default().next(bytes).expect_err("garbage");
            assert_eq!(error.at, at, "{:?}: {error}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_has_no_end_is_refused_when_it_is_too_long() {
        let endless = [b"1 l".to_vec(), b"1:a".repeat(MESSAGE_LEN_MAX)].concat();
        let mut splitter = Splitter::default();
        assert_eq!(splitter.next(&endless[..MESSAGE_LEN_MAX]), Ok(None));
        assert!(splitter.next(&endless[..=MESSAGE_LEN_MAX]).is_err());
        assert!(Splitter::default().next(&endless).is_err());
        let mut splitter = Splitter::default();
        assert_eq!(splitter.next(&vec![b'\n'; MESSAGE_LEN_MAX]), Ok(None));
        assert!(splitter.next(&vec![b'\n'; MESSAGE_LEN_MAX + 1]).is_err());
    }

    #[test]
    fn a_message_as_long_as_can_be_is_taken() {
        let text = "x".repeat(MESSAGE_LEN_MAX - 8);
        let message = format!("1 {}:{text}", text.len());
        assert_eq!(message.len(), MESSAGE_LEN_MAX);
        assert_eq!(Splitter::default().next(message.as_bytes()), Ok(Some(MESSAGE_LEN_MAX)));
        assert!(Splitter::default().next(format!("1 {}:x{text}", text.len() + 1).as_bytes()).is_err());
    }

    proptest! {
        /// How a stream is cut into segments changes nothing.
        #[test]
        fn segments_do_not_matter(bytes in "[ 1-3aidle:\\-\r\n]{0,60}", cuts in proptest::collection::vec(1..9_usize, 1..20)) {
            let bytes = bytes.as_bytes();
            let whole = Splitter::default().next(bytes);
            let mut splitter = Splitter::default();
            let mut result = Ok(None);
            let mut len = 0;
            for cut in cuts.iter().cycle() {
                result = splitter.next(&bytes[..len]);
                if result != Ok(None) || len == bytes.len() {
                    break;
                }
                len = bytes.len().min(len + cut);
            }
            prop_assert_eq!(result, whole);
        }
    }
}
