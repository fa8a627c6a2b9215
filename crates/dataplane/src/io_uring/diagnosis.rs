//! Why io_uring is not there, in words.

use std::{fs, io};

use io_uring::{IoUring, Probe, opcode};

use crate::backend::Unavailable;

/// `io_uring_setup` failed.
pub(super) fn setup(error: &io::Error) -> Unavailable {
    let advice = match error.raw_os_error() {
        Some(libc::ENOSYS) => "this kernel is built without it, or a seccomp profile hides it (containers: allow \
                               io_uring_setup, io_uring_enter and io_uring_register in the profile)"
            .to_owned(),
        Some(libc::EPERM | libc::EACCES) => match disabled().as_deref() {
            Some("2") => "the sysctl kernel.io_uring_disabled is 2: set it to 0".to_owned(),
            Some("1") => "the sysctl kernel.io_uring_disabled is 1, which leaves it to processes with CAP_SYS_ADMIN or in \
                          the group kernel.io_uring_group: join that group, or set it to 0"
                .to_owned(),
            _ => "a seccomp profile or a security module forbids it (containers: allow io_uring_setup, io_uring_enter and \
                  io_uring_register in the profile)"
                .to_owned(),
        },
        Some(libc::EINVAL) => "the kernel is too old: 6.1 or later is needed".to_owned(),
        Some(libc::ENOMEM) => "the limit of locked memory is too low: raise it (LimitMEMLOCK, ulimit -l)".to_owned(),
        Some(libc::EMFILE) => "too many open files: raise the limit (LimitNOFILE, ulimit -n)".to_owned(),
        _ => "unexpected".to_owned(),
    };
    Unavailable::new(format!("io_uring_setup: {error}: {advice}"))
}

/// The ring is there; does it do what the backend needs?
pub(super) fn features(ring: &IoUring) -> Result<(), Unavailable> {
    let params = ring.params();
    let needed = [
        (params.is_feature_nodrop(), "completions that are never lost (IORING_FEAT_NODROP, Linux 5.5)"),
        (params.is_feature_ext_arg(), "waiting with a timeout (IORING_FEAT_EXT_ARG, Linux 5.11)"),
        (params.is_feature_skip_cqe_on_success(), "sends without completions (IORING_FEAT_CQE_SKIP, Linux 5.17)"),
    ];
    if let Some((_, missing)) = needed.iter().find(|(present, _)| !present) {
        return Err(Unavailable::new(format!("io_uring lacks {missing}")));
    }
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| Unavailable::io("io_uring_register(PROBE)", &error))?;
    let operations = [
        (opcode::RecvMsgMulti::CODE, "RECVMSG"),
        (opcode::Send::CODE, "SEND"),
        (opcode::PollAdd::CODE, "POLL_ADD"),
        (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
    ];
    match operations.iter().find(|(code, _)| !probe.is_supported(*code)) {
        None => Ok(()),
        Some((_, name)) => Err(Unavailable::new(format!("io_uring lacks the operation {name}"))),
    }
}

fn disabled() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().to_owned())
}
