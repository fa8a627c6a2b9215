//! Many calls at once, and nothing of them afterwards.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use patchcord_pivot::message::{Action, DialogId, Event, Incoming, RequestId, Status, Transport};

use crate::support::{Peer, Pivot, listen, sdp};

/// Enough to be more than a runtime has threads.
const CALLS: usize = 500;

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("the system tells").count()
}

#[tokio::test]
async fn hundreds_of_calls_need_no_threads_and_leave_nothing() {
    // Between two stacks by TCP: loopback drops datagrams of such bursts.
    let tcp = |config: &mut patchcord_pivot::sip::Config| {
        config.listen = vec![listen(Transport::Tcp, "127.0.0.1")];
        // The usual: a busy machine is slow.
        config.t1 = Duration::from_millis(500);
    };
    let (mut caller, mut callee) = (Pivot::with(tcp).await, Pivot::with(tcp).await);
    let before = threads();
    let uri = format!("sip:a@{};transport=tcp", callee.address);
    let calls: Vec<DialogId> = (0..CALLS).map(|_| caller.call(&uri, |_| {})).collect();
    let (mut accepted, mut acknowledged) = (0, 0);
    while accepted < CALLS || acknowledged < CALLS {
        tokio::select! {
            event = caller.next() => match event {
                Event::Accepted { .. } => accepted += 1,
                other => panic!("{other:?}"),
            },
            event = callee.next() => match event {
                Event::Invite(dialog, _) => callee.accept(dialog),
                Event::Acknowledged { .. } => acknowledged += 1,
                other => panic!("{other:?}"),
            },
        }
    }
    assert_eq!((caller.stack.dialogs(), callee.stack.dialogs()), (CALLS, CALLS));
    // Other tests have threads too.
    assert!(threads() < before + 200, "{} threads", threads());
    let mut byes: BTreeMap<RequestId, DialogId> = BTreeMap::new();
    for dialog in calls {
        let request = caller.request();
        byes.insert(request, dialog);
        caller.act(Action::Bye { dialog, request, reason: None });
    }
    let mut ended = 0;
    while ended < CALLS || !byes.is_empty() {
        tokio::select! {
            event = caller.next() => match event {
                Event::Answered { request, status, .. } => {
                    assert_eq!(status.code, 200);
                    byes.remove(&request).expect("it is one of them");
                }
                other => panic!("{other:?}"),
            },
            event = callee.next() => match event {
                Event::Ended(..) => ended += 1,
                other => panic!("{other:?}"),
            },
        }
    }
    while callee.stack.dialogs() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Whatever waits for forks of calls that are over takes no room from those that there are.
#[tokio::test]
async fn calls_that_are_over_take_no_room() {
    const ROOM: usize = 2;
    let mut caller = Pivot::with(|config| {
        config.limits.dialogs = ROOM;
        config.t1 = Duration::from_millis(500);
    })
    .await;
    let mut callee = Pivot::with(|_| {}).await;
    let uri = format!("sip:a@{}", callee.address);
    for _ in 0..3 * ROOM {
        let dialog = caller.call(&uri, |_| {});
        let Event::Invite(called, _) = callee.next().await else { panic!("no INVITE") };
        callee.accept(called);
        let event = caller.next().await;
        assert!(matches!(event, Event::Accepted { .. }), "{event:?}");
        let Event::Acknowledged { .. } = callee.next().await else { panic!("no ACK") };
        let request = caller.request();
        caller.act(Action::Bye { dialog, request, reason: None });
        let Event::Ended(..) = callee.next().await else { panic!("no BYE") };
        let Event::Answered { .. } = caller.next().await else { panic!("no answer") };
    }
    assert!(caller.stack.dialogs() > ROOM, "they are still there");
}

/// INVITEs, many more than can be answered, until it is told to stop; counts those that are refused for that.
fn flood(pivot: SocketAddr, stop: &AtomicBool, refused: &AtomicUsize) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_nonblocking(true).expect("it waits for nothing");
    let from = socket.local_addr().expect("an address");
    let mut buffer = [0; 2048];
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let invite = format!(
            "INVITE sip:pivot@{pivot} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bKf{number}\r\n\
             From: <sip:f@{from}>;tag=f{number}\r\nTo: <sip:pivot@{pivot}>\r\nCall-ID: f{number}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:f@{from}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        // What the system has no room for is lost. Others are to have something of the processor.
        let _ = socket.send_to(invite.as_bytes(), pivot);
        if number % 64 == 63 {
            std::thread::sleep(Duration::from_millis(1));
        }
        while let Ok(length) = socket.recv(&mut buffer) {
            // Where there is no room for another dialog it is another one.
            let is_refused = buffer[..length].windows(14).any(|field| field == b"Retry-After: 5");
            refused.fetch_add(usize::from(is_refused), Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn more_than_can_be_answered_harms_no_call_that_is_there() {
    let mut pivot = Pivot::with(|config| config.limits.behind = Some(Duration::from_millis(20))).await;
    let mut peer = Peer::new(pivot.address).await;
    let (_, mut call) = pivot.call_from(&mut peer).await;
    let (stop, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (at, its_stop, its_refused) = (pivot.address, Arc::clone(&stop), Arc::clone(&refused));
    let flooding = std::thread::spawn(move || flood(at, &its_stop, &its_refused));
    let mut bye = None;
    let is_of_flood = |incoming: &Incoming| incoming.call_id.starts_with('f');
    loop {
        // Its BYE may find no room in the socket either, and is sent again as telephones do.
        if refused.load(Ordering::Relaxed) > 0 {
            match &bye {
                None => bye = Some(peer.request(&mut call, "BYE", "", "").await),
                Some(bye) => peer.send(bye).await,
            }
        }
        match tokio::time::timeout(Duration::from_millis(100), pivot.next()).await {
            Ok(Event::Ended(..)) => break,
            Ok(Event::Invite(dialog, incoming)) if is_of_flood(&incoming) => {
                let status = Status { code: 486, phrase: "Busy Here".into() };
                pivot.act(Action::Reject { dialog, status, headers: Vec::new() });
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
    let ok = peer.expect("SIP/2.0 200").await;
    assert!(ok.get("CSeq").ends_with("BYE"), "{ok:?}");
    stop.store(true, Ordering::Relaxed);
    flooding.join().expect("no panic");
    // When it has caught up, who calls is heard again.
    let mut caller = Peer::new(pivot.address).await;
    loop {
        caller.invite(&sdp("caller")).await;
        match tokio::time::timeout(Duration::from_millis(100), pivot.next()).await {
            Ok(Event::Invite(_, incoming)) if !is_of_flood(&incoming) => break,
            _ => {}
        }
    }
}
