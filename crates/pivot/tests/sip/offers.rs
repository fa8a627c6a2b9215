//! Offers and answers after and beside the first: late offers, re-INVITE, UPDATE, 491, PRACK, session timers.

use std::time::Duration;

use patchcord_pivot::message::{Action, Event, RequestId, Status};

use crate::support::{Peer, Pivot, name, sdp};

/// The next event is an offer of theirs.
async fn offered(pivot: &mut Pivot, is_an_update: bool) -> (RequestId, Option<Box<str>>) {
    match pivot.next().await {
        Event::Offer { request, is_update, offer, .. } => {
            assert_eq!(is_update, is_an_update);
            (request, offer)
        }
        other => panic!("an offer was expected, not {other:?}"),
    }
}

fn answer(pivot: &Pivot, request: RequestId, with: &str) {
    let status = Status { code: 200, phrase: "OK".into() };
    pivot.act(Action::Respond { request, status, headers: Vec::new(), sdp: Some(sdp(with).into()) });
}

#[tokio::test]
async fn an_invite_without_an_offer_has_its_answer_in_the_ack() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let call = peer.invite("").await;
    let (dialog, incoming) = pivot.invited().await;
    assert_eq!(incoming.offer, None);
    pivot.accept(dialog);
    let ok = peer.expect("SIP/2.0 200").await;
    let mut call = peer.acknowledge(call, &ok, &sdp("late")).await;
    assert_eq!(pivot.acknowledged().await.as_deref().map(name), Some("late"));
    // The same in a re-INVITE.
    peer.request(&mut call, "INVITE", &peer.contact(), "").await;
    let (request, offer) = offered(&mut pivot, false).await;
    assert_eq!(offer, None);
    answer(&pivot, request, "again");
    let ok = peer.expect("SIP/2.0 200").await;
    assert_eq!(name(&ok.body), "again");
    let mut call = peer.acknowledge(call, &ok, &sdp("later")).await;
    assert_eq!(pivot.acknowledged().await.as_deref().map(name), Some("later"));
    peer.bye(&mut call).await;
    pivot.ended().await;
}

#[tokio::test]
async fn they_offer_again_by_reinvite_and_update() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let (dialog, mut call) = pivot.call_from(&mut peer).await;
    let reinvite = peer.request(&mut call, "INVITE", &peer.contact(), &sdp("hold")).await;
    let (request, offer) = offered(&mut pivot, false).await;
    assert_eq!(offer.as_deref().map(name), Some("hold"));
    // Two offers at once are one too many (RFC 3261 14.2).
    peer.request(&mut call, "UPDATE", &peer.contact(), &sdp("more")).await;
    assert_eq!(peer.expect("SIP/2.0 500").await.get("Retry-After"), "3");
    peer.send(&reinvite).await;
    answer(&pivot, request, "held");
    let ok = peer.expect("SIP/2.0 200").await;
    assert_eq!(name(&ok.body), "held");
    call.cseq -= 1;
    let mut call = peer.acknowledge(call, &ok, "").await;
    assert_eq!(pivot.acknowledged().await, None);
    call.cseq += 1;
    peer.request(&mut call, "UPDATE", &peer.contact(), &sdp("update")).await;
    let (request, offer) = offered(&mut pivot, true).await;
    assert_eq!(offer.as_deref().map(name), Some("update"));
    answer(&pivot, request, "updated");
    assert_eq!(name(&peer.expect("SIP/2.0 200").await.body), "updated");
    // One that is refused changes nothing; an old number is out of order.
    peer.request(&mut call, "INVITE", &peer.contact(), &sdp("bad")).await;
    let (request, _) = offered(&mut pivot, false).await;
    pivot.respond(request, 488, "Not Acceptable Here");
    peer.expect("SIP/2.0 488").await;
    let ack = peer.text("ACK", &call, &peer.last_via(), "", "");
    peer.send(&ack).await;
    call.cseq -= 3;
    peer.request(&mut call, "INFO", "", "").await;
    peer.expect("SIP/2.0 500").await;
    // They moved: the new Contact is where the BYE goes.
    let mut other = Peer::new(pivot.address).await;
    call.cseq += 10;
    peer.request(&mut call, "UPDATE", &other.contact(), "").await;
    peer.expect("SIP/2.0 200").await;
    let request = pivot.request();
    pivot.act(Action::Bye { dialog, request, reason: None });
    let bye = other.expect("BYE").await;
    other.respond(&bye, "200 OK", "", "", "").await;
    assert_eq!(pivot.answered(request).await.0.code, 200);
}

