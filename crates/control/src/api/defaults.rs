//! What fields are when they are left out.

/// Of what is on unless it is turned off.
pub(super) const fn yes() -> bool {
    true
}

/// Whether it can be left out.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) const fn is_false(value: &bool) -> bool {
    !*value
}
