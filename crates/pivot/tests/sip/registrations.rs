//! REGISTER of ours.

use patchcord_pivot::message::Credentials;
use patchcord_pivot::sip::{Registered, Registration};

use crate::support::{Peer, Pivot};

#[tokio::test]
async fn a_registration_is_kept_and_taken_back() {
    let pivot = Pivot::start().await;
    let mut registrar = Peer::new(pivot.address).await;
    let domain = format!("sip:127.0.0.1:{}", registrar.port());
    let registering = pivot.stack.register(Registration {
        registrar: domain.clone().into(),
        proxy: None,
        aor: "sip:me@platform.invalid".into(),
        contact_user: "me".into(),
        credentials: Some(Credentials { username: "u".into(), password: "p".into(), realm: None }),
        expires_s: 1,
    });
    let mut state = registering.state();
    let at = Some([127, 0, 0, 1].into());
    assert_eq!(*state.borrow(), Registered::Trying);
    let first = registrar.expect(&format!("REGISTER {domain} SIP/2.0")).await;
    assert!(first.get("Contact").starts_with("<sip:me@127.0.0.1:"), "{first:?}");
    assert_eq!((first.get("Expires"), first.get("To")), ("1", "<sip:me@platform.invalid>"));
    registrar.respond(&first, "401 Who", "r", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n", "").await;
    let second = registrar.expect("REGISTER").await;
    assert!(second.get("Authorization").contains("response="), "{second:?}");
    assert_eq!((second.get("CSeq"), second.get("Call-ID")), ("2 REGISTER", first.get("Call-ID")));
    registrar.respond(&second, "423 Interval Too Brief", "r", "Min-Expires: 2\r\n", "").await;
    let third = registrar.expect("REGISTER").await;
    assert_eq!(third.get("Expires"), "2");
    let granted = format!("Contact: <sip:other@x>, {};expires=2\r\n", third.get("Contact"));
    registrar.respond(&third, "200 OK", "r", &granted, "").await;
    state.wait_for(|state| *state == Registered::Yes { expires_s: 2, at }).await.expect("it is registered");
    // It is refreshed before it is over, and a refusal of that is told.
    let refresh = registrar.expect("REGISTER").await;
    assert_eq!(refresh.get("CSeq"), "4 REGISTER");
    registrar.respond(&refresh, "200 OK", "r", "Expires: 3600\r\n", "").await;
    state.wait_for(|state| *state == Registered::Yes { expires_s: 3_600, at }).await.expect("it is refreshed");
    drop(registering);
    let last = registrar.expect("REGISTER").await;
    assert_eq!(last.get("Expires"), "0");
    registrar.respond(&last, "200 OK", "r", "", "").await;
    state.wait_for(|state| *state == Registered::Ended).await.expect("it is taken back");
}

#[tokio::test]
async fn a_registration_that_is_refused_says_why() {
    let pivot = Pivot::start().await;
    let mut registrar = Peer::new(pivot.address).await;
    let registering = pivot.stack.register(Registration {
        registrar: format!("sip:127.0.0.1:{}", registrar.port()).into(),
        proxy: None,
        aor: "sip:me@x".into(),
        contact_user: "me".into(),
        credentials: None,
        expires_s: 60,
    });
    let request = registrar.expect("REGISTER").await;
    registrar.respond(&request, "403 Not you", "r", "", "").await;
    let mut state = registering.state();
    let refused = state.wait_for(|state| matches!(state, Registered::No(_))).await.expect("it is refused").clone();
    assert!(matches!(refused, Registered::No(status) if status.code == 403 && &*status.phrase == "Not you"));
}
