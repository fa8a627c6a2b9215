//! What things are called in the recording, and what they are called now. The pivot's own names are learned from what it sends; those of the
//! peers are made afresh, from a seed.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use super::message::{Message, parts_of};
use super::script::Script;
use super::sdp;

/// Where everybody is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The pivot.
    pub pivot: SocketAddr,
    /// The peers, in the order of [`Script::peers`].
    pub peers: Vec<SocketAddr>,
    /// Where the parties receive RTP.
    pub media: BTreeMap<String, SocketAddr>,
}

/// The names.
#[derive(Debug)]
pub(super) struct Names {
    stage: Stage,
    seed: u64,
    call_ids: BTreeMap<String, String>,
    /// By the recorded Call-ID.
    tags: BTreeMap<(String, String), String>,
    branches: BTreeMap<String, String>,
    /// The pivot's Contacts.
    contacts: BTreeMap<String, String>,
    /// As written in messages, the longest first.
    places: Vec<(String, String)>,
}

impl Names {
    pub(super) fn new(script: &Script, stage: Stage, seed: u64) -> Self {
        let mut places = BTreeMap::new();
        let now = script.peers.iter().copied().zip(stage.peers.iter().copied());
        let pivot = script.pivot.iter().map(|recorded| (*recorded, stage.pivot));
        let all: Vec<(SocketAddr, SocketAddr)> = now.chain(pivot).collect();
        for (recorded, now) in &all {
            places.insert(recorded.to_string(), now.to_string());
        }
        for (name, peer) in &script.named {
            places.extend(stage.peers.get(*peer).map(|now| (name.clone(), now.to_string())));
        }
        // Without a port 5060 is meant (RFC 3261 19.1.2), or nothing but the host.
        for (recorded, now) in &all {
            let host = bracketed(recorded.ip());
            if recorded.port() == 5060
                || !all.iter().any(|(other, _)| other.ip() == recorded.ip() && other.port() == 5060)
            {
                places.entry(host).or_insert_with(|| now.to_string());
            }
        }
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by_key(|(recorded, _)| core::cmp::Reverse(recorded.len()));
        Self {
            stage,
            seed,
            call_ids: BTreeMap::new(),
            tags: BTreeMap::new(),
            branches: BTreeMap::new(),
            contacts: BTreeMap::new(),
            places,
        }
    }

    pub(super) const fn stage(&self) -> &Stage {
        &self.stage
    }

    /// What a recorded Call-ID is now, if that is known.
    pub(super) fn call_id(&self, recorded: &str) -> Option<&str> {
        self.call_ids.get(recorded).map(String::as_str)
    }

    /// What the Call-ID of now was in the recording.
    pub(super) fn recorded_call_id(&self, now: &str) -> Option<&str> {
        self.call_ids.iter().find(|(_, known)| *known == now).map(|(recorded, _)| recorded.as_str())
    }

    /// The pivot has named a dialog.
    pub(super) fn bind(&mut self, recorded: &str, now: &str) {
        self.call_ids.insert(recorded.to_owned(), now.to_owned());
    }

    /// What the pivot calls things, from a message of it.
    pub(super) fn learn(&mut self, recorded: &Message, now: &Message) {
        let call_id = recorded.call_id().to_owned();
        for name in ["From", "To"] {
            if let (Some(was), Some(is)) = (recorded.tag(name), now.tag(name)) {
                self.tags.entry((call_id.clone(), was.to_owned())).or_insert_with(|| is.to_owned());
            }
        }
        if let (Some(was), Some(is)) = (recorded.first("Contact").map(uri_of), now.first("Contact").map(uri_of)) {
            self.contacts.insert(was.to_owned(), is.to_owned());
        }
    }

