//! Writing a description anew, with an edit done.
//!
//! In a relayed section the lines that a relay manages are taken out and written at its end, in one order; everything else
//! stays where it is, byte for byte. Operators compare what relays write, so that the order is the one they know.

use core::fmt::{self, Write as _};
use core::net::IpAddr;
use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::Sdp;
use crate::codec::Codec;
use crate::edit::{Dtls, Edit, Format, Ice, Keys, MediaEdit, Relay};
use crate::line::Line;
use crate::media::Media;

/// Attributes that a relayed section's own lines are taken out for.
const MANAGED: [&str; 9] = ["mid", "rtpmap", "fmtp", "rtcp", "rtcp-mux", "ptime", "crypto", "setup", "fingerprint"];
/// Attributes of ICE that are taken out too, unless they are kept.
const ICE: [&str; 8] = [
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "candidate",
    "remote-candidates",
    "end-of-candidates",
    "ice-lite",
    "ice-mismatch",
];

impl Sdp {
    /// The description with the edit done.
    #[must_use]
    pub fn rewrite(&self, edit: &Edit) -> String {
        let mut writer = Writer {
            sdp: self,
            out: String::with_capacity(self.text.len() + 512),
            line_end: self.line_end(),
            connection: None,
        };
        writer.session(edit);
        for (media, edit) in self.media.iter().zip(edit.media.iter().chain(core::iter::repeat(&MediaEdit::Keep))) {
            match edit {
                MediaEdit::Keep => writer.lines(&self.lines[media.lines.clone()]),
                MediaEdit::Disable { address } => writer.disabled(media, *address),
                MediaEdit::Relay(relay) => writer.relayed(media, relay),
            }
        }
        writer.out
    }

    /// What the description's own lines end with.
    fn line_end(&self) -> &'static str {
        let crlf = self.text.contains("\r\n") || !self.text.contains('\n');
        if crlf { "\r\n" } else { "\n" }
    }
}

struct Writer<'a> {
    sdp: &'a Sdp,
    out: String,
    line_end: &'static str,
    /// What `c=` of the session says, if it was changed.
    connection: Option<IpAddr>,
}

