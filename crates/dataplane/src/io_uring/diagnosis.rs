//! What io_uring there is, and why there is no more of it, in words.

use std::{fs, io};

use io_uring::{IoUring, Parameters, Probe, opcode};

use crate::backend::Unavailable;
use crate::probe::Feature;

/// Why `io_uring_setup` failed.
pub(super) fn setup(error: &io::Error) -> Unavailable {
    let advice = match error.raw_os_error() {
        Some(libc::ENOSYS) => {
            "this kernel is built without it, or a seccomp profile hides it (containers: allow \
                               io_uring_setup, io_uring_enter and io_uring_register in the profile)"
        }
        Some(libc::EPERM | libc::EACCES) => match disabled().as_deref() {
            Some("2") => "the sysctl kernel.io_uring_disabled is 2: set it to 0",
            Some("1") => {
                "the sysctl kernel.io_uring_disabled is 1, which leaves it to processes with CAP_SYS_ADMIN or in \
                          the group kernel.io_uring_group: join that group, or set it to 0"
            }
            _ => {
                "a seccomp profile or a security module forbids it (containers: allow io_uring_setup, io_uring_enter and \
                  io_uring_register in the profile)"
            }
        },
        Some(libc::EINVAL) => "the kernel is too old: 6.1 or later is needed",
        Some(libc::ENOMEM) => "the limit of locked memory is too low: raise it (LimitMEMLOCK, ulimit -l)",
        Some(libc::EMFILE) => "too many open files: raise the limit (LimitNOFILE, ulimit -n)",
        _ => "an unexpected error",
    };
    Unavailable::new(format!("io_uring_setup: {error}: {advice}"))
}

/// Whether the ring does what the backend needs.
pub(super) fn check(ring: &IoUring) -> Result<(), Unavailable> {
    let found = list(ring);
    match found.iter().find(|feature| feature.needed && !feature.present) {
        None => Ok(()),
        Some(missing) => Err(Unavailable::new(format!(
            "io_uring lacks {} ({}), which came with Linux {}",
            missing.name, missing.purpose, missing.since
        ))),
    }
}

/// The features of this kernel's io_uring; nothing if no ring can be made.
pub(crate) fn features() -> Vec<Feature> {
    IoUring::new(8).map_or_else(|_| Vec::new(), |ring| list(&ring))
}

fn list(ring: &IoUring) -> Vec<Feature> {
    let params = ring.params();
    let mut probe = Probe::new();
    let probed = ring.submitter().register_probe(&mut probe).is_ok();
    let supports = |code| probed && probe.is_supported(code);
    let feature = |name, purpose, since, needed, present| Feature { name, purpose, since, needed, present };
    let has = |is: fn(&Parameters) -> bool| is(params);
    vec![
        feature("NODROP", "completions are never lost", "5.5", true, has(Parameters::is_feature_nodrop)),
        feature("EXT_ARG", "waiting with a timeout", "5.11", true, has(Parameters::is_feature_ext_arg)),
        feature("CQE_SKIP", "sends without completions", "5.17", true, has(Parameters::is_feature_skip_cqe_on_success)),
        feature("RECVMSG", "receiving with timestamps", "5.3", true, supports(opcode::RecvMsgMulti::CODE)),
        feature("SEND", "sending", "5.6", true, supports(opcode::Send::CODE)),
        feature("POLL_ADD", "being woken for commands", "5.1", true, supports(opcode::PollAdd::CODE)),
        feature("ASYNC_CANCEL", "closing ports", "5.5", true, supports(opcode::AsyncCancel::CODE)),
        feature(
            "NO_IOWAIT",
            "idling is not shown as waiting for a disk",
            "6.15",
            false,
            has(Parameters::is_feature_no_iowait),
        ),
    ]
}

fn disabled() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().to_owned())
}
