//! The body of a NOTIFY that tells how a REFER gets on: a message/sipfrag (RFC 3420) with a status line (RFC 3515 2.4.5).

use crate::message::Status;

/// `Content-Type` of it.
pub const CONTENT_TYPE: &str = "message/sipfrag;version=2.0";

/// A status line with a reason phrase and its CRLF. Some refuse a line that ends with the code, so that an empty phrase becomes the usual one.
#[must_use]
pub fn write(status: &Status) -> Box<str> {
    let phrase: String = status.phrase.chars().filter(|char| !char.is_control()).take(128).collect();
    let phrase = match phrase.trim() {
        "" => phrase_of(status.code),
        phrase => phrase,
    };
    format!("SIP/2.0 {} {phrase}\r\n", status.code).into()
}

/// The status of a sipfrag that came in; `None` if it does not begin with a status line. A missing phrase is forgiven here.
#[must_use]
pub fn read(body: &str) -> Option<Status> {
    let rest = body.lines().next()?.trim().strip_prefix("SIP/2.0 ")?;
    let (code, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = code.parse().ok().filter(|code| (100..700).contains(code))?;
    Some(Status {
        code,
        phrase: phrase.trim().chars().filter(|char| !char.is_control()).take(128).collect::<String>().into(),
    })
}

/// A status with its usual phrase.
#[must_use]
pub fn status(code: u16) -> Status {
    Status { code, phrase: phrase_of(code).into() }
}

/// The usual reason phrase of a code (RFC 3261 21 and what came after); that of its class for others.
#[must_use]
pub const fn phrase_of(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        202 => "Accepted",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        429 => "Provide Referrer Identity",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => match code / 100 {
            0 | 1 => "Session Progress",
            2 => "OK",
            3 => "Moved",
            4 => "Request Failed",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn there_is_always_a_phrase_and_a_line_end() {
        assert_eq!(&*write(&Status { code: 486, phrase: "".into() }), "SIP/2.0 486 Busy Here\r\n");
        assert_eq!(&*write(&Status { code: 499, phrase: "  ".into() }), "SIP/2.0 499 Request Failed\r\n");
        assert_eq!(&*write(&Status { code: 404, phrase: "No\r\nVia: x".into() }), "SIP/2.0 404 NoVia: x\r\n");
        assert!((100..700).all(|code| !phrase_of(code).is_empty()));
    }

    #[test]
    fn status_lines_of_others_are_read() {
        assert_eq!(read("SIP/2.0 180 Ringing\r\nTo: x\r\n"), Some(status(180)));
        assert_eq!(read("SIP/2.0 503\r\n"), Some(Status { code: 503, phrase: "".into() }));
        for body in ["", "BYE sip:a SIP/2.0", "SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 abc"] {
            assert_eq!(read(body), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(code in 100..700u16, phrase in any::<String>()) {
            let body = write(&Status { code, phrase: phrase.into() });
            prop_assert!(body.ends_with("\r\n") && body.lines().count() == 1);
            let read = read(&body).expect("a status line");
            prop_assert!(read.code == code && !read.phrase.is_empty());
        }

        #[test]
        fn any_body_is_read_or_not(body in any::<String>()) {
            let _ = read(&body);
        }
    }
}
