//! Bencode: `i42e`, `4:text`, `l...e`, `d...e`.
//!
//! The order of a dictionary's keys is kept and not insisted on: proxies send them unsorted.

use thiserror::Error;

use crate::value::{Dict, Value};
use crate::{DEPTH_MAX, MESSAGE_LEN_MAX, VALUES_MAX};

/// Why bytes are no bencode. `at` counts bytes from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BencodeError {
    /// The end is missing. More bytes may bring it.
    #[error("it ends in the middle of a value")]
    Truncated,
    /// A byte that begins nothing.
    #[error("byte {at} begins no value; one of `i`, `l`, `d` or a digit was expected")]
    NoValue {
        /// Where.
        at: usize,
    },
    /// A malformed number or length.
    #[error("the number at byte {at} is malformed or too large")]
    BadNumber {
        /// Where.
        at: usize,
    },
    /// A dictionary's key that is no string.
    #[error("the key at byte {at} is no string")]
    BadKey {
        /// Where.
        at: usize,
    },
    /// Lists in lists in lists.
    #[error("nested deeper than {DEPTH_MAX} levels at byte {at}")]
    TooDeep {
        /// Where.
        at: usize,
    },
    /// More values than any real message has.
    #[error("more than {VALUES_MAX} values")]
    TooMany,
    /// More bytes than a message may have.
    #[error("longer than {MESSAGE_LEN_MAX} bytes")]
    TooLong,
    /// Something follows the value.
    #[error("something follows the end at byte {at}")]
    Trailing {
        /// Where.
        at: usize,
    },
}

/// Decodes one value that fills `bytes`.
///
/// # Errors
/// It is no bencode, or too large; the text says where.
pub fn decode(bytes: &[u8]) -> Result<Value, BencodeError> {
    let (value, len) = decode_prefix(bytes)?;
    if len == bytes.len() { Ok(value) } else { Err(BencodeError::Trailing { at: len }) }
}

/// Decodes the value that `bytes` begin with; gives its length too.
///
/// # Errors
/// As [`decode`]; [`BencodeError::Truncated`] where more bytes may complete it.
pub fn decode_prefix(bytes: &[u8]) -> Result<(Value, usize), BencodeError> {
    let mut reader = Reader { bytes, at: 0, values: 0 };
    let value = reader.value(0)?;
    Ok((value, reader.at))
}

/// Appends the encoding of a value.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bytes(bytes) => encode_bytes(bytes, out),
        Value::Integer(number) => {
            out.push(b'i');
            push_number(*number, out);
            out.push(b'e');
        }
        Value::List(list) => {
            out.push(b'l');
            list.iter().for_each(|value| encode(value, out));
            out.push(b'e');
        }
        Value::Dict(dict) => encode_dict(dict, out),
    }
}

/// Appends the encoding of a dictionary.
pub fn encode_dict(dict: &Dict, out: &mut Vec<u8>) {
    out.push(b'd');
    for (key, value) in &dict.0 {
        encode_bytes(key, out);
        encode(value, out);
    }
    out.push(b'e');
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    push_number(i64::try_from(bytes.len()).unwrap_or(i64::MAX), out);
    out.push(b':');
    out.extend_from_slice(bytes);
}

