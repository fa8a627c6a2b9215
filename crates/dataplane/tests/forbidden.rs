//! Where io_uring is forbidden, as in the default profiles of container runtimes, the relay says so and works without it.

#![allow(unsafe_code, reason = "a system call filter is installed by prctl")]

use std::net::UdpSocket;
use std::thread;

use crossbeam::channel;
use patchcord_dataplane::{BackendChoice, Config, Dataplane, StartError};
use patchcord_relay::exchange::{Reply, Request};

#[test]
fn without_io_uring_the_automatic_choice_is_mmsg_and_says_why() {
    // The filter is for this thread and the threads that it starts, among them the workers.
    let confined = thread::spawn(|| {
        forbid(libc::SYS_bpf);
        forbid(libc::SYS_io_uring_setup);
        UdpSocket::bind("127.0.0.1:0").expect("other system calls are allowed");

        let (sender, replies) = channel::unbounded();
        let dataplane = Dataplane::start(&Config::default(), sender).expect("mmsg needs no privilege");
        let (name, reason) = dataplane.backend();
        assert_eq!(name, "mmsg");
        for part in ["io_uring_setup", "Operation not permitted", "seccomp"] {
            assert!(reason.contains(part), "{part} is missing in: {reason}");
        }
        assert!(!reason.contains('\n'), "{reason}");
        let speeds: Vec<_> = dataplane.speeds().iter().map(|speed| (speed.name, speed.available)).collect();
        assert_eq!(speeds, [("steered", false), ("io-uring", false), ("mmsg", true)]);
        let why = &dataplane.speeds()[0].reason;
        assert!((why.contains("CAP_BPF") || why.contains("track")) && !why.contains('\n'), "{why}");
        dataplane.handles()[0].send(Request::Worker { ticket: 1 }).expect("the worker runs");
        match replies.recv() {
            Ok((0, Reply::Worker { worker, .. })) => assert_eq!(worker.backend, "mmsg"),
            other => panic!("{other:?}"),
        }

        let (sender, _replies) = channel::unbounded();
        let config = Config { backend: BackendChoice::IoUring, ..Config::default() };
        match Dataplane::start(&config, sender) {
            Err(error @ StartError::Backend { name: "io-uring", .. }) => {
                assert!(error.to_string().contains("seccomp"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    });
    if let Err(panic) = confined.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Makes one system call fail with EPERM, for the calling thread and those that it starts.
fn forbid(number: libc::c_long) {
    let (load, jump_if_equal, give) = (0x20, 0x15, 0x06);
    let statement = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut program = [
        // The first word of seccomp_data is the number of the system call.
        statement(load, 0),
        libc::sock_filter { code: jump_if_equal, jt: 0, jf: 1, k: number as u32 },
        statement(give, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(give, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: this option takes integers only.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(result, 0, "without this, a filter needs privileges");
    // SAFETY: `filter` describes `program`, and both outlive the call; the kernel copies them.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
