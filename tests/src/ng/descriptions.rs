//! Session descriptions that scenarios use.

/// With these lines behind the session's.
#[must_use]
pub fn sdp(lines: &[&str]) -> String {
    sdp_at("127.0.0.1", lines)
}

/// The same for a party at another address.
#[must_use]
pub fn sdp_at(ip: &str, lines: &[&str]) -> String {
    let family = if ip.contains(':') { "IP6" } else { "IP4" };
    let session = format!("v=0\r\no=- 17 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n");
    session + &joined(lines)
}

/// A party's audio.
#[must_use]
pub fn audio(party: &str) -> String {
    audio_with(party, &[])
}

/// A party's audio with these lines.
#[must_use]
pub fn audio_with(party: &str, lines: &[&str]) -> String {
    sdp(&[&media("audio", party, "0 8")]) + &joined(lines)
}

/// A party's audio at another address.
#[must_use]
pub fn audio_at(ip: &str, party: &str) -> String {
    sdp_at(ip, &[&media("audio", party, "0 8")])
}

/// A party's audio with RTCP on the RTP port (RFC 5761).
#[must_use]
pub fn muxed(party: &str) -> String {
    audio_with(party, &["a=rtcp-mux"])
}

/// An m= line.
#[must_use]
pub fn media(kind: &str, party: &str, payload_types: &str) -> String {
    format!("m={kind} {{{party}}} RTP/AVP {payload_types}")
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}
