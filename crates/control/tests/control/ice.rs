//! ICE over both fronts: whose checks are answered, and what the parties are told.

use patchcord_control::api::{Detail, Direction, LegIceDone};
use serde_json::{Value, json};

use crate::relay::Relay;
use crate::stage::Stage;

async fn leg_ice(relay: &Relay, fields: Value) -> LegIceDone {
    let mut command = json!({"command": "leg-ice", "party": "a"});
    command.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let outcome = relay.run(command).await.unwrap();
    let Detail::Ice(done) = outcome.detail else { panic!("{outcome:?}") };
    *done
}

#[tokio::test]
async fn credentials_are_chosen_and_stay_until_a_restart() {
    let relay = Relay::new();
    relay.call(&["a"]).await;
    let first = leg_ice(&relay, json!({})).await;
    assert!(first.local_ufrag.len() >= 4 && first.local_pwd.0.len() >= 22, "RFC 8839 5.4");
    assert_eq!(first.candidates.len(), 1, "RTCP is muxed: {:?}", first.candidates);
    assert!(first.candidates[0].contains(" 1 UDP 2130706431 203.0.113.1 "), "{:?}", first.candidates);
    let again = leg_ice(&relay, json!({"remote_ufrag": "them"})).await;
    assert_eq!(again, first);
    let restarted = leg_ice(&relay, json!({"restart": true})).await;
    assert!(restarted.local_ufrag != first.local_ufrag && restarted.local_pwd != first.local_pwd);
    let given = json!({"local_ufrag": "ours", "local_pwd": "0123456789abcdefghijkl"});
    assert_eq!(leg_ice(&relay, given).await.local_ufrag, "ours");
    assert!(relay.control.snapshot("c").await.unwrap().legs[0].ice.is_some());
    let off = relay.run(json!({"command": "leg-ice", "party": "a", "enabled": false})).await.unwrap();
    assert!(matches!(off.detail, Detail::Done(_)), "{off:?}");
    assert!(relay.control.snapshot("c").await.unwrap().legs[0].ice.is_none());
    assert!(!format!("{restarted:?}").contains(&restarted.local_pwd.0), "a password is in no log");
}

impl Stage {
    async fn offer_again(&self, sdp: &str) -> String {
        self.sdp("offer", "a", Some("b"), sdp, &[]).await
    }

    /// Whether the checks of `a` and of the other side are answered.
    async fn answers_checks(&self) -> [bool; 2] {
        let legs = self.relay.control.snapshot("c").await.unwrap().legs;
        [true, false].map(|first| legs.iter().any(|leg| (*leg.party == *"a") == first && leg.ice.is_some()))
    }
}

fn audio(port: u16, attributes: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n{attributes}"
    )
}

fn credentials(ufrag: &str) -> String {
    format!("a=ice-ufrag:{ufrag}\r\na=ice-pwd:a/password/of/{ufrag}/that/is/long\r\n")
}

fn ice(port: u16, ufrag: &str) -> String {
    audio(port, &(credentials(ufrag) + &format!("a=candidate:1 1 UDP 2130706431 10.0.0.9 {port} typ host\r\n")))
}

/// The values of an attribute, in their order.
fn values<'a>(sdp: &'a str, name: &str) -> Vec<&'a str> {
    let lines = sdp.lines().filter_map(|line| line.strip_prefix("a=")?.strip_prefix(name));
    lines.map(|value| value.trim_start_matches(':')).collect()
}

/// The credentials that an SDP has; it is that of a lite agent then, and of none otherwise.
#[track_caller]
fn told(sdp: &str) -> Option<(String, String)> {
    let own = |name| values(sdp, name).first().map(|value| (*value).to_owned());
    let credentials = own("ice-ufrag").zip(own("ice-pwd"));
    let count = if credentials.is_some() { 1 } else { 0 };
    assert_eq!(values(sdp, "ice-lite").len(), count, "{sdp}");
    assert_eq!(values(sdp, "candidate").is_empty(), credentials.is_none(), "{sdp}");
    credentials
}

