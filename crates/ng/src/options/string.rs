//! The string `rtpp-flags`: words between blanks, `key=value`, and `key=[a b]` for lists.

use super::Options;
use crate::value::{Value, normal};

/// The most words of one string.
const WORDS_MAX: usize = 512;

impl Options {
    /// Reads the whole string.
    pub(super) fn string(&mut self, text: &str) {
        let mut rest = text.trim_start();
        let mut words = 0;
        while !rest.is_empty() && words < WORDS_MAX {
            words += 1;
            let (word, after) = next(rest);
            rest = after.trim_start();
            match word.split_once("=[") {
                Some((key, list)) => {
                    let list = list.strip_suffix(']').unwrap_or(list).split_ascii_whitespace();
                    let list = list.map(Value::from).collect();
                    self.entry(&normal(key), &Value::List(list));
                }
                None => self.word(word),
            }
        }
    }
}

/// The first word, with its list if it has one, and what follows it.
fn next(text: &str) -> (&str, &str) {
    let blank = text.find(|c: char| c.is_ascii_whitespace()).unwrap_or(text.len());
    let end = match text.find("=[") {
        Some(list) if list < blank => text[list..].find(']').map_or(text.len(), |close| list + close + 1),
        _ => blank,
    };
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_blanks_and_lists_at_brackets() {
        assert_eq!(next("a b"), ("a", " b"));
        assert_eq!(next("a=[b c] d"), ("a=[b c]", " d"));
        assert_eq!(next("a=[b c"), ("a=[b c", ""));
        assert_eq!(next("a b=[c]"), ("a", " b=[c]"));
    }

    #[test]
    fn hostile_strings_end() {
        let mut options = Options::default();
        options.string(&"rtpp-flags=".repeat(6000));
        options.string(&"flags=".repeat(10_000));
        options.string(&"flags=[flags=[flags=[".repeat(100));
        options.string("==== [[[ ]]] = =[ =] \u{e9}=\u{e9}");
        assert!(!options.unknown.is_empty());
    }
}
