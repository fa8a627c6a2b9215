//! Bencode, as far as rtpengine's ng protocol needs it: byte strings, integers, lists, dictionaries.

/// A bencoded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(Vec<u8>),
    Integer(i64),
    List(Vec<Self>),
    /// In the order given: rtpengine does not ask for sorted keys.
    Dictionary(Vec<(Vec<u8>, Self)>),
}

/// Lists nested deeper than this are refused.
const DEPTH_MAX: usize = 32;

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }

    pub(super) fn texts(texts: &[&str]) -> Self {
        Self::List(texts.iter().map(|text| Self::text(text)).collect())
    }

    pub(super) fn dictionary(entries: &[(&str, Self)]) -> Self {
        Self::Dictionary(entries.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.clone())).collect())
    }

    /// The text under a key of a dictionary.
    pub(super) fn get_text(&self, wanted: &str) -> Option<&str> {
        let Self::Dictionary(entries) = self else { return None };
        let value = entries.iter().find(|(key, _)| key == wanted.as_bytes()).map(|(_, value)| value)?;
        let Self::Text(text) = value else { return None };
        std::str::from_utf8(text).ok()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => encode_text(text, out),
            Self::Integer(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
            Self::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.encode(out));
                out.push(b'e');
            }
            Self::Dictionary(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    encode_text(key, out);
                    value.encode(out);
                }
                out.push(b'e');
            }
        }
    }

    /// Reads one value that fills the bytes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (value, rest) = decode(bytes, 0)?;
        rest.is_empty().then_some(value)
    }
}

fn encode_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}:", text.len()).as_bytes());
    out.extend_from_slice(text);
}

fn decode(bytes: &[u8], depth: usize) -> Option<(Value, &[u8])> {
    if depth > DEPTH_MAX {
        return None;
    }
    let (&first, mut rest) = bytes.split_first()?;
    match first {
        b'i' => {
            let (number, rest) = number_until(rest, b'e')?;
            Some((Value::Integer(number), rest))
        }
        b'l' => {
            let mut values = Vec::new();
            while rest.first() != Some(&b'e') {
                let (value, after) = decode(rest, depth + 1)?;
                values.push(value);
                rest = after;
            }
            Some((Value::List(values), &rest[1..]))
        }
        b'd' => {
            let mut entries = Vec::new();
            while rest.first() != Some(&b'e') {
                let (key, after) = decode_text(rest)?;
                let (value, after) = decode(after, depth + 1)?;
                entries.push((key, value));
                rest = after;
            }
            Some((Value::Dictionary(entries), &rest[1..]))
        }
        _ => decode_text(bytes).map(|(text, rest)| (Value::Text(text), rest)),
    }
}

fn decode_text(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (len, rest) = number_until(bytes, b':')?;
    let (text, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    Some((text.to_vec(), rest))
}

fn number_until(bytes: &[u8], end: u8) -> Option<(i64, &[u8])> {
    let at = bytes.iter().position(|&byte| byte == end)?;
    let number = std::str::from_utf8(&bytes[..at]).ok()?.parse().ok()?;
    Some((number, &bytes[at + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let text = || prop::collection::vec(any::<u8>(), 0..12);
        let leaf = prop_oneof![text().prop_map(Value::Text), any::<i64>().prop_map(Value::Integer)];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::vec((text(), inner), 0..4).prop_map(Value::Dictionary),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in values()) {
            let mut bytes = Vec::new();
            value.encode(&mut bytes);
            prop_assert_eq!(Value::decode(&bytes), Some(value));
            for len in 0..bytes.len() {
                prop_assert_eq!(Value::decode(&bytes[..len]), None, "cut at {}", len);
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Value::decode(&bytes);
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        assert_eq!(Value::decode(&[b'l'; 100_000]), None);
    }

    #[test]
    fn a_reply_of_rtpengine_is_read() {
        let reply = Value::decode(b"d6:result4:pongi3ee").or_else(|| Value::decode(b"d6:result4:ponge"));
        assert_eq!(reply.as_ref().and_then(|reply| reply.get_text("result")), Some("pong"));
    }
}
