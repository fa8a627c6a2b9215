//! Many calls at once, and nothing of them afterwards.

use std::collections::BTreeMap;

use patchcord_pivot::message::{Action, DialogId, Event, RequestId, Transport};

use crate::support::{Pivot, listen};

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
        config.t1 = std::time::Duration::from_millis(500);
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
        config.t1 = std::time::Duration::from_millis(500);
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
