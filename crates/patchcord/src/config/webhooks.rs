//! What `[pivot]`, its trunks and its routes say about webhooks, taken together.

use patchcord_pivot::webhook::Place;

use super::pivot::{Pivot, ReferMode, Route, Trunk};

impl Pivot {
    /// What no single value shows to be wrong.
    pub(super) fn check_webhooks(&self) -> Result<(), String> {
        self.trunks.iter().try_for_each(|(name, trunk)| trunk.check_webhook(name))?;
        self.routes.iter().enumerate().try_for_each(|(index, route)| route.check_webhook(index))?;
        if !self.status_webhook.is_empty() {
            self.status_webhook.parse::<Place>().map_err(|error| format!("`pivot.status_webhook`: {error}"))?;
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

impl Trunk {
    fn check_webhook(&self, name: &str) -> Result<(), String> {
        let key = |key: &str| format!("`pivot.trunks.{name}.{key}`");
        let is_asked = self.refer == ReferMode::Controller;
        if is_asked == self.webhook.is_empty() {
            return Err(if is_asked {
                format!("{} is \"controller\": set {}, the URL that decides", key("refer"), key("webhook"))
            } else {
                format!("{} has no effect: set {} to \"controller\"", key("webhook"), key("refer"))
            });
        }
        if is_asked {
            self.webhook.parse::<Place>().map_err(|error| format!("{}: {error}", key("webhook")))?;
        }
        check_patience(key, self.webhook_timeout_ms, self.webhook_deadline_ms, self.webhook_retries)
    }
}

impl Route {
    fn check_webhook(&self, index: usize) -> Result<(), String> {
        let key = |key: &str| format!("`pivot.routes` entry {index}: `{key}`");
        if !self.webhook.is_empty() {
            self.webhook.parse::<Place>().map_err(|error| format!("{}: {error}", key("webhook")))?;
        } else if self.to.is_none() {
            return Err(format!("{} is missing, who answers; or `webhook`, who says that", key("to")));
        } else if !self.webhook_secret.is_empty() {
            return Err(format!("{} has no effect without `webhook`", key("webhook_secret")));
        }
        check_patience(key, self.webhook_timeout_ms, self.webhook_deadline_ms, self.webhook_retries)
    }
}

/// How long a webhook is waited for, and how often it is asked. `key` names a key.
fn check_patience(key: impl Fn(&str) -> String, timeout: u32, deadline: u32, retries: u32) -> Result<(), String> {
    // A REFER has to be answered within 32 s (RFC 3261 17.1.2.2).
    if !(100..=25_000).contains(&deadline) || !(100..=deadline).contains(&timeout) {
        let (timeout_key, deadline_key) = (key("webhook_timeout_ms"), key("webhook_deadline_ms"));
        return Err(format!(
            "{timeout_key} is {timeout} and {deadline_key} {deadline}: the first is at least 100 and at most the second, that at most 25000"
        ));
    }
    if retries > 10 {
        return Err(format!("{} is {retries}: 10 at most", key("webhook_retries")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_where_it_is_asked() {
        let trunk = |keys: &str| {
            let trunk: Trunk = toml::from_str(&format!("domain = \"a.example\"\n{keys}")).expect(keys);
            trunk.check_webhook("a").err()
        };
        assert_eq!(trunk(""), None);
        assert_eq!(trunk("refer = \"controller\"\nwebhook = \"https://hooks.example/refer\""), None);
        for (keys, why) in [
            ("refer = \"controller\"", "set `pivot.trunks.a.webhook`"),
            ("webhook = \"http://hooks.example\"", "no effect"),
            ("refer = \"controller\"\nwebhook = \"hooks.example\"", "neither http:// nor https://"),
            ("webhook_timeout_ms = 6000", "at most the second"),
            ("webhook_deadline_ms = 32000", "25000"),
            ("webhook_retries = 11", "10 at most"),
        ] {
            let error = trunk(keys).unwrap_or_default();
            assert!(error.contains(why), "{keys}: {error}");
        }
    }

    #[test]
    fn a_route_that_goes_nowhere_is_refused_with_what_to_do() {
        let route = |keys: &str| {
            let route: Route = toml::from_str(&format!("from = 'a'\nby = 'b'\n{keys}")).expect(keys);
            route.check_webhook(3).err()
        };
        assert_eq!(route("to = 'sip:agent@a.example'"), None);
        assert_eq!(route("webhook = 'https://hooks.example/call'"), None);
        assert_eq!(route("to = 'sip:{user}@a.example'\nwebhook = 'http://hooks.example'\nwebhook_secret = 's'"), None);
        for (keys, why) in [
            ("", "`to` is missing, who answers; or `webhook`"),
            ("webhook = 'hooks.example'", "neither http:// nor https://"),
            ("to = 'sip:a@b'\nwebhook_secret = 's'", "no effect"),
            ("webhook = 'http://a/'\nwebhook_timeout_ms = 6000", "at most the second"),
        ] {
            let error = route(keys).unwrap_or_default();
            assert!(error.starts_with("`pivot.routes` entry 3") && error.contains(why), "{keys}: {error}");
        }
    }
}
