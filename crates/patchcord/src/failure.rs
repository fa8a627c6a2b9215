//! How a command ends when it does not succeed.

use std::process::ExitCode;

use thiserror::Error;

/// Why a command did not do what it was asked; the text says what was wrong, where, and what to do.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The command line or the configuration is wrong: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// It was tried and failed: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The result was printed already, and it is not a good one: exit code 1 without another word.
    #[error("the result is not good")]
    Reported,
}

impl Failure {
    /// A failure with this text.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// 1 failed, 2 wrong usage.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) | Self::Reported => ExitCode::from(1),
        }
    }
}