#[tokio::test]
async fn a_reinvite_of_theirs_is_cancelled() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let (_, mut call) = pivot.call_from(&mut peer).await;
    peer.request(&mut call, "INVITE", &peer.contact(), &sdp("hold")).await;
    offered(&mut pivot, false).await;
    let cancel = peer.text("CANCEL", &call, &peer.last_via(), "", "");
    peer.send(&cancel).await;
    peer.expect("SIP/2.0 200").await;
    peer.expect("SIP/2.0 487").await;
    let ack = peer.text("ACK", &call, &peer.last_via(), "", "");
    peer.send(&ack).await;
    peer.bye(&mut call).await;
    pivot.ended().await;
}

#[tokio::test]
async fn we_offer_again_and_meet_theirs() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let (dialog, mut call) = pivot.call_to(&mut peer, None).await;
    let request = pivot.request();
    pivot.act(Action::Offer { dialog, request, offer: sdp("mine").into() });
    let invite = peer.expect("INVITE").await;
    assert_eq!(name(&invite.body), "mine");
    // Theirs meets it, and ours theirs.
    peer.request(&mut call, "INVITE", &peer.contact(), &sdp("theirs")).await;
    peer.expect("SIP/2.0 491").await;
    let ack = peer.text("ACK", &call, &peer.last_via(), "", "");
    peer.send(&ack).await;
    peer.respond(&invite, "491 Request Pending", "", "", "").await;
    peer.expect("ACK").await;
    let again = peer.expect("INVITE").await;
    assert_eq!(name(&again.body), "mine");
    peer.respond(&again, "200 OK", "", &peer.contact(), &sdp("fine")).await;
    peer.expect("ACK").await;
    let (status, given) = pivot.answered(request).await;
    assert_eq!((status.code, given.as_deref().map(name)), (200, Some("fine")));
    // Their offer waits for an answer: ours waits for that.
    peer.request(&mut call, "INVITE", &peer.contact(), &sdp("theirs")).await;
    let (theirs, _) = offered(&mut pivot, false).await;
    let request = pivot.request();
    pivot.act(Action::Offer { dialog, request, offer: sdp("later").into() });
    answer(&pivot, theirs, "yes");
    let ok = peer.expect("SIP/2.0 200").await;
    peer.acknowledge(call, &ok, "").await;
    pivot.acknowledged().await;
    let invite = peer.expect("INVITE").await;
    assert_eq!(name(&invite.body), "later");
    peer.respond(&invite, "488 No", "", "", "").await;
    peer.expect("ACK").await;
    assert_eq!(pivot.answered(request).await.0.code, 488);
    // A peer that has forgotten the dialog has ended it.
    let request = pivot.request();
    pivot.act(Action::Offer { dialog, request, offer: sdp("last").into() });
    let invite = peer.expect("INVITE").await;
    peer.respond(&invite, "481 Who?", "", "", "").await;
    peer.expect("ACK").await;
    assert_eq!(pivot.answered(request).await.0.code, 481);
    pivot.ended().await;
    peer.expect("BYE").await;
}

#[tokio::test]
async fn reliable_responses_are_acknowledged() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let dialog = pivot.call(&peer.uri(), |_| {});
    let invite = peer.expect("INVITE").await;
    assert!(invite.get("Supported").contains("100rel"), "{invite:?}");
    let reliable = |number: u32| format!("{}Require: 100rel\r\nRSeq: {number}\r\n", peer.contact());
    peer.respond(&invite, "183 Session Progress", "t", &reliable(5), &sdp("early")).await;
    let (second, fourth) = (reliable(6), reliable(8));
    let prack = peer.expect("PRACK").await;
    assert_eq!((prack.get("RAck"), prack.get("CSeq")), ("5 1 INVITE", "2 PRACK"));
    peer.respond(&prack, "200 OK", "", "", "").await;
    match pivot.next().await {
        Event::Progress { status, sdp, .. } => {
            assert_eq!((status.code, sdp.as_deref().map(name)), (183, Some("early")));
        }
        other => panic!("{other:?}"),
    }
    // One that came out of order waits until what is missing has come.
    peer.respond(&invite, "181 Forwarded", "t", &fourth, "").await;
    peer.respond(&invite, "180 Ringing", "t", &second, "").await;
    let prack = peer.expect("PRACK").await;
    assert_eq!(prack.get("RAck"), "6 1 INVITE");
    peer.respond(&prack, "200 OK", "", "", "").await;
    assert!(matches!(pivot.next().await, Event::Progress { status, .. } if status.code == 180));
    peer.respond(&invite, "200 OK", "t", &peer.contact(), "").await;
    peer.expect("ACK").await;
    assert!(matches!(pivot.next().await, Event::Accepted { .. }));
    let request = pivot.request();
    pivot.act(Action::Bye { dialog, request, reason: None });
    assert_eq!(peer.expect("BYE").await.get("CSeq"), "4 BYE");
}

