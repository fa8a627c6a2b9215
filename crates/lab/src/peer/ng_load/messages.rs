//! Requests that are made once, and into which only what changes is written.

use patchcord_ng::{Dict, Message};

/// Digits of a cookie: the slot and a number of its own.
pub(super) const COOKIE_LEN: usize = 16;

const COOKIE: &[u8; COOKIE_LEN] = b"cookiecookiecook";
/// Stands for the call's number in names.
const NUMBER: &str = "numbernu";
/// Stands for the party's port in the SDP.
const PORT: &str = "ports";

/// A request with gaps.
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: Vec<u8>,
    numbers: Vec<usize>,
    ports: Vec<usize>,
}

impl Template {
    /// What a proxy sends for an INVITE.
    pub(super) fn offer() -> Self {
        Self::new(&request("offer").with("sdp", sdp("alice", "192.0.2.10")))
    }

    /// What it sends for a 200.
    pub(super) fn answer() -> Self {
        let to_tag = format!("{NUMBER}-callee-tag");
        Self::new(&request("answer").with("to-tag", to_tag).with("sdp", sdp("bob", "192.0.2.20")))
    }

    /// What it sends for a BYE.
    pub(super) fn delete() -> Self {
        Self::new(&request("delete"))
    }

    fn new(request: &Dict) -> Self {
        let bytes = Message { cookie: COOKIE, body: b"d" }.reply(request);
        let numbers = places(&bytes, NUMBER.as_bytes());
        let ports = places(&bytes, PORT.as_bytes());
        Self { bytes, numbers, ports }
    }

    /// Writes the request for a call into a buffer.
    pub(super) fn write(&self, cookie: u64, number: u32, port: u16, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.bytes);
        hex(cookie, &mut into[..COOKIE_LEN]);
        for &at in &self.numbers {
            hex(number.into(), &mut into[at..at + NUMBER.len()]);
        }
        for &at in &self.ports {
            decimal(port, &mut into[at..at + PORT.len()]);
        }
    }
}

/// The cookie of a reply, and whether it is no refusal. A long reply may be cut off before its result: that of a call's statistics,
/// which only a call that was there has.
pub(super) fn reply(bytes: &[u8]) -> Option<(u64, bool)> {
    let cookie = core::str::from_utf8(bytes.get(..COOKIE_LEN)?).ok()?;
    let cookie = u64::from_str_radix(cookie, 16).ok()?;
    let body = &bytes[COOKIE_LEN..];
    let contains = |text: &[u8]| body.windows(text.len()).any(|window| window == text);
    Some((cookie, !contains(b"6:result5:error") && !contains(b"6:result10:load limit")))
}

/// As Kamailio's `rtpengine_manage()` sends it with a few usual flags.
fn request(command: &str) -> Dict {
    Dict::new()
        .with("supports", vec!["load limit"])
        .with("flags", vec!["trust-address"])
        .with("replace", vec!["origin"])
        .with("ICE", "remove")
        .with("call-id", format!("{NUMBER}-4f1c2a@192.0.2.10"))
        .with("received-from", vec!["IP4", "192.0.2.10"])
        .with("from-tag", format!("{NUMBER}-caller-tag"))
        .with("command", command)
}

/// The SDP of a phone.
fn sdp(user: &str, ip: &str) -> String {
    format!(
        "v=0\r\no={user} 3912817345 3912817346 IN IP4 {ip}\r\ns=call\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {PORT} RTP/AVP 9 0 8 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}

fn places(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(text.len()).enumerate();
    windows.filter(|(_, window)| *window == text).map(|(at, _)| at).collect()
}

fn hex(mut number: u64, into: &mut [u8]) {
    for digit in into.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number % 16) as usize];
        number /= 16;
    }
}

fn decimal(mut number: u16, into: &mut [u8]) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_a_request() {
        let mut bytes = Vec::new();
        for (template, command) in
            [(Template::offer(), "offer"), (Template::answer(), "answer"), (Template::delete(), "delete")]
        {
            template.write(0x1234_0000_0abc, 0x77, 31_338, &mut bytes);
            let message = Message::split(&bytes).expect("a message");
            assert_eq!(message.cookie, b"0000123400000abc");
            let dict = message.dict().expect("a dictionary");
            assert_eq!(dict.text("command").as_deref(), Some(command));
            assert_eq!(dict.text("call-id").as_deref(), Some("00000077-4f1c2a@192.0.2.10"));
            if let Some(sdp) = dict.text("sdp") {
                assert!(sdp.contains("m=audio 31338 RTP/AVP 9 0 8 101\r\n"), "{sdp}");
            }
        }
    }

    #[test]
    fn replies_are_read() {
        assert_eq!(reply(b"0000000000000a0b d6:result2:oke"), Some((0xa0b, true)));
        assert_eq!(reply(b"0000000000000a0b d12:error-reason1:x6:result5:errore"), Some((0xa0b, false)));
        assert_eq!(reply(b"0000000000000a0b d6:result10:load limite"), Some((0xa0b, false)));
        assert_eq!(reply(b"0a0b d6:result2:oke"), None);
    }
}