#[tokio::test]
async fn who_gets_ice() {
    const NONE: &[&str] = &[];
    // Flags of the offer, whether it has ICE, the same of the answer; whether b and a get it.
    for (offer, a_has, answer, b_has, expected) in [
        (NONE, false, NONE, false, [false, false]),
        (NONE, true, NONE, true, [true, true]),
        (NONE, true, NONE, false, [true, true]),
        (NONE, false, NONE, true, [false, false]),
        (&["ICE=default"], true, &["ICE=default"], true, [true, true]),
        (&["ICE=remove"], true, &["ICE=remove"], true, [false, false]),
        (&["ICE=remove"], true, NONE, false, [false, true]),
        (NONE, true, &["ICE=remove"], true, [true, false]),
        (&["reject-ICE"], true, NONE, true, [true, false]),
        (&["ICE=force"], false, &["ICE=force"], true, [true, false]),
        (&["ICE=force"], true, &["ICE=force"], true, [true, true]),
        (&["ICE=force-relay"], true, NONE, true, [true, true]),
        (&["ICE=optional"], false, NONE, false, [true, false]),
    ] {
        let what = format!("{offer:?} {a_has} {answer:?} {b_has}");
        let stage = Stage::new(|_| {});
        let side = |port, has, ufrag| if has { ice(port, ufrag) } else { audio(port, "") };
        let towards_b = stage.offer(&side(4000, a_has, "aaaa"), offer).await;
        assert_eq!(stage.answers_checks().await, [false, expected[0]], "{what}");
        let towards_a = stage.answer(&side(5000, b_has, "bbbb"), answer).await;
        assert_eq!([told(&towards_b).is_some(), told(&towards_a).is_some()], expected, "{what}");
        assert!(!towards_b.contains("aaaa") && !towards_a.contains("bbbb"), "{what}");
        assert_eq!(stage.answers_checks().await, [expected[1], expected[0] && b_has], "{what}");
        if expected == [true, true] {
            assert_ne!(told(&towards_a), told(&towards_b), "each side has its own");
        }
    }
}

/// A browser's offer has its best candidate in c= and m=, and never an address for RTCP, which it muxes (RFC 8840 4.1.1).
#[tokio::test]
async fn the_zero_address_for_rtcp_is_none() {
    let stage = Stage::new(|_| {});
    let browser = |port, ufrag| ice(port, ufrag) + "a=rtcp:9 IN IP4 0.0.0.0\r\na=rtcp-mux\r\n";
    assert!(told(&stage.offer(&browser(4000, "aaaa"), &[]).await).is_some());
    assert!(told(&stage.answer(&browser(5000, "bbbb"), &[]).await).is_some());
    let legs = stage.relay.control.snapshot("c").await.unwrap().legs;
    let remotes: Vec<_> = legs.iter().map(|leg| leg.remote.map(|remote| remote.to_string())).collect();
    assert_eq!(remotes, [Some("10.0.0.9:4000".to_owned()), Some("10.0.0.9:5000".to_owned())]);
    // Without mux it is no address either.
    stage.offer_again(&(ice(4000, "aaaa") + "a=rtcp:9 IN IP4 0.0.0.0\r\n")).await;
}

