//! Tests that need root.

use patchcord_lab::netns;

/// Whether this process may do what root may do to the network. If not, says that the test is skipped and why.
///
/// # Panics
/// If not, in continuous integration.
#[allow(clippy::print_stderr, reason = "a skipped test names its reason")]
#[must_use]
pub fn privileged(why: &str) -> bool {
    if netns::may_create() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "continuous integration must run as root: {why}");
    eprintln!("skipped: needs root: {why}");
    false
}

/// Runs a test in a network namespace of its own, or says that it is skipped and why. The relay's steered ports are no sockets: among
/// the sockets of other tests the system would give their numbers away.
///
/// # Panics
/// Without root, in continuous integration; or if there can be no namespace.
pub fn in_a_namespace(why: &str, test: impl FnOnce() + Send) {
    if privileged(why) {
        netns::Namespace::create("alone").and_then(|namespace| namespace.run(test)).expect("a network namespace");
    }
}
