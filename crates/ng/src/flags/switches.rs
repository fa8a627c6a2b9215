//! Flags that are just words: there or not.

macro_rules! switches {
    (
        $(#[$outer:meta])* $name:ident
        $($(#[$doc:meta])* $field:ident = $($word:literal)|+;)*
    ) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: bool,)*
        }

        impl $name {
            /// Sets what a word in lower case with hyphens stands for. False: nobody knows it.
            pub(super) fn set(&mut self, word: &str) -> bool {
                match word {
                    $($($word)|+ => self.$field = true,)*
                    _ => return false,
                }
                true
            }
        }
    };
}

switches! {
    /// `flags`, as far as they have no value.
    Switches
    /// The endpoint sends from elsewhere than it receives.
    asymmetric = "asymmetric";
    /// The default, said aloud.
    symmetric = "symmetric";
    /// Media of one direction only.
    unidirectional = "unidirectional";
    /// What does not come from the learned source is dropped.
    strict_source = "strict-source";
    /// The source is learned again at any time.
    media_handover = "media-handover";
    /// What was learned about the endpoints is forgotten.
    reset = "reset";
    /// Direction attributes stay as they came.
    original_sendrecv = "original-sendrecv";
    /// The SDP of a subscription is inactive.
    inactive = "inactive";
    /// `a=rtcp` has the address too.
    full_rtcp_attribute = "full-rtcp-attribute" | "full-rtcp-attr";
    /// No `a=rtcp`.
    no_rtcp_attribute = "no-rtcp-attribute" | "no-rtcp-attr";
    /// An SDP that was handled already is left alone.
    loop_protect = "loop-protect";
    /// All codecs of both sides are taken.
    always_transcode = "always-transcode";
    /// An answer may take fewer codecs than were offered.
    allow_transcoding = "allow-transcoding";
    /// Both directions may have codecs of their own.
    asymmetric_codecs = "asymmetric-codecs";
    /// Both directions have one codec.
    symmetric_codecs = "symmetric-codecs";
    /// Nothing is written to a database.
    no_redis_update = "no-redis-update";
    /// Everything about this call is logged.
    debug = "debug" | "debugging";
    /// The SDP is a fragment (RFC 8840).
    fragment = "fragment";
    /// Packets are sent to open a NAT.
    pierce_nat = "pierce-nat";
    /// Nothing is sent before something was received.
    nat_wait = "nat-wait";
    /// DTMF tones are looked for.
    detect_dtmf = "detect-dtmf";
    /// DTMF can be injected.
    inject_dtmf = "inject-dtmf";
    /// DTMF events are not relayed.
    block_dtmf = "block-dtmf";
    /// Packets that are too short are dropped.
    block_short = "block-short" | "block-short-packets" | "block-short-packet";
    /// Trickle ICE is offered.
    trickle_ice = "trickle-ice";
    /// Offered ICE is refused.
    reject_ice = "reject-ice";
    /// A player starts with the offer.
    early_media = "early-media";
    /// Media towards the selected party is meant, not from it.
    egress = "egress";
    /// Problems of a `delete` are errors.
    fatal = "fatal";
    /// Media is copied also the other way.
    mirror = "mirror";
    /// RTCP is copied also the other way.
    rtcp_mirror = "rtcp-mirror" | "mirror-rtcp";
    /// A recording is interrupted.
    pause = "pause";
    /// A recording is thrown away.
    discard_recording = "discard-recording";
    /// A party is not recorded.
    exclude_recording = "exclude-recording";
    /// `a=mid` is added.
    generate_mid = "generate-mid";
    /// `a=extmap` is taken out.
    strip_extmap = "strip-extmap";
    /// An answer keeps its first codec only.
    single_codec = "single-codec";
    /// Codecs do not change during a call.
    reuse_codecs = "reuse-codecs" | "no-codec-renegotiation";
    /// Both parties of a `connect` or a subscription hear each other.
    bidirectional = "bidirectional";
}

switches! {
    /// `replace`: what else is rewritten in an SDP.
    Replace
    /// The address in `o=`.
    origin = "origin";
    /// The session's `c=`.
    session_connection = "session-connection";
    /// `s=`.
    session_name = "session-name";
    /// The version in `o=` counts the SDPs that differ.
    sdp_version = "sdp-version";
    /// The version grows with every SDP.
    force_increment_sdp_ver = "force-increment-sdp-ver" | "force-increment-sdp-version";
    /// The user name in `o=`.
    username = "username";
    /// An address of zeros.
    zero_address = "zero-address";
}

switches! {
    /// `rtcp-mux` (RFC 5761).
    RtcpMux
    /// Is always offered.
    offer = "offer";
    /// Is offered as if it had been accepted: no other port is named.
    require = "require";
    /// Is accepted but not passed on.
    demux = "demux";
    /// Is accepted, and passed on.
    accept = "accept";
    /// Is refused.
    reject = "reject";
}
