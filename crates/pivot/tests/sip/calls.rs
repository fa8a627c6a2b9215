//! Calls in both directions, and how they do not come about.

use patchcord_pivot::message::{Action, Credentials, DialogId, Event, Header, Reason, Status};

use crate::support::{Peer, Pivot, name, sdp};

fn reason(cause: u16) -> Reason {
    Reason { protocol: "Q.850".into(), cause, text: Some("why".into()) }
}

#[tokio::test]
async fn a_call_comes_in_and_the_caller_ends_it() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let fields = "P-Asserted-Identity: \"A, B\" <sip:+1@x>, <tel:+1>\r\nX-Tenant: 7\r\nReplaces: a;to-tag=b;from-tag=c\r\n\
        Supported: replaces, timer\r\nAllow: INVITE, BYE\r\nAllow: REFER\r\nReferred-By: <sip:r@x>\r\n";
    let call = peer.invite_with(fields, &sdp("caller")).await;
    let (dialog, incoming) = pivot.invited().await;
    assert_eq!(incoming.offer.as_deref().map(name), Some("caller"));
    assert_eq!((&*incoming.from.display, &*incoming.from_tag, &*incoming.call_id), ("Peer", "peer", &*call.call_id));
    assert_eq!(incoming.asserted.iter().map(|a| &*a.uri).collect::<Vec<_>>(), ["sip:+1@x", "tel:+1"]);
    assert_eq!(incoming.replaces, ["a;to-tag=b;from-tag=c".into()]);
    assert_eq!(incoming.allow.as_deref().map(<[_]>::len), Some(3));
    assert_eq!(incoming.supported, ["replaces".into(), "timer".into()]);
    assert_eq!(incoming.referred_by.as_deref(), Some("<sip:r@x>"));
    assert_eq!(incoming.extra, [Header { name: "X-Tenant".into(), value: "7".into() }]);
    pivot.act(Action::Progress { dialog, status: Status { code: 180, phrase: "Ringing".into() }, sdp: None });
    let ringing = peer.expect("SIP/2.0 180 Ringing").await;
    assert!(ringing.get("To").ends_with(&format!(";tag={}", incoming.to_tag)), "{ringing:?}");
    let early = Status { code: 183, phrase: "Listen".into() };
    pivot.act(Action::Progress { dialog, status: early, sdp: Some(sdp("early").into()) });
    assert_eq!(name(&peer.expect("SIP/2.0 183 Listen").await.body), "early");
    pivot.accept(dialog);
    let ok = peer.expect("SIP/2.0 200 OK").await;
    assert_eq!(name(&ok.body), "answer");
    assert!(ok.get("Allow").contains("REFER"), "{ok:?}");
    let mut call = peer.acknowledge(call, &ok, "").await;
    assert_eq!(pivot.acknowledged().await, None);
    let bye = peer.request(&mut call, "BYE", "Reason: Q.850;cause=16;text=\"bye\"\r\n", "").await;
    assert!(peer.expect("SIP/2.0 200").await.get("CSeq").ends_with("BYE"));
    match pivot.next().await {
        Event::Ended(ended, Some(reason)) => assert_eq!((ended, reason.cause), (dialog, 16)),
        other => panic!("{other:?}"),
    }
    // A BYE whose 200 was lost gets it again, though the dialog is gone; what is new does not.
    assert_eq!(pivot.stack.dialogs(), 0);
    peer.send(&bye).await;
    assert_eq!(peer.receive().await.0.start, "SIP/2.0 200 OK");
    peer.request(&mut call, "INFO", "", "").await;
    peer.expect("SIP/2.0 481").await;
}

#[tokio::test]
async fn who_rings_for_long_says_so_every_minute() {
    let mut pivot = Pivot::with(|config| config.t1 = std::time::Duration::from_millis(2)).await;
    let mut peer = Peer::new(pivot.address).await;
    peer.invite(&sdp("caller")).await;
    let (dialog, _) = pivot.invited().await;
    pivot.act(Action::Progress { dialog, status: Status { code: 180, phrase: "Ringing".into() }, sdp: None });
    let ringing = peer.expect("SIP/2.0 180").await;
    for _ in 0..2 {
        assert_eq!(peer.receive().await.0.start, ringing.start);
    }
    pivot.accept(dialog);
    peer.expect("SIP/2.0 200").await;
}