impl Writer<'_> {
    fn session(&mut self, edit: &Edit) {
        let sdp = self.sdp;
        let end = sdp.media.first().map_or(sdp.lines.len(), |media| media.lines.start);
        let relayed = sdp.media.iter().zip(&edit.media).filter_map(|(media, edit)| match edit {
            MediaEdit::Relay(relay) => Some((media, relay)),
            MediaEdit::Keep | MediaEdit::Disable { .. } => None,
        });
        // What is disabled has no say where something is relayed: the zero address may be meant to stay.
        let without_own = sdp.media.iter().zip(&edit.media).filter(|(media, _)| media.own_address.is_none());
        let of_relayed = without_own.clone().find_map(|(_, edit)| match edit {
            MediaEdit::Relay(relay) => Some(relay.address),
            MediaEdit::Keep | MediaEdit::Disable { .. } => None,
        });
        let of_disabled = without_own.clone().find_map(|(_, edit)| match edit {
            MediaEdit::Disable { address } => Some(*address),
            MediaEdit::Keep | MediaEdit::Relay(_) => None,
        });
        let connection = edit.connection.or_else(|| of_relayed.or(of_disabled).flatten());
        self.connection = connection.filter(|_| sdp.session.address.is_some());
        let any_relayed = relayed.clone().next().is_some();
        let keeps_ice = relayed.clone().any(|(_, relay)| relay.ice == Ice::Keep);
        for (index, line) in sdp.lines[..end].iter().enumerate() {
            let name = line.attribute(&sdp.text).map(|(name, _)| name);
            match (line.kind, connection) {
                (b'o', _) if sdp.session.origin_line == Some(index) => self.origin(line, edit),
                (b's', _) if edit.session_name.is_some() => {
                    let name = edit.session_name.as_deref().unwrap_or_default();
                    self.write(format_args!("s={name}"));
                }
                (b'c', Some(address)) => self.connection(address),
                (b'a', _) if name.is_some_and(|name| edit.without.contains(&name)) => {}
                // Each relayed section says it for itself.
                (b'a', _) if any_relayed && name.is_some_and(is_direction) => {}
                (b'a', _) if any_relayed && !keeps_ice && name.is_some_and(|name| ICE.contains(&name)) => {}
                _ => self.copy(line),
            }
        }
        for attribute in &edit.attributes {
            self.write(format_args!("a={attribute}"));
        }
    }

    /// `username id version IN IP4 address`.
    fn origin(&mut self, line: &Line, edit: &Edit) {
        let value = line.value(&self.sdp.text);
        let words: Vec<_> = value.split_ascii_whitespace().collect();
        let changes = edit.origin.is_some() || edit.origin_username.is_some() || edit.origin_version.is_some();
        let [username, id, version, net, family, address] = words[..] else { return self.copy(line) };
        if !changes {
            return self.copy(line);
        }
        let username = edit.origin_username.as_deref().unwrap_or(username);
        let version = edit.origin_version.map_or_else(|| version.to_owned(), |version| version.to_string());
        let (family, address) = match edit.origin {
            Some(origin) => (family_of(origin), origin.to_string()),
            None => (family, address.to_owned()),
        };
        self.write(format_args!("o={username} {id} {version} {net} {family} {address}"));
    }

    fn disabled(&mut self, media: &Media, address: Option<IpAddr>) {
        let sdp = self.sdp;
        let lines = &sdp.lines[media.lines.clone()];
        self.first_line(media, 0, None, media.formats.iter().map(|format| format.as_str().into()));
        for line in &lines[1..] {
            let goes =
                |(name, value)| is_managed(name, value, media.is_rtp()) || ICE.contains(&name) || is_direction(name);
            match (line.attribute(&sdp.text), address) {
                (None, Some(address)) if line.kind == b'c' => self.connection(address),
                (Some(attribute), _) if goes(attribute) => {}
                _ => self.copy(line),
            }
        }
        if let Some(mid) = &media.mid {
            self.write(format_args!("a=mid:{mid}"));
        }
    }

    fn relayed(&mut self, media: &Media, relay: &Relay) {
        let sdp = self.sdp;
        let lines = &sdp.lines[media.lines.clone()];
        let is_rtp = media.is_rtp();
        let listed: Vec<Listed<'_>> = match &relay.formats {
            Some(formats) => formats.iter().map(Listed::of).collect(),
            None => {
                let stays = |format: &&String| !relay.formats_without.contains(format);
                media.formats.iter().filter(stays).map(|format| Listed::There(format)).collect()
            }
        };
        self.first_line(media, relay.port, relay.protocol.as_deref(), listed.iter().map(Listed::word));
        let managed = |name: &str, value: &str| {
            let ice = relay.ice != Ice::Keep && ICE.contains(&name);
            let direction = relay.direction.is_some() && is_direction(name);
            let maxptime = relay.without_maxptime && name == "maxptime";
            ice || direction || maxptime || is_managed(name, value, is_rtp)
        };
        // Where the session's own line is another section's address, this one needs a line of its own (RFC 8866 5.7), between
        // `i=` and the rest.
        let own = relay.address.filter(|_| media.own_address.is_none() && self.connection.is_some());
        let mut own = own.filter(|address| self.connection != Some(*address));
        for line in &lines[1..] {
            if let Some(address) = own.take_if(|_| line.kind != b'i') {
                self.connection(address);
            }
            match (line.attribute(&sdp.text), relay.address) {
                (Some((name, value)), _) if managed(name, value) => {}
                (None, Some(address)) if line.kind == b'c' => self.connection(address),
                _ => self.copy(line),
            }
        }
        if let Some(address) = own {
            self.connection(address);
        }
        if let Some(mid) = media.mid.as_ref().or(relay.mid.as_ref()) {
            self.write(format_args!("a=mid:{mid}"));
        }
        if is_rtp {
            self.formats(media, &listed);
        }
        if let Some(direction) = relay.direction {
            self.write(format_args!("a={}", direction.as_str()));
        }
        if let Some(rtcp) = relay.rtcp {
            let address = rtcp.address.map(|ip| format!(" IN {} {ip}", family_of(ip))).unwrap_or_default();
            self.write(format_args!("a=rtcp:{}{address}", rtcp.port));
        }
        if relay.rtcp_mux {
            self.line("a=rtcp-mux");
        }
        match &relay.keys {
            Some(keys) => self.keys(keys),
            None => {
                for name in ["crypto", "setup", "fingerprint", "tls-id"] {
                    let values = media
                        .attributes
                        .iter()
                        .filter(|(other, value)| other == name && is_managed(name, value, is_rtp));
                    values.for_each(|(_, value)| self.write(format_args!("a={name}:{value}")));
                }
            }
        }
        if let Some(ptime) = relay.ptime_ms {
            self.write(format_args!("a=ptime:{ptime}"));
        }
        if let Ice::Own { ufrag, pwd, trickle, candidates, end_of_candidates } = &relay.ice {
            self.write(format_args!("a=ice-ufrag:{ufrag}"));
            self.write(format_args!("a=ice-pwd:{pwd}"));
            if *trickle {
                self.line("a=ice-options:trickle");
            }
            candidates.iter().for_each(|candidate| self.write(format_args!("a=candidate:{candidate}")));
            if *end_of_candidates {
                self.line("a=end-of-candidates");
            }
        }
    }

    fn keys(&mut self, keys: &Keys) {
        for value in &keys.crypto {
            self.write(format_args!("a=crypto:{value}"));
        }
        if let Some(Dtls { setup, fingerprint, tls_id }) = &keys.dtls {
            self.write(format_args!("a=setup:{setup}"));
            self.write(format_args!("a=fingerprint:{fingerprint}"));
            if let Some(tls_id) = tls_id {
                self.write(format_args!("a=tls-id:{tls_id}"));
            }
        }
    }

    /// For each payload type its rtpmap, also where it is static, and what else belongs to it.
    fn formats(&mut self, media: &Media, listed: &[Listed<'_>]) {
        // What belongs to a number that comes again has been written.
        let mut seen = BTreeSet::new();
        for listed in listed {
            let format = match listed {
                Listed::There(format) => *format,
                Listed::Own(codec) => {
                    self.own_format(codec);
                    continue;
                }
            };
            if !seen.insert(format) {
                continue;
            }
            let of_format = |value: &str| value.split_ascii_whitespace().next() == Some(format);
            let mut own = media.attributes.iter().filter(|(_, value)| of_format(value));
            match own.clone().find(|(name, _)| name == "rtpmap") {
                Some((_, value)) => self.write(format_args!("a=rtpmap:{value}")),
                None => {
                    if let Some(codec) = format.parse().ok().and_then(Codec::of_static) {
                        self.write(format_args!("a=rtpmap:{}", codec.rtpmap()));
                    }
                }
            }
            for (name, value) in own.clone().filter(|(name, _)| name == "fmtp") {
                self.write(format_args!("a={name}:{value}"));
            }
            for (name, value) in own.by_ref().filter(|(name, _)| name == "rtcp-fb") {
                self.write(format_args!("a={name}:{value}"));
            }
        }
    }

    fn own_format(&mut self, codec: &Codec) {
        self.write(format_args!("a=rtpmap:{}", codec.rtpmap()));
        if let Some(fmtp) = &codec.fmtp {
            self.write(format_args!("a=fmtp:{} {fmtp}", codec.payload_type));
        }
    }

    fn first_line<'f>(
        &mut self,
        media: &Media,
        port: u16,
        protocol: Option<&str>,
        formats: impl Iterator<Item = Cow<'f, str>>,
    ) {
        let sdp = self.sdp;
        let line = &sdp.lines[media.lines.start];
        let was = line.value(&sdp.text).split_ascii_whitespace().nth(1);
        let count = was.and_then(|port| port.split_once('/')).filter(|_| port != 0);
        // Writing to a string cannot fail.
        let _ = write!(self.out, "m={} {port}", media.kind);
        if let Some((_, count)) = count {
            self.out.extend(["/", count]);
        }
        self.out.extend([" ", protocol.unwrap_or(&media.protocol)]);
        for format in formats {
            self.out.extend([" ", &*format]);
        }
        self.out.push_str(self.line_end);
    }

    fn connection(&mut self, address: IpAddr) {
        self.write(format_args!("c=IN {} {address}", family_of(address)));
    }

    fn lines(&mut self, lines: &[Line]) {
        lines.iter().for_each(|line| self.copy(line));
    }

    fn copy(&mut self, line: &Line) {
        let whole = &self.sdp.text[line.whole.clone()];
        self.out.push_str(whole);
        if !whole.ends_with('\n') {
            self.out.push_str(self.line_end);
        }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(text);
        self.out.push_str(self.line_end);
    }

    fn write(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(text);
        self.out.push_str(self.line_end);
    }
}