    /// A request of a peer as it is sent now. `home`: where the peer is reached within the dialog.
    pub(super) fn request(&mut self, recorded: &Message, from: SocketAddr, home: SocketAddr, party: &str) -> Message {
        let call_id = recorded.call_id().to_owned();
        let now = self.call_ids.get(&call_id).cloned().unwrap_or_else(|| self.fresh_call_id(&call_id));
        let uri = recorded.request_uri().unwrap_or_default();
        let uri = self.contacts.get(uri).cloned().unwrap_or_else(|| self.text(uri));
        let mut fields = Vec::new();
        let mut is_top = true;
        for (name, value) in recorded.fields() {
            let value = match name {
                // Only the first hop is there.
                "Via" if core::mem::take(&mut is_top) => {
                    let branch = recorded.branch().map(|branch| self.branch(branch)).unwrap_or_default();
                    format!("SIP/2.0/UDP {from};branch={branch};rport")
                }
                "Via" => continue,
                "Call-ID" => now.clone(),
                "From" | "To" => self.tagged(name, value, recorded),
                _ => self.field(name, value, home),
            };
            fields.push((name.to_owned(), value));
        }
        let start = format!("{} {uri} SIP/2.0", recorded.method());
        Message::rewritten(start, fields, self.body(recorded, party))
    }

    /// A response of a peer to a request of now (RFC 3261 8.2.6).
    pub(super) fn response(&mut self, recorded: &Message, request: &Message, home: SocketAddr, party: &str) -> Message {
        let mut fields: Vec<(String, String)> = Vec::new();
        let of_request = |name: &str| {
            let values = request.fields().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            values.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
        };
        fields.extend(of_request("Via"));
        for (name, value) in recorded.fields() {
            match name {
                "Via" => {}
                "From" | "Call-ID" | "CSeq" => fields.extend(of_request(name)),
                "To" => {
                    let to = request.first("To").unwrap_or_default();
                    let tag = recorded.tag("To").filter(|_| request.tag("To").is_none());
                    let tag = tag.map(|tag| format!(";tag={}", self.tag(recorded.call_id(), tag)));
                    fields.push(("To".to_owned(), format!("{to}{}", tag.unwrap_or_default())));
                }
                _ => fields.push((name.to_owned(), self.field(name, value, home))),
            }
        }
        Message::rewritten(recorded.start().to_owned(), fields, self.body(recorded, party))
    }

