//! Another parser's word on the same descriptions: what both read they read alike, and where they part is listed here.

use std::{fs, path::Path};

use patchcord_sdp::{Direction, Media, Sdp, SdpError};
use proptest::prelude::*;
use sdp_types::{AddrType, Attribute, Connection, ParserError, RtpMap, Session};

/// Reads a description with both; what one of them refuses must be on the lists below.
fn agree(text: &[u8]) -> Result<(), String> {
    match (Sdp::parse(text), Session::parse(text)) {
        (Ok(ours), Ok(theirs)) => same(&ours, &theirs),
        (Ok(_), Err(error)) if tolerated(&error) => Ok(()),
        (Err(error), Ok(theirs)) if refused(&error, &theirs) => Ok(()),
        (Err(_), Err(_)) => Ok(()),
        (Ok(_), Err(theirs)) => Err(format!("the other parser alone refuses: {theirs}")),
        (Err(ours), Ok(_)) => Err(format!("the other parser reads what is refused here: {ours}")),
    }
}

/// What a relay takes though it is no description by the book: it passes lines on that it need not understand, and phones write
/// worse than this.
fn tolerated(error: &ParserError) -> bool {
    use ParserError::{
        FieldTrailingData, InvalidFieldFormat, InvalidLineFormat, InvalidVersion, MissingField, MultipleConnections,
        MultipleKeys, MultipleMediaTitles, MultipleOrigins, MultipleSessionDescription, MultipleSessionNames,
        MultipleTimeZones, MultipleUris, MultipleVersions, NoVersion, RepeatWithoutTime,
    };
    match error {
        // Whether there is a `v=0`, and which, is the caller's business: rtpengine and the ng front refuse these.
        // A control character within a line stays there; blanks on a line alone are a blank line. The last of several counts, or none
        // of them is looked at.
        NoVersion
        | InvalidVersion(..)
        | MultipleVersions(_)
        | InvalidLineFormat(..)
        | MultipleOrigins(_)
        | MultipleSessionNames(_)
        | MultipleSessionDescription(_)
        | MultipleUris(_)
        | MultipleConnections(_)
        | MultipleTimeZones(_)
        | MultipleMediaTitles(_)
        | MultipleKeys(_)
        | RepeatWithoutTime(_) => true,
        // Lines that a relay does not look into, the network of a c= line, the count of ports of an m= line, blanks in it, and one without formats.
        MissingField(_, field) | InvalidFieldFormat(_, field) | FieldTrailingData(_, field) => {
            const KNOWN: [&str; 10] = [
                "Origin",
                "Connection nettype",
                "Bandwidth",
                "Time",
                "Repeat",
                "Media port",
                "Media num-ports",
                "Media proto",
                "Media fmt",
                "Key",
            ];
            KNOWN.iter().any(|known| field.starts_with(known))
        }
        _ => false,
    }
}

/// What a relay refuses: it must know where media goes, and somebody could mean harm.
fn refused(error: &SdpError, theirs: &Session) -> bool {
    match error {
        // Bytes that are no text in lines that the other parser does not look into; a letter that is none: `=x` and `1=x`.
        SdpError::NotText { .. }
        | SdpError::TooLong(_)
        | SdpError::TooManyLines
        | SdpError::TooManyMedia
        | SdpError::NotALine { .. } => true,
        // A host name, an address of the other family, another network.
        SdpError::Malformed { what: "c=", .. } => {
            let all = theirs.connection.iter().chain(theirs.medias.iter().flat_map(|media| &media.connections));
            all.into_iter().any(|connection| address(connection).is_none())
        }
        // An empty word where the other parser splits at every blank.
        SdpError::Malformed { what: "m=", .. } => {
            theirs.medias.iter().any(|media| media.media.trim().is_empty() || media.proto.trim().is_empty())
        }
        _ => false,
    }
}