fn push_number(number: i64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, BencodeError> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(BencodeError::TooMany);
        }
        let at = self.at;
        match self.peek()? {
            b'i' => {
                self.at += 1;
                self.number(b'e').map(Value::Integer)
            }
            b'l' => {
                self.enter(depth)?;
                let mut list = Vec::new();
                while !self.ends()? {
                    list.push(self.value(depth + 1)?);
                }
                Ok(Value::List(list))
            }
            b'd' => {
                self.enter(depth)?;
                // A request has about a dozen keys.
                let mut dict = Vec::with_capacity(if depth == 0 { 12 } else { 0 });
                while !self.ends()? {
                    if !self.peek()?.is_ascii_digit() {
                        return Err(BencodeError::BadKey { at: self.at });
                    }
                    let key = self.string()?.to_vec().into();
                    dict.push((key, self.value(depth + 1)?));
                }
                Ok(Value::Dict(Dict(dict)))
            }
            b'0'..=b'9' => Ok(Value::Bytes(self.string()?.to_vec().into())),
            _ => Err(BencodeError::NoValue { at }),
        }
    }

    fn enter(&mut self, depth: usize) -> Result<(), BencodeError> {
        if depth >= DEPTH_MAX {
            return Err(BencodeError::TooDeep { at: self.at });
        }
        self.at += 1;
        Ok(())
    }

    /// Whether the list or dictionary ends here; its `e` is taken.
    fn ends(&mut self) -> Result<bool, BencodeError> {
        let ends = self.peek()? == b'e';
        self.at += usize::from(ends);
        Ok(ends)
    }

    fn string(&mut self) -> Result<&'a [u8], BencodeError> {
        let at = self.at;
        let len = usize::try_from(self.number(b':')?).map_err(|_| BencodeError::BadNumber { at })?;
        if len > MESSAGE_LEN_MAX {
            return Err(BencodeError::TooLong);
        }
        let bytes = self.bytes[self.at..].get(..len).ok_or(BencodeError::Truncated)?;
        self.at += len;
        Ok(bytes)
    }

    fn number(&mut self, end: u8) -> Result<i64, BencodeError> {
        /// A sign and as many digits as 64 bits have.
        const LEN_MAX: usize = 20;
        let at = self.at;
        let rest = &self.bytes[at..];
        let Some(len) = rest.iter().take(LEN_MAX + 1).position(|&byte| byte == end) else {
            return Err(if rest.len() > LEN_MAX { BencodeError::BadNumber { at } } else { BencodeError::Truncated });
        };
        let digits = core::str::from_utf8(&rest[..len]).map_err(|_| BencodeError::BadNumber { at })?;
        self.at += len + 1;
        digits.parse().map_err(|_| BencodeError::BadNumber { at })
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        if self.at > MESSAGE_LEN_MAX {
            return Err(BencodeError::TooLong);
        }
        self.bytes.get(self.at).copied().ok_or(BencodeError::Truncated)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unsorted_keys_are_taken_as_they_come() {
        let bytes = b"d7:command4:ping1:ai-7e1:lli1e0:ee";
        let value = decode(bytes).expect("it is bencode");
        let dict = Dict::new()
            .with("command", "ping")
            .with("a", -7_i64)
            .with("l", Value::List(vec![Value::Integer(1), Value::from("")]));
        assert_eq!(value, Value::Dict(dict));
        let mut again = Vec::new();
        encode(&value, &mut again);
        assert_eq!(again, bytes);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (bytes, error) in [
            (&b"d"[..], BencodeError::Truncated),
            (b"", BencodeError::Truncated),
            (b"5:abc", BencodeError::Truncated),
            (b"5", BencodeError::Truncated),
            (b"x", BencodeError::NoValue { at: 0 }),
            (b"i1x", BencodeError::Truncated),
            (b"i1xe", BencodeError::BadNumber { at: 1 }),
            (b"ie", BencodeError::BadNumber { at: 1 }),
            (b"i99999999999999999999e", BencodeError::BadNumber { at: 1 }),
            (b"99999:a", BencodeError::TooLong),
            (b"di1ei2ee", BencodeError::BadKey { at: 1 }),
            (b"i1ei2e", BencodeError::Trailing { at: 3 }),
        ] {
            assert_eq!(decode(bytes), Err(error), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn bombs_are_refused() {
        assert_eq!(decode(&[b'l'; 60_000]), Err(BencodeError::TooDeep { at: DEPTH_MAX }));
        let mut wide = vec![b'l'];
        wide.extend(b"i1e".repeat(VALUES_MAX));
        wide.push(b'e');
        assert_eq!(decode(&wide), Err(BencodeError::TooMany));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<Vec<u8>>().prop_map(Value::from), any::<i64>().prop_map(Value::Integer),];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
                proptest::collection::vec((any::<Vec<u8>>(), inner), 0..6).prop_map(|entries| Value::Dict(Dict(
                    entries.into_iter().map(|(key, value)| (key.into(), value)).collect()
                ))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in value()) {
            let mut bytes = Vec::new();
            encode(&value, &mut bytes);
            prop_assert_eq!(decode(&bytes), Ok(value));
            // Every beginning is just that.
            for len in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..len]), Err(BencodeError::Truncated));
            }
        }
    }
}
