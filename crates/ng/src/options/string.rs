//! The string `rtpp-flags`: words between blanks, `key=value`, and `key=[...]` for lists and dictionaries.

use super::Options;
use crate::value::{Dict, Value, normal};

/// Brackets within brackets. `sdp-attr=[audio=[add=[x]]]` has three.
const DEPTH_MAX: usize = 8;
/// The most words of one string, those in brackets included.
const WORDS_MAX: usize = 1024;

impl Options {
    /// Reads the whole string.
    pub(super) fn string(&mut self, text: &str) {
        let mut reader = Reader { rest: text, words: 0 };
        while let Some(item) = reader.item(0) {
            match item {
                Item::Word(word) => self.word(word),
                Item::List(key, value) => match &*normal(key) {
                    // A list of words is read like the list of that name, but holds no string within the string.
                    "rtpp-flags" => self.note_unknown(key),
                    key => self.entry(key, &value),
                },
            }
        }
        if !reader.rest.trim_start().is_empty() {
            self.note_unknown(reader.rest);
        }
    }
}

enum Item<'a> {
    /// A word, with its value behind `=` if it has one.
    Word(&'a str),
    /// A key and what is in the brackets behind it.
    List(&'a str, Value),
}

struct Reader<'a> {
    rest: &'a str,
    words: usize,
}

impl<'a> Reader<'a> {
    /// The next item; `None` at the end, or where the list ends that is being read, or where there is too much of it.
    fn item(&mut self, depth: usize) -> Option<Item<'a>> {
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() || self.words >= WORDS_MAX || (depth > 0 && self.rest.starts_with(']')) {
            return None;
        }
        self.words += 1;
        let ends = |c: char| c.is_whitespace() || (depth > 0 && c == ']');
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        if let Some(open) = self.rest[..end].find("=[").filter(|_| depth < DEPTH_MAX) {
            let key = &self.rest[..open];
            self.rest = &self.rest[open + 2..];
            let value = self.list(depth + 1);
            self.rest = self.rest.strip_prefix(']').unwrap_or(self.rest);
            return Some(Item::List(key, value));
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Item::Word(word))
    }

    /// What is in brackets: a dictionary if all of it has keys, else a list.
    fn list(&mut self, depth: usize) -> Value {
        let (mut dict, mut list) = (Dict::new(), Vec::new());
        while let Some(item) = self.item(depth) {
            match item {
                Item::List(key, value) => dict.0.push((key.as_bytes().to_vec().into(), value)),
                Item::Word(word) => list.push(word),
            }
        }
        if dict.0.is_empty() {
            return Value::List(list.into_iter().map(Value::from).collect());
        }
        for word in list {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            dict.0.push((key.as_bytes().to_vec().into(), Value::from(value)));
        }
        Value::Dict(dict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items as text, to compare them.
    fn items(text: &str) -> Vec<String> {
        let mut reader = Reader { rest: text, words: 0 };
        let mut items = Vec::new();
        while let Some(item) = reader.item(0) {
            items.push(match item {
                Item::Word(word) => word.to_owned(),
                Item::List(key, value) => {
                    let mut bytes = Vec::new();
                    crate::bencode::encode(&value, &mut bytes);
                    format!("{key}: {}", String::from_utf8(bytes).expect("it was text"))
                }
            });
        }
        items
    }

    #[test]
    fn words_end_at_blanks_and_lists_at_brackets() {
        assert_eq!(items(" a  b\tc=d "), ["a", "b", "c=d"]);
        assert_eq!(items("a=[b c] d"), ["a: l1:b1:ce", "d"]);
        assert_eq!(items("a=[b c"), ["a: l1:b1:ce"]);
        assert_eq!(items("a=[]b"), ["a: le", "b"]);
        assert_eq!(items("a=[ x=[b] y=[c d] ]"), ["a: d1:xl1:be1:yl1:c1:dee"]);
        assert_eq!(items("a=[x=[b] y=c z]"), ["a: d1:xl1:be1:y1:c1:z0:e"]);
        assert_eq!(items("address=[2001:db8::1]"), ["address: l11:2001:db8::1e"]);
        assert_eq!(items("a] b"), ["a]", "b"]);
    }

    #[test]
    fn hostile_strings_end() {
        let mut options = Options::default();
        options.string(&"rtpp-flags=".repeat(6000));
        options.string(&"flags=".repeat(10_000));
        options.string(&"flags=[flags=[flags=[".repeat(3000));
        options.string(&"x=[".repeat(20_000));
        options.string(&"x ".repeat(30_000));
        options.string("==== [[[ ]]] = =[ =] \u{e9}=\u{e9} \u{e9}=[\u{e9}]\u{a0}x");
        assert_eq!(options.unknown.len(), super::super::UNKNOWN_MAX);
    }
}
