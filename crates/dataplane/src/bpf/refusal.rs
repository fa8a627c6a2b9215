//! Why the kernel does not do something with a program, in words for the operator: what was refused, why, what to do.

use std::io;

use super::LoadError;
use crate::backend::Unavailable;
use crate::probe;

/// It takes no program. `since`: the first Linux that does.
pub(crate) fn not_loaded(error: &LoadError, since: &str) -> Unavailable {
    in_words(error, error.errno(), since)
}

/// It does not do `what`.
pub(crate) fn refused(what: &str, error: &io::Error, since: &str) -> Unavailable {
    in_words(format_args!("{what}: {error}"), error.raw_os_error(), since)
}

fn in_words(what: impl core::fmt::Display, errno: Option<i32>, since: &str) -> Unavailable {
    let advice = match errno {
        Some(libc::EPERM) => {
            "; it takes CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and CAP_PERFMON (systemd: AmbientCapabilities; containers: --cap-add), or \
             root"
                .to_owned()
        }
        Some(libc::EINVAL | libc::EOPNOTSUPP) => format!("; it takes Linux {since} or later"),
        Some(libc::ENOSYS) => "; this kernel is built without it".to_owned(),
        _ => String::new(),
    };
    Unavailable::new(format!("{what}{advice} (Linux {})", probe::kernel()))
}
