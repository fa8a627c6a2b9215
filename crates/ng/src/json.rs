//! Messages as JSON. Texts must be Unicode there; numbers with a fraction lose it, truth values become 1 and 0, as in the
//! integers of bencode. What is null is left out.

use core::cell::Cell;
use core::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

use crate::value::{Dict, Value};
use crate::{DEPTH_MAX, MESSAGE_LEN_MAX, VALUES_MAX};

/// Decodes a dictionary. The order of its keys is kept.
///
/// # Errors
/// It is no JSON, no object, nested too deep, or has too many values; a sentence says which, and where.
pub fn decode(bytes: &[u8]) -> Result<Dict, String> {
    if bytes.len() > MESSAGE_LEN_MAX {
        return Err(format!("more than {MESSAGE_LEN_MAX} bytes"));
    }
    let values = Cell::new(0);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Seed { depth: 0, values: &values }.deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    match value {
        Some(Value::Dict(dict)) => Ok(dict),
        _ => Err("not an object".to_owned()),
    }
}

/// Encodes a dictionary. Bytes that are no Unicode are replaced.
#[must_use]
pub fn encode(dict: &Dict) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    // Neither writing to memory nor keys of text can fail.
    let _ = serde_json::to_writer(&mut bytes, &Borrowed(dict));
    bytes
}

/// Reads one value; `None` is null.
#[derive(Clone, Copy)]
struct Seed<'a> {
    depth: usize,
    /// Values so far.
    values: &'a Cell<usize>,
}

impl Seed<'_> {
    fn within<E: Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Self { depth: self.depth + 1, values: self.values })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > VALUES_MAX {
            return Err(D::Error::custom(format_args!("more than {VALUES_MAX} values")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Option<Value>, E> {
        Ok(Some(Value::Integer(truth.into())))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<Value>, E> {
        Ok(Some(Value::Integer(number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<Value>, E> {
        Ok(Some(Value::from(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<Value>, E> {
        // What is beyond 64 bits ends at their edge.
        Ok(Some(Value::Integer(number as i64)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Value>, E> {
        Ok(Some(Value::from(text)))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Option<Value>, E> {
        Ok(Some(Value::from(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Option<Value>, A::Error> {
        let within = self.within()?;
        let mut list = Vec::new();
        while let Some(value) = items.next_element_seed(within)? {
            list.extend(value);
        }
        Ok(Some(Value::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Option<Value>, A::Error> {
        let within = self.within()?;
        let mut dict = Dict::new();
        while let Some(key) = entries.next_key::<String>()? {
            if let Some(value) = entries.next_value_seed(within)? {
                dict.0.push((key.into_bytes().into(), value));
            }
        }
        Ok(Some(Value::Dict(dict)))
    }
}

/// Writes a value or a dictionary as it is.
struct Borrowed<'a, T>(&'a T);

impl Serialize for Borrowed<'_, Value> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Bytes(bytes) => serializer.serialize_str(&String::from_utf8_lossy(bytes)),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::List(list) => {
                let mut items = serializer.serialize_seq(Some(list.len()))?;
                for value in list {
                    items.serialize_element(&Borrowed(value))?;
                }
                items.end()
            }
            Value::Dict(dict) => Borrowed(dict).serialize(serializer),
        }
    }
}

impl Serialize for Borrowed<'_, Dict> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries = serializer.serialize_map(Some(self.0.0.len()))?;
        for (key, value) in &self.0.0 {
            entries.serialize_entry(&String::from_utf8_lossy(key), &Borrowed(value))?;
        }
        entries.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn objects_become_dictionaries_and_back() {
        let text = br#"{"command":"offer","flags":["a",1,true,null],"n":-3.7,"d":{"x":null},"big":18446744073709551615,"e":1e300}"#;
        let dict = decode(text).expect("it is JSON");
        assert_eq!(dict.get("n").and_then(Value::integer), Some(-3));
        assert_eq!(dict.get("big").and_then(Value::integer), Some(i64::MAX));
        assert_eq!(dict.get("e").and_then(Value::integer), Some(i64::MAX));
        assert_eq!(dict.list("flags").map(<[_]>::len), Some(3));
        assert_eq!(dict.dict("d"), Some(&Dict::new()));
        let keys: Vec<_> = dict.0.iter().map(|(key, _)| String::from_utf8_lossy(key)).collect();
        assert_eq!(keys, ["command", "flags", "n", "d", "big", "e"], "the order is kept");
        assert_eq!(decode(&encode(&dict)).as_ref(), Ok(&dict));
    }

    #[test]
    fn bytes_that_are_no_unicode_are_replaced() {
        let dict = Dict::new().with("a", vec![b'x', 0xff, b'"', b'\n', 0]);
        assert_eq!(encode(&dict), "{\"a\":\"x\u{fffd}\\\"\\n\\u0000\"}".as_bytes());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let deep = ["{\"a\":".repeat(DEPTH_MAX + 1), "1".to_owned(), "}".repeat(DEPTH_MAX + 1)].concat();
        let bomb = "[".repeat(60_000);
        let wide = format!("{{\"a\":[{}0]}}", "0,".repeat(VALUES_MAX));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MESSAGE_LEN_MAX));
        for (text, part) in [
            ("{", "column 1"),
            ("{\"a\":1}x", "column 8"),
            ("{\"a\":\"\\ud800\"}", "column 13"),
            ("[]", "object"),
            ("null", "object"),
            (&deep, "deeper"),
            (&bomb, "deeper"),
            (&wide, "values"),
            (&long, "bytes"),
        ] {
            let error = decode(text.as_bytes()).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<String>().prop_map(Value::from), any::<i64>().prop_map(Value::Integer)];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
                proptest::collection::vec((any::<String>(), inner), 0..6).prop_map(|entries| Value::Dict(Dict(
                    entries.into_iter().map(|(key, value)| (key.into_bytes().into(), value)).collect()
                ))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in value()) {
            let dict = Dict::new().with("value", value);
            prop_assert_eq!(decode(&encode(&dict)), Ok(dict));
        }
    }
}
