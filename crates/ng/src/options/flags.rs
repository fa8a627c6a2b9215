//! Words that are said or not.

macro_rules! flags {
    ($($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $field:ident = $word:literal $(| $other:literal)*,)* })*) => {$(
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: bool,)*
        }

        impl $name {
            /// Sets the flag of a word in its normal spelling; `false`: there is none.
            pub(super) fn set(&mut self, word: &str) -> bool {
                match word {
                    $($word $(| $other)* => self.$field = true,)*
                    _ => return false,
                }
                true
            }
        }
    )*};
}

flags! {
    /// `flags`: words that are said or not.
    Flags {
        /// The address of the SDP is right.
        trust_address = "trust-address",
        /// The address that the SIP message came from is right.
        sip_source_address = "sip-source-address" | "always-use-sip-source-address",
        /// The party sends from where it receives.
        symmetric = "symmetric",
        /// The party sends from elsewhere than it receives.
        asymmetric = "asymmetric",
        /// Media flows one way.
        unidirectional = "unidirectional",
        /// Nothing but the learned source is accepted.
        strict_source = "strict-source",
        /// Any new source is followed at any time.
        media_handover = "media-handover",
        /// Local ports stay though the remote one changes.
        port_latching = "port-latching",
        /// Local ports change with the remote one.
        no_port_latching = "no-port-latching",
        /// Nothing is sent before something was received.
        nat_wait = "nat-wait",
        /// Packets are sent to open a NAT.
        pierce_nat = "pierce-nat",
        /// Forget what was negotiated.
        reset = "reset",
        /// `a=rtcp` with the address too.
        full_rtcp_attribute = "full-rtcp-attribute" | "full-rtcp-attr",
        /// No `a=rtcp`.
        no_rtcp_attribute = "no-rtcp-attribute" | "no-rtcp-attr",
        /// `a=mid` where there is none.
        generate_mid = "generate-mid",
        /// No `a=extmap`.
        strip_extmap = "strip-extmap",
        /// Mark the SDP as handled, and leave it alone if it is marked.
        loop_protect = "loop-protect",
        /// Directions as the sender wrote them.
        original_sendrecv = "original-sendrecv",
        /// Write `a=inactive`.
        inactive = "inactive",
        /// A part of an SDP with ICE candidates only (RFC 8840).
        fragment = "fragment",
        /// ICE candidates may follow.
        trickle_ice = "trickle-ice",
        /// No ICE answer.
        reject_ice = "reject-ice",
        /// For both sides, or all parties.
        all = "all",
        /// An unknown call is an error.
        fatal = "fatal",
        /// What goes to the party is meant, not what comes from it.
        egress = "egress",
        /// Both sides of an answer's media.
        bidirectional = "bidirectional",
        /// What a subscriber sends is heard too.
        mirror = "mirror",
        /// A subscriber's RTCP reaches the source.
        rtcp_mirror = "rtcp-mirror" | "mirror-rtcp",
        /// An unknown tag of an answer opens a branch of its own.
        new_branch = "new-branch",
        /// The tag may change after a final response.
        provisional = "provisional",
        /// A player may begin before the answer.
        early_media = "early-media",
        /// Nothing else is sent to whom something is played.
        block_egress = "block-egress",
        /// Telephone-events are not relayed.
        block_dtmf = "block-dtmf",
        /// Nobody hears the party.
        block_media = "block-media",
        /// Packets that are too short are dropped.
        block_short = "block-short" | "block-short-packet" | "block-short-packets",
        /// Telephone-events can be injected.
        inject_dtmf = "inject-dtmf",
        /// Tones are looked for.
        detect_dtmf = "detect-dtmf",
        /// The stream passes untouched: one SSRC for each source.
        transparent = "transparent" | "egress-transparent",
        /// One SSRC for life.
        continuity = "continuity" | "egress-continuity",
        /// A fresh SSRC at each cut-over.
        new_ssrc = "new-ssrc" | "egress-new-ssrc",
        /// Transcode, even between equals.
        always_transcode = "always-transcode" | "force-transcoding",
        /// Transcoding is possible.
        allow_transcoding = "allow-transcoding",
        /// Each direction may have a codec of its own.
        asymmetric_codecs = "asymmetric-codecs",
        /// Both directions have the same codec.
        symmetric_codecs = "symmetric-codecs",
        /// An answer keeps its first codec only.
        single_codec = "single-codec",
        /// Codecs stay as they are over a re-offer.
        reuse_codecs = "reuse-codecs" | "no-codec-renegotiation",
        /// An offer does not change the codecs towards its receiver.
        static_codecs = "static-codecs",
        /// Interrupt a recording instead of ending it.
        pause = "pause",
        /// Throw the recording away.
        discard_recording = "discard-recording",
        /// Do not record the party.
        exclude_recording = "exclude-recording",
        /// Nothing is written to a database.
        no_redis_update = "no-redis-update",
        /// Log more.
        debug = "debug" | "debugging",
    }

    /// What of the SDP's own lines is written anew.
    Replace {
        /// The address of `o=`.
        origin = "origin",
        /// All of `o=`.
        origin_full = "origin-full",
        /// `c=` of the session.
        session_connection = "session-connection",
        /// `s=`.
        session_name = "session-name",
        /// The version of `o=` counts the SDPs that differ.
        sdp_version = "sdp-version",
        /// The version counts all SDPs.
        force_increment_sdp_ver = "force-increment-sdp-ver" | "force-increment-sdp-version",
        /// The user name of `o=`.
        username = "username",
        /// 0.0.0.0, instead of passing it on.
        zero_address = "zero-address",
    }

    /// What becomes of RTCP on the RTP port (RFC 5761).
    RtcpMux {
        /// Offer it, though the sender does not.
        offer = "offer",
        /// Offer it without an alternative.
        require = "require",
        /// Take it from the sender, do not offer it to the receiver.
        demux = "demux",
        /// Take it from the sender, whatever the receiver says.
        accept = "accept",
        /// Refuse it to the sender.
        reject = "reject",
    }
}
