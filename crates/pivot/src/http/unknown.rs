//! Fields that somebody sends beside those that are known.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What is named of them at most.
const NAMED_MAX: usize = 16;

/// Fields that nothing is done about: a platform's own are no reason to leave a caller without a transfer.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Unknown(BTreeMap<String, Value>);

impl Unknown {
    /// A sentence about each.
    pub(super) fn names(&self, within: &str, why: &str) -> Vec<String> {
        let short = |name: &String| name.chars().take(64).collect::<String>();
        self.0.keys().take(NAMED_MAX).map(|name| format!("{within}{} {why}", short(name))).collect()
    }
}
