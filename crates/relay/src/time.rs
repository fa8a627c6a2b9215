//! Time as the engine knows it: an argument.

use core::time::Duration;

/// A point on the owner's monotonic clock, in nanoseconds since an epoch that the owner chose.
///
/// The engine never asks what time it is; every call that needs to know is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoTime(u64);

impl MonoTime {
    /// The owner's epoch.
    pub const ZERO: Self = Self(0);

    /// The point `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to `self`; 0 if `earlier` is in fact later.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `delay` later; it saturates at the end of time.
    #[must_use]
    pub const fn after(self, delay: Duration) -> Self {
        // A Duration of more than 584 years does not fit; it is as good as never.
        let nanos = delay.as_nanos();
        if nanos > u64::MAX as u128 { Self(u64::MAX) } else { Self(self.0.saturating_add(nanos as u64)) }
    }

    /// The point `nanos` nanoseconds later; it saturates at the end of time.
    #[must_use]
    pub const fn after_nanos(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }
}
