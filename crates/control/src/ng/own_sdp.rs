//! Descriptions of the relay's own: offers to subscribers, made of what the publishers have sent, and answers to publishers.

use core::fmt::Write as _;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use std::hash::DefaultHasher;

use patchcord_ng::Options;
use patchcord_sdp::{Direction, Edit, Ice, Media, MediaEdit, Relay, RtcpAttribute, Sdp};

use super::NgConfig;
use super::keying::wanted;
use super::media::Told;

/// A publisher's description, and what becomes of its lines.
pub(super) struct Published<'a> {
    pub(super) sdp: &'a Sdp,
    pub(super) lines: Vec<Line>,
}

/// What becomes of one m= line.
pub(super) struct Line {
    pub(super) told: Told,
    /// Formats that are not offered.
    pub(super) without: Vec<String>,
    /// `a=mid`, where the publisher has none.
    pub(super) mid: Option<String>,
}

/// Who writes the descriptions that are not one publisher's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Author {
    pub(super) id: u64,
    pub(super) address: IpAddr,
}

impl Author {
    /// RFC 8866 5.2: the number tells this session from all others.
    pub(super) fn new(call: &str, created_us: u64, party: u32, address: IpAddr) -> Self {
        let mut hasher = DefaultHasher::new();
        (call, created_us, party).hash(&mut hasher);
        // Some read it as a signed number.
        Self { id: hasher.finish() >> 1, address }
    }

    fn session(&self) -> String {
        let Self { id, address } = self;
        format!("v=0\r\no=- {id} {id} IN {} {address}\r\ns=patchcord\r\nt=0 0\r\n", family(*address))
    }
}