#[tokio::test]
async fn re_offers_keep_credentials_and_a_restart_renews_those_of_its_side() {
    let stage = Stage::new(|_| {});
    let towards_b = told(&stage.offer(&ice(4000, "aaaa"), &[]).await);
    let towards_a = told(&stage.answer(&ice(5000, "bbbb"), &[]).await);
    assert_eq!(told(&stage.offer_again(&ice(4002, "aaaa")).await), towards_b);
    assert_eq!(told(&stage.answer(&ice(5000, "bbbb"), &[]).await), towards_a);
    // A telephone restarts; the other one does not.
    assert_eq!(told(&stage.offer_again(&ice(4000, "rest")).await), towards_b);
    let renewed = told(&stage.answer(&ice(5000, "bbbb"), &[]).await);
    assert!(renewed.is_some() && renewed != towards_a);
    assert_eq!(told(&stage.offer_again(&ice(4000, "rest")).await), towards_b);
    assert_eq!(told(&stage.answer(&ice(5000, "bbbb"), &[]).await), renewed);
    // Somebody else answers: its name is another, and ours stays as it was offered.
    stage.offer_again(&ice(4000, "rest")).await;
    stage.answer(&ice(5002, "else"), &[]).await;
    assert_eq!(told(&stage.offer_again(&ice(4000, "rest")).await), towards_b);
}

#[tokio::test]
async fn who_has_answered_without_is_not_asked_again_and_who_stops_is_believed() {
    let stage = Stage::new(|_| {});
    stage.offer(&ice(4000, "aaaa"), &[]).await;
    stage.answer(&audio(5000, ""), &[]).await;
    assert_eq!(stage.answers_checks().await, [true, false]);
    assert_eq!(told(&stage.offer_again(&ice(4000, "aaaa")).await), None);
    stage.answer(&audio(5000, ""), &[]).await;
    assert_eq!(stage.answers_checks().await, [true, false]);
    // The offerer does without from now on.
    stage.offer_again(&audio(4000, "")).await;
    assert_eq!(told(&stage.answer(&audio(5000, ""), &[]).await), None);
    assert_eq!(stage.answers_checks().await, [false, false]);
}

#[tokio::test]
async fn components_are_told_as_far_as_they_have_ports() {
    let stage = Stage::new(|_| {});
    let muxed = |port, ufrag: &str| ice(port, ufrag) + "a=rtcp-mux\r\n";
    let towards_b = stage.offer(&muxed(4000, "aaaa"), &[]).await;
    let candidates = values(&towards_b, "candidate");
    let port: u16 = towards_b.split("m=audio ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(
        candidates,
        [
            format!("cb007101 1 UDP 2130706431 203.0.113.1 {port} typ host"),
            format!("cb007101 2 UDP 2130706430 203.0.113.1 {} typ host", port + 1),
        ],
        "whether it takes muxing is not known yet"
    );
    let towards_a = stage.answer(&muxed(5000, "bbbb"), &[]).await;
    assert_eq!(values(&towards_a, "candidate").len(), 1, "{towards_a}");
    let lines: Vec<_> = towards_b.lines().skip_while(|line| !line.starts_with("a=rtcp-mux")).collect();
    assert!(lines[1].starts_with("a=ice-ufrag") && lines[2].starts_with("a=ice-pwd"), "{lines:?}");
    let session: Vec<_> = towards_b.lines().take_while(|line| !line.starts_with("m=")).collect();
    assert_eq!(session.last(), Some(&"a=ice-lite"));
    assert!(!towards_b.contains("end-of-candidates"), "nobody trickles");
}

#[tokio::test]
async fn trickling_is_told_to_whom_it_concerns() {
    let stage = Stage::new(|_| {});
    let trickling = ice(4000, "aaaa") + "a=ice-options:ice2 trickle\r\n";
    let towards_b = stage.offer(&trickling, &["trickle-ICE"]).await;
    assert!(values(&towards_b, "ice-options") == ["trickle"] && towards_b.ends_with("a=end-of-candidates\r\n"));
    let towards_a = stage.answer(&ice(5000, "bbbb"), &[]).await;
    assert!(values(&towards_a, "ice-options") == ["trickle"] && towards_a.ends_with("a=end-of-candidates\r\n"));
    // Candidates that follow are taken, and nothing is said about them.
    let fragment = "a=ice-ufrag:aaaa\r\nm=audio 9 RTP/AVP 0\r\na=candidate:1 1 UDP 1 10.0.0.9 4000 typ host\r\n";
    let reply = stage.ask("offer", "a", Some("b"), fragment, &["fragment"]).await;
    assert_eq!((reply.text("result").as_deref(), reply.text("sdp")), (Some("ok"), None), "{reply:?}");
    let reply = stage.ask("offer", "a", Some("b"), fragment, &[]).await;
    assert_eq!(reply.text("error-reason").as_deref(), Some("Failed to parse SDP"), "{reply:?}");
}

