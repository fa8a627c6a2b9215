//! A message of SIP as it was written (RFC 3261 7), field for field, so that what need not be changed stays as it was.

use crate::call::uri::user_of;

/// Header fields of one message: more than anybody sends.
const FIELDS_MAX: usize = 512;

/// A request or response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    start: String,
    fields: Vec<(String, String)>,
    body: String,
}

impl Message {
    /// Takes a message apart; compact names (RFC 3261 7.3.3) become the long ones, folded lines one.
    ///
    /// # Errors
    /// What it lacks.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (head, body) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).unwrap_or((text, ""));
        let mut lines = head.lines();
        let start = lines.next().unwrap_or_default().trim_end().to_owned();
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t']) {
                let Some((_, value)) = fields.last_mut() else { return Err("it begins with a folded line".to_owned()) };
                value.push(' ');
                value.push_str(line.trim());
                continue;
            }
            let (name, value) = line.split_once(':').ok_or("a line of its head has no colon")?;
            if fields.len() >= FIELDS_MAX {
                return Err(format!("it has more than {FIELDS_MAX} header fields"));
            }
            fields.push((long(name.trim()), value.trim().to_owned()));
        }
        let message = Self { start, fields, body: body.to_owned() };
        let is_request = message.start.ends_with(" SIP/2.0") && message.start.split(' ').count() == 3;
        if !is_request && message.status().is_none() {
            return Err("its first line is neither a request line nor a status line".to_owned());
        }
        for name in ["Via", "From", "To", "Call-ID"] {
            if message.first(name).is_none_or(str::is_empty) {
                return Err(format!("it has no {name}"));
            }
        }
        if message.cseq().is_none() {
            return Err("it has no CSeq of a number and a method".to_owned());
        }
        Ok(message)
    }

    /// The request line or status line.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }

    /// Code and phrase of a response.
    #[must_use]
    pub fn status(&self) -> Option<(u16, &str)> {
        let (code, phrase) = self.start.strip_prefix("SIP/2.0 ")?.split_at_checked(3)?;
        Some((code.parse().ok().filter(|code| (100..700).contains(code))?, phrase.trim()))
    }

    /// The method: a request's own, of a response that of its `CSeq`.
    #[must_use]
    pub fn method(&self) -> &str {
        match self.status() {
            Some(_) => self.cseq().map_or("", |(_, method)| method),
            None => self.start.split(' ').next().unwrap_or_default(),
        }
    }

    /// The request URI.
    #[must_use]
    pub fn request_uri(&self) -> Option<&str> {
        if self.status().is_some() { None } else { self.start.split(' ').nth(1) }
    }

    /// The user whom a request is for; empty if there is none.
    #[must_use]
    pub fn called(&self) -> &str {
        self.request_uri().map(user_of).unwrap_or_default()
    }

    /// The first field of this (long) name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Its Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        self.first("Call-ID").unwrap_or_default()
    }

    /// Number and method of its `CSeq`.
    #[must_use]
    pub fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.first("CSeq")?.split_once(char::is_whitespace)?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The tag of `From` or `To`.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        let value = self.first(name)?;
        let parameters = value.rsplit_once('>').map_or(value, |(_, rest)| rest);
        parameters.split(';').skip(1).find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case("tag").then(|| value.trim())
        })
    }

    /// The branch of its topmost Via.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        let top = self.first("Via")?.split(',').next()?;
        top.split(';').skip(1).find_map(|part| part.trim().strip_prefix("branch="))
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Its session description, if that is its body.
    #[must_use]
    pub fn sdp(&self) -> Option<&str> {
        let kind = self.first("Content-Type").unwrap_or("application/sdp").to_ascii_lowercase();
        (!self.body.trim().is_empty() && kind.starts_with("application/sdp")).then_some(&self.body)
    }

    /// All fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same with another first line, other fields and another body; `Content-Length` is set right.
    #[must_use]
    pub fn rewritten(start: String, fields: Vec<(String, String)>, body: String) -> Self {
        let mut fields: Vec<_> =
            fields.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Content-Length")).collect();
        fields.push(("Content-Length".to_owned(), body.len().to_string()));
        Self { start, fields, body }
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        text += &self.body;
        text.into_bytes()
    }

    /// In a few words: the method and to whom, or the status and to what.
    #[must_use]
    pub fn in_short(&self) -> String {
        match self.status() {
            Some((code, phrase)) => format!("{code} {phrase} to {}", self.method()),
            None => self.method().to_owned(),
        }
    }
}

/// A SIP URI in three: scheme and user, the host with its port if it has one, and what is behind.
#[must_use]
pub fn parts_of(uri: &str) -> (&str, &str, &str) {
    let end = uri.find([';', '?']).unwrap_or(uri.len());
    let start = uri[..end].rfind('@').or_else(|| uri[..end].find(':')).map_or(0, |at| at + 1);
    (&uri[..start], &uri[start..end], &uri[end..])
}

/// What a message settles, which comes again until that is known: a final response, or an ACK.
pub(super) fn settling(message: &Message) -> Option<(String, String)> {
    let cseq = message.first("CSeq")?;
    let what = match message.status() {
        Some((code, _)) if code >= 200 => format!("{code} {cseq} {}", message.tag("To").unwrap_or_default()),
        None if message.method() == "ACK" => format!("ACK {cseq}"),
        _ => return None,
    };
    Some((message.call_id().to_owned(), what))
}

/// The long name of a header field.
fn long(name: &str) -> String {
    const COMPACT: [(&str, &str); 14] = [
        ("v", "Via"),
        ("f", "From"),
        ("t", "To"),
        ("i", "Call-ID"),
        ("m", "Contact"),
        ("c", "Content-Type"),
        ("l", "Content-Length"),
        ("e", "Content-Encoding"),
        ("k", "Supported"),
        ("s", "Subject"),
        ("o", "Event"),
        ("r", "Refer-To"),
        ("b", "Referred-By"),
        ("x", "Session-Expires"),
    ];
    let known = COMPACT.iter().find(|(short, _)| name.eq_ignore_ascii_case(short));
    known.map_or_else(|| name.to_owned(), |(_, long)| (*long).to_owned())
}
