//! SIPp as the peer.

use std::net::IpAddr;

use patchcord_pivot::message::{Action, Credentials, Event, Transport};

use crate::support::{Pivot, Sipp, listen};

const LOOPBACK: &str = "127.0.0.1";

async fn is_called(transport: Transport, flag: &str, ip: &str) {
    let mut pivot = Pivot::with(|config| config.listen = vec![listen(transport, ip)]).await;
    let sipp = Sipp::run("caller", flag, ip.parse().expect("an address"), pivot.address);
    let (dialog, incoming) = pivot.invited().await;
    assert_eq!(incoming.origin.transport, transport);
    assert_eq!(incoming.origin.address.ip(), sipp.address.ip());
    pivot.accept(dialog);
    pivot.acknowledged().await;
    pivot.ended().await;
    sipp.succeeds().await;
}

#[tokio::test]
async fn sipp_calls_by_udp() {
    is_called(Transport::Udp, "u1", LOOPBACK).await;
}

#[tokio::test]
async fn sipp_calls_by_tcp() {
    is_called(Transport::Tcp, "t1", LOOPBACK).await;
}

#[tokio::test]
async fn sipp_calls_by_ipv6() {
    is_called(Transport::Udp, "u1", "::1").await;
}

async fn calls(pivot: &mut Pivot, sipp: Sipp, parameter: &str, credentials: Option<Credentials>) {
    let dialog = pivot.call(&format!("sip:sipp@{}{parameter}", sipp.address), |out| out.credentials = credentials);
    loop {
        match pivot.next().await {
            Event::Progress { status, .. } => assert_eq!(status.code, 180),
            Event::Accepted { answer, .. } => break assert!(answer.is_some()),
            other => panic!("{other:?}"),
        }
    }
    let request = pivot.request();
    pivot.act(Action::Bye { dialog, request, reason: None });
    assert_eq!(pivot.answered(request).await.0.code, 200);
    sipp.succeeds().await;
}

#[tokio::test]
async fn sipp_is_called_by_udp_and_tcp() {
    for (flag, parameter) in [("u1", ""), ("t1", ";transport=tcp")] {
        let mut pivot = Pivot::with(|config| config.listen.push(listen(Transport::Tcp, LOOPBACK))).await;
        let sipp = Sipp::run("callee", flag, IpAddr::from([127, 0, 0, 1]), pivot.address);
        if flag == "t1" {
            sipp.listens().await;
        }
        calls(&mut pivot, sipp, parameter, None).await;
    }
}

#[tokio::test]
async fn sipp_verifies_our_digest() {
    let mut pivot = Pivot::start().await;
    let sipp = Sipp::run("challenger", "u1", IpAddr::from([127, 0, 0, 1]), pivot.address);
    let credentials = Credentials { username: "pivot".into(), password: "secret".into(), realm: Some("sipp".into()) };
    calls(&mut pivot, sipp, "", Some(credentials)).await;
}

#[tokio::test]
async fn sipp_refers_us_and_is_told_how_it_goes() {
    let mut pivot = Pivot::start().await;
    let sipp = Sipp::run("referrer", "u1", IpAddr::from([127, 0, 0, 1]), pivot.address);
    let (dialog, _) = pivot.invited().await;
    pivot.accept(dialog);
    pivot.acknowledged().await;
    match pivot.next().await {
        Event::Refer { request, refer, .. } => {
            assert_eq!(refer.refer_to, ["<sip:target@192.0.2.1>".into()]);
            pivot.respond(request, 202, "Accepted");
        }
        other => panic!("{other:?}"),
    }
    for (state, body) in
        [("active;expires=60", "SIP/2.0 100 Trying\r\n"), ("terminated;reason=noresource", "SIP/2.0 200 OK\r\n")]
    {
        let request = pivot.request();
        let (event, state, body) = ("refer".into(), state.into(), body.into());
        pivot.act(Action::Notify { dialog, request, event, state, body });
        assert_eq!(pivot.answered(request).await.0.code, 200);
    }
    pivot.ended().await;
    sipp.succeeds().await;
}
