//! Looks at what comes off the wire before the transaction layer sees it: what is no SIP goes, what is wrong SIP is answered
//! without a transaction (RFC 3261 8.2.7).

use core::net::SocketAddr;
use std::borrow::Cow;

use rsipstack::sip::{HasHeaders as _, SipMessage};
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::random_text;

use super::{build, text};

/// Methods that are answered otherwise than by 405 somewhere.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, UPDATE, PRACK, REFER, NOTIFY, INFO, MESSAGE, OPTIONS";

/// Extensions that work (RFC 3262, RFC 3891, RFC 4028, RFC 4488, RFC 4538).
pub(super) const SUPPORTED: &str = "100rel, replaces, timer, norefersub, tdialog";

/// Header fields of a message; more are no telephone's.
const FIELDS: usize = 256;

/// What is to be done about a message.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The transaction layer may have it.
    Take(Box<SipMessage>),
    /// A response goes back to where it came from.
    Answer(Vec<u8>),
    /// Nothing can be said about it to anybody.
    Drop(&'static str),
}

/// The head of a message, read without any trust.
struct Head<'a> {
    start: &'a str,
    fields: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Head<'a> {
    fn of(text: &'a str) -> Self {
        let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        let start = lines.next().unwrap_or_default();
        let mut fields: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(24);
        for line in lines.take(FIELDS + 1) {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    let value = value.to_mut();
                    value.push(' ');
                    value.push_str(line.trim());
                }
            } else if let Some((name, value)) = line.split_once(':') {
                fields.push((name.trim(), value.trim().into()));
            }
        }
        Self { start, fields }
    }

    fn values<'b>(&'b self, name: &'b str, short: &'b str) -> impl Iterator<Item = &'b str> {
        let is_it = move |field: &str| field.eq_ignore_ascii_case(name) || field.eq_ignore_ascii_case(short);
        self.fields.iter().filter(move |(field, _)| is_it(field)).map(|(_, value)| &**value)
    }

    /// How many octets of body it announces; none if it does not say. An error says what is wrong.
    fn content_length(&self) -> Result<Option<usize>, &'static str> {
        let mut lengths = self.values("Content-Length", "l").map(|value| {
            let is_number = !value.is_empty() && value.len() <= 9 && value.bytes().all(|byte| byte.is_ascii_digit());
            value.parse::<usize>().ok().filter(|_| is_number).ok_or("Bad Content-Length")
        });
        let Some(first) = lengths.next().transpose()? else { return Ok(None) };
        for other in lengths {
            if other? != first {
                return Err("Contradicting Content-Length");
            }
        }
        Ok(Some(first))
    }

    fn one<'b>(&'b self, name: &'b str, short: &'b str) -> Option<&'b str> {
        let mut values = self.values(name, short);
        values.next().filter(|_| values.next().is_none())
    }
}

/// How many octets of body a head announces; none if it does not say. An error says what is wrong.
pub(super) fn content_length(head: &[u8]) -> Result<Option<usize>, &'static str> {
    Head::of(&String::from_utf8_lossy(head)).content_length()
}

