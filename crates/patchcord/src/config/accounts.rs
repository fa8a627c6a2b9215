//! What `[pivot.trunks.NAME]` says about registering and about challenges, taken together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::pivot::{Pivot, Trunk};

impl Trunk {
    /// The domain, where it is an address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.domain.trim_matches(['[', ']']).parse().ok()
    }
}

impl Pivot {
    /// What no single value shows to be wrong.
    pub(super) fn check_accounts(&self) -> Result<(), String> {
        let mut anywhere: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, trunk) in &self.trunks {
            let key = format!("pivot.trunks.{name}");
            check_register(&key, trunk)?;
            match (trunk.challenge, trunk.users.is_empty()) {
                (true, true) => {
                    return Err(format!(
                        "`{key}.challenge` is on and nobody could answer: give `users`, such as users = {{ alice = \"password\" }}"
                    ));
                }
                (false, false) => {
                    return Err(format!(
                        "`{key}.users` are asked for nothing: set challenge = true, or leave them out"
                    ));
                }
                _ => {}
            }
            if let Some((user, _)) = trunk.users.iter().find(|(user, password)| user.is_empty() || password.is_empty())
            {
                return Err(format!("`{key}.users`: {user:?} needs a name and a password that are not empty"));
            }
            if trunk.addresses.is_empty() && trunk.address().is_none() {
                for user in trunk.users.keys() {
                    if let Some(other) = anywhere.insert(user, name) {
                        return Err(format!(
                            "`{key}.users` and those of `{other}` both have {user:?}, and neither trunk has `addresses`: nobody could tell \
                             by which it calls. Rename one, or give addresses"
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

fn check_register(key: &str, trunk: &Trunk) -> Result<(), String> {
    if !trunk.register {
        return match trunk.registrar.as_str() {
            "" => Ok(()),
            registrar => Err(format!("`{key}.registrar` is {registrar:?} without effect: set register = true")),
        };
    }
    let username = &trunk.username;
    if username.is_empty() {
        return Err(format!("`{key}.register` needs `username` and `password`: the account to register under"));
    }
    if username.contains(|char: char| char.is_whitespace() || char.is_control() || "<>\"?;".contains(char)) {
        return Err(format!(
            "`{key}.username` is {username:?}: with such characters it can be in no SIP URI to register"
        ));
    }
    let registrar = &trunk.registrar;
    if !registrar.is_empty() && !registrar.starts_with("sip:") && !registrar.starts_with("sips:") {
        return Err(format!("`{key}.registrar` is {registrar:?}: it is a SIP URI such as sip:registrar.example.com"));
    }
    if trunk.register_expires_s == 0 {
        return Err(format!("`{key}.register_expires_s` is 0: that would take the registration back"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(trunks: &str) -> String {
        let text = format!(
            "{}\n{trunks}",
            r#"listen = []
            domains = []
            relay = ""
            relay_token = ""
            certificate = ""
            key = ""
            ca = ""
            calls_max = 1
            overload_ms = 0
            ring_timeout_s = 1
            leave_timeout_s = 1
            ringback = ""
            routes = []
            one_worker = false
            trace_kib = 0
            evidence_directory = ""
            evidence_mib = 0
            evidence_rtp_s = 0
            evidence_rtp_mib = 0
            status_webhook = ""
            status_webhook_secret = ""
            status_webhook_timeout_ms = 2000
            status_webhook_states = false"#
        );
        let pivot: Pivot = toml::from_str(&text).expect("a table");
        pivot.check_accounts().err().unwrap_or_default()
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        for (trunk, error) in [
            ("domain = 'a'", ""),
            ("domain = 'a'\nregister = true\nusername = 'u'", ""),
            ("domain = 'a'\nchallenge = true\nusers = { u = 'p' }", ""),
            ("domain = 'a'\nregister = true", "needs `username`"),
            ("domain = 'a'\nregister = true\nusername = 'u <x>'", "no SIP URI"),
            ("domain = 'a'\nregister = true\nusername = 'u'\nregistrar = 'x'", "it is a SIP URI"),
            ("domain = 'a'\nregister = true\nusername = 'u'\nregister_expires_s = 0", "take the registration back"),
            ("domain = 'a'\nregistrar = 'sip:x'", "set register = true"),
            ("domain = 'a'\nchallenge = true", "give `users`"),
            ("domain = 'a'\nusers = { u = 'p' }", "set challenge = true"),
            ("domain = 'a'\nchallenge = true\nusers = { u = '' }", "not empty"),
        ] {
            let said = refused(&format!("[trunks.t]\n{trunk}\n"));
            assert!(said.contains(error) && said.is_empty() == error.is_empty(), "{trunk}: {said}");
        }
        let two = |second: &str| {
            let users = "challenge = true\nusers = { u = 'p' }\n";
            refused(&format!("[trunks.s]\ndomain = 'a'\n{users}[trunks.t]\n{second}\n{users}"))
        };
        assert!(two("domain = 'b'").contains("nobody could tell"));
        assert_eq!(two("domain = '192.0.2.1'"), "");
        assert_eq!(two("domain = 'b'\naddresses = ['192.0.2.1']"), "");
    }
}
