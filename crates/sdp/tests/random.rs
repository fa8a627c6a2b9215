//! Random descriptions: what is read is kept, and rewriting touches nothing that a relay does not manage.

use proptest::prelude::*;

#[path = "../../../fuzz/src/sdp.rs"]
#[expect(unreachable_pub, reason = "the fuzzers' library is a module here")]
mod checks;

/// Lines that real descriptions have, and some that none has.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => ("(audio|video|image)", 0_u16..6, "(RTP/AVP|RTP/SAVPF|udptl)", "[0-9]{1,3}( [0-9]{1,3}){0,4}")
            .prop_map(|(kind, port, protocol, formats)| format!("m={kind} {port} {protocol} {formats}")),
        2 => "c=IN IP4 [0-9]\\.[0-9]\\.[0-9]\\.[0-9]",
        4 => "a=(rtpmap|fmtp|rtcp|rtcp-mux|rtcp-fb|ptime|mid|crypto|ice-ufrag|candidate|x-foo|sendonly|inactive)(:[ -~]{0,24})?",
        1 => "[a-z]=[ -~]{0,24}",
        1 => Just(String::new()),
    ]
}

fn description() -> impl Strategy<Value = String> {
    let end = prop_oneof![Just("\r\n"), Just("\n")];
    (proptest::collection::vec((line(), end), 0..40), any::<bool>()).prop_map(|(lines, ends)| {
        let mut text: String = lines.into_iter().map(|(line, end)| line + end).collect();
        if !ends {
            text.truncate(text.trim_end().len());
        }
        text
    })
}

proptest! {
    #[test]
    fn any_description_holds_the_fuzzers_checks(text in description()) {
        checks::sdp(text.as_bytes());
    }

    #[test]
    fn any_bytes_hold_them(bytes in any::<Vec<u8>>()) {
        checks::sdp(&bytes);
    }
}
