//! The SIP trace: every message as it was on the wire, without credentials.

use core::net::SocketAddr;
use std::borrow::Cow;
use std::time::SystemTime;

use super::config::{Trace, Traced};
use crate::message::Transport;

/// Gives a message to the hook, if there is one.
pub(super) fn trace(hook: Option<&Trace>, is_outgoing: bool, address: SocketAddr, transport: Transport, bytes: &[u8]) {
    let Some(hook) = hook else { return };
    let bytes = masked(bytes);
    let call_id = lines(&bytes)
        .find_map(|line| value_of(line, "Call-ID").or_else(|| value_of(line, "i")))
        .and_then(|value| core::str::from_utf8(value).ok())
        .unwrap_or_default();
    hook(&Traced { at: SystemTime::now(), is_outgoing, address, transport, call_id: call_id.trim(), bytes: &bytes });
}

/// The lines of the head, with their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').take_while(|line| !matches!(*line, b"\r\n" | b"\n"))
}

fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    line[..colon].trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| &line[colon + 1..])
}

/// The message with the values of credentials masked.
fn masked(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_secret =
        |line: &[u8]| ["Authorization", "Proxy-Authorization"].iter().any(|name| value_of(line, name).is_some());
    if !lines(bytes).any(is_secret) {
        return Cow::Borrowed(bytes);
    }
    let (mut out, mut taken, mut is_masking) = (Vec::with_capacity(bytes.len()), 0, false);
    for line in lines(bytes) {
        taken += line.len();
        is_masking = is_secret(line) || (is_masking && line.starts_with(b" ") | line.starts_with(b"\t"));
        if is_secret(line) {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or_default();
            out.extend_from_slice(&line[..colon]);
            out.extend_from_slice(b": Digest masked\r\n");
        } else if !is_masking {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(&bytes[taken..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_masked_and_nothing_else() {
        let message = b"BYE sip:a SIP/2.0\r\nauthorization : Digest username=\"u\",\r\n response=\"f00\"\r\nCall-ID: c\r\n\r\nAuthorization: body";
        let expected = b"BYE sip:a SIP/2.0\r\nauthorization : Digest masked\r\nCall-ID: c\r\n\r\nAuthorization: body";
        assert_eq!(String::from_utf8_lossy(&masked(message)), String::from_utf8_lossy(expected));
        assert!(matches!(masked(b"BYE sip:a SIP/2.0\r\nVia: x\r\n\r\n"), Cow::Borrowed(_)));
    }
}