fn same(ours: &Sdp, theirs: &Session) -> Result<(), String> {
    let session = ours.session();
    compare("session address", &session.address, &theirs.connection.as_ref().and_then(address))?;
    compare("session direction", &session.direction, &direction(&theirs.attributes))?;
    compare("session attributes", &session.attributes, &pairs(&theirs.attributes))?;
    compare("version", &session.version, &Some(0))?;
    compare("sections", &ours.media().len(), &theirs.medias.len())?;
    ours.media().iter().zip(&theirs.medias).try_for_each(|(ours, media)| same_media(ours, media, theirs))
}

fn same_media(ours: &Media, theirs: &sdp_types::Media, session: &Session) -> Result<(), String> {
    if theirs.proto.is_empty() {
        // Two blanks in a row stand for one here, and for an empty word there.
        return Ok(());
    }
    let formats: Vec<_> = theirs.fmt.split_ascii_whitespace().map(str::to_owned).collect();
    compare("kind", &ours.kind, &theirs.media)?;
    compare("port", &ours.port, &theirs.port)?;
    compare("protocol", &ours.protocol, &theirs.proto)?;
    compare("formats", &ours.formats, &formats)?;
    // Several are addresses of a multicast: the last one counts here.
    let own = theirs.connections.last().and_then(address);
    compare("own address", &ours.own_address, &own)?;
    compare("address", &ours.address, &own.or(session.connection.as_ref().and_then(address)))?;
    let direction = direction(&theirs.attributes).or_else(|| direction(&session.attributes));
    compare("direction", &ours.direction, &direction.unwrap_or_default())?;
    compare("attributes", &ours.attributes, &pairs(&theirs.attributes))?;
    compare(
        "rtcp-mux",
        &ours.rtcp_mux,
        &theirs.attributes.iter().any(|attribute| attribute.attribute.trim_end() == "rtcp-mux"),
    )?;
    codecs(ours, theirs)
}

/// The rtpmap of each format of the m= line.
fn codecs(ours: &Media, theirs: &sdp_types::Media) -> Result<(), String> {
    let values = theirs.attributes.iter().filter(|attribute| attribute.attribute == "rtpmap");
    let values: Vec<_> = values.filter_map(|attribute| attribute.value.as_deref()).collect();
    for codec in ours.codecs.iter().filter(|_| ours.is_rtp()) {
        let number = codec.payload_type;
        // Blanks around the parts are forgiven here, and an encoding without a name is none.
        let plain = |value: &&&str| !value.contains("//") && !value.contains(" /") && !value.contains("/ ");
        let of_number = |map: &RtpMap| map.payload_type == number && !map.encoding_name.is_empty();
        let maps = values.iter().filter(plain).filter_map(|value| value.trim_end().parse::<RtpMap>().ok());
        let Some(map) = maps.clone().find(of_number) else { continue };
        let channels = map.encoding_params.as_deref().and_then(|params| params.parse().ok()).unwrap_or(1);
        let theirs = (map.encoding_name.trim(), map.clock_rate, channels);
        compare("codec", &(codec.encoding.as_str(), codec.clock_rate, codec.channels), &theirs)?;
    }
    // What the other one finds for a format of the m= line is found here.
    for format in ours.formats.iter().filter(|_| ours.is_rtp()) {
        let mut named = values.iter().filter_map(|value| value.parse::<RtpMap>().ok());
        let known = |map: RtpMap| map.payload_type.to_string() == *format && !map.encoding_name.trim().is_empty();
        if named.any(known) {
            let found = ours.codecs.iter().any(|codec| codec.payload_type.to_string() == *format);
            compare("whether there is a codec", &found, &true)?;
        }
    }
    Ok(())
}

/// What stands for a network, and the TTL and count of a multicast, are not looked at here.
fn address(connection: &Connection) -> Option<core::net::IpAddr> {
    let ip: core::net::IpAddr = connection.connection_address.split('/').next()?.parse().ok()?;
    let of_family = match connection.addrtype {
        AddrType::Ip4 => ip.is_ipv4(),
        AddrType::Ip6 => ip.is_ipv6(),
        _ => false,
    };
    of_family.then_some(ip)
}

