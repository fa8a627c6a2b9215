//! What differs: on purpose, or because it is not built yet.

use patchcord_tests::ng::Difference;

/// Each with its reason. A difference that is there no more fails the test, so that this list stays true.
pub(crate) const DIFFERENCES: &[Difference] = &[
    // Sources.
    instead(
        "*a stranger after the party",
        "x sends Rtp(0) to P2: b from P1",
        "x sends Rtp(0) to P2: nobody",
        STRANGERS,
    ),
    instead(
        "*a stranger after the party",
        "b sends Rtp(0) to P1: x from P2",
        "b sends Rtp(0) to P1: a from P2",
        "a stranger cannot take a stream over from a party that sends from where it said",
    ),
    instead("nothing is learnt, off", "n sends Rtp(0) to P2: b from P1", "n sends Rtp(0) to P2: nobody", STRANGERS),
    // Words.
    anything("*", "  error-detail: *", "errors say where the mistake is, under a key of its own"),
    anything("messages", "*Failed to parse JSON document*", BEHIND),
    anything("messages", "*Could not decode bencode dictionary*", BEHIND),
    anything("play what is not there", "  error-reason: Failed to start media playback from *", BEHIND),
    // Lines.
    anything("line ends of LF only stay", "  sdp: a=*", "lines that are added end as the others do"),
    anything(
        "descriptions that are none",
        "*",
        "what can be relayed without harm is taken: an odd v= or o= line, unknown payload types",
    ),
    anything(
        "an answer has only what was offered",
        "  sdp: *",
        "formats that the answerer numbers anew stay, as RFC 3264 6.1 allows it, and what it alone has is not replaced by what it \
         has not: nothing is transcoded",
    ),
    // Codecs.
    anything("codecs put in order", "  sdp: *", "`offer` puts codecs first, as rtpengine's manual has it"),
    anything(
        "codecs transcoded to, with key presses of another clock",
        "  sdp: *",
        "key presses pass between clocks, so that the offerer is answered its own",
    ),
    // Ports and branches.
    anything(
        "two answers to one offer, the last one wins",
        "a sends *",
        "packets leave from the port that the SDP named; one port belongs to one branch",
    ),
    anything("a fork with a branch for each phone", "* sends *", BRANCHES),
    anything("another to-tag within a call", "b sends *", BRANCHES),
    // What the media commands do.
    anything("silence media", "* sends *", "silence is a stream of the relay's own, at its own pace"),
    // What is told.
    anything("*quer*", "  tags.*", TOLD),
    anything("*quer*", "  SSRC.*", TOLD),
    anything("*quer*", "  totals.RTCP.*", TOLD),
    anything("subscribe*", "  tag-medias.*", TAG_MEDIAS),
    anything("publish", "  tag-medias.*", TAG_MEDIAS),
    // ICE.
    anything("ICE*", "  sdp: a=ice-lite*", LITE),
    anything("ICE forced upon*", "  sdp: a=ice-*", UNASKED),
    anything("ICE forced upon*", "  sdp: a=candidate:*", UNASKED),
    anything(
        "ICE forced",
        "  sdp: a=ice-*",
        "an offer that follows one that was answered without ICE has credentials of its own",
    ),
    anything("ICE with muxed RTCP*", "  sdp: a=ice-options*", "later offers say trickle only if their author does"),
    anything("ICE offers the addresses*", "  sdp: a=candidate:*", OWN_ADDRESS),
    anything("ICE offers the addresses*", "  sdp: a=rtcp:*", OWN_ADDRESS),
    anything("ICE offers the addresses*", "  sdp: m=audio *", OWN_ADDRESS),
    // Keys.
    anything("keys: DTLS offered*", "  sdp: a=crypto:*", ONE_KEYING),
    anything("keys: DTLS offered, and on both sides", "  sdp: a=fingerprint:*", UNREAD),
    anything("keys: DTLS offered*", "  sdp: a=rtcp-mux*", DTLS_MUX),
    anything("keys: DTLS offered*", "  sdp: a=tls-id:*", TLS_ID),
    // Key presses.
    instead(
        "play DTMF",
        "a sends Rtp(0) to P2: b from P1 with another SSRC",
        "a sends Rtp(0) to P2: b from P1",
        "the stream that keys are put into goes on under its SSRC",
    ),
    instead(
        "play DTMF",
        "b sends Rtp(0) to P1: a from P2 with another SSRC",
        "b sends Rtp(0) to P1: a from P2",
        "the stream that keys are put into goes on under its SSRC",
    ),
    // Not built.
    anything("start forwarding", "  *", NOT_BUILT),
    anything("recording is told", "  result: *", PAUSE),
    anything("recording is told", "  error-reason: *", PAUSE),
];

const STRANGERS: &str = "packets of strangers are dropped and counted unless --lax-source asks for them";
const BEHIND: &str = "errors say where the mistake is, behind the known words";
const BRANCHES: &str = "each of a party's ports belongs to one branch; a branch that another has replaced is not heard";
const TOLD: &str =
    "statistics are told in the same shape, with keys of the relay's own and without those of rtpengine's inner life";
const LITE: &str = "rtpengine is a full agent, which checks by itself; this one is lite, and says so (RFC 8839 5.3)";
const UNASKED: &str = "an answer has ICE only if its offer had it (RFC 8839 4.2.2), whatever is forced";
const OWN_ADDRESS: &str =
    "candidates are of the address that the leg is on; rtpengine opens ports on all of the interface";
const ONE_KEYING: &str = "who is offered DTLS is not offered keys in SDP too";
const UNREAD: &str =
    "what both sides speak in the same way passes with their own handshake, whatever their certificates are";
const DTLS_MUX: &str = "DTLS asks for muxed RTCP by itself: one association is enough then";
const TLS_ID: &str = "an offer names its association (RFC 8842 5.1)";
const TAG_MEDIAS: &str = "what a subscription consists of is told as later versions do";
const PAUSE: &str = "rtpengine 10.5 does not know `pause recording`, which OpenSIPS sends";
const NOT_BUILT: &str = "not built yet: a command that is not there says so before anything else is looked at";

/// Lines of rtpengine's that are others here.
const fn instead(scenario: &'static str, line: &'static str, instead: &'static str, why: &'static str) -> Difference {
    Difference { scenario, line, instead: Some(instead), why }
}

/// Lines that are not compared.
const fn anything(scenario: &'static str, line: &'static str, why: &'static str) -> Difference {
    Difference { scenario, line, instead: None, why }
}
