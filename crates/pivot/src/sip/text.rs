//! The grammar of header fields (RFC 3261 25), as far as the pivot reads it.

use rsipstack::sip::headers::make_header;
use rsipstack::sip::{Header as Field, Headers, Response};

use crate::message::{Address, Header, Reason, Status};

/// A header field. Line breaks of the value become spaces: nothing that is put into a message may begin another field.
pub(super) fn field(name: &str, value: &str) -> Field {
    let value = if value.contains(|c: char| c.is_control()) {
        value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    } else {
        value.to_owned()
    };
    make_header(name, value)
}

/// A header field of somebody else's name: one that is no token is left out.
pub(super) fn other_field(header: &Header) -> Option<Field> {
    is_token(&header.name).then(|| field(&header.name, &header.value))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}

/// The values of all fields of a name, in their order.
pub(super) fn values<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |field| field.name().eq_ignore_ascii_case(name)).map(Field::value)
}

/// The first field of a name.
pub(super) fn value<'a>(headers: &'a Headers, name: &'a str) -> Option<&'a str> {
    values(headers, name).next()
}

/// Splits at `separator` where it is neither quoted nor in angle brackets.
pub(super) fn split(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' if !angle => quoted = true,
            b'<' => angle = true,
            b'>' => angle = false,
            _ if byte == separator && !angle => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

/// The elements of all fields of a name that is a list.
pub(super) fn list<'a>(headers: &'a Headers, name: &'a str) -> Vec<&'a str> {
    values(headers, name).flat_map(|value| split(value, b',')).filter(|element| !element.is_empty()).collect()
}

/// The same as boxes, if there is such a field.
pub(super) fn tokens(headers: &Headers, name: &str) -> Option<Vec<Box<str>>> {
    value(headers, name)?;
    Some(list(headers, name).into_iter().map(Into::into).collect())
}

/// Whether a list has an element.
pub(super) fn has(headers: &Headers, name: &str, token: &str) -> bool {
    list(headers, name).iter().any(|element| element.eq_ignore_ascii_case(token))
}

/// A name-addr or addr-spec, and the field's parameters behind it.
pub(super) fn address(value: &str) -> Option<(Address, &str)> {
    let value = value.trim();
    let (display, rest) = if let Some(quoted) = value.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        (unescape(&quoted[..end]), quoted[end + 1..].trim_start())
    } else if let Some(open) = value.find('<') {
        (value[..open].trim().to_owned(), &value[open..])
    } else {
        let (uri, parameters) = value.split_once(';').unwrap_or((value, ""));
        let uri = uri.trim();
        return (!uri.is_empty()).then(|| (Address { display: "".into(), uri: uri.into() }, parameters));
    };
    let (uri, parameters) = rest.strip_prefix('<')?.split_once('>')?;
    let address = Address { display: display.into(), uri: uri.trim().into() };
    Some((address, parameters.trim_start().trim_start_matches(';')))
}

fn unescape(quoted: &str) -> String {
    let (mut text, mut escaped) = (String::with_capacity(quoted.len()), false);
    for c in quoted.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            text.push(c);
        }
    }
    text
}

/// How an address is written.
pub(super) fn write_address(address: &Address) -> String {
    if address.display.is_empty() {
        return format!("<{}>", address.uri);
    }
    let display = address.display.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{display}\" <{}>", address.uri)
}

/// A parameter's value, without quotes; empty if it has none.
pub(super) fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    split(parameters, b';').into_iter().find_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// The tag of a From or To.
pub(super) fn tag(value: &str) -> Option<&str> {
    let (_, parameters) = address(value)?;
    parameter(parameters, "tag").filter(|tag| !tag.is_empty())
}

/// Number and method of a `CSeq`.
pub(super) fn cseq(headers: &Headers) -> Option<(u32, &str)> {
    let (number, method) = value(headers, "CSeq")?.split_once(|c: char| c.is_ascii_whitespace())?;
    Some((number.parse().ok()?, method.trim()))
}

/// What a response's status line says.
pub(super) fn status(response: &Response) -> Status {
    let phrase = response.wire_reason.as_deref().unwrap_or_else(|| response.status_code.text());
    Status { code: response.status_code.code(), phrase: phrase.into() }
}

/// `Reason` (RFC 3326): that of Q.850 if there are several.
pub(super) fn reason(headers: &Headers) -> Option<Reason> {
    let mut reasons = list(headers, "Reason").into_iter().filter_map(|value| {
        let (protocol, parameters) = value.split_once(';')?;
        Some(Reason {
            protocol: protocol.trim().into(),
            cause: parameter(parameters, "cause")?.parse().ok()?,
            text: parameter(parameters, "text").map(Into::into),
        })
    });
    let first = reasons.next()?;
    if first.protocol.eq_ignore_ascii_case("Q.850") {
        return Some(first);
    }
    Some(reasons.find(|reason| reason.protocol.eq_ignore_ascii_case("Q.850")).unwrap_or(first))
}

/// How a `Reason` is written.
pub(super) fn write_reason(reason: &Reason) -> String {
    let text = reason.text.as_ref().map(|text| format!(";text=\"{}\"", text.replace(['\\', '"'], "'")));
    format!("{};cause={}{}", reason.protocol, reason.cause, text.unwrap_or_default())
}

/// Fields whose name begins with `X-`.
pub(super) fn extra(headers: &Headers) -> Vec<Header> {
    let is_extra = |field: &&Field| field.name().get(..2).is_some_and(|start| start.eq_ignore_ascii_case("X-"));
    headers
        .iter()
        .filter(is_extra)
        .map(|field| Header { name: field.name().into(), value: field.value().into() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let (read, parameters) = address(r#""Al \"x\", <b>" <sip:a@b;x=1>;tag=9;q"#).expect("an address");
        assert_eq!((&*read.display, &*read.uri), (r#"Al "x", <b>"#, "sip:a@b;x=1"));
        assert_eq!(parameter(parameters, "TAG"), Some("9"));
        assert_eq!(parameter(parameters, "q"), Some(""));
        assert_eq!(address(&write_address(&read)).expect("an address").0, read);
        let (bare, parameters) = address("sip:a@b;tag=1").expect("an address");
        assert_eq!((&*bare.uri, parameters), ("sip:a@b", "tag=1"));
        assert_eq!(address("\"open <sip:a@b>"), None);
    }

    #[test]
    fn a_list_is_split_outside_of_quotes_and_brackets() {
        assert_eq!(split(r#""a,b" <sip:c,d@e>, f"#, b','), [r#""a,b" <sip:c,d@e>"#, "f"]);
    }

    #[test]
    fn no_value_begins_another_field() {
        assert_eq!(field("X-A", "1\r\nEvil: 2").to_string(), "X-A: 1  Evil: 2");
        assert_eq!(other_field(&Header { name: "X-A:\r\nB".into(), value: "".into() }), None);
    }

    #[test]
    fn the_reason_of_q850_is_preferred() {
        let headers = Headers(vec![field("Reason", "SIP;cause=486, Q.850;cause=17;text=\"user, busy\"")]);
        let reason = reason(&headers).expect("a reason");
        assert_eq!((&*reason.protocol, reason.cause, reason.text.as_deref()), ("Q.850", 17, Some("user, busy")));
    }
}