/// The offer to a subscriber. That of one publisher is the publisher's own description with the relay in it; for several,
/// their sections follow each other.
pub(super) fn offer(published: &[Published<'_>], options: &Options, config: &NgConfig, author: Author) -> String {
    if let [one] = published {
        return rewritten(one, options, config, author.address);
    }
    let mut text = author.session();
    for one in published {
        sections(&rewritten(one, options, config, author.address), author.address, &mut text);
    }
    text
}

fn rewritten(published: &Published<'_>, options: &Options, config: &NgConfig, fallback: IpAddr) -> String {
    let Published { sdp, lines } = published;
    let here = lines.iter().find_map(|line| match line.told {
        Told::Here { rtp, .. } => Some(rtp.ip()),
        Told::Disabled => None,
    });
    let here = options.media_address.or(here).unwrap_or(fallback);
    let mut edit = Edit {
        origin: options.replace.origin.then_some(here),
        connection: options.replace.session_connection.then_some(here),
        ..Edit::default()
    };
    if config.drop_bundle {
        edit.without.push("group");
    }
    edit.media = sdp.media().iter().zip(lines).map(|(media, line)| edited(media, line, options, here)).collect();
    sdp.rewrite(&edit)
}

fn edited(media: &Media, line: &Line, options: &Options, here: IpAddr) -> MediaEdit {
    let Told::Here { rtp, rtcp, mux, mux_required, ice: _, ref protocol, ref keys, formats: _ } = line.told else {
        return MediaEdit::Disable { address: Some(here) };
    };
    let address = options.media_address.unwrap_or(rtp.ip());
    let port = if mux_required { rtp.port() } else { rtcp.port() };
    let attribute = RtcpAttribute { port, address: options.flags.full_rtcp_attribute.then_some(address) };
    MediaEdit::Relay(Box::new(Relay {
        address: Some(address),
        port: rtp.port(),
        protocol: wanted(options).or(Some(protocol)).map(str::to_owned).filter(|_| media.is_rtp()),
        formats_without: line.without.clone(),
        formats: None,
        mid: line.mid.clone(),
        direction: Some(match media.direction {
            Direction::SendRecv | Direction::SendOnly => Direction::SendOnly,
            Direction::RecvOnly | Direction::Inactive => Direction::Inactive,
        }),
        rtcp: (media.is_rtp() && !options.flags.no_rtcp_attribute).then_some(attribute),
        rtcp_mux: mux && media.is_rtp(),
        ptime_ms: media.ptime_ms.filter(|_| media.is_rtp()),
        without_maxptime: false,
        keys: keys.edit(),
        ice: Ice::Remove,
    }))
}

/// The m= lines of a description with what belongs to them, each with a c= of its own.
fn sections(sdp: &str, address: IpAddr, out: &mut String) {
    let lines: Vec<_> = sdp.lines().collect();
    let first = lines.iter().position(|line| line.starts_with("m=")).unwrap_or(lines.len());
    let session = lines[..first].iter().find(|line| line.starts_with("c="));
    for (at, line) in lines.iter().enumerate().skip(first) {
        put(out, line);
        let section = lines[at + 1..].iter().take_while(|line| !line.starts_with("m="));
        if line.starts_with("m=") && !section.clone().any(|line| line.starts_with("c=")) {
            match session {
                Some(connection) => put(out, connection),
                None => put(out, &format!("c=IN {} {address}", family(address))),
            }
        }
    }
}

/// The answer to a publisher, with one format for each line.
pub(super) fn answer(sdp: &Sdp, told: &[Told], options: &Options, author: Author) -> String {
    let mut text = author.session();
    for (media, told) in sdp.media().iter().zip(told) {
        let format = accepted(media);
        let Told::Here { rtp, rtcp, mux, .. } = *told else {
            put(&mut text, &format!("m={} 0 {} {format}", media.kind, media.protocol));
            continue;
        };
        let address = options.media_address.unwrap_or(rtp.ip());
        put(&mut text, &format!("m={} {} {} {format}", media.kind, rtp.port(), media.protocol));
        put(&mut text, &format!("c=IN {} {address}", family(address)));
        if let Some(mid) = &media.mid {
            put(&mut text, &format!("a=mid:{mid}"));
        }
        if let Some(codec) = media.codecs.iter().find(|codec| codec.payload_type.to_string() == format) {
            put(&mut text, &format!("a=rtpmap:{}", codec.rtpmap()));
        }
        let direction = match media.direction {
            Direction::SendRecv | Direction::SendOnly => Direction::RecvOnly,
            Direction::RecvOnly | Direction::Inactive => Direction::Inactive,
        };
        put(&mut text, &format!("a={}", direction.as_str()));
        if !media.is_rtp() {
            continue;
        }
        if !options.flags.no_rtcp_attribute {
            let port = if mux { rtp.port() } else { rtcp.port() };
            let full = options.flags.full_rtcp_attribute;
            let at = if full { format!(" IN {} {address}", family(address)) } else { String::new() };
            put(&mut text, &format!("a=rtcp:{port}{at}"));
        }
        if mux {
            put(&mut text, "a=rtcp-mux");
        }
        if let Some(ptime) = media.ptime_ms {
            put(&mut text, &format!("a=ptime:{ptime}"));
        }
    }
    text
}

/// The format that a publisher is told to send: its first one that carries media.
pub(super) fn accepted(media: &Media) -> &str {
    let events = |format: &&String| {
        let codec = media.codecs.iter().find(|codec| codec.payload_type.to_string() == **format);
        codec
            .is_some_and(|codec| ["telephone-event", "CN"].iter().any(|name| codec.encoding.eq_ignore_ascii_case(name)))
    };
    let first = media.formats.iter().find(|format| !events(format)).or_else(|| media.formats.first());
    first.map_or("", String::as_str)
}

fn put(out: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{line}\r\n");
}

const fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IP4" } else { "IP6" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn sections_have_addresses_of_their_own() {
        let mut text = String::new();
        sections(
            "v=0\nc=IN IP4 192.0.2.7\nm=audio 1 RTP/AVP 0\na=x\nm=video 2 RTP/AVP 96\nc=IN IP4 192.0.2.8\n",
            ADDRESS,
            &mut text,
        );
        assert_eq!(
            text,
            "m=audio 1 RTP/AVP 0\r\nc=IN IP4 192.0.2.7\r\na=x\r\nm=video 2 RTP/AVP 96\r\nc=IN IP4 192.0.2.8\r\n"
        );
    }

    #[test]
    fn a_publisher_sends_its_first_format_that_carries_media() {
        let media = |formats: &str| {
            let text = format!(
                "v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 1 RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\n"
            );
            accepted(&Sdp::parse(text.as_bytes()).expect("it is SDP").media()[0]).to_owned()
        };
        assert_eq!(["101 13 8 0", "0", "101", "97 0"].map(media), ["8", "0", "101", "97"]);
    }
}