/// A format of a relayed section, as it will be listed.
enum Listed<'a> {
    There(&'a str),
    Own(&'a Codec),
}

impl<'a> Listed<'a> {
    fn of(format: &'a Format) -> Self {
        match format {
            Format::Kept(format) => Self::There(format),
            Format::Own(codec) => Self::Own(codec),
        }
    }

    /// Its word in the `m=` line.
    fn word(&self) -> Cow<'a, str> {
        match self {
            Self::There(format) => Cow::Borrowed(format),
            Self::Own(codec) => Cow::Owned(codec.payload_type.to_string()),
        }
    }
}

/// Whether a relayed section's line of this attribute is taken out and written at its end. What is malformed stays.
fn is_managed(name: &str, value: &str, is_rtp: bool) -> bool {
    let first = value.split_ascii_whitespace().next().unwrap_or_default();
    match name {
        "rtpmap" | "fmtp" => is_rtp && first.parse::<u8>().is_ok(),
        "rtcp-fb" => is_rtp && first != "*",
        "rtcp" | "rtcp-mux" | "ptime" => is_rtp,
        "crypto" => value.split_ascii_whitespace().nth(2).is_some(),
        "tls-id" => true,
        _ => MANAGED.contains(&name),
    }
}

fn is_direction(name: &str) -> bool {
    crate::media::Direction::read(name).is_some()
}

const fn family_of(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IP4" } else { "IP6" }
}
