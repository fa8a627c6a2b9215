//! `list` and `statistics`: the relay as a whole.

use core::sync::atomic::Ordering;

use patchcord_ng::{Dict, Options, reason};

use super::Ng;
use super::refuse::Refused;

/// How many calls `list` names unless it is told otherwise.
const LIST_MAX: i64 = 32;

impl Ng {
    /// Names calls.
    pub(super) fn list(&self, options: &Options) -> Result<Dict, Refused> {
        let limit = usize::try_from(options.limit.unwrap_or(LIST_MAX)).map_err(|_| reason::BAD_LIMIT)?;
        let calls = self.0.control.names(limit);
        Ok(Dict::new().with("result", "ok").with("calls", calls))
    }

    /// Counts over all calls.
    pub(super) fn statistics(&self) -> Dict {
        let counts = &self.0.counts;
        let read = |count: &core::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        let sessions = u64::try_from(self.0.control.call_count()).unwrap_or(u64::MAX);
        let statistics = Dict::new().with("currentstatistics", Dict::new().with("sessionstotal", sessions)).with(
            "controlstatistics",
            Dict::new()
                .with("totaloffercount", read(&counts.offers))
                .with("totalanswercount", read(&counts.answers))
                .with("totaldeletecount", read(&counts.deletes)),
        );
        Dict::new().with("result", "ok").with("statistics", statistics)
    }
}