/// The last one counts.
fn direction(attributes: &[Attribute]) -> Option<Direction> {
    attributes.iter().rev().find_map(|attribute| match attribute.attribute.trim_end() {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    })
}

/// Blanks at the end of a line are no part of a value here.
fn pairs(attributes: &[Attribute]) -> Vec<(String, String)> {
    let pair = |Attribute { attribute, value }: &Attribute| match value {
        Some(value) => (attribute.clone(), value.trim_end().to_owned()),
        None => (attribute.trim_end().to_owned(), String::new()),
    };
    attributes.iter().map(pair).collect()
}

fn compare<T: PartialEq + core::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours:?} here, {theirs:?} there")) }
}

fn must_agree(text: &[u8]) {
    agree(text).unwrap_or_else(|error| panic!("{error}\n{}", text.escape_ascii()));
}

/// Descriptions as phones and browsers write them.
const REAL: &[&str] = &[
    "v=0\r\no=- 3899 1 IN IP4 192.0.2.5\r\ns=pjmedia\r\nb=AS:84\r\nt=0 0\r\na=X-nat:0\r\nm=audio 4000 RTP/AVP 98 97 8 0 3 96\r\n\
     c=IN IP4 192.0.2.5\r\nb=TIAS:64000\r\na=rtcp:4001 IN IP4 192.0.2.5\r\na=sendrecv\r\na=rtpmap:98 speex/16000\r\n\
     a=rtpmap:97 speex/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:3 GSM/8000\r\n\
     a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=ssrc:1 cname:x\r\n",
    "v=0\r\no=jdoe 2890844526 2890842807 IN IP4 10.47.16.5\r\ns=SDP Seminar\r\ni=A Seminar\r\nu=http://www.example.com/sdp.ps\r\n\
     e=j.doe@example.com (Jane Doe)\r\nc=IN IP4 224.2.17.12/127\r\nt=2873397496 2873404696\r\na=recvonly\r\n\
     m=audio 49170 RTP/AVP 0\r\nm=video 51372/2 RTP/AVP 99\r\na=rtpmap:99 h263-1998/90000\r\n",
    "v=0\r\no=- 20518 0 IN IP6 2001:db8::5\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\nm=audio 54609 UDP/TLS/RTP/SAVPF 109 0 8\r\n\
     c=IN IP6 2001:db8::5\r\na=mid:0\r\na=rtpmap:109 opus/48000/2\r\na=ptime:60\r\na=rtcp-mux\r\na=recvonly\r\n\
     m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP6 ::\r\na=mid:1\r\na=sctp-port:5000\r\n",
];

#[test]
fn committed_descriptions_are_read_alike() {
    REAL.iter().for_each(|text| {
        assert!(Sdp::parse(text.as_bytes()).is_ok() && Session::parse(text.as_bytes()).is_ok(), "{text}");
        must_agree(text.as_bytes());
    });
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/sdp");
    let files: Vec<_> = fs::read_dir(folder).expect("the corpus is there").filter_map(Result::ok).collect();
    assert!(files.len() > 5);
    for file in files {
        must_agree(&fs::read(file.path()).expect("a file of the corpus is read"));
    }
}

/// What the other parser refuses and a relay takes: each is meant.
#[test]
fn what_is_tolerated_is_tolerated_on_purpose() {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    for lines in [
        "m=audio 4000 RTP/AVP",
        "m=audio  4000 RTP/AVP 0",
        "m=audio 4000/x RTP/AVP 0",
        "m=audio 4000 RTP/AVP 0\r\nc=@ IP4 192.0.2.2",
        "m=audio 4000 RTP/AVP 0\r\nb=AS",
        "m=audio 4000 RTP/AVP 0\r\ni=x\r\ni=y",
        "m=audio 4000 RTP/AVP 0\r\na=x\0y",
        "o=x\r\nm=audio 4000 RTP/AVP 0",
        "s=again\r\nm=audio 4000 RTP/AVP 0",
        "t=x\r\nm=audio 4000 RTP/AVP 0",
        "c=IN IP4 192.0.2.2\r\nm=audio 4000 RTP/AVP 0",
        " \r\nm=audio 4000 RTP/AVP 0",
    ] {
        let text = format!("{head}{lines}\r\n");
        assert!(Session::parse(text.as_bytes()).is_err(), "the other parser takes it by now: {text:?}");
        let sdp = Sdp::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text:?}"));
        assert_eq!((sdp.media().len(), sdp.media()[0].port), (1, 4000), "{text:?}");
        must_agree(text.as_bytes());
    }
}

