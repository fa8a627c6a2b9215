//! SIP messages (RFC 3261 7) as far as a test's telephone needs them.

/// A request or response.
#[derive(Clone, Debug)]
pub struct Message {
    /// `INVITE sip:... SIP/2.0`, or `SIP/2.0 200 OK`.
    pub start: String,
    headers: Vec<(String, String)>,
    /// What follows the blank line.
    pub body: String,
}

impl Message {
    /// Takes a datagram apart.
    ///
    /// # Panics
    /// If it is no SIP.
    #[must_use]
    pub fn parse(datagram: &[u8]) -> Self {
        let text = String::from_utf8_lossy(datagram);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.split("\r\n");
        let start = lines.next().expect("a split has a first part").to_owned();
        let header =
            |line: &str| line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
        Self { start, headers: lines.filter_map(header).collect(), body: body.to_owned() }
    }

    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All headers of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
        self.headers.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The status of a response.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    /// The method: of a request its own, of a response that of its `CSeq`.
    #[must_use]
    pub fn method(&self) -> &str {
        match self.status() {
            Some(_) => self.header("CSeq").and_then(|cseq| cseq.split(' ').nth(1)).unwrap_or_default(),
            None => self.start.split(' ').next().unwrap_or_default(),
        }
    }

    /// The tag of `From` or `To`.
    #[must_use]
    pub fn tag(&self, header: &str) -> Option<&str> {
        self.header(header)?.split(";tag=").nth(1)?.split(';').next()
    }

    /// The URI between the angle brackets of a header.
    #[must_use]
    pub fn uri(&self, header: &str) -> Option<&str> {
        self.header(header)?.split('<').nth(1)?.split('>').next()
    }
}
