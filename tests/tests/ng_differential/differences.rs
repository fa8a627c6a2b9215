//! What is meant to differ.

use patchcord_tests::ng::Difference;

/// Each with its reason. A difference that is there no more fails the test, so that this list stays true.
pub(crate) const MEANT: &[Difference] = &[
    instead(
        "*a stranger after the party",
        "x sends Rtp(0) to P2: b from P1",
        "x sends Rtp(0) to P2: nobody",
        "packets of strangers are dropped and counted unless --lax-source asks for them",
    ),
    instead(
        "*a stranger after the party",
        "b sends Rtp(0) to P1: x from P2",
        "b sends Rtp(0) to P1: a from P2",
        "a stranger cannot take a stream over from a party that sends from where it said",
    ),
    instead(
        "nothing is learnt, off",
        "n sends Rtp(0) to P2: b from P1",
        "n sends Rtp(0) to P2: nobody",
        "packets of strangers are dropped and counted unless --lax-source asks for them",
    ),
    anything("*", "  error-detail: *", "errors say where the mistake is, under a key of its own"),
    anything("messages", "*Failed to parse JSON document*", "errors say where the mistake is, behind the known words"),
    anything(
        "messages",
        "*Could not decode bencode dictionary*",
        "errors say where the mistake is, behind the known words",
    ),
    anything(
        "play what is not there",
        "  error-reason: Failed to start media playback from *",
        "errors say what is wrong with the file, behind the known words",
    ),
    instead(
        "line ends of LF only stay",
        "  sdp: a=rtpmap:0 PCMU/8000\\r\\n",
        "  sdp: a=rtpmap:0 PCMU/8000\\n",
        LINE_ENDS,
    ),
    instead(
        "line ends of LF only stay",
        "  sdp: a=rtpmap:8 PCMA/8000\\r\\n",
        "  sdp: a=rtpmap:8 PCMA/8000\\n",
        LINE_ENDS,
    ),
    instead("line ends of LF only stay", "  sdp: a=sendrecv\\r\\n", "  sdp: a=sendrecv\\n", LINE_ENDS),
    instead("line ends of LF only stay", "  sdp: a=rtcp:P1+1\\r\\n", "  sdp: a=rtcp:P1+1\\n", LINE_ENDS),
    anything("silence media", "* sends *", "silence is made by the relay at its own pace, not packet by packet"),
];

const LINE_ENDS: &str = "lines that are added end as the others do";

/// Lines of rtpengine's that are others here.
const fn instead(scenario: &'static str, line: &'static str, instead: &'static str, why: &'static str) -> Difference {
    Difference { scenario, line, instead: Some(instead), why }
}

/// Lines that are not compared.
const fn anything(scenario: &'static str, line: &'static str, why: &'static str) -> Difference {
    Difference { scenario, line, instead: None, why }
}