    /// Text of the recording with the addresses of now.
    pub(super) fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        'scan: while let Some(char) = rest.chars().next() {
            let before = out.chars().next_back();
            if !before.is_some_and(is_of_a_host) {
                for (recorded, now) in &self.places {
                    let Some(behind) = rest.strip_prefix(recorded.as_str()) else { continue };
                    let mut next = behind.chars();
                    let (first, second) = (next.next(), next.next());
                    let goes_on = first.is_some_and(is_of_a_host)
                        || (first == Some(':') && second.is_some_and(|digit| digit.is_ascii_digit()));
                    if !goes_on {
                        out += now;
                        rest = behind;
                        continue 'scan;
                    }
                }
            }
            out.push(char);
            rest = &rest[char.len_utf8()..];
        }
        out
    }

    /// A value that may name a dialog, as `Refer-To` with `Replaces` does, with the names of now.
    pub(super) fn naming_dialogs(&self, value: &str) -> String {
        let (mut value, mut held) = (value.to_owned(), Vec::new());
        // A Call-ID may have an address in it, which is not replaced then. No header field has the sign that keeps its place.
        for (recorded, now) in &self.call_ids {
            for (recorded, now) in [(recorded.clone(), now.clone()), (escaped(recorded), escaped(now))] {
                if !recorded.is_empty() && value.contains(&recorded) {
                    let place = format!("\u{1}{}\u{1}", held.len());
                    value = value.replace(&recorded, &place);
                    held.push((place, now));
                }
            }
        }
        value = self.text(&value);
        for (place, now) in held {
            value = value.replace(&place, &now);
        }
        for ((_, tag), now) in &self.tags {
            for (before, equals) in [("-tag", "="), ("-tag", "%3D"), ("-tag", "%3d")] {
                value = replaced_whole(&value, &format!("{before}{equals}"), tag, now);
            }
        }
        value
    }

    fn field(&self, name: &str, value: &str, home: SocketAddr) -> String {
        match name.to_ascii_lowercase().as_str() {
            "contact" | "record-route" => self.at_home(value, home),
            "refer-to" | "replaces" | "target-dialog" | "referred-by" => self.naming_dialogs(value),
            _ => self.text(value),
        }
    }

    /// A list of URIs at which the pivot can reach the peer. By UDP, whatever it was.
    fn at_home(&self, value: &str, home: SocketAddr) -> String {
        let mut out = String::new();
        let mut rest = value;
        while let Some(open) = rest.find('<') {
            let Some(close) = rest[open..].find('>').map(|close| open + close) else { break };
            out += &rest[..=open];
            out += &self.uri_at_home(&rest[open + 1..close], home);
            rest = &rest[close..];
        }
        if out.is_empty() && !rest.contains('<') && !matches!(rest.trim(), "" | "*") {
            let (uri, parameters) = rest.split_once(';').map_or((rest, None), |(uri, rest)| (uri, Some(rest)));
            let parameters = parameters.map(|rest| format!(";{rest}")).unwrap_or_default();
            return format!("<{}>{parameters}", self.uri_at_home(uri.trim(), home));
        }
        out + rest
    }

    fn uri_at_home(&self, uri: &str, home: SocketAddr) -> String {
        let (user, host, parameters) = parts_of(uri);
        let known = self.places.iter().find(|(recorded, _)| recorded == host).map(|(_, now)| now.clone());
        let parameters = parameters.split(';').filter(|part| {
            let part = part.to_ascii_lowercase();
            !part.starts_with("transport=") && !part.starts_with("maddr=")
        });
        let parameters = parameters.collect::<Vec<_>>().join(";");
        let user = user.replacen("sips:", "sip:", 1);
        format!("{user}{}{parameters}", known.unwrap_or_else(|| home.to_string()))
    }

    fn body(&self, recorded: &Message, party: &str) -> String {
        match (recorded.sdp(), self.stage.media.get(party)) {
            (Some(sdp), Some(at)) => sdp::moved(sdp, *at),
            _ => recorded.body().to_owned(),
        }
    }

    /// `From` and `To`: addresses and tag of now.
    fn tagged(&mut self, name: &str, value: &str, recorded: &Message) -> String {
        let Some(tag) = recorded.tag(name) else { return self.text(value) };
        let now = self.tag(recorded.call_id(), tag);
        // The tag is the last parameter of whoever has written it here.
        let at = value.rfind(&format!("tag={tag}")).unwrap_or(value.len());
        let (before, behind) = (&value[..at], value.get(at + 4 + tag.len()..).unwrap_or_default());
        format!("{}tag={now}{behind}", self.text(before))
    }

    fn tag(&mut self, call_id: &str, recorded: &str) -> String {
        let key = (call_id.to_owned(), recorded.to_owned());
        if let Some(known) = self.tags.get(&key) {
            return known.clone();
        }
        let fresh = self.fresh();
        self.tags.insert(key, fresh.clone());
        fresh
    }

    fn branch(&mut self, recorded: &str) -> String {
        if let Some(known) = self.branches.get(recorded) {
            return known.clone();
        }
        let fresh = format!("z9hG4bK{}", self.fresh());
        self.branches.insert(recorded.to_owned(), fresh.clone());
        fresh
    }

    fn fresh_call_id(&mut self, recorded: &str) -> String {
        let fresh = self.fresh();
        self.call_ids.insert(recorded.to_owned(), fresh.clone());
        fresh
    }

    /// A name that was not there before.
    fn fresh(&mut self) -> String {
        format!("{:016x}", next(&mut self.seed))
    }
}

/// The next number of a seed (splitmix64).
pub(super) const fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut number = *seed;
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The URI of a Contact.
fn uri_of(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest),
        None => value.split(';').next().unwrap_or(value).trim(),
    }
}

