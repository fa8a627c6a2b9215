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
    instead(
        "messages",
        "  d6:result5:error12:error-reason36:Dictionary contains no key \\\"command\\\"e",
        "  d6:result5:error12:error-reason20:Unrecognized commande",
        "a number is read as the text of its digits",
    ),
    anything("values of the wrong kind", "*", "a number is read as the text of its digits"),
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
        "an answer that is no subset of the offer is passed on as it is",
    ),
    anything(
        "a mid of the relay's own",
        "  sdp: a=mid:*",
        "a mid is made where the flag is given, not in later offers without it",
    ),
    anything("muxed RTCP is*split*", "  sdp: a=rtcp*", "mixtures with demux: what was agreed last counts"),
    // Ports and branches.
    anything(
        "two answers to one offer, the last one wins",
        "a sends *",
        "packets leave from the port that the SDP named; one port belongs to one branch",
    ),
    anything("a fork with a branch for each phone", "* sends *", BRANCHES),
    anything("another to-tag within a call", "b sends *", BRANCHES),
    instead(
        "a transfer by re-INVITE: the callee's place is taken",
        "a sends Rtp(0) to P2: c from P1",
        "a sends Rtp(0) to P2: nobody",
        OLD_PORTS,
    ),
    instead(
        "ports from before a re-offer stay open",
        "b sends Rtp(0) to P1: a2 from P2",
        "b sends Rtp(0) to P1: nobody",
        OLD_PORTS,
    ),
    // What the media commands do.
    anything("silence media", "* sends *", "silence is a stream of the relay's own, at its own pace"),
    // What is told.
    anything("*quer*", "  tags.*", TOLD),
    anything("*quer*", "  SSRC.*", TOLD),
    anything("*quer*", "  totals.RTCP.*", TOLD),
    anything(
        "a call that nobody knows is deleted",
        "  tags.*",
        "a tag that nobody knows does not keep the call from being told",
    ),
    anything("lists of calls", "*", "a limit below zero is none"),
    anything("tags that nobody knows", "  error-reason: *", "what is looked at first differs"),
    // ICE.
    anything("ICE*", "  sdp: a=ice-lite*", LITE),
    anything("ICE forced upon*", "  sdp: a=ice-*", UNASKED),
    anything("ICE forced upon*", "  sdp: a=candidate:*", UNASKED),
    // Not built.
    anything("subscribe*", "*", NOT_BUILT),
    anything("publish", "*", NOT_BUILT),
    anything("start forwarding", "  *", NOT_BUILT),
    anything("recording is told", "  error-reason: *", NOT_BUILT),
    anything("play what is not there", "  error-reason: *", NOT_BUILT),
];

const STRANGERS: &str = "packets of strangers are dropped and counted unless --lax-source asks for them";
const BEHIND: &str = "errors say where the mistake is, behind the known words";
const OLD_PORTS: &str = "a port that the last SDP no longer names is closed";
const BRANCHES: &str = "each of a party's ports belongs to one branch; a branch that another has replaced is not heard";
const TOLD: &str =
    "statistics are told in the same shape, with keys of the relay's own and without those of rtpengine's inner life";
const LITE: &str = "rtpengine is a full agent, which checks by itself; this one is lite, and says so (RFC 8839 5.3)";
const UNASKED: &str = "an answer has ICE only if its offer had it (RFC 8839 4.2.2), whatever is forced";
const NOT_BUILT: &str = "not built yet: a command that is not there says so before anything else is looked at";

/// Lines of rtpengine's that are others here.
const fn instead(scenario: &'static str, line: &'static str, instead: &'static str, why: &'static str) -> Difference {
    Difference { scenario, line, instead: Some(instead), why }
}

/// Lines that are not compared.
const fn anything(scenario: &'static str, line: &'static str, why: &'static str) -> Difference {
    Difference { scenario, line, instead: None, why }
}
