//! The lines of a text, by position.

use core::ops::Range;

use crate::LINES_MAX;
use crate::error::SdpError;

/// One line; blank lines belong to the line before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The letter before the `=`.
    pub(crate) kind: u8,
    /// Its number in the text, from 1.
    pub(crate) number: usize,
    /// Without the line end.
    pub(crate) content: Range<usize>,
    /// With the line end, and blank lines after it.
    pub(crate) whole: Range<usize>,
}

impl Line {
    /// What stands behind the `=`, without blanks at the end.
    pub(crate) fn value<'a>(&self, text: &'a str) -> &'a str {
        text[self.content.clone()].get(2..).unwrap_or_default().trim_end()
    }

    /// Name and value of an attribute; the value is empty where there is no colon. `None`: it is no attribute.
    pub(crate) fn attribute<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        if self.kind != b'a' {
            return None;
        }
        let value = self.value(text);
        Some(value.split_once(':').unwrap_or((value, "")))
    }
}

/// Takes a text apart.
pub(crate) fn split(text: &str) -> Result<Vec<Line>, SdpError> {
    let mut lines: Vec<Line> = Vec::with_capacity(text.len() / 24);
    let mut start = 0;
    for (index, whole) in text.split_inclusive('\n').enumerate() {
        if index >= LINES_MAX {
            return Err(SdpError::TooManyLines);
        }
        let end = start + whole.len();
        let content = whole.trim_end_matches(['\r', '\n']);
        if content.trim().is_empty() {
            // Blank lines before the first line are part of nothing, and lost to nobody.
            if let Some(last) = lines.last_mut() {
                last.whole.end = end;
            }
        } else {
            let bytes = content.as_bytes();
            if bytes.len() < 2 || bytes[1] != b'=' || !bytes[0].is_ascii_alphabetic() {
                return Err(SdpError::NotALine { line: index + 1 });
            }
            let whole_start = if lines.is_empty() { 0 } else { start };
            let content = start..start + content.len();
            lines.push(Line { kind: bytes[0], number: index + 1, content, whole: whole_start..end });
        }
        start = end;
    }
    Ok(lines)
}