/// Judges a whole message. `is_datagram`: without a Content-Length the body reaches to the end (RFC 3261 18.3).
pub(super) fn vet(bytes: &[u8], from: SocketAddr, is_datagram: bool, agent: &str, limit: usize) -> Verdict {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return Verdict::Drop("no end of the head");
    };
    let (head_bytes, body) = (&bytes[..end], &bytes[end + 4..]);
    if head_bytes.starts_with(b"SIP/") {
        return vet_response(bytes);
    }
    let lossy = String::from_utf8_lossy(head_bytes);
    let head = Head::of(&lossy);
    let refuse = |code: u16, phrase: &str, besides: &[(&str, &str)]| {
        if head.start.starts_with("ACK ") {
            return Verdict::Drop("an ACK that is wrong");
        }
        refusal(&head, from, agent, code, phrase, besides).map_or(Verdict::Drop("no Via"), Verdict::Answer)
    };
    let mut words = head.start.split(' ');
    let (Some(method), Some(uri), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Verdict::Drop("no request line");
    };
    if !version.starts_with("SIP/") || method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Verdict::Drop("no request line");
    }
    if version != "SIP/2.0" {
        return refuse(505, "Version Not Supported", &[]);
    }
    if bytes.len() > limit {
        return refuse(513, "Message Too Large", &[]);
    }
    if core::str::from_utf8(head_bytes).is_err() {
        return refuse(400, "Head Is No UTF-8", &[]);
    }
    if head.fields.len() >= FIELDS {
        return refuse(400, "Too Many Header Fields", &[]);
    }
    for (name, short) in [("From", "f"), ("To", "t"), ("Call-ID", "i"), ("CSeq", "cseq")] {
        if head.one(name, short).is_none_or(str::is_empty) {
            return refuse(400, &format!("Exactly One {name} Is Needed"), &[]);
        }
    }
    if head.one("From", "f").and_then(text::tag).is_none() {
        return refuse(400, "From Has No Tag", &[]);
    }
    let cseq = head.one("CSeq", "cseq").and_then(|value| value.split_once(|c: char| c.is_ascii_whitespace()));
    if cseq.is_none_or(|(number, of)| number.parse::<u32>().is_err() || of.trim() != method) {
        return refuse(400, "Bad CSeq", &[]);
    }
    let announced = match head.content_length() {
        Ok(announced) => announced,
        Err(phrase) => return refuse(400, phrase, &[]),
    };
    if announced.is_some_and(|length| length > body.len()) {
        return refuse(400, "Body Is Shorter Than Content-Length", &[]);
    }
    let known = ["ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH"];
    if !known.contains(&method) && !["REFER", "REGISTER", "SUBSCRIBE", "UPDATE"].contains(&method) {
        return refuse(501, "Not Implemented", &[("Allow", ALLOW)]);
    }
    let scheme = uri.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("sip" | "sips" | "tel") => {}
        Some(scheme) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            return refuse(416, "Unsupported URI Scheme", &[]);
        }
        _ => return refuse(400, "Bad Request-URI", &[]),
    }
    let whole;
    let bytes = if announced.is_none() && is_datagram && !body.is_empty() {
        // rsipstack takes no body without a length.
        let line = format!("\r\nContent-Length: {}", body.len());
        whole = [head_bytes, line.as_bytes(), &bytes[end..]].concat();
        &whole
    } else {
        bytes
    };
    let Ok(SipMessage::Request(mut request)) = SipMessage::try_from(bytes) else {
        return refuse(400, "Bad Request", &[]);
    };
    match build::as_written(uri) {
        Some(uri) if TransactionKey::from_request(&request, TransactionRole::Server).is_ok() => request.uri = uri,
        _ => return refuse(400, "Bad Request", &[]),
    }
    Verdict::Take(Box::new(SipMessage::Request(request)))
}

fn vet_response(bytes: &[u8]) -> Verdict {
    let parsed = SipMessage::try_from(bytes).ok().filter(|message| match message {
        SipMessage::Response(response) => {
            TransactionKey::from_response(response, TransactionRole::Client).is_ok()
                && text::cseq(response.headers()).is_some()
        }
        SipMessage::Request(_) => false,
    });
    match parsed {
        Some(message) => Verdict::Take(Box::new(message)),
        None => Verdict::Drop("a response that is wrong"),
    }
}

