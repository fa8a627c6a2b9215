//! Which backends this machine allows.

/// Whether io_uring works here; else why not.
pub(crate) fn io_uring() -> Result<(), String> {
    Ok(())
}
