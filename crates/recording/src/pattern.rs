//! Names of recordings that are made by a pattern, as rtpengine's `--output-pattern` has it.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::names::{NAME_BYTES_MAX, NameError, check_name};
use crate::spec::Layout;
use crate::utc::rfc3339;

/// Of the call's name.
const CALL_BYTES_MAX: usize = 100;

/// What a pattern may speak of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `%c`, and by its beginning `%2`: the call's name, which is anything.
    pub call: &'a str,
    /// `%l`: the label of the party that the recording was asked for with.
    pub label: &'a str,
    /// `%t`: `mix` or `single`.
    pub layout: Layout,
    /// `%Y`, `%m`, `%d`, `%H`, `%M`, `%S` and `%u`, in UTC.
    pub at: SystemTime,
}

/// Why a pattern makes no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It has a sequence that is none.
    #[error(
        "{0:?} stands for nothing: there are %c, %t, %l, %Y, %m, %d, %H, %M, %S, %u, %%, and %2 for so much of the call ID"
    )]
    Unknown(String),
    /// What it makes cannot be a name.
    #[error("the pattern makes a name that cannot be: {0}")]
    Name(#[from] NameError),
}

/// The name that a pattern makes. Slashes of the pattern are folders; in what it speaks of they are `_`, as is whatever else a name
/// should not have, so that nobody's call leads anywhere.
///
/// # Errors
/// The pattern has a sequence that stands for nothing, or makes a name that [`check_name`] refuses.
pub fn name_by_pattern(pattern: &str, subject: &Subject<'_>) -> Result<String, PatternError> {
    let time = rfc3339(subject.at);
    let mut rest_of_call = subject.call.chars();
    let mut name = String::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        // Longer than any name, whatever else comes.
        if name.len() > NAME_BYTES_MAX {
            break;
        }
        if character != '%' {
            name.push(character);
            continue;
        }
        let mut sequence = String::new();
        while let Some(digit) = characters.next_if(|next| next.is_ascii_digit() && sequence.len() < 3) {
            sequence.push(digit);
        }
        if let Ok(count) = sequence.parse::<usize>() {
            let beginning: String = rest_of_call.by_ref().take(count).collect();
            push_tame(&mut name, &beginning);
            continue;
        }
        match characters.next() {
            Some('%') => name.push('%'),
            Some('c') => push_tame(&mut name, subject.call),
            Some('l') => push_tame(&mut name, subject.label),
            Some('t') => name.push_str(if subject.layout == Layout::Mixed { "mix" } else { "single" }),
            Some('Y') => name.push_str(part(&time, 0, 4)),
            Some('m') => name.push_str(part(&time, 5, 2)),
            Some('d') => name.push_str(part(&time, 8, 2)),
            Some('H') => name.push_str(part(&time, 11, 2)),
            Some('M') => name.push_str(part(&time, 14, 2)),
            Some('S') => name.push_str(part(&time, 17, 2)),
            Some('u') => {
                let since = subject.at.duration_since(UNIX_EPOCH).unwrap_or_default();
                name.push_str(&format!("{:06}", since.subsec_micros()));
            }
            Some(other) => return Err(PatternError::Unknown(format!("%{other}"))),
            None => return Err(PatternError::Unknown("%".to_owned())),
        }
    }
    check_name(&name)?;
    Ok(name)
}

/// Of `2026-11-27T08:15:30.250Z`.
fn part(time: &str, from: usize, len: usize) -> &str {
    time.get(from..from + len).unwrap_or_default()
}

fn push_tame(name: &mut String, text: &str) {
    let is_tame = |character: char| character.is_alphanumeric() || "-_@+.".contains(character);
    let len = name.len();
    for character in text.chars() {
        if name.len() - len + character.len_utf8() > CALL_BYTES_MAX {
            break;
        }
        // A part that begins with a dot is a way out, or hidden.
        let begins = name.is_empty() || name.ends_with('/');
        name.push(if is_tame(character) && !(begins && character == '.') { character } else { '_' });
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn name(pattern: &str, call: &str) -> Result<String, PatternError> {
        // 2026-11-27T08:15:30.000042Z
        let at = UNIX_EPOCH + Duration::from_secs(1_795_767_330) + Duration::from_micros(42);
        name_by_pattern(pattern, &Subject { call, label: "agent", layout: Layout::Mixed, at })
    }

    #[test]
    fn patterns_make_names_as_rtpengine_documents() {
        for (pattern, made) in [
            ("%c-%t", "abcdefgh-mix"),
            ("%2/%3/%c", "ab/cde/abcdefgh"),
            ("%Y/%m/%d/%H%M%S-%u", "2026/11/27/081530-000042"),
            ("%l_100%%", "agent_100%"),
            ("plain", "plain"),
        ] {
            assert_eq!(name(pattern, "abcdefgh").as_deref(), Ok(made), "{pattern}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_directory() {
        for (pattern, call, made) in [
            ("%c", "../../etc/passwd", "_._.._etc_passwd"),
            ("a/%c", ".hidden", "a/_hidden"),
            ("%1/%1/x", "..", "_/_/x"),
            ("%c", "a\0b\\c\n", "a_b_c_"),
        ] {
            assert_eq!(name(pattern, call).as_deref(), Ok(made), "{pattern} {call:?}");
        }
        for pattern in
            ["", "/etc/%c", "../%c", "a//%c", "%c/", ".%c", "a\\%c", "%9/%9/x", &"%c/".repeat(9), &"x".repeat(99_999)]
        {
            assert!(matches!(name(pattern, "call"), Err(PatternError::Name(_))), "{pattern:.20}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_named() {
        for (pattern, says) in [("%c%q", "\"%q\""), ("%c%", "\"%\""), ("%ü", "\"%ü\"")] {
            let error = name(pattern, "call").expect_err("it stands for nothing").to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }

    #[test]
    fn long_calls_are_cut() {
        let made = name("%c", &"ü".repeat(1000)).expect("it is cut");
        assert_eq!(made.len(), CALL_BYTES_MAX);
    }
}
