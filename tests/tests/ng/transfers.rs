//! Transfers as proxies make them: a re-INVITE, a new to-tag, `connect`.

use patchcord_ng::Dict;
use patchcord_tests::ng::Stage;
use patchcord_tests::ng::descriptions::audio;

use crate::{again, call, heard, relay};

/// Whether a party got exactly one packet, and from this port.
fn reaches(stage: &mut Stage, from: &str, port: &str, to: &str) {
    let heard = heard(stage, from, port);
    assert!(heard.len() == 1 && heard[0].starts_with(&format!("{to} from P")), "{from} sends to {port}: {heard:?}");
}

#[test]
fn a_re_invite_moves_the_call_and_the_transferee_hears_one_stream() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "c"]);
    let [towards_b, towards_a] = call(&mut stage);
    reaches(&mut stage, "a", &towards_a, "b");
    reaches(&mut stage, "b", &towards_b, "a");
    // Behind the B2BUA the other side is another phone now.
    let ports = again(&mut stage, &audio("a"), &audio("c"));
    assert_eq!(ports, [towards_b.clone(), towards_a.clone()], "the transferee is told nothing new");
    reaches(&mut stage, "a", &towards_a, "c");
    let heard = heard(&mut stage, "c", &towards_b);
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(heard[0].contains("SSRC"), "the stream of b goes on with c's packets: {heard:?}");
}

#[test]
fn a_new_party_within_the_call_takes_the_place_of_the_old_one() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "c"]);
    let [_, towards_a] = call(&mut stage);
    let towards_c = stage.offer("a c", &audio("a")).port().to_owned();
    let moved = stage.answer("a c", &audio("c")).port().to_owned();
    assert_eq!(moved, towards_a, "the transferee keeps its port");
    reaches(&mut stage, "a", &towards_a, "c");
    reaches(&mut stage, "c", &towards_c, "a");
}

#[test]
fn connect_joins_parties_of_two_calls() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b", "c", "d"]);
    let [_, towards_a] = call(&mut stage);
    let first = stage.call().to_owned();
    reaches(&mut stage, "a", &towards_a, "b");
    // The consultation call of an attended transfer.
    let towards_d = stage.offer("c", &audio("c")).port().to_owned();
    stage.answer("c d", &audio("d"));
    let joined = stage.command("connect", "a d", Dict::new());
    assert_eq!(joined.result(), "ok", "{joined:?}");
    reaches(&mut stage, "a", &towards_a, "d");
    reaches(&mut stage, "d", &towards_d, "a");
    // A party that is not there is named as such, and nothing changes.
    let refused = stage.command("connect", "a nobody", Dict::new());
    assert_eq!(refused.result(), "error", "{refused:?}");
    reaches(&mut stage, "a", &towards_a, "d");
    assert_eq!(stage.call(), first);
}

#[test]
fn connect_says_what_it_lacks() {
    let (_relay, mut stage) = relay(&[]);
    stage.parties(["a", "b"]);
    call(&mut stage);
    for (tags, more, reason) in [
        ("", Dict::new(), "No from-tag in message"),
        ("a", Dict::new(), "No to-tag in message"),
        ("a b", Dict::new().with("to-call-id", "nowhere"), "Unknown call-id"),
    ] {
        let refused = stage.command("connect", tags, more);
        assert_eq!((refused.result().as_str(), refused.reason().as_str()), ("error", reason));
    }
}
