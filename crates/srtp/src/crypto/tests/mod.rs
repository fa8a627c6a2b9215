//! Published vectors on every backend that this CPU has, and every backend against the portable one.

use std::io::Write as _;

use super::Backend;

mod equality;
mod vectors;

/// What this CPU lacks is not tested, and that is said: not by `eprintln!`, which the test harness keeps to itself.
#[test]
fn what_the_cpu_lacks_is_named() {
    for missing in Backend::best().missing() {
        writeln!(std::io::stderr(), "not tested: this CPU has no {missing}").expect("stderr is open");
    }
}

/// Bytes of hexadecimal digits; blanks between them count for nothing.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let (pairs, rest) = digits.as_chunks();
    assert!(rest.is_empty(), "half a byte");
    pairs.iter().map(|&[high, low]| u8::try_from(high << 4 | low).expect("two digits are a byte")).collect()
}