/// Lines of a media section, as the book has them.
fn attribute() -> impl Strategy<Value = String> {
    prop_oneof![
        (0_u8..128, "[A-Za-z][A-Za-z0-9-]{0,8}", 1_u32..200_000)
            .prop_map(|(n, name, rate)| format!("rtpmap:{n} {name}/{rate}")),
        (96_u8..128, 1_u8..9).prop_map(|(n, channels)| format!("rtpmap:{n} opus/48000/{channels}")),
        Just("sendonly".to_owned()),
        Just("recvonly".to_owned()),
        Just("inactive".to_owned()),
        Just("sendrecv".to_owned()),
        Just("rtcp-mux".to_owned()),
        any::<u16>().prop_map(|port| format!("rtcp:{port}")),
        (1_u32..200).prop_map(|ms| format!("ptime:{ms}")),
        "mid:[a-z0-9]{1,4}",
        "[a-z-]{1,9}(:[!-~]{1,9}( [!-~]{1,9}){0,2})?",
    ]
}

fn connection() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| format!("c=IN IP4 {}\r\n", core::net::Ipv4Addr::from(ip))),
        any::<[u16; 8]>().prop_map(|ip| format!("c=IN IP6 {}\r\n", core::net::Ipv6Addr::from(ip))),
        Just("c=IN IP4 0.0.0.0\r\n".to_owned()),
        Just(String::new()),
    ]
}

fn section() -> impl Strategy<Value = String> {
    let protocol = prop_oneof![3 => Just("RTP/AVP"), 1 => Just("RTP/SAVPF"), 1 => Just("udptl")];
    let formats = proptest::collection::vec(0_u8..128, 1..6);
    let attributes = proptest::collection::vec(attribute(), 0..8);
    ("(audio|video|image)", any::<u16>(), protocol, formats, connection(), attributes).prop_map(
        |(kind, port, protocol, formats, connection, attributes)| {
            let formats: String = formats.iter().map(|format| format!(" {format}")).collect();
            let attributes: String = attributes.iter().map(|attribute| format!("a={attribute}\r\n")).collect();
            format!("m={kind} {port} {protocol}{formats}\r\n{connection}{attributes}")
        },
    )
}

fn description() -> impl Strategy<Value = String> {
    let attributes = proptest::collection::vec(attribute(), 0..3);
    (connection(), attributes, proptest::collection::vec(section(), 0..5)).prop_map(
        |(connection, attributes, sections)| {
            let attributes: String = attributes.iter().map(|attribute| format!("a={attribute}\r\n")).collect();
            let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n";
            format!("{head}{connection}t=0 0\r\n{attributes}{}", sections.concat())
        },
    )
}

/// Bytes that get into a text. Tabs are not among them: they part words here, and are letters of a word there.
fn damage() -> impl Strategy<Value = u8> {
    prop_oneof![b' '..=b'~', prop::sample::select(&b"\r\n =:/0\0\xff"[..])]
}

proptest! {
    #[test]
    fn descriptions_by_the_book_are_read_alike(text in description()) {
        prop_assert!(Session::parse(text.as_bytes()).is_ok());
        prop_assert!(Sdp::parse(text.as_bytes()).is_ok());
        prop_assert_eq!(agree(text.as_bytes()), Ok(()));
    }

    #[test]
    fn damaged_descriptions_are_read_alike_or_refused_for_a_known_reason(
        text in description(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), damage(), 0_u8..3), 1..6),
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        prop_assert_eq!(agree(&bytes), Ok(()), "{}", bytes.escape_ascii());
    }
}
