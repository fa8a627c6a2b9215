//! Session descriptions with symbols in place of what a daemon chooses; every other byte is kept.

use std::net::{IpAddr, Ipv4Addr};

use crate::ng::symbols::Symbols;

/// The lines of a description, each with its line end as an escape.
pub(super) fn normalised(sdp: &str, symbols: &mut Symbols) -> Vec<String> {
    let lines: Vec<&str> = sdp.split_inclusive('\n').collect();
    let session_len = lines.iter().position(|line| line.starts_with("m=")).unwrap_or(lines.len());
    let session = connection(&lines[..session_len]);
    let mut place = session;
    let mut out = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with("m=") {
            let section = &lines[at + 1..];
            let len = section.iter().position(|line| line.starts_with("m=")).unwrap_or(section.len());
            place = connection(&section[..len]).or(session);
        }
        let text = line.trim_end_matches(['\r', '\n']);
        let end = line[text.len()..].escape_default();
        let ip = place.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        out.push(format!("{}{end}", normalised_line(text, ip, symbols)));
    }
    out
}

/// The ports of the m= lines, in their order: symbols of the relay's, names of parties', or numbers.
pub(super) fn media_ports(normalised: &[String]) -> Vec<String> {
    let media = normalised.iter().filter_map(|line| line.strip_prefix("m="));
    media.filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
}

/// The address of a c= line among these.
fn connection(lines: &[&str]) -> Option<IpAddr> {
    let line = lines.iter().find_map(|line| line.strip_prefix("c=IN "))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn normalised_line(line: &str, ip: IpAddr, symbols: &mut Symbols) -> String {
    if line.starts_with("m=") {
        return words(line, |at, word| if at == 1 { media_port(word, ip, symbols) } else { word.to_owned() });
    }
    if line.starts_with("a=rtcp:") {
        return words(line, |at, word| match word.strip_prefix("a=rtcp:") {
            Some(port) if at == 0 => format!("a=rtcp:{}", second_port(port, ip, symbols)),
            _ => word.to_owned(),
        });
    }
    if let Some(candidate) = line.strip_prefix("a=candidate:") {
        return format!("a=candidate:{}", normalised_candidate(candidate, symbols));
    }
    if line.starts_with("o=") || line.starts_with("s=") {
        return words(line, |at, word| match word.split_once('=') {
            Some((letter, rest)) if at == 0 => format!("{letter}={}", symbols.text("name", rest)),
            _ if at == 1 || at == 2 => symbols.text("number", word),
            _ => word.to_owned(),
        });
    }
    for (prefix, kind) in
        [("a=ice-ufrag:", "ufrag"), ("a=ice-pwd:", "pwd"), ("a=tls-id:", "tls-id"), ("a=rtpengine:", "mark")]
    {
        if let Some(value) = line.strip_prefix(prefix) {
            return format!("{prefix}{}", symbols.text(kind, value));
        }
    }
    if let Some((function, value)) = line.strip_prefix("a=fingerprint:").and_then(|rest| rest.split_once(' ')) {
        return format!("a=fingerprint:{function} {}", symbols.text("fingerprint", value));
    }
    if line.starts_with("a=crypto:") {
        return words(line, |_, word| match word.strip_prefix("inline:") {
            // Some write the padding and some do not.
            Some(key) => format!("inline:{}", symbols.text("key", key.trim_end_matches('='))),
            None => word.to_owned(),
        });
    }
    line.to_owned()
}

fn words(line: &str, mut each: impl FnMut(usize, &str) -> String) -> String {
    line.split(' ').enumerate().map(|(at, word)| each(at, word)).collect::<Vec<_>>().join(" ")
}

/// `PORT` or `PORT/COUNT`.
fn media_port(word: &str, ip: IpAddr, symbols: &mut Symbols) -> String {
    let (port, rest) = word.split_at(word.find('/').unwrap_or(word.len()));
    match port.parse() {
        Ok(0) | Err(_) => word.to_owned(),
        Ok(port) => match symbols.party_at_port(port) {
            Some(party) => format!("{party}{rest}"),
            None => format!("{}{rest}", symbols.first(ip, port)),
        },
    }
}

fn second_port(word: &str, ip: IpAddr, symbols: &mut Symbols) -> String {
    match word.parse() {
        Ok(0) | Err(_) => word.to_owned(),
        Ok(port) => match symbols.party_at_port(port) {
            Some(party) => party.to_owned(),
            None => symbols.second(ip, port),
        },
    }
}

/// `FOUNDATION COMPONENT TRANSPORT PRIORITY ADDRESS PORT typ TYPE [raddr ADDRESS rport PORT] ...` (RFC 8839 section 5.1)
fn normalised_candidate(candidate: &str, symbols: &mut Symbols) -> String {
    let fields: Vec<&str> = candidate.split(' ').collect();
    let mut ip = fields.get(4).and_then(|ip| ip.parse().ok());
    words(candidate, |at, word| match (at, ip) {
        (0, _) => symbols.text("foundation", word),
        (5, Some(ip)) => second_port(word, ip, symbols),
        _ if fields[at.saturating_sub(1)] == "raddr" => {
            ip = word.parse().ok();
            word.to_owned()
        }
        (_, Some(ip)) if fields[at.saturating_sub(1)] == "rport" => second_port(word, ip, symbols),
        _ => word.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_keys_become_symbols_and_nothing_else_changes() {
        let mut symbols = Symbols::default();
        symbols.say("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=x y\r\na=ice-ufrag:mine");
        symbols.party(([192, 0, 2, 1], 5000).into(), "{a}".to_owned());
        let sdp = "v=0\r\no=- 1 7 IN IP4 192.0.2.1\r\ns=x y\nc=IN IP4 127.0.0.1\r\nm=audio 30000/2 RTP/AVP 0\r\n\
                   a=rtcp:30001 IN IP4 127.0.0.1\r\na=ice-ufrag:mine\r\na=ice-pwd:theirs\r\n\
                   a=candidate:1f 2 UDP 1 127.0.0.1 30001 typ host\r\nm=video 5000 RTP/AVP 96\r\nm=image 0 udptl t38";
        let lines = normalised(sdp, &mut symbols);
        assert_eq!(
            lines,
            [
                r"v=0\r\n",
                r"o=- 1 <number 1> IN IP4 192.0.2.1\r\n",
                r"s=x y\n",
                r"c=IN IP4 127.0.0.1\r\n",
                r"m=audio P1/2 RTP/AVP 0\r\n",
                r"a=rtcp:P1+1 IN IP4 127.0.0.1\r\n",
                r"a=ice-ufrag:mine\r\n",
                r"a=ice-pwd:<pwd 1>\r\n",
                r"a=candidate:<foundation 1> 2 UDP 1 127.0.0.1 P1+1 typ host\r\n",
                r"m=video {a} RTP/AVP 96\r\n",
                "m=image 0 udptl t38",
            ]
        );
        assert_eq!(media_ports(&lines), ["P1/2", "{a}", "0"]);
    }
}