#[tokio::test]
async fn media_that_share_credentials_are_told_shared_ones() {
    let stage = Stage::new(|_| {});
    let session = |port: u16, ufrag: &str| {
        audio(port, &format!("m=video {} RTP/AVP 96\r\n", port + 2))
            .replace("t=0 0\r\n", &format!("t=0 0\r\n{}", credentials(ufrag)))
    };
    let pairs = |sdp: &str| {
        let pairs = [values(sdp, "ice-ufrag"), values(sdp, "ice-pwd")];
        pairs.map(|values| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    };
    let [ufrags, pwds] = pairs(&stage.offer(&session(4000, "aaaa"), &[]).await);
    assert!(ufrags.len() == 2 && ufrags[0] == ufrags[1] && pwds[0] == pwds[1], "{ufrags:?}");
    let [ufrags, _] = pairs(&stage.answer(&session(5000, "bbbb"), &[]).await);
    assert!(ufrags.len() == 2 && ufrags[0] == ufrags[1], "{ufrags:?}");
    // One of them restarts: it goes its own way.
    let split =
        ice(4000, "aaaa").replace("aaaa", "alon") + &format!("m=video 4002 RTP/AVP 96\r\n{}", credentials("aaaa"));
    stage.offer_again(&split).await;
    let [again, _] = pairs(&stage.answer(&session(5000, "bbbb"), &[]).await);
    assert!(again[0] != ufrags[0] && again[1] == ufrags[1], "{again:?} after {ufrags:?}");
}

#[tokio::test]
async fn a_line_with_ice_keeps_its_ports_where_others_change_them() {
    let port = |sdp: &str| sdp.split("m=audio ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    for with_ice in [true, false] {
        let stage = Stage::new(|config| config.ports_follow_remote = true);
        let side = |port, ufrag| if with_ice { ice(port, ufrag) } else { audio(port, "") };
        let before = port(&stage.offer(&side(4000, "aaaa"), &[]).await);
        stage.answer(&side(5000, "bbbb"), &[]).await;
        let after = port(&stage.offer_again(&side(4002, "aaaa")).await);
        assert_eq!(before == after, with_ice);
    }
}

#[tokio::test]
async fn the_zero_address_is_no_hold_where_checks_find_the_party() {
    let stage = Stage::new(|_| {});
    let zero = |sdp: String| sdp.replace("c=IN IP4 10.0.0.9", "c=IN IP4 0.0.0.0").replace("m=audio 4000", "m=audio 9");
    let towards_b = stage.offer(&zero(ice(4000, "aaaa")), &[]).await;
    assert!(towards_b.contains("c=IN IP4 203.0.113.1") && towards_b.contains("a=sendrecv"), "{towards_b}");
    stage.answer(&ice(5000, "bbbb"), &[]).await;
    let legs = stage.relay.control.snapshot("c").await.unwrap().legs;
    assert!(legs[0].direction == Direction::SendRecv && legs[0].remote.is_none(), "{:?}", legs[0]);
}

#[tokio::test]
async fn odd_credentials_are_no_reason_to_refuse_a_call() {
    for (odd, with) in [("x", true), ("a:b~c", true), (&*"x".repeat(257), false), ("é", false)] {
        let stage = Stage::new(|_| {});
        let towards_b = stage.offer(&ice(4000, odd), &[]).await;
        assert_eq!(told(&towards_b).is_some(), with, "{odd}");
        let towards_a = stage.answer(&ice(5000, "bbbb"), &[]).await;
        assert_eq!(told(&towards_a).is_some(), with, "{odd}");
    }
}
