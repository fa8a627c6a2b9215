//! What entries of `pivot.routes` say, and who is told of transfers, taken together.

use patchcord_pivot::call::destination::Destination;
use patchcord_pivot::webhook::Place;

use super::pivot::{Pivot, Route, check_patience};

impl Route {
    /// What is wrong with the entry that has this place.
    pub(super) fn check(&self, index: usize) -> Result<(), String> {
        let entry = format!("`pivot.routes` entry {index}");
        if self.to.is_empty() && self.webhook.is_empty() {
            return Err(format!("{entry} has neither `to`, who answers, nor `webhook`, who says that"));
        }
        if !self.to.is_empty() {
            self.to.parse::<Destination>().map_err(|error| format!("{entry}: `to` is {error}"))?;
        }
        if self.webhook.is_empty() {
            return if self.webhook_secret.is_empty() {
                Ok(())
            } else {
                Err(format!("{entry}: `webhook_secret` has no effect without `webhook`"))
            };
        }
        self.webhook.parse::<Place>().map_err(|error| format!("{entry}: `webhook` is {error}"))?;
        let key = |key: &str| format!("{entry}: `{key}`");
        check_patience(key, self.webhook_timeout_ms, self.webhook_deadline_ms, self.webhook_retries)
    }
}

impl Pivot {
    /// What is wrong with who is told of transfers.
    pub(super) fn check_status_webhook(&self) -> Result<(), String> {
        let is_there = !self.status_webhook.is_empty();
        if is_there {
            self.status_webhook.parse::<Place>().map_err(|error| format!("`pivot.status_webhook` is {error}"))?;
        } else if !self.status_webhook_secret.is_empty() || self.status_webhook_states {
            return Err(
                "`pivot.status_webhook_secret` and `pivot.status_webhook_states` have no effect without `pivot.status_webhook`".to_owned()
            );
        }
        let timeout = self.status_webhook_timeout_ms;
        if !(100..=25_000).contains(&timeout) {
            return Err(format!("`pivot.status_webhook_timeout_ms` is {timeout}: it is 100 to 25000"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_nowhere_is_refused_with_what_to_do() {
        for (keys, why) in [
            ("to = 'sip:agent@192.0.2.1:5080;transport=tcp'", ""),
            ("to = 'tel:{user}'", ""),
            (
                "to = 'sip:{header:X-Call-Id}@a.example'\nwebhook = 'https://hooks.example/call'\nwebhook_secret = 's'",
                "",
            ),
            ("webhook = 'https://hooks.example/call'", ""),
            ("", "neither `to`, who answers, nor `webhook`"),
            ("to = 'agent@a.example'", "no URI that can be called"),
            ("to = 'sip:{number}@a.example'", "there are {user}"),
            ("to = 'sip:agent@{user}'", "outside of the user part"),
            ("webhook = 'hooks.example'", "neither http:// nor https://"),
            ("to = 'sip:a@b'\nwebhook_secret = 's'", "no effect"),
            ("webhook = 'http://a/'\nwebhook_timeout_ms = 6000", "`webhook_timeout_ms` is 6000"),
            ("webhook = 'http://a/'\nwebhook_retries = 11", "10 at most"),
        ] {
            let route: Route = toml::from_str(&format!("from = 'a'\nby = 'b'\n{keys}")).expect(keys);
            let said = route.check(3).err().unwrap_or_default();
            assert!(said.contains(why) && said.is_empty() == why.is_empty(), "{keys}: {said}");
            assert!(why.is_empty() || said.starts_with("`pivot.routes` entry 3"), "{said}");
        }
    }
}
