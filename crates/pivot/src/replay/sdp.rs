//! Session descriptions (RFC 8866), as far as a replay looks at them.

use core::net::SocketAddr;

/// Where a description's first audio stream is to be sent; `None`: it does not say, or refuses it.
pub(super) fn media_of(sdp: &str) -> Option<SocketAddr> {
    let (mut session, mut media, mut port) = (None, None, None);
    for line in sdp.lines().map(str::trim_end) {
        if let Some(rest) = line.strip_prefix("m=") {
            if port.is_some() {
                break;
            }
            port = rest.strip_prefix("audio ").and_then(|rest| rest.split([' ', '/']).next()?.parse::<u16>().ok());
        } else if let Some(address) = line.strip_prefix("c=").and_then(|rest| rest.split(' ').nth(2)) {
            let address = address.split('/').next().unwrap_or(address).parse().ok();
            if port.is_some() { media = address } else { session = address }
        }
    }
    let port = port.filter(|port| *port != 0)?;
    Some(SocketAddr::new(media.or(session)?, port))
}

/// The same description for a party whose audio is at `at`.
pub(super) fn moved(sdp: &str, at: SocketAddr) -> String {
    let family = if at.is_ipv4() { "IP4" } else { "IP6" };
    let (mut text, mut is_moved) = (String::with_capacity(sdp.len()), false);
    for line in sdp.lines().map(str::trim_end) {
        let words: Vec<&str> = line.split(' ').collect();
        let line = match (line.get(..2), &words[..]) {
            // `c=IN IP4 0.0.0.0` is a hold (RFC 2543).
            (Some("c="), [_, _, address]) if *address != "0.0.0.0" => format!("c=IN {family} {}", at.ip()),
            (Some("o="), [user, session, version, ..]) => {
                format!("{user} {session} {version} IN {family} {}", at.ip())
            }
            (Some("m="), ["m=audio", port, rest @ ..]) if !is_moved && *port != "0" => {
                is_moved = true;
                format!("m=audio {} {}", at.port(), rest.join(" "))
            }
            // That names a port too, and nobody listens there.
            (Some("a="), [first, ..]) if first.starts_with("a=rtcp:") => continue,
            _ => line.to_owned(),
        };
        text += &line;
        text += "\r\n";
    }
    text
}

/// What two descriptions have to agree in: each medium with its formats and its direction, without addresses and ports.
pub(super) fn outline(sdp: &str) -> Vec<String> {
    let (mut media, mut session): (Vec<(String, Option<&str>)>, _) = (Vec::new(), "sendrecv");
    for line in sdp.lines().map(str::trim_end) {
        if let Some(rest) = line.strip_prefix("m=") {
            let words: Vec<&str> = rest.split(' ').collect();
            let line = match &words[..] {
                [kind, "0", ..] => format!("{kind} refused"),
                [kind, _, rest @ ..] => format!("{kind} {}", rest.join(" ")),
                _ => rest.to_owned(),
            };
            media.push((line, None));
        } else if let Some(direction @ ("sendrecv" | "sendonly" | "recvonly" | "inactive")) = line.strip_prefix("a=") {
            match media.last_mut() {
                Some((_, own)) => *own = Some(direction),
                None => session = direction,
            }
        }
    }
    let with_direction = |(line, own): (String, Option<&str>)| {
        if line.ends_with(" refused") { line } else { format!("{line} {}", own.unwrap_or(session)) }
    };
    media.into_iter().map(with_direction).collect()
}

/// The payload types of the first audio stream.
pub(super) fn payload_types(sdp: &str) -> Vec<u8> {
    let audio = sdp.lines().find_map(|line| line.trim_end().strip_prefix("m=audio "));
    audio.into_iter().flat_map(|rest| rest.split(' ').skip(2)).filter_map(|text| text.parse().ok()).collect()
}

/// Whether it wants SRTP.
pub(super) fn is_secure(sdp: &str) -> bool {
    sdp.lines().any(|line| line.starts_with("a=crypto:") || (line.starts_with("m=") && line.contains("/SAVP")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str = "v=0\r\no=- 1 2 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\na=recvonly\r\n\
        m=video 0 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 8 101\r\na=rtcp:4001\r\na=sendonly\r\n";

    #[test]
    fn a_description_moves_to_another_address_and_stays_what_it_was() {
        let at: SocketAddr = "127.0.0.11:5004".parse().expect("an address");
        let text = moved(SDP, at);
        assert!(text.contains("o=- 1 2 IN IP4 127.0.0.11\r\n") && text.contains("c=IN IP4 127.0.0.11\r\n"), "{text}");
        assert!(text.contains("m=audio 5004 RTP/AVP 8 101\r\n") && !text.contains("a=rtcp:"), "{text}");
        assert_eq!(outline(&text), outline(SDP));
        assert_eq!(outline(SDP), ["video refused", "audio RTP/AVP 8 101 sendonly"]);
        assert_eq!(payload_types(SDP), [8, 101]);
        assert!(moved("c=IN IP4 0.0.0.0\r\n", at).contains("0.0.0.0"), "a hold stays one");
    }

    #[test]
    fn media_is_found_where_the_description_has_it() {
        let sdp = "c=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n";
        assert_eq!(media_of(sdp), "192.0.2.1:4000".parse().ok());
        assert_eq!(media_of(&format!("{sdp}c=IN IP4 192.0.2.2/127\r\n")), "192.0.2.2:4000".parse().ok());
        assert_eq!(media_of("m=audio 0 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n"), None);
        assert_eq!(media_of("nonsense"), None);
        assert!(is_secure("m=audio 1 RTP/SAVP 0\r\n") && !is_secure(sdp));
    }
}
