//! The string `rtpp-flags`.