#[tokio::test]
async fn the_callee_ends_a_call_but_not_before_its_ack() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let call = peer.invite(&sdp("caller")).await;
    let (dialog, _) = pivot.invited().await;
    pivot.accept(dialog);
    let request = pivot.request();
    pivot.act(Action::Bye { dialog, request, reason: Some(reason(31)) });
    let ok = peer.expect("SIP/2.0 200").await;
    // The 200 comes again until its ACK, and no BYE before.
    let (again, _) = peer.receive().await;
    assert_eq!(again.start, "SIP/2.0 200 OK");
    peer.acknowledge(call, &ok, "").await;
    assert_eq!(pivot.acknowledged().await, None);
    let bye = peer.expect("BYE").await;
    assert_eq!(bye.get("Reason"), "Q.850;cause=31;text=\"why\"");
    peer.respond(&bye, "200 OK", "", "", "").await;
    assert_eq!(pivot.answered(request).await.0.code, 200);
}

#[tokio::test]
async fn a_call_without_an_ack_ends() {
    let mut pivot = Pivot::with(|config| config.t1 = std::time::Duration::from_millis(5)).await;
    let mut peer = Peer::new(pivot.address).await;
    peer.invite(&sdp("caller")).await;
    let (dialog, _) = pivot.invited().await;
    pivot.accept(dialog);
    peer.expect("SIP/2.0 200").await;
    match pivot.next().await {
        Event::Ended(ended, Some(reason)) => assert_eq!((ended, reason.cause), (dialog, 408)),
        other => panic!("{other:?}"),
    }
    peer.expect("BYE").await;
}

#[tokio::test]
async fn a_caller_cancels() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let call = peer.invite(&sdp("caller")).await;
    let (dialog, incoming) = pivot.invited().await;
    let cancel = peer.text("CANCEL", &call, &peer.last_via(), "Reason: SIP;cause=200\r\n", "");
    peer.send(&cancel).await;
    let ok = peer.expect("SIP/2.0 200").await;
    assert!(ok.get("CSeq").ends_with("CANCEL"), "{ok:?}");
    let terminated = peer.expect("SIP/2.0 487").await;
    assert!(terminated.get("To").ends_with(&*incoming.to_tag), "{terminated:?}");
    match pivot.next().await {
        Event::Cancelled(cancelled, Some(reason)) => assert_eq!((cancelled, reason.cause), (dialog, 200)),
        other => panic!("{other:?}"),
    }
    // Too late; and another of the same.
    pivot.accept(dialog);
    let ack = peer.text("ACK", &call, &peer.last_via(), "", "");
    peer.send(&ack).await;
    let stray = peer.text("CANCEL", &call, "SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKother", "", "");
    peer.send(&stray).await;
    assert!(peer.expect("SIP/2.0 481").await.get("CSeq").ends_with("CANCEL"));
}

#[tokio::test]
async fn a_refusal_says_why_and_a_reinvite_by_another_way_is_a_loop() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let call = peer.invite(&sdp("caller")).await;
    let (dialog, _) = pivot.invited().await;
    let again = peer.text("INVITE", &call, "SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKother", &peer.contact(), "");
    peer.send(&again).await;
    peer.expect("SIP/2.0 482").await;
    let ack = peer.text("ACK", &call, "SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKother", "", "");
    peer.send(&ack).await;
    let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
    let headers = vec![header("Reason", "Q.850;cause=17"), header("Retry-After", "5\r\nEvil: 1"), header("To", "x")];
    pivot.act(Action::Reject { dialog, status: Status { code: 486, phrase: "Busy, sorry".into() }, headers });
    let busy = peer.expect("SIP/2.0 486 Busy, sorry").await;
    assert_eq!((busy.get("Reason"), busy.get("Retry-After"), busy.get("Evil")), ("Q.850;cause=17", "5  Evil: 1", ""));
    // It comes until its ACK.
    let (repeated, _) = peer.receive().await;
    assert_eq!(repeated.start, busy.start);
}

