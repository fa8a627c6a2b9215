//! Requests and responses as they are written.

use rsipstack::sip::{
    Domain, HasHeaders as _, Header as Field, Headers, Host, HostWithPort, Method, Request, Response, StatusCode, Uri,
    Version,
};

use super::text::{self, field};
use super::vet::{ALLOW, SUPPORTED};
use crate::message::{Header, Sdp};

/// The body types that are understood.
pub(super) const ACCEPT: &str = "application/sdp, message/sipfrag";

/// A request without Via and Contact. None if nobody can be asked by such a URI.
pub(super) fn request(method: Method, uri: &str, fields: Vec<Field>) -> Option<Request> {
    let uri = as_written(uri)?;
    Some(Request { method, uri, version: Version::V2, headers: Headers(fields), body: Vec::new() })
}

/// A URI that is sent as it is written here: rsipstack would escape what is escaped in it once more. None for what is none.
pub(super) fn as_written(text: &str) -> Option<Uri> {
    let scheme = Uri::try_from(text).ok()?.scheme;
    let (_, rest) = text.trim().split_once(':')?;
    let host = Host::Domain(Domain(rest.to_owned()));
    Some(Uri { scheme, host_with_port: HostWithPort { host, port: None }, ..Uri::default() })
}

/// A response to a request (RFC 3261 8.2.6), with our tag.
pub(super) fn response(request: &Request, code: u16, phrase: &str, tag: &str, agent: &str) -> Response {
    let mut headers = Headers(Vec::with_capacity(12));
    for name in ["Via", "From", "To", "Call-ID", "CSeq", "Timestamp"] {
        for value in text::values(&request.headers, name) {
            let is_untagged = name == "To" && !tag.is_empty() && text::tag(value).is_none();
            headers.push(match (name, is_untagged) {
                ("Timestamp", _) if code != 100 => continue,
                (_, true) => field(name, &format!("{value};tag={tag}")),
                _ => field(name, value),
            });
        }
    }
    headers.push(field("Server", agent));
    let known = StatusCode::try_from((code, phrase)).unwrap_or_else(|_| StatusCode::Other(code, phrase.to_owned()));
    let phrase: String = phrase.chars().filter(|c| !c.is_control()).collect();
    // rsipstack writes the usual phrase of a code that it knows.
    let is_usual = phrase.is_empty() || phrase == known.text() || code <= 100;
    let status_code = if is_usual { known } else { StatusCode::Other(code, phrase) };
    Response { status_code, wire_reason: None, version: Version::V2, headers, body: Vec::new() }
}

/// Sets the body, and its length in any case.
pub(super) fn set_body(headers: &mut Headers, body: &mut Vec<u8>, content: Option<(&str, &str)>) {
    headers.retain(|field| !matches!(field, Field::ContentType(_) | Field::ContentLength(_)));
    if let Some((content_type, content)) = content {
        headers.push(field("Content-Type", content_type));
        *body = content.as_bytes().to_vec();
    }
    headers.push(field("Content-Length", &body.len().to_string()));
}

/// A session description, or none.
pub(super) fn sdp(sdp: Option<&Sdp>) -> Option<(&'static str, &str)> {
    sdp.map(|sdp| ("application/sdp", &**sdp))
}

/// What we can do, for whoever begins or answers a dialog.
pub(super) fn abilities(headers: &mut Headers) {
    headers.push(field("Allow", ALLOW));
    headers.push(field("Supported", SUPPORTED));
}

/// Adds fields of whoever decides, but for those that are the stack's own.
pub(super) fn add(headers: &mut Headers, others: &[Header]) {
    const OWN: [&str; 13] = [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "Route",
        "Record-Route",
        "Content-Length",
        "Content-Type",
        "Max-Forwards",
        "RSeq",
        "RAck",
    ];
    let is_own = |header: &&Header| OWN.iter().any(|own| header.name.eq_ignore_ascii_case(own));
    for header in others.iter().filter(|header| !is_own(header)) {
        if let Some(field) = text::other_field(header) {
            headers.push(field);
        }
    }
}

