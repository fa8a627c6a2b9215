//! Two transcripts beside each other.

use core::fmt::Write as _;

/// A difference that is meant.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// The scenarios that it is about; `*` stands for any text.
    pub scenario: &'static str,
    /// The lines of the first that it is about; `*` stands for any text.
    pub line: &'static str,
    /// What the second says instead of each of these. `None`: such lines are not compared, wherever they are.
    pub instead: Option<&'static str>,
    /// Why it is meant.
    pub why: &'static str,
}

/// Compares transcripts but for what is meant to differ, and marks in `needed` which of these differences there are.
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
    let (mut first, mut second) = (first.to_vec(), second.to_vec());
    for (difference, needed) in meant.iter().zip(needed) {
        if !matches(difference.scenario, scenario) {
            continue;
        }
        let about = |line: &String| matches(difference.line, line);
        match difference.instead {
            None => {
                let taken =
                    [&mut first, &mut second].map(|lines| lines.extract_if(.., |line| about(line)).collect::<Vec<_>>());
                *needed |= taken[0] != taken[1];
            }
            Some(instead) => {
                // What both say is no difference: only a line that the second has not is replaced.
                let marks = differing(&first, &second);
                for (line, differs) in first.iter_mut().zip(marks) {
                    if differs && about(line) {
                        instead.clone_into(line);
                        *needed = true;
                    }
                }
            }
        }
    }
    if first == second { Ok(()) } else { Err(side_by_side(&first, &second)) }
}

/// Which lines of the first the second has not, by the longest common subsequence.
fn differing(first: &[String], second: &[String]) -> Vec<bool> {
    let lines = merged(first, second);
    lines.iter().filter(|(mark, _)| *mark != '+').map(|(mark, _)| *mark == '-').collect()
}

/// Whether a text is as a pattern says.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((begin, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(begin) else { return false };
    (0..=text.len()).filter(|&at| text.is_char_boundary(at)).any(|at| matches(rest, &text[at..]))
}

/// The lines of both in one order: ` ` what both have, `-` what only the first has, `+` what only the second has.
fn merged<'a>(first: &'a [String], second: &'a [String]) -> Vec<(char, &'a String)> {
    let mut lens = vec![vec![0_u32; second.len() + 1]; first.len() + 1];
    for i in (0..first.len()).rev() {
        for j in (0..second.len()).rev() {
            lens[i][j] =
                if first[i] == second[j] { lens[i + 1][j + 1] + 1 } else { lens[i + 1][j].max(lens[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < first.len() || j < second.len() {
        if i < first.len() && j < second.len() && first[i] == second[j] {
            lines.push((' ', &first[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < first.len() && (j == second.len() || lens[i + 1][j] >= lens[i][j + 1]) {
            lines.push(('-', &first[i]));
            i += 1;
        } else {
            lines.push(('+', &second[j]));
            j += 1;
        }
    }
    lines
}

/// Both beside each other; what is the same far from any difference is left out.
fn side_by_side(first: &[String], second: &[String]) -> String {
    let lines = merged(first, second);
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
            Difference { scenario: "x*", line: "b*", instead: None, why: "" },
            Difference { scenario: "x*", line: "c", instead: Some("C"), why: "" },
            Difference { scenario: "x*", line: "f", instead: None, why: "" },
            Difference { scenario: "y", line: "*", instead: None, why: "" },
        ];
        let mut needed = [false; 4];
        assert_eq!(compare("xx", &lines("a b1 c f"), &lines("a f b2 C"), &meant, &mut needed), Ok(()));
        assert_eq!(compare("xx", &lines("a c c"), &lines("a c C"), &meant, &mut needed), Ok(()));
        assert_eq!(needed, [true, true, false, false]);
        let error = compare("xx", &lines("a b1 c d"), &lines("a e"), &meant, &mut needed).expect_err("they differ");
        assert_eq!(error, " a\n-C\n-d\n+e\n");
    }
}
