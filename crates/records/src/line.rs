//! A line of the queue: a checksum, the revision and the record. What a crash has torn has another checksum, or no end.

use crate::record::Record;

/// A record on its way. Of two with the same id the one with the greater revision is the later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) revision: u64,
    pub(crate) record: Record,
}

/// Octets of the checksum, in hex.
const SUM_LEN: usize = 8;

/// The line with its end; nothing if it cannot be written as JSON.
pub(crate) fn write(item: &Item) -> Option<Vec<u8>> {
    let text = serde_json::to_string(&(item.revision, &item.record)).ok()?;
    Some(format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes())).into_bytes())
}

/// A line without its end; nothing if it is damaged.
pub(crate) fn read(line: &[u8]) -> Option<Item> {
    let (sum, rest) = line.split_at_checked(SUM_LEN)?;
    let text = rest.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(core::str::from_utf8(sum).ok()?, 16).ok()?;
    if sum != crc32fast::hash(text) {
        return None;
    }
    let (revision, record) = serde_json::from_slice(text).ok()?;
    Some(Item { revision, record })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Call;

    #[test]
    fn a_line_with_another_bit_anywhere_is_no_line() {
        let call = Call { id: "a-1".into(), from: "sip:\u{e4}\0\n@x".into(), ..Call::default() };
        let item = Item { revision: 7, record: Record::Call(Box::new(call)) };
        let line = write(&item).expect("it is JSON");
        let line = line.strip_suffix(b"\n").expect("a line has an end");
        assert!(!line.contains(&b'\n'));
        assert_eq!(read(line).as_ref(), Some(&item));
        for bit in 0..line.len() * 8 {
            let mut other = line.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            // The checksum may be written in capitals.
            assert!(read(&other).is_none_or(|read| read == item && bit / 8 < SUM_LEN), "bit {bit}");
        }
        assert!((0..line.len()).all(|len| read(&line[..len]).is_none()));
    }
}
