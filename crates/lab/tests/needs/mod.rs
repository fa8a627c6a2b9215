//! What tests need that not every machine has. Without it they say so and pass, but not in continuous integration.

#![allow(dead_code, reason = "each test binary uses its own part of this module")]

use std::process::{Command, Stdio};

use patchcord_lab::netns;

/// Whether namespaces can be made; if not, says that `what` needs root.
pub(crate) fn root(what: &str) -> bool {
    is_met(what, (!netns::may_create()).then_some("root"))
}

/// Whether namespaces can be made and Debian's rtpengine is installed; if not, says which of them `what` needs.
pub(crate) fn root_and_rtpengine(what: &str) -> bool {
    let installed = Command::new("rtpengine").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let has_rtpengine = installed.is_ok_and(|status| status.success());
    root(what) && is_met(what, (!has_rtpengine).then_some("rtpengine"))
}

fn is_met(what: &str, missing: Option<&str>) -> bool {
    let Some(missing) = missing else { return true };
    let required = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!required, "continuous integration must test {what}: it needs {missing}");
    eprintln!("skipped: {what} needs {missing}");
    false
}
