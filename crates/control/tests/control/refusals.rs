//! What is refused, and how it is said.

use patchcord_control::ErrorCode;
use serde_json::json;

use crate::relay::{Relay, config};

#[tokio::test]
async fn mistakes_have_a_code_and_a_sentence() {
    let relay = Relay::with(config(30000..=30099), 1);
    relay.call(&["a", "b", "y"]).await;
    use ErrorCode as E;
    for (command, code, words) in [
        (json!({"command": "hold", "party": "x"}), E::UnknownParty, "call c has no party x; it has: a, b, y"),
        (json!({"command": "leg-create", "party": "a", "codecs": []}), E::PartyExists, "a/1"),
        (json!({"command": "leg-create", "party": "a/x", "codecs": []}), E::BadRequest, "number of the media"),
        (json!({"command": "leg-create", "party": "x", "codecs": ["opus"]}), E::BadRequest, "rtpmap"),
        (
            json!({"command": "leg-create", "party": "x", "codecs": ["PCMU", "PCMU"]}),
            E::BadRequest,
            "payload type 0 twice",
        ),
        (
            json!({"command": "leg-create", "party": "x", "codecs": [], "interface": "wan"}),
            E::UnknownInterface,
            "there are: lan/10.0.0.1, six/",
        ),
        (
            json!({"command": "leg-create", "party": "x", "codecs": [], "remote": "0.0.0.0:4000"}),
            E::BadAddress,
            "0.0.0.0:4000",
        ),
        (json!({"command": "leg-remote", "party": "a", "remote": "[::1]:4000"}), E::BadAddress, "family"),
        (
            json!({"command": "leg-codecs", "party": "a", "codecs": ["101 opus/48000/2"]}),
            E::PayloadTypeChanged,
            "a: payload type 101",
        ),
        (json!({"command": "leg-ice", "party": "a", "local_ufrag": "abcd"}), E::BadRequest, "together"),
        (
            json!({"command": "leg-ice", "party": "a", "local_ufrag": "abcd", "local_pwd": "too short"}),
            E::BadIce,
            "a: our ICE password must be 22 to 256",
        ),
        (json!({"command": "leg-ice", "party": "a", "remote_ufrag": "a b"}), E::BadIce, "without blanks"),
        (json!({"command": "leg-ice", "party": "a", "enabled": false, "restart": true}), E::BadRequest, "without ICE"),
        (json!({"command": "bridge", "a": "a", "b": "a/0"}), E::BadRequest, "twice"),
        (json!({"command": "swap", "survivor": "a", "old": "b", "new": "x"}), E::UnknownParty, "no party x"),
        (json!({"command": "resume", "party": "a"}), E::NotHeld, "not on hold"),
        (json!({"command": "play", "party": "a", "audio": "jazz"}), E::UnknownAudio, "hold, silence"),
        (json!({"command": "ringback", "party": "a", "country": "atlantis"}), E::BadRequest, "atlantis"),
        (json!({"command": "rollback", "of": "nothing"}), E::UnknownId, "\"nothing\""),
        (json!({"command": "bridge", "a": "a", "b": "y", "trigger": "after-prompt"}), E::BadTrigger, "prompt"),
    ] {
        let error = relay.run(command.clone()).await.expect_err(&command.to_string());
        assert_eq!(error.code, code, "{command}: {error}");
        assert!(error.message.contains(words), "{command}: {error}");
        assert!(!error.message.contains("leg-"), "a leg is no word of the API: {error}");
    }
    assert_eq!(relay.control.ports()[0].1.leased, 3);
    assert_eq!(relay.hears_of(["a", "b"]).await, ["b", "a"]);
}
