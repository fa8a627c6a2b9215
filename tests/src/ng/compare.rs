//! Two transcripts beside each other.

use core::fmt::Write as _;

/// A difference that is meant.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// The scenarios that it is about; `*` stands for any text.
    pub scenario: &'static str,
    /// The lines that it is about; `*` stands for any text.
    pub line: &'static str,
    /// Why it is meant.
    pub why: &'static str,
}

/// Compares transcripts but for the lines that are meant to differ, and marks in `needed` which of these differences there
/// are.
///
/// # Errors
/// They differ otherwise: the lines of both, `-` for the first and `+` for the second.
pub fn compare(
    scenario: &str,
    first: &[String],
    second: &[String],
    meant: &[Difference],
    needed: &mut [bool],
) -> Result<(), String> {
    let about = |difference: &Difference| matches(difference.scenario, scenario);
    for (difference, needed) in meant.iter().zip(needed).filter(|(difference, _)| about(difference)) {
        let mine = |line: &&String| matches(difference.line, line);
        *needed |= first.iter().filter(mine).ne(second.iter().filter(mine));
    }
    let meant: Vec<&Difference> = meant.iter().filter(|difference| about(difference)).collect();
    let rest = |lines: &[String]| -> Vec<String> {
        let kept = lines.iter().filter(|line| !meant.iter().any(|difference| matches(difference.line, line)));
        kept.cloned().collect()
    };
    let (first, second) = (rest(first), rest(second));
    if first == second { Ok(()) } else { Err(side_by_side(&first, &second)) }
}

/// Whether a text is as a pattern says.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(begin) else { return false };
    (0..=text.len()).filter(|&at| text.is_char_boundary(at)).any(|at| matches(rest, &text[at..]))
}

/// The longest common subsequence, and what is beside it; what is the same far from any difference is left out.
fn side_by_side(first: &[String], second: &[String]) -> String {
    let mut lens = vec![vec![0_u32; second.len() + 1]; first.len() + 1];
    for i in (0..first.len()).rev() {
        for j in (0..second.len()).rev() {
            lens[i][j] =
                if first[i] == second[j] { lens[i + 1][j + 1] + 1 } else { lens[i + 1][j].max(lens[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < first.len() || j < second.len() {
        let (mark, line) = if i < first.len() && j < second.len() && first[i] == second[j] {
            (i, j) = (i + 1, j + 1);
            (' ', &first[i - 1])
        } else if i < first.len() && (j == second.len() || lens[i + 1][j] >= lens[i][j + 1]) {
            i += 1;
            ('-', &first[i - 1])
        } else {
            j += 1;
            ('+', &second[j - 1])
        };
        lines.push((mark, line));
    }
    let mut text = String::new();
    let mut left_out = false;
    for (at, (mark, line)) in lines.iter().enumerate() {
        let near = &lines[at.saturating_sub(AROUND)..(at + AROUND + 1).min(lines.len())];
        // A command is shown before its lines.
        if near.iter().all(|(mark, _)| *mark == ' ') && !line.starts_with(['>', '=']) {
            left_out = true;
            continue;
        }
        if core::mem::take(&mut left_out) {
            text.push_str("  ...\n");
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark}{line}");
    }
    text
}

/// Lines that are shown around a difference.
const AROUND: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn patterns_match() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn only_meant_differences_pass() {
        let meant = [
            Difference { scenario: "x*", line: "b*", why: "" },
            Difference { scenario: "x*", line: "c", why: "" },
            Difference { scenario: "y", line: "*", why: "" },
        ];
        let mut needed = [false; 3];
        assert_eq!(compare("xx", &lines("a b1 c"), &lines("a c b2"), &meant, &mut needed), Ok(()));
        assert_eq!(needed, [true, false, false]);
        let error = compare("xx", &lines("a b1 c d"), &lines("a e"), &meant, &mut needed).expect_err("they differ");
        assert_eq!(error, " a\n-d\n+e\n");
    }
}
