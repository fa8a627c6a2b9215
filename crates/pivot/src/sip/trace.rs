//! The SIP trace: every message as it was on the wire, without credentials and keys.

use core::net::SocketAddr;
use std::borrow::Cow;
use std::sync::Arc;

use crate::message::{DialogId, Origin, Transport};

/// Is given every message.
pub trait Tracer: Send + Sync {
    /// A message was received, or is about to be sent.
    fn message(&self, message: &Traced<'_>);

    /// What is said under this Call-ID from now on is of a dialog of ours, which is about to begin.
    fn dialog(&self, dialog: DialogId, call_id: &str) {
        let _ = (dialog, call_id);
    }
}

impl<F: Fn(&Traced<'_>) + Send + Sync> Tracer for F {
    fn message(&self, message: &Traced<'_>) {
        self(message);
    }
}

/// Who is given every message.
pub type Trace = Arc<dyn Tracer>;

/// A message that was sent or received.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    /// We sent it.
    pub is_outgoing: bool,
    /// Where we sent it from or received it.
    pub local: SocketAddr,
    /// Where it went or came from.
    pub address: SocketAddr,
    /// By what.
    pub transport: Transport,
    /// Its Call-ID; empty if it has none.
    pub call_id: &'a str,
    bytes: &'a [u8],
    /// Octets of the head, with the empty line that ends it not counted.
    head: usize,
    has_credentials: bool,
}

impl<'a> Traced<'a> {
    #[cfg(test)]
    pub(crate) fn new(
        is_outgoing: bool,
        local: SocketAddr,
        address: SocketAddr,
        transport: Transport,
        call_id: &'a str,
        bytes: &'a [u8],
    ) -> Self {
        let head = lines(bytes).map(<[u8]>::len).sum();
        Self { is_outgoing, local, address, transport, call_id, bytes, head, has_credentials: false }
    }

    /// What it says, octet for octet but for credentials and keys of SRTP.
    #[must_use]
    pub fn bytes(&self) -> Cow<'a, [u8]> {
        let (bytes, head) = if self.has_credentials {
            let bytes = without_credentials(self.bytes);
            let body = self.bytes.len() - self.head;
            let head = bytes.len() - body;
            (Cow::Owned(bytes), head)
        } else {
            (Cow::Borrowed(self.bytes), self.head)
        };
        match without_keys(&bytes, head) {
            Some(bytes) => Cow::Owned(bytes),
            None => bytes,
        }
    }

    /// Whether it is a request of this method.
    #[must_use]
    pub fn is_request(&self, method: &str) -> bool {
        self.bytes.strip_prefix(method.as_bytes()).is_some_and(|rest| rest.first() == Some(&b' '))
    }
}

/// Between which two a message goes.
#[derive(Clone, Copy)]
pub(super) struct Between {
    pub local: SocketAddr,
    pub peer: Origin,
}

/// Gives a message to the hook, if there is one.
pub(super) fn trace(hook: Option<&Trace>, is_outgoing: bool, between: Between, bytes: &[u8]) {
    let Some(hook) = hook else { return };
    let (mut call_id, mut has_credentials, mut is_folded) = (None, false, false);
    let mut head = 0;
    for line in lines(bytes) {
        head += line.len();
        if is_folded && matches!(line, [b' ' | b'\t', ..]) {
            call_id = Some(line);
        }
        is_folded = false;
        match line.first() {
            Some(b'a' | b'A' | b'p' | b'P') => has_credentials |= is_secret(line),
            Some(b'c' | b'C' | b'i' | b'I') if call_id.is_none() => {
                call_id = value_of(line, "Call-ID").or_else(|| value_of(line, "i"));
                is_folded = call_id.is_some_and(|value| value.trim_ascii().is_empty());
            }
            _ => {}
        }
    }
    let call_id = call_id.and_then(|value| core::str::from_utf8(value.trim_ascii()).ok()).unwrap_or_default();
    let Between { local, peer } = between;
    let Origin { address, transport } = peer;
    hook.message(&Traced { is_outgoing, local, address, transport, call_id, bytes, head, has_credentials });
}

/// The lines of the head, with their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).map(|end| end + 1).chain([bytes.len()]);
    let lines = ends.map(move |end| &bytes[core::mem::replace(&mut from, end)..end]);
    lines.take_while(|line| !matches!(*line, b"" | b"\r\n" | b"\n"))
}

fn value_of<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    line[..colon].trim_ascii().eq_ignore_ascii_case(name.as_bytes()).then(|| &line[colon + 1..])
}

fn is_secret(line: &[u8]) -> bool {
    ["Authorization", "Proxy-Authorization"].iter().any(|name| value_of(line, name).is_some())
}