/// A response that needs no transaction. None without a Via.
fn refusal(
    head: &Head<'_>,
    from: SocketAddr,
    agent: &str,
    code: u16,
    phrase: &str,
    besides: &[(&str, &str)],
) -> Option<Vec<u8>> {
    let clean = |value: &str| value.chars().filter(|c| !c.is_control()).collect::<String>();
    let mut response = format!("SIP/2.0 {code} {phrase}\r\n");
    let mut vias = head.values("Via", "v").take(32).map(clean).filter(|via| !via.is_empty());
    let top = vias.next()?;
    // Where it came from is for whoever has sent it to see (RFC 3261 18.2.1, RFC 3581 4).
    let (first, rest) = top.split_once(',').map_or((top.as_str(), None), |(first, rest)| (first, Some(rest)));
    let first = first.replacen(";rport", &format!(";rport={}", from.port()), usize::from(!first.contains(";rport=")));
    response.push_str(&format!("Via: {first};received={}", from.ip()));
    if let Some(rest) = rest {
        response.push_str(&format!(",{rest}"));
    }
    response.push_str("\r\n");
    for via in vias {
        response.push_str(&format!("Via: {via}\r\n"));
    }
    for (name, short) in [("From", "f"), ("To", "t"), ("Call-ID", "i"), ("CSeq", "cseq")] {
        if let Some(value) = head.values(name, short).next() {
            let is_untagged = name == "To" && text::tag(value).is_none();
            let tag = if is_untagged { format!(";tag={}", random_text(8)) } else { String::new() };
            response.push_str(&format!("{name}: {}{tag}\r\n", clean(value)));
        }
    }
    for (name, value) in besides {
        response.push_str(&format!("{name}: {value}\r\n"));
    }
    response.push_str(&format!("Server: {agent}\r\nContent-Length: 0\r\n\r\n"));
    Some(response.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h:1;rport;branch=z9hG4bK1\r\nf: <sip:x@y>;tag=1\r\n\
        To: <sip:a@b>\r\nCall-ID: c\r\nCSeq: 7 OPTIONS\r\nMax-Forwards: 70\r\n\r\n";

    fn verdict(message: &[u8]) -> Verdict {
        vet(message, "192.0.2.1:9".parse().expect("an address"), true, "x", 2_000)
    }

    #[test]
    fn a_body_without_a_length_reaches_to_the_end_of_a_datagram() {
        let Verdict::Take(message) = verdict(format!("{GOOD}hello").as_bytes()) else { panic!("it is taken") };
        let SipMessage::Request(request) = *message else { panic!("it is a request") };
        assert_eq!(request.body, b"hello");
    }

    #[test]
    fn a_request_uri_stays_as_it_was_written() {
        let uri = "sip:a%40b:c%3A@h:5070;x=%22";
        let message = GOOD.replacen("sip:a@b", uri, 1);
        let Verdict::Take(message) = verdict(message.as_bytes()) else { panic!("it is taken") };
        let SipMessage::Request(request) = *message else { panic!("it is a request") };
        assert_eq!(request.uri.to_string(), uri);
    }

    #[test]
    fn what_is_wrong_is_answered_with_what_is_wrong() {
        for (from, to, code) in [
            ("SIP/2.0\r\nVia", "SIP/3.0\r\nVia", "505"),
            ("OPTIONS sip", "DANCE sip", "400 Bad CSeq"),
            ("Call-ID: c\r\n", "", "400 Exactly One Call-ID"),
            ("Call-ID: c\r\n", "Call-ID: c\r\ni: d\r\n", "400 Exactly One Call-ID"),
            (";tag=1", "", "400 From Has No Tag"),
            ("7 OPTIONS", "4294967296 OPTIONS", "400 Bad CSeq"),
            ("sip:a@b SIP", "http://a SIP", "416"),
            ("Max-Forwards: 70", "Content-Length: -1", "400 Bad Content-Length"),
            ("Max-Forwards: 70", "Content-Length: 18446744073709551615", "400 Bad Content-Length"),
            ("Max-Forwards: 70", "Content-Length: 1", "400 Body"),
            ("Max-Forwards: 70", "l: 0\r\nContent-Length: 1", "400 Contradicting"),
        ] {
            let message = GOOD.replace(from, to);
            let Verdict::Answer(answer) = verdict(message.as_bytes()) else { panic!("{to:?} is answered") };
            let answer = String::from_utf8(answer).expect("text");
            assert!(answer.starts_with(&format!("SIP/2.0 {code}")), "{to:?}: {answer}");
            assert!(answer.contains("rport=9;branch=z9hG4bK1;received=192.0.2.1"), "{answer}");
        }
        let unknown = GOOD.replace("OPTIONS", "DANCE");
        let Verdict::Answer(answer) = verdict(unknown.as_bytes()) else { panic!("it is answered") };
        assert!(String::from_utf8_lossy(&answer).contains("501 Not Implemented\r\n"));
        let long = GOOD.replace("Max-Forwards: 70", &format!("X: {}", "x".repeat(2_000)));
        let Verdict::Answer(answer) = verdict(long.as_bytes()) else { panic!("it is answered") };
        assert!(answer.starts_with(b"SIP/2.0 513"));
        let latin = GOOD.replace("Max-Forwards: 70", "X: ?").replace('?', "\u{fffd}");
        let latin: Vec<u8> = latin.bytes().map(|byte| if byte >= 0x80 { 0xe9 } else { byte }).collect();
        let Verdict::Answer(answer) = verdict(&latin) else { panic!("it is answered") };
        assert!(answer.starts_with(b"SIP/2.0 400 Head Is No UTF-8"));
    }

    #[test]
    fn what_nobody_can_be_told_about_goes() {
        for message in
            ["", "hello", "\r\n\r\n", "A B\r\n\r\n", "SIP/2.0 200 OK\r\n\r\n", "OPTIONS sip:a SIP/2.0\r\n\r\n"]
        {
            assert!(matches!(verdict(message.as_bytes()), Verdict::Drop(_)), "{message:?}");
        }
        let ack = GOOD.replace("OPTIONS", "ACK").replace("Call-ID: c\r\n", "");
        assert!(matches!(verdict(ack.as_bytes()), Verdict::Drop(_)));
    }
}
