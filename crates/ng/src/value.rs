//! What a message carries.

use std::borrow::Cow;

/// A string of bytes. Most of what replies are made of is known beforehand, and need not be copied.
pub type Text = Cow<'static, [u8]>;

/// A value of a message: what bencode has, and JSON is mapped to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string of bytes; texts of ng are UTF-8 as a rule, but SDP need not be.
    Bytes(Text),
    /// An integer.
    Integer(i64),
    /// A list.
    List(Vec<Self>),
    /// A dictionary.
    Dict(Dict),
}

impl Value {
    /// A text that is known beforehand, which is not copied.
    #[must_use]
    pub const fn word(text: &'static str) -> Self {
        Self::Bytes(Cow::Borrowed(text.as_bytes()))
    }

    /// The text, with what is not UTF-8 replaced; `None` for lists and dictionaries.
    #[must_use]
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Bytes(bytes) => Some(String::from_utf8_lossy(bytes)),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            Self::List(_) | Self::Dict(_) => None,
        }
    }

    /// The integer; also one that is written as a decimal string.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bytes(bytes) => core::str::from_utf8(bytes).ok()?.trim().parse().ok(),
            Self::List(_) | Self::Dict(_) => None,
        }
    }

    /// The texts of a list; a single text is a list of one.
    #[must_use]
    pub fn texts(&self) -> Vec<Cow<'_, str>> {
        match self {
            Self::List(list) => list.iter().filter_map(Self::text).collect(),
            Self::Dict(_) => Vec::new(),
            Self::Bytes(_) | Self::Integer(_) => self.text().into_iter().collect(),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(Cow::Owned(text.as_bytes().to_vec()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Bytes(Cow::Owned(text.into_bytes()))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Integer(number.into())
    }
}

impl From<Dict> for Value {
    fn from(dict: Dict) -> Self {
        Self::Dict(dict)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value
where
    T: NotAByte,
{
    fn from(list: Vec<T>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}

/// What a list can be made of: everything but bytes, which are a string.
pub trait NotAByte {}
impl NotAByte for &str {}
impl NotAByte for String {}
impl NotAByte for i64 {}
impl NotAByte for Dict {}
impl NotAByte for Value {}

/// A dictionary. Keys keep the order in which they came: proxies do not sort them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dict(pub Vec<(Text, Value)>);

impl Dict {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an entry.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    /// Adds an entry.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push((Cow::Borrowed(key.as_bytes()), value.into()));
    }

    /// Adds an entry whose key is not known beforehand.
    pub fn set_named(&mut self, key: &str, value: impl Into<Value>) {
        self.0.push((Cow::Owned(key.as_bytes().to_vec()), value.into()));
    }

    /// The value of a key in whatever spelling: case does not matter, and blank, hyphen and underscore are the same. Of
    /// several the first.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| same(name, key.as_bytes())).map(|(_, value)| value)
    }

    /// The text of a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.get(key)?.text()
    }

    /// The dictionary of a key.
    #[must_use]
    pub fn dict(&self, key: &str) -> Option<&Self> {
        match self.get(key)? {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// The list of a key.
    #[must_use]
    pub fn list(&self, key: &str) -> Option<&[Value]> {
        match self.get(key)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }
}

/// Whether two spellings mean the same key.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(&a, &b)| plain(a) == plain(b))
}

const fn plain(byte: u8) -> u8 {
    match byte {
        b' ' | b'_' => b'-',
        _ => byte.to_ascii_lowercase(),
    }
}

/// A key or flag in its one spelling: small letters, hyphens.
#[must_use]
pub fn normal(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.bytes().all(|byte| plain(byte) == byte) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if matches!(c, ' ' | '_') { '-' } else { c.to_ascii_lowercase() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_every_spelling() {
        let dict = Dict::new().with("call ID", "1").with("delete_delay", 7_i64);
        assert_eq!(dict.text("call-id").as_deref(), Some("1"));
        assert_eq!(dict.get("Delete Delay").and_then(Value::integer), Some(7));
        assert_eq!(dict.get("call"), None);
    }

    #[test]
    fn numbers_may_be_texts_and_texts_lists() {
        assert_eq!(Value::from(" 30 ").integer(), Some(30));
        assert_eq!(Value::from("x").integer(), None);
        assert_eq!(Value::from("a").texts(), ["a"]);
        assert_eq!(Value::from(vec!["a", "b"]).texts(), ["a", "b"]);
    }
}