#[tokio::test]
async fn a_call_goes_out_and_ends_from_either_side() {
    let mut pivot = Pivot::with(|config| config.t1 = std::time::Duration::from_millis(20)).await;
    let mut peer = Peer::new(pivot.address).await;
    let (dialog, _) = pivot.call_to(&mut peer, None).await;
    let request = pivot.request();
    pivot.act(Action::Bye { dialog, request, reason: None });
    let bye = peer.expect("BYE").await;
    peer.respond(&bye, "200 OK", "", "", "").await;
    assert_eq!(pivot.answered(request).await.0.code, 200);
    let (_, mut call) = pivot.call_to(&mut peer, None).await;
    peer.bye(&mut call).await;
    pivot.ended().await;
    assert_eq!(pivot.stack.dialogs(), 2, "a fork may still answer");
    while pivot.stack.dialogs() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_callee_that_refuses_is_quoted() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let dialog = pivot.call(&peer.uri(), |_| {});
    let invite = peer.expect("INVITE").await;
    let fields = "Reason: SIP;cause=486, Q.850;cause=17;text=\"user busy\"\r\nServer: Box/1\r\nRetry-After: 60 (soon)\r\n\
        Warning: 399 box \"no\"\r\n";
    peer.respond(&invite, "486 Really Busy", "b", fields, "").await;
    let ack = peer.expect("ACK").await;
    assert_eq!(ack.get("Via"), invite.get("Via"));
    match pivot.next().await {
        Event::Rejected(rejected, rejection) => {
            assert_eq!(rejected, dialog);
            assert_eq!((rejection.status.code, &*rejection.status.phrase), (486, "Really Busy"));
            assert_eq!(rejection.reason.as_ref().map(|reason| reason.cause), Some(17));
            assert_eq!((rejection.by.as_deref(), rejection.retry_after_s), (Some("Box/1"), Some(60)));
            assert_eq!(rejection.warning.as_deref(), Some("399 box \"no\""));
            assert!(!rejection.is_local);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pivot.stack.dialogs(), 0);
}

#[tokio::test]
async fn nobody_answers() {
    let mut pivot = Pivot::with(|config| config.t1 = std::time::Duration::from_millis(2)).await;
    let peer = Peer::new(pivot.address).await;
    for (uri, code) in
        [(peer.uri(), 408), ("sip:a@[::1]:9".to_owned(), 503), ("sip:a@127.0.0.1:9;transport=tcp".to_owned(), 503)]
    {
        pivot.call(&uri, |_| {});
        match pivot.next().await {
            Event::Rejected(_, rejection) => {
                assert!(rejection.is_local, "{rejection:?}");
                assert_eq!(rejection.status.code, code, "{uri}: {rejection:?}");
                assert_eq!(rejection.by, None);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_invite_of_ours_is_cancelled_once_it_rings() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let dialog = pivot.call(&peer.uri(), |_| {});
    let invite = peer.expect("INVITE").await;
    pivot.act(Action::Cancel(dialog, Some(reason(16))));
    // Not before a provisional response (RFC 3261 9.1): the INVITE comes again first.
    let (again, _) = peer.receive().await;
    assert!(again.start.starts_with("INVITE"), "{again:?}");
    peer.respond(&invite, "180 Ringing", "a", "", "").await;
    let cancel = peer.expect("CANCEL").await;
    assert_eq!((cancel.get("Via"), cancel.uri()), (invite.get("Via"), invite.uri()));
    assert_eq!(cancel.get("Reason"), "Q.850;cause=16;text=\"why\"");
    peer.respond(&cancel, "200 OK", "a", "", "").await;
    peer.respond(&invite, "487 Request Terminated", "a", "", "").await;
    match pivot.next().await {
        Event::Rejected(_, rejection) => assert_eq!(rejection.status.code, 487),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cancel_that_crosses_the_200_comes_too_late() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let dialog = pivot.call(&peer.uri(), |_| {});
    let invite = peer.expect("INVITE").await;
    peer.respond(&invite, "180 Ringing", "a", "", "").await;
    let event = pivot.next().await;
    assert!(matches!(&event, Event::Progress { status, .. } if status.code == 180), "{event:?}");
    pivot.act(Action::Cancel(dialog, None));
    let cancel = peer.expect("CANCEL").await;
    peer.respond(&invite, "200 OK", "a", &peer.contact(), &sdp("callee")).await;
    peer.respond(&cancel, "481 Too Late", "a", "", "").await;
    peer.expect("ACK").await;
    assert!(matches!(pivot.next().await, Event::Accepted { .. }));
    let request = pivot.request();
    pivot.act(Action::Bye { dialog, request, reason: None });
    let bye = peer.expect("BYE").await;
    peer.respond(&bye, "200 OK", "", "", "").await;
    assert_eq!(pivot.answered(request).await.0.code, 200);
}

#[tokio::test]
async fn the_first_fork_wins_and_the_others_are_ended() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let dialog = pivot.call(&peer.uri(), |_| {});
    let invite = peer.expect("INVITE").await;
    for (tag, status) in [("a", "180 Ringing"), ("b", "183 Session Progress")] {
        peer.respond(&invite, status, tag, &peer.contact(), "").await;
        assert!(matches!(pivot.next().await, Event::Progress { .. }));
    }
    peer.respond(&invite, "200 OK", "b", &peer.contact(), &sdp("b")).await;
    assert!(peer.expect("ACK").await.get("To").ends_with(";tag=b"));
    match pivot.next().await {
        Event::Accepted { to_tag, answer, .. } => {
            assert_eq!((&*to_tag, answer.as_deref().map(name)), ("b", Some("b")));
        }
        other => panic!("{other:?}"),
    }
    peer.respond(&invite, "200 OK", "a", &peer.contact(), &sdp("a")).await;
    assert!(peer.expect("ACK").await.get("To").ends_with(";tag=a"));
    let bye = peer.expect("BYE").await;
    assert!(bye.get("To").ends_with(";tag=a"), "{bye:?}");
    peer.respond(&bye, "200 OK", "", "", "").await;
    // The same 200 again gets the same ACK again, and nothing else.
    peer.respond(&invite, "200 OK", "a", &peer.contact(), &sdp("a")).await;
    peer.respond(&invite, "200 OK", "b", &peer.contact(), &sdp("b")).await;
    let mut tags = Vec::new();
    for _ in 0..2 {
        let (ack, _) = peer.receive().await;
        assert!(ack.start.starts_with("ACK"), "{ack:?}");
        tags.push(ack.get("To").rsplit('=').next().expect("a tag").to_owned());
    }
    assert_eq!(tags, ["a", "b"]);
    let request = pivot.request();
    pivot.act(Action::Bye { dialog, request, reason: None });
    assert!(peer.expect("BYE").await.get("To").ends_with(";tag=b"));
}

#[tokio::test]
async fn challenges_are_answered_with_the_credentials_of_the_call() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let credentials = Credentials { username: "u".into(), password: "p".into(), realm: None };
    let dialog = pivot.call(&peer.uri(), |outgoing| outgoing.credentials = Some(credentials));
    let first = peer.expect("INVITE").await;
    let challenge = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\", algorithm=MD5\r\n";
    peer.respond(&first, "407 Proxy Authentication Required", "x", challenge, "").await;
    peer.expect("ACK").await;
    let second = peer.expect("INVITE").await;
    assert_eq!((second.get("CSeq"), second.get("Call-ID")), ("2 INVITE", first.get("Call-ID")));
    assert_ne!(second.get("Via"), first.get("Via"));
    assert!(second.get("Proxy-Authorization").starts_with("Digest username=\"u\", realm=\"r\", nonce=\"n\""));
    peer.respond(&second, "200 OK", "t", &peer.contact(), &sdp("callee")).await;
    let ack = peer.expect("ACK").await;
    assert_eq!(ack.get("Proxy-Authorization"), second.get("Proxy-Authorization"));
    assert!(matches!(pivot.next().await, Event::Accepted { .. }));
    must_answer_challenges(&mut pivot, &mut peer, dialog).await;
    // Wrong credentials are not tried again and again.
    let credentials = Credentials { username: "u".into(), password: "wrong".into(), realm: None };
    pivot.call(&peer.uri(), |outgoing| outgoing.credentials = Some(credentials));
    for status in ["401 First", "401 Second"] {
        let invite = peer.expect("INVITE").await;
        peer.respond(&invite, status, "x", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", "").await;
        peer.expect("ACK").await;
    }
    match pivot.next().await {
        Event::Rejected(_, rejection) => assert_eq!(&*rejection.status.phrase, "Second"),
        other => panic!("{other:?}"),
    }
}

/// The peer challenges what the pivot sends in the dialog, and is answered with the credentials of user `u`.
async fn must_answer_challenges(pivot: &mut Pivot, peer: &mut Peer, dialog: DialogId) {
    for method in ["REFER", "BYE"] {
        let request = pivot.request();
        match method {
            "REFER" => pivot.act(Action::Refer { dialog, request, refer_to: "<sip:c@x>".into(), headers: Vec::new() }),
            _ => pivot.act(Action::Bye { dialog, request, reason: None }),
        }
        let challenged = peer.expect(method).await;
        let challenge = "WWW-Authenticate: Digest realm=\"s\", nonce=\"m\"\r\n";
        peer.respond(&challenged, "401 Unauthorized", "", challenge, "").await;
        let again = peer.expect(method).await;
        assert!(again.get("Authorization").starts_with("Digest username=\"u\", realm=\"s\""), "{again:?}");
        peer.respond(&again, "202 Accepted", "", "", "").await;
        assert_eq!(pivot.answered(request).await.0.code, 202);
    }
}

#[tokio::test]
async fn whoever_called_may_challenge_in_its_dialog_too() {
    let credentials = Credentials { username: "u".into(), password: "p".into(), realm: None };
    let of =
        move |origin: &patchcord_pivot::message::Origin| origin.address.ip().is_loopback().then(|| credentials.clone());
    let mut pivot = Pivot::with(|config| config.credentials = Some(std::sync::Arc::new(of))).await;
    let mut peer = Peer::new(pivot.address).await;
    let (dialog, _call) = pivot.call_from(&mut peer).await;
    must_answer_challenges(&mut pivot, &mut peer, dialog).await;
}

#[tokio::test]
async fn a_dialog_follows_its_routes() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let dialog = pivot.call("sip:far@192.0.2.9", |outgoing| outgoing.proxy = Some(peer.uri().into()));
    let invite = peer.expect("INVITE sip:far@192.0.2.9 SIP/2.0").await;
    let port = peer.uri().rsplit(':').next().expect("a port").to_owned();
    let fields =
        format!("Record-Route: <sip:192.0.2.7;lr>, <sip:127.0.0.1:{port};lr>\r\nContact: <sip:far@192.0.2.8>\r\n");
    peer.respond(&invite, "200 OK", "t", &fields, &sdp("far")).await;
    let ack = peer.expect("ACK sip:far@192.0.2.8 SIP/2.0").await;
    let routes = [format!("<sip:127.0.0.1:{port};lr>"), "<sip:192.0.2.7;lr>".to_owned()];
    assert_eq!(ack.all("Route"), routes.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(matches!(pivot.next().await, Event::Accepted { .. }));
    let request = pivot.request();
    pivot.act(Action::Bye { dialog, request, reason: None });
    let bye = peer.expect("BYE sip:far@192.0.2.8 SIP/2.0").await;
    assert_eq!(bye.all("Route").len(), 2);
}

#[tokio::test]
async fn calls_beyond_the_limit_and_of_strangers_are_refused() {
    let mut pivot = Pivot::with(|config| config.limits.dialogs = 1).await;
    let mut peer = Peer::new(pivot.address).await;
    peer.invite("").await;
    pivot.invited().await;
    peer.invite("").await;
    assert_eq!(peer.expect("SIP/2.0 503").await.get("Retry-After"), "10");
    pivot.call(&peer.uri(), |_| {});
    assert!(matches!(pivot.next().await, Event::Rejected(_, rejection) if rejection.status.code == 503));

    let strict = Pivot::with(|config| config.allows = Some(std::sync::Arc::new(|_| false))).await;
    let mut peer = Peer::new(strict.address).await;
    peer.invite("").await;
    peer.expect("SIP/2.0 403").await;
}

#[tokio::test]
async fn who_has_to_proves_who_they_are() {
    let accounts = patchcord_pivot::sip::Accounts {
        realm: "pivot".into(),
        is_needed: std::sync::Arc::new(|_, _| true),
        password: std::sync::Arc::new(|_, name| (name == "trunk").then(|| "secret".into())),
    };
    let mut callee = Pivot::with(|config| config.accounts = Some(accounts)).await;
    let mut caller = Pivot::start().await;
    let uri = format!("sip:a@{}", callee.address);
    for (password, is_right) in [("wrong", false), ("secret", true)] {
        let credentials = Credentials { username: "trunk".into(), password: password.into(), realm: None };
        caller.call(&uri, |outgoing| outgoing.credentials = Some(credentials));
        if is_right {
            let (dialog, _) = callee.invited().await;
            callee.accept(dialog);
            assert!(matches!(caller.next().await, Event::Accepted { .. }));
            callee.acknowledged().await;
        } else {
            assert!(matches!(caller.next().await, Event::Rejected(_, rejection) if rejection.status.code == 401));
            assert_eq!(callee.stack.dialogs(), 0);
        }
    }
}
