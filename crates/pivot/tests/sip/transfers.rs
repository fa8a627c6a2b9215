//! REFER and NOTIFY in both directions, and what else is said in a dialog.

use patchcord_pivot::message::{Action, DialogId, Event, Header, Refer, RequestId};

use crate::support::{Peer, Pivot};

async fn referred(pivot: &mut Pivot) -> (Option<DialogId>, RequestId, Box<Refer>) {
    match pivot.next().await {
        Event::Refer { dialog, request, refer } => (dialog, request, refer),
        other => panic!("a REFER was expected, not {other:?}"),
    }
}

fn notify(pivot: &Pivot, dialog: DialogId, event: &str, state: &str, body: &str) -> RequestId {
    let request = pivot.request();
    let (event, state, body) = (event.into(), state.into(), body.into());
    pivot.act(Action::Notify { dialog, request, event, state, body });
    request
}

#[tokio::test]
async fn a_refer_is_reported_once_and_its_notifys_come_in_order() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let (dialog, mut call) = pivot.call_from(&mut peer).await;
    let fields = format!(
        "{}Refer-To: <sip:a@x?Replaces=1%3Bto-tag%3D2>\r\nr: \"B\" <tel:+1>\r\nReferred-By: <sip:me@x>\r\n\
         Refer-Sub: true\r\nX-Note: 1\r\n",
        peer.contact()
    );
    let refer = peer.request(&mut call, "REFER", &fields, "").await;
    let (of, request, said) = referred(&mut pivot).await;
    assert_eq!((of, said.cseq), (Some(dialog), 2));
    assert_eq!(said.refer_to, ["<sip:a@x?Replaces=1%3Bto-tag%3D2>".into(), "\"B\" <tel:+1>".into()]);
    assert_eq!((said.referred_by.as_deref(), said.refer_sub), (Some("<sip:me@x>"), Some(true)));
    assert_eq!((said.extra.len(), said.subscription), (1, None));
    // Before and after its answer it is the same REFER.
    peer.send(&refer).await;
    pivot.respond(request, 202, "Accepted");
    let accepted = peer.expect("SIP/2.0 202 Accepted").await;
    peer.send(&refer).await;
    let (again, _) = peer.receive().await;
    assert_eq!((&again.start, again.get("CSeq")), (&accepted.start, "2 REFER"));
    // A NOTIFY waits for the answer to the one before.
    let first = notify(&pivot, dialog, "refer", "active;expires=60", "SIP/2.0 100 Trying\r\n");
    let last = notify(&pivot, dialog, "refer;id=2", "terminated;reason=noresource", "SIP/2.0 200 OK\r\n");
    let notified = peer.expect("NOTIFY").await;
    let shown = (notified.get("Event"), notified.get("Subscription-State"), &*notified.body);
    assert_eq!(shown, ("refer", "active;expires=60", "SIP/2.0 100 Trying\r\n"));
    assert_eq!(notified.get("Content-Type"), "message/sipfrag;version=2.0");
    assert!(!notified.get("Contact").is_empty(), "{notified:?}");
    let (again, _) = peer.receive().await;
    assert_eq!(again.body, notified.body, "the second one has to wait");
    peer.respond(&notified, "200 OK", "", "", "").await;
    assert_eq!(pivot.answered(first).await.0.code, 200);
    let notified = peer.expect("NOTIFY").await;
    assert_eq!((notified.get("Event"), &*notified.body), ("refer;id=2", "SIP/2.0 200 OK\r\n"));
    peer.respond(&notified, "200 OK", "", "", "").await;
    assert_eq!(pivot.answered(last).await.0.code, 200);
    peer.bye(&mut call).await;
    pivot.ended().await;
    assert_eq!(pivot.stack.dialogs(), 0);
}

#[tokio::test]
async fn a_refer_outside_of_a_dialog_begins_a_subscription() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let mut call = peer.invite("").await;
    pivot.invited().await;
    call.call_id = "refer@x".to_owned();
    let fields = format!("{}Refer-To: <sip:a@x>\r\nTarget-Dialog: c;local-tag=1;remote-tag=2\r\n", peer.contact());
    peer.request(&mut call, "REFER", &fields, "").await;
    let (dialog, request, refer) = referred(&mut pivot).await;
    assert_eq!((dialog, refer.target_dialog.as_deref()), (None, Some("c;local-tag=1;remote-tag=2")));
    let subscription = refer.subscription.expect("a dialog for the NOTIFYs");
    pivot.respond(request, 202, "Accepted");
    let accepted = peer.expect("SIP/2.0 202").await;
    let sent = notify(&pivot, subscription, "refer", "terminated;reason=noresource", "SIP/2.0 603 Decline\r\n");
    let notified = peer.expect("NOTIFY").await;
    assert_eq!((notified.get("From"), notified.get("Call-ID")), (accepted.get("To"), "refer@x"));
    peer.respond(&notified, "200 OK", "", "", "").await;
    assert_eq!(pivot.answered(sent).await.0.code, 200);
    assert_eq!(pivot.stack.dialogs(), 1, "the subscription is over");
    // What is refused begins nothing.
    call.call_id = "other@x".to_owned();
    peer.request(&mut call, "REFER", &fields, "").await;
    let (_, request, _) = referred(&mut pivot).await;
    pivot.respond(request, 403, "Forbidden");
    peer.expect("SIP/2.0 403").await;
    call.call_id = "third@x".to_owned();
    peer.request(&mut call, "REFER", "Max-Forwards: 0\r\n", "").await;
    peer.expect("SIP/2.0 4").await;
}