/// The message with the values of credentials masked.
fn without_credentials(bytes: &[u8]) -> Vec<u8> {
    let (mut out, mut taken, mut is_masking) = (Vec::with_capacity(bytes.len()), 0, false);
    for line in lines(bytes) {
        taken += line.len();
        is_masking = is_secret(line) || (is_masking && matches!(line, [b' ' | b'\t', ..]));
        if is_secret(line) {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or_default();
            out.extend_from_slice(&line[..colon]);
            out.extend_from_slice(b": Digest masked\r\n");
        } else if !is_masking {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(&bytes[taken..]);
    out
}

/// The message with the keys of SRTP masked, if it has any: those of `a=crypto` (RFC 4568 9.1), of `a=key-mgmt` (RFC 4567) and of `k=`.
/// Each octet by one, so that Content-Length stays right. The body begins behind `head`.
fn without_keys(bytes: &[u8], head: usize) -> Option<Vec<u8>> {
    const INLINE: &[u8] = b"inline:";
    let mut out: Option<Vec<u8>> = None;
    let mut mask = |range: core::ops::Range<usize>| {
        out.get_or_insert_with(|| bytes.to_vec())[range].fill(b'x');
    };
    let mut start = head;
    for line in bytes[head..].split_inclusive(|byte| *byte == b'\n') {
        let end = start + line.trim_ascii_end().len();
        let begins = |with: &[u8]| line.get(..with.len()).is_some_and(|line| line.eq_ignore_ascii_case(with));
        if begins(b"k=") || begins(b"a=key-mgmt:") {
            let value =
                line.iter().position(|byte| *byte == b':').or_else(|| line.iter().position(|byte| *byte == b'='));
            mask((start + value.unwrap_or_default() + 1).min(end)..end);
        }
        let mut at = 0;
        while let Some(colon) = line[at..].iter().position(|byte| *byte == b':').map(|colon| at + colon) {
            at = colon + 1;
            let is_key = at.checked_sub(INLINE.len()).is_some_and(|name| line[name..at].eq_ignore_ascii_case(INLINE));
            if is_key {
                let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'|' | b';');
                let len = line[at..].iter().position(is_end).unwrap_or(line.len() - at);
                mask(start + at..start + at + len);
                at += len;
            }
        }
        start += line.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;

    /// What a hook is given: the Call-ID and the octets.
    fn traced(bytes: &[u8]) -> (String, Vec<u8>) {
        let seen = Arc::new(Mutex::new(None));
        let sink = Arc::clone(&seen);
        let hook: Trace = Arc::new(move |message: &Traced<'_>| {
            *sink.lock().expect("no panic") = Some((message.call_id.to_owned(), message.bytes().into_owned()));
        });
        let address = SocketAddr::from(([192, 0, 2, 1], 5060));
        let between = Between { local: address, peer: Origin { address, transport: Transport::Udp } };
        trace(Some(&hook), false, between, bytes);
        seen.lock().expect("no panic").take().expect("it was given something")
    }

    #[test]
    fn credentials_are_masked_and_nothing_else() {
        let message = b"BYE sip:a SIP/2.0\r\nauthorization : Digest username=\"u\",\r\n response=\"f00\"\r\nCall-ID: c\r\n\r\nAuthorization: body";
        let expected = "BYE sip:a SIP/2.0\r\nauthorization : Digest masked\r\nCall-ID: c\r\n\r\nAuthorization: body";
        let (call_id, bytes) = traced(message);
        assert_eq!((call_id.as_str(), String::from_utf8_lossy(&bytes).as_ref()), ("c", expected));
    }

    #[test]
    fn keys_are_masked_by_as_many_octets_and_fingerprints_are_not() {
        let head = "INVITE sip:a SIP/2.0\r\nCall-ID:\r\n folded@x\r\nContent-Disposition: inline\r\n\r\n";
        let sdp = "v=0\r\nk=base64:c2VjcmV0\r\na=fingerprint:sha-256 AA:BB\r\na=key-mgmt:mikey AQAF\r\n\
                   a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3|2^20|1:4;Inline:QUJD FEC_ORDER=FEC_SRTP\r\na=x";
        let masked = "v=0\r\nk=base64:xxxxxxxx\r\na=fingerprint:sha-256 AA:BB\r\na=key-mgmt:xxxxxxxxxx\r\n\
                      a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxxxxxxxxxxxxxx|2^20|1:4;Inline:xxxx FEC_ORDER=FEC_SRTP\r\na=x";
        let (call_id, bytes) = traced(format!("{head}{sdp}").as_bytes());
        assert_eq!(
            (call_id.as_str(), String::from_utf8_lossy(&bytes).into_owned()),
            ("folded@x", format!("{head}{masked}"))
        );
    }

    #[test]
    fn without_secrets_it_is_as_it_was() {
        let message = b"SIP/2.0 200 OK\r\ni: c\r\nAllow: INVITE\r\nWWW-Authenticate: Digest nonce=\"n\"\r\n\r\nv=0\r\n";
        assert_eq!(traced(message), ("c".to_owned(), message.to_vec()));
        assert_eq!(without_keys(message, 0), None);
    }

    proptest! {
        #[test]
        fn garbage_is_taken_as_it_is(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (_, seen) = traced(&bytes);
            // Only a secret changes it, and there is none without its name.
            let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
            if !["authorization", "inline:", "k=", "key-mgmt"].iter().any(|name| text.contains(name)) {
                prop_assert_eq!(seen, bytes);
            }
        }
    }
}
