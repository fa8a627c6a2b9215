//! Published vectors on every backend that this CPU has, and every backend against the portable one.

mod equality;
mod vectors;

/// Bytes of hexadecimal digits; blanks between them count for nothing.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let (pairs, rest) = digits.as_chunks();
    assert!(rest.is_empty(), "half a byte");
    pairs.iter().map(|&[high, low]| u8::try_from(high << 4 | low).expect("two digits are a byte")).collect()
}