#[tokio::test]
async fn our_refer_is_notified() {
    let mut pivot = Pivot::start().await;
    let mut peer = Peer::new(pivot.address).await;
    let (dialog, mut call) = pivot.call_to(&mut peer, None).await;
    let request = pivot.request();
    let headers = vec![Header { name: "Referred-By".into(), value: "<sip:me@x>".into() }];
    pivot.act(Action::Refer { dialog, request, refer_to: "<tel:+15551234>".into(), headers });
    let refer = peer.expect("REFER").await;
    assert_eq!((refer.get("Refer-To"), refer.get("Referred-By")), ("<tel:+15551234>", "<sip:me@x>"));
    peer.respond(&refer, "202 Accepted", "", "", "").await;
    assert_eq!(pivot.answered(request).await.0.code, 202);
    for (fields, body, code) in [
        (
            "Event: refer\r\nSubscription-State: active;expires=9\r\nContent-Type: message/sipfrag\r\n",
            "SIP/2.0 100 T\r\n",
            200,
        ),
        (
            "o: refer;id=2\r\nSubscription-State: terminated\r\nContent-Type: message/sipfrag\r\n",
            "SIP/2.0 486 B\r\n",
            200,
        ),
        ("Event: dialog\r\nSubscription-State: active\r\n", "", 489),
        ("Event: refer\r\n", "", 400),
    ] {
        peer.request(&mut call, "NOTIFY", &format!("{}{fields}", peer.contact()), body).await;
        if code == 200 {
            match pivot.next().await {
                Event::Notify { dialog: of, request, event, state, body: said } => {
                    assert_eq!((of, &*said), (dialog, body));
                    assert!(event.starts_with("refer") && !state.is_empty());
                    pivot.respond(request, 200, "OK");
                }
                other => panic!("{other:?}"),
            }
        }
        peer.expect(&format!("SIP/2.0 {code}")).await;
    }
    peer.request(&mut call, "INFO", "Content-Type: application/dtmf-relay\r\n", "Signal=5\r\n").await;
    match pivot.next().await {
        Event::Other { request, method, content_type, body, .. } => {
            let said = (&*method, content_type.as_deref(), &*body);
            assert_eq!(said, ("INFO", Some("application/dtmf-relay"), "Signal=5\r\n"));
            pivot.respond(request, 200, "OK");
        }
        other => panic!("{other:?}"),
    }
    peer.expect("SIP/2.0 200").await;
    peer.request(&mut call, "OPTIONS", "", "").await;
    let ok = peer.expect("SIP/2.0 200").await;
    assert!(ok.get("Accept").contains("application/sdp") && ok.get("Supported").contains("replaces"), "{ok:?}");
    peer.request(&mut call, "SUBSCRIBE", "", "").await;
    assert!(peer.expect("SIP/2.0 405").await.get("Allow").contains("INVITE"));
    pivot.bye_answered_by(dialog, &mut peer).await;
}

#[tokio::test]
async fn what_still_waits_when_a_dialog_ends_is_answered() {
    let mut pivot = Pivot::with(|config| config.limits.requests = 2).await;
    let mut peer = Peer::new(pivot.address).await;
    let (dialog, mut call) = pivot.call_from(&mut peer).await;
    for _ in 0..2 {
        peer.request(&mut call, "INFO", "", "").await;
        assert!(matches!(pivot.next().await, Event::Other { .. }));
    }
    peer.request(&mut call, "INFO", "", "").await;
    peer.expect("SIP/2.0 503").await;
    let refer = pivot.request();
    pivot.act(Action::Refer { dialog, request: refer, refer_to: "<sip:a@x>".into(), headers: Vec::new() });
    peer.expect("REFER").await;
    peer.request(&mut call, "BYE", "", "").await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(peer.expect("SIP/2.0 ").await.start);
    }
    codes.sort();
    assert!(codes[0].contains("200") && codes[1].contains("481") && codes[2].contains("481"), "{codes:?}");
    pivot.ended().await;
    assert_eq!(pivot.answered(refer).await.0.code, 481);
    // Of a dialog that is over nobody hears any more.
    pivot.act(Action::Progress {
        dialog,
        status: patchcord_pivot::message::Status { code: 180, phrase: "".into() },
        sdp: None,
    });
    peer.request(&mut call, "INFO", "", "").await;
    peer.expect("SIP/2.0 481").await;
}
