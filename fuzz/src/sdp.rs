//! Any bytes as a session description.

use patchcord_sdp::{Direction, Edit, Ice, MediaEdit, Relay, RtcpAttribute, Sdp};

/// What is read is kept byte for byte; what is rewritten is a description again, with the relay in it and everything that it
/// does not manage where it was.
pub fn sdp(bytes: &[u8]) {
    let Ok(sdp) = Sdp::parse(bytes) else { return };
    assert_eq!(sdp.as_str().as_bytes(), bytes);
    let same = sdp.rewrite(&Edit::default());
    // A missing last line end is added, and a text of blank lines alone has no line to belong to.
    assert!(same.trim_end() == sdp.as_str().trim_end() || sdp.as_str().trim().is_empty());

    let relay = Relay {
        address: Some([192, 0, 2, 1].into()),
        port: 30_000,
        protocol: None,
        formats_without: Vec::new(),
        formats: None,
        mid: None,
        direction: Some(Direction::SendRecv),
        rtcp: Some(RtcpAttribute { port: 30_001, address: None }),
        rtcp_mux: true,
        ptime_ms: Some(20),
        without_maxptime: false,
        keys: None,
        ice: Ice::Remove,
    };
    let media = sdp.media().iter().map(|_| MediaEdit::Relay(Box::new(relay.clone()))).collect();
    let rewritten = sdp.rewrite(&Edit { media, ..Edit::default() });
    // Lines that are added may take a description of the largest size over it.
    let Ok(again) = Sdp::parse(rewritten.as_bytes()) else {
        assert!(rewritten.len() > patchcord_sdp::LEN_MAX || rewritten.lines().count() > patchcord_sdp::LINES_MAX);
        return;
    };
    assert_eq!(again.media().len(), sdp.media().len());
    for (before, after) in sdp.media().iter().zip(again.media()) {
        assert_eq!((after.port, &after.kind, &after.protocol), (30_000, &before.kind, &before.protocol));
        assert_eq!((&after.formats, &after.codecs), (&before.formats, &before.codecs));
        assert!(after.candidates.is_empty());
        let unmanaged = |name: &str| name.starts_with("x-");
        let kept = |media: &patchcord_sdp::Media| {
            media.attributes.iter().filter(|(name, _)| unmanaged(name)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(kept(before), kept(after));
    }
}
