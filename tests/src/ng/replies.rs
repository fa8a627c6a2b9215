//! Replies as lines: one for each value, with symbols in place of what a daemon chooses.

use std::net::IpAddr;

use patchcord_ng::{Dict, Value};

use crate::ng::sdp;
use crate::ng::symbols::Symbols;

/// Values that are times, and differ in every run.
const TIMES: &[&str] = &["created", "created_us", "last signal", "last packet", "reported at", "uptime"];

/// The lines of a reply, sorted by their keys; those of the SDP last and in their order.
pub(super) fn lines(reply: &Dict, symbols: &mut Symbols) -> Vec<String> {
    let mut lines = Vec::new();
    // Ports get their symbols in the order of the SDP.
    let description = reply.text("sdp").map(|text| sdp::normalised(&text, symbols));
    dict(reply, "", symbols, &mut lines);
    lines.sort();
    lines.extend(description.into_iter().flatten().map(|line| format!("sdp: {line}")));
    lines
}

fn dict(dict: &Dict, path: &str, symbols: &mut Symbols, lines: &mut Vec<String>) {
    let ip = dict.text("local address").and_then(|ip| ip.parse::<IpAddr>().ok());
    let mut entries: Vec<_> = dict.0.iter().collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (key, value) in entries {
        let key = String::from_utf8_lossy(key);
        if path.is_empty() && key == "sdp" {
            continue;
        }
        let name = if path == "tags." { symbols.text("tag", &key) } else { key.clone().into_owned() };
        let line = |text: &str| format!("{path}{name}: {text}");
        match (&*key, value) {
            (key, _) if TIMES.contains(&key) => lines.push(line("<time>")),
            ("local port", Value::Integer(port)) => {
                let port = u16::try_from(*port).unwrap_or(0);
                let ip = ip.unwrap_or(IpAddr::from([0, 0, 0, 0]));
                lines.push(line(&symbols.second(ip, port)));
            }
            ("port", Value::Integer(port)) => {
                let party = u16::try_from(*port).ok().and_then(|port| symbols.party_at_port(port));
                lines.push(line(&party.map_or_else(|| port.to_string(), str::to_owned)));
            }
            ("to-tag" | "tag" | "from-tag", Value::Bytes(text)) => {
                let tag = symbols.text("tag", &String::from_utf8_lossy(text));
                lines.push(line(&tag));
            }
            _ => any(value, &format!("{path}{name}"), symbols, lines),
        }
    }
    if dict.0.is_empty() {
        lines.push(format!("{path}{{}}"));
    }
}

fn any(value: &Value, path: &str, symbols: &mut Symbols, lines: &mut Vec<String>) {
    match value {
        Value::Bytes(bytes) => lines.push(format!("{path}: {}", bytes.escape_ascii())),
        Value::Integer(number) => lines.push(format!("{path}: {number}")),
        Value::Dict(inner) => dict(inner, &format!("{path}."), symbols, lines),
        // Words in a list are a set.
        Value::List(list) if list.iter().all(|value| matches!(value, Value::Bytes(_))) => {
            let mut words: Vec<_> = list.iter().filter_map(Value::text).collect();
            words.sort();
            lines.push(format!("{path}: [{}]", words.join(", ")));
        }
        Value::List(list) => {
            for (index, value) in list.iter().enumerate() {
                any(value, &format!("{path}.{index}"), symbols, lines);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_becomes_lines() {
        let mut symbols = Symbols::default();
        symbols.say("a");
        symbols.party(([127, 0, 0, 1], 5000).into(), "{a}".to_owned());
        let stream = Dict::new()
            .with("local port", 30_000_i64)
            .with("local address", "127.0.0.1")
            .with("endpoint", Dict::new().with("port", 5000_i64))
            .with("last packet", 99_i64);
        let tags = Dict::new().with("a", stream).with("0123", Dict::new());
        let reply = Dict::new()
            .with("result", "ok")
            .with("tags", tags)
            .with("words", vec!["b", "a"])
            .with("sdp", "c=IN IP4 127.0.0.1\r\nm=audio 30000 RTP/AVP 0\r\n");
        assert_eq!(
            lines(&reply, &mut symbols),
            [
                "result: ok",
                "tags.<tag 1>.{}",
                "tags.a.endpoint.port: {a}",
                "tags.a.last packet: <time>",
                "tags.a.local address: 127.0.0.1",
                "tags.a.local port: P1",
                "words: [a, b]",
                r"sdp: c=IN IP4 127.0.0.1\r\n",
                r"sdp: m=audio P1 RTP/AVP 0\r\n",
            ]
        );
    }
}