const fn is_of_a_host(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '.' | '-')
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// As it is written within a URI's header (RFC 3261 19.1.1).
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

/// `text` with `word` behind `before` replaced, where the word ends there.
fn replaced_whole(text: &str, before: &str, word: &str, by: &str) -> String {
    let pattern = format!("{before}{word}");
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(&pattern) {
        let behind = &rest[at + pattern.len()..];
        out += &rest[..at];
        let ends = behind.chars().next().is_none_or(|char| !char.is_ascii_alphanumeric() && !"-._~".contains(char));
        out += &if ends { format!("{before}{by}") } else { pattern.clone() };
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let script = Script {
            pivot: [address("192.0.2.10:5060")].into(),
            peers: ["203.0.113.5:5060", "203.0.113.5:5080", "198.51.100.2:40001"].map(address).into(),
            ..Script::default()
        };
        let peers = ["127.0.0.11:1", "127.0.0.11:2", "127.0.0.12:3"].map(address).into();
        Names::new(&script, Stage { pivot: address("127.0.0.1:9"), peers, media: BTreeMap::new() }, 1)
    }

    #[test]
    fn addresses_are_replaced_where_they_are_whole() {
        let names = names();
        for (text, now) in [
            ("sip:a@203.0.113.5", "sip:a@127.0.0.11:1"),
            ("sip:a@203.0.113.5:5080;x", "sip:a@127.0.0.11:2;x"),
            ("sip:a@203.0.113.50", "sip:a@203.0.113.50"),
            ("sip:a@203.0.113.5:50801", "sip:a@203.0.113.5:50801"),
            ("1203.0.113.5", "1203.0.113.5"),
            ("<sip:192.0.2.10:5060;lr>, <sip:198.51.100.2>", "<sip:127.0.0.1:9;lr>, <sip:127.0.0.12:3>"),
            ("sip:é@198.51.100.2:40001?", "sip:é@127.0.0.12:3?"),
        ] {
            assert_eq!(names.text(text), now);
        }
    }

    #[test]
    fn a_contact_is_where_the_peer_can_be_reached() {
        let home = "127.0.0.12:3".parse().expect("an address");
        for (contact, now) in [
            ("<sips:a@sbc.example:5061;transport=tls;ob>;expires=5", "<sip:a@127.0.0.12:3;ob>;expires=5"),
            ("<sip:a@203.0.113.5:5080>", "<sip:a@127.0.0.11:2>"),
            ("sip:a@10.0.0.1;q=1", "<sip:a@127.0.0.12:3>;q=1"),
            ("<sip:p1;lr>, \"B\" <sip:10.1.1.1:7;lr>", "<sip:127.0.0.12:3;lr>, \"B\" <sip:127.0.0.12:3;lr>"),
            ("*", "*"),
            ("<broken", "<broken"),
        ] {
            assert_eq!(names().at_home(contact, home), now);
        }
    }

    #[test]
    fn a_replaces_names_the_dialog_of_now() {
        let mut names = names();
        names.bind("abc@203.0.113.5", "n1@127.0.0.11");
        names.tags.insert(("abc@203.0.113.5".to_owned(), "1".to_owned()), "n2".to_owned());
        names.tags.insert(("abc@203.0.113.5".to_owned(), "17".to_owned()), "n3".to_owned());
        let escaped = "<sip:t@x.example?Replaces=abc%40203.0.113.5%3Bto-tag%3D1%3Bfrom-tag%3D17>";
        let now = "<sip:t@x.example?Replaces=n1%40127.0.0.11%3Bto-tag%3Dn2%3Bfrom-tag%3Dn3>";
        assert_eq!(names.naming_dialogs(escaped), now);
        assert_eq!(names.naming_dialogs("abc@203.0.113.5;from-tag=1"), "n1@127.0.0.11;from-tag=n2");
    }
}
