//! What is meant to differ.

use patchcord_tests::ng::Difference;

/// Each with its reason. A difference that is there no more fails the test, so that this list stays true.
pub(crate) const MEANT: &[Difference] = &[];