#[tokio::test]
async fn who_requires_reliable_responses_gets_them() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let mut call = peer.invite_with("Require: 100rel\r\n", &sdp("caller")).await;
    let (dialog, _) = pivot.invited().await;
    let ringing = Status { code: 180, phrase: "Ringing".into() };
    pivot.act(Action::Progress { dialog, status: ringing, sdp: None });
    pivot.accept(dialog);
    let ringing = peer.expect("SIP/2.0 180").await;
    assert_eq!((ringing.get("Require"), ringing.get("RSeq")), ("100rel", "1"));
    // It comes until its PRACK; the 200 waits.
    let (again, _) = peer.receive().await;
    assert_eq!(again.start, ringing.start);
    call.remote = ringing.get("To").to_owned();
    let mut early = call.clone();
    peer.request(&mut early, "PRACK", "RAck: 2 1 INVITE\r\n", "").await;
    peer.expect("SIP/2.0 481").await;
    peer.request(&mut early, "PRACK", "RAck: 1 1 INVITE\r\n", "").await;
    let mut codes = [peer.expect("SIP/2.0 200").await, peer.expect("SIP/2.0 200").await];
    codes.sort_by_key(|ok| ok.get("CSeq").to_owned());
    assert_eq!(codes[0].get("CSeq"), "1 INVITE");
    assert_eq!(codes[1].get("CSeq"), "3 PRACK");
    peer.acknowledge(call, &codes[0], "").await;
    pivot.acknowledged().await;

    let refused = peer.invite_with("Require: 100rel, teleport\r\n", "").await;
    assert_eq!(peer.expect("SIP/2.0 420").await.get("Unsupported"), "teleport");
    drop(refused);
}

#[tokio::test]
async fn a_session_is_refreshed_by_whom_it_was_agreed() {
    let mut pivot = Pivot::with(|config| config.min_session_expires_s = 2).await;
    let mut peer = Peer::new(pivot.address).await;
    peer.invite_with("Supported: timer\r\nSession-Expires: 1\r\n", "").await;
    assert_eq!(peer.expect("SIP/2.0 422").await.get("Min-SE"), "2");
    // We refresh after half of the time, and they do not answer to any purpose.
    let call = peer.invite_with("Session-Expires: 2\r\nAllow: UPDATE\r\n", &sdp("caller")).await;
    let (dialog, _) = pivot.invited().await;
    pivot.accept(dialog);
    let ok = peer.expect("SIP/2.0 200").await;
    assert_eq!(ok.get("Session-Expires"), "2;refresher=uas");
    peer.acknowledge(call, &ok, "").await;
    pivot.acknowledged().await;
    let update = peer.expect("UPDATE").await;
    assert_eq!((update.get("Session-Expires"), update.body.len()), ("2;refresher=uac", 0));
    peer.respond(&update, "200 OK", "", "Session-Expires: 2;refresher=uac\r\n", "").await;
    let update = peer.expect("UPDATE").await;
    peer.respond(&update, "481 Gone", "", "", "").await;
    pivot.ended().await;
    peer.expect("BYE").await;
}

#[tokio::test]
async fn a_session_that_they_do_not_refresh_ends() {
    let mut pivot = Pivot::with(|config| {
        config.session_expires_s = Some(1);
        config.t1 = Duration::from_millis(20);
    })
    .await;
    let mut peer = Peer::new(pivot.address).await;
    pivot.call(&peer.uri(), |_| {});
    let invite = peer.expect("INVITE").await;
    assert_eq!(invite.get("Session-Expires"), "1");
    let fields = format!("{}Session-Expires: 1;refresher=uas\r\nRequire: timer\r\n", peer.contact());
    peer.respond(&invite, "200 OK", "t", &fields, &sdp("callee")).await;
    peer.expect("ACK").await;
    assert!(matches!(pivot.next().await, Event::Accepted { .. }));
    match pivot.next().await {
        Event::Ended(_, Some(reason)) => assert_eq!(reason.cause, 408),
        other => panic!("{other:?}"),
    }
    peer.expect("BYE").await;
}