/// The session description of a message, and what is to be answered if it has a body that is none.
pub(super) fn body_sdp(headers: &Headers, body: &[u8]) -> Result<Option<Sdp>, (u16, &'static str)> {
    if body.is_empty() {
        return Ok(None);
    }
    let is_identity = |encoding: &&str| encoding.eq_ignore_ascii_case("identity");
    if text::value(headers, "Content-Encoding").is_some_and(|encoding| !is_identity(&encoding)) {
        return Err((415, "Unsupported Content-Encoding"));
    }
    let content_type = text::value(headers, "Content-Type").unwrap_or("application/sdp");
    let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let media = media.trim().to_ascii_lowercase();
    let body = core::str::from_utf8(body).map_err(|_| (400, "Body Is No UTF-8"));
    if media == "application/sdp" {
        return Ok(Some(body?.into()));
    }
    if media.starts_with("multipart/") {
        let boundary = text::parameter(parameters, "boundary").ok_or((400, "Multipart Without Boundary"))?;
        return part(body?, boundary).map(|part| Some(part.into())).ok_or((415, "Unsupported Media Type"));
    }
    Err((415, "Unsupported Media Type"))
}

/// The part of a multipart body (RFC 2046 5.1) that is a session description.
fn part<'a>(body: &'a str, boundary: &str) -> Option<&'a str> {
    if boundary.is_empty() {
        return None;
    }
    let delimiter = format!("--{boundary}");
    body.split(delimiter.as_str()).skip(1).find_map(|part| {
        let part = part.trim_start_matches([' ', '\t']).strip_prefix("\r\n")?;
        let (head, content) =
            part.strip_prefix("\r\n").map_or_else(|| part.split_once("\r\n\r\n"), |c| Some(("", c)))?;
        let is_sdp = head.split("\r\n").any(|line| {
            line.split_once(':').is_some_and(|(name, value)| {
                let is_type = name.trim().eq_ignore_ascii_case("Content-Type") || name.trim().eq_ignore_ascii_case("c");
                is_type && value.trim().to_ascii_lowercase().starts_with("application/sdp")
            })
        });
        // The line end before a delimiter belongs to the delimiter; a description needs one all the same.
        is_sdp.then(|| if content.ends_with("\r\n\r\n") { &content[..content.len() - 2] } else { content })
    })
}

/// Answers OPTIONS (RFC 3261 11.2).
pub(super) fn options(request: &Request, tag: &str, agent: &str) -> Response {
    let mut response = response(request, 200, "OK", tag, agent);
    abilities(response.headers_mut());
    response.headers_mut().push(field("Accept", ACCEPT));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(content_type: &str) -> Headers {
        Headers(vec![field("Content-Type", content_type)])
    }

    #[test]
    fn a_uri_is_sent_as_it_is_written() {
        for uri in
            ["sip:a%40b%3Bx:p%25@h.example:5070;transport=tcp;x=%22?X-A=%20b", "sips:[2001:db8::1]:5061", "tel:+1-555"]
        {
            let request = request(Method::Bye, uri, Vec::new()).expect("a request").to_string();
            assert!(request.starts_with(&format!("BYE {uri} SIP/2.0\r\n")), "{request}");
        }
        assert!(as_written("nonsense").is_none() && as_written("").is_none());
    }

    #[test]
    fn the_description_is_taken_out_of_a_multipart_body() {
        let body = "ignored\r\n--b1\r\nContent-Type: application/isup\r\n\r\nxx\r\n--b1\r\nContent-Type: application/sdp;a=b\r\n\
            Content-Disposition: session\r\n\r\nv=0\r\ns=-\r\n\r\n--b1--\r\n";
        let found = body_sdp(&headers("multipart/mixed; boundary=\"b1\""), body.as_bytes()).expect("it is understood");
        assert_eq!(found.as_deref(), Some("v=0\r\ns=-\r\n"));
        let none = body.replace("application/sdp", "text/plain");
        assert_eq!(body_sdp(&headers("multipart/mixed;boundary=b1"), none.as_bytes()).expect_err("it has none").0, 415);
        assert_eq!(body_sdp(&headers("multipart/mixed"), b"x").expect_err("no boundary").0, 400);
        assert_eq!(body_sdp(&headers("text/plain"), b"x").expect_err("no description").0, 415);
        assert_eq!(body_sdp(&headers("application/sdp"), &[0xff]).expect_err("no text").0, 400);
        assert_eq!(body_sdp(&headers("text/plain"), b""), Ok(None));
    }
}
