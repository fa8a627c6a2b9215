//! The trunk's credentials: asked for, right, or wrong.

use patchcord_pivot::sip::probe::{Answer, Kind, Outcome, Probe};

use super::Subject;
use crate::doctor::Finding;

const CHECK: &str = "account";

impl Subject<'_> {
    /// Under which address it is asked.
    pub(super) fn aor(&self) -> String {
        match &self.trunk.registration {
            Some(registration) => registration.aor.to_string(),
            None if self.config.username.is_empty() || self.config.username.contains(['@', ' ']) => {
                format!("sip:patchcord@{}", self.config.domain)
            }
            None => format!("sip:{}@{}", self.config.username, self.config.domain),
        }
    }

    /// Asks the registrar what it keeps; it keeps it.
    pub(super) async fn registered(&self) -> Option<Finding> {
        let registration = self.trunk.registration.as_ref()?;
        let probe = Probe {
            kind: Kind::Bindings,
            uri: registration.registrar.clone(),
            proxy: registration.proxy.clone(),
            from: registration.aor.clone(),
            credentials: registration.credentials.clone(),
            patience: self.patience,
        };
        let registrar = &registration.registrar;
        Some(match self.stack.probe(&probe).await {
            Outcome::Unreachable(why) => Finding::fail(
                CHECK,
                format!("REGISTER cannot be sent to {registrar}: {why}"),
                "the pivot is not registered, and no calls come from there",
                "correct `registrar` or `proxy`",
            ),
            Outcome::Silence => Finding::fail(
                CHECK,
                format!("{registrar} has answered no REGISTER for {} s", self.patience.as_secs()),
                "it is another server's business, or the provider does not know this host's address",
                "set `registrar` to the host that the provider names for registration",
            ),
            Outcome::Answer(answer) => self.account(&answer),
        })
    }

    /// What an answer says about the credentials.
    pub(super) fn account(&self, answer: &Answer) -> Finding {
        let registers = self.trunk.registration.is_some();
        let (name, user) = (self.name, &self.config.username);
        let said = format!("{} {}", answer.status.code, answer.status.phrase);
        let method = if registers { "REGISTER" } else { "OPTIONS" };
        if let Some(why) = &answer.unanswerable {
            let realm = answer.realm.as_deref().unwrap_or_default();
            return Finding::fail(
                CHECK,
                format!("the challenge to {method} (realm {realm:?}) cannot be answered: {why}"),
                "the pivot answers MD5 and SHA-256 with qop auth, for the realm that the trunk has",
                format!(
                    "set pivot.trunks.{name}.realm = {realm:?} or leave it out; have the provider offer MD5 or SHA-256"
                ),
            );
        }
        match (&answer.realm, answer.status.code) {
            (Some(realm), 401 | 407) if user.is_empty() => Finding::fail(
                CHECK,
                format!("it asks for credentials ({said}, realm {realm:?}), and the trunk has none"),
                "INVITE and REFER are likely to be asked as well, and then fail",
                format!("set pivot.trunks.{name}.username and password, or have the provider list this host's address"),
            ),
            (Some(realm), 401 | 403 | 407) => Finding::fail(
                CHECK,
                format!("{user:?} is refused: {method} was answered {said} with the credentials (realm {realm:?})"),
                "the password or the user name is wrong, or the account is locked or not for this address",
                format!(
                    "correct pivot.trunks.{name}.username and password; the provider shows both where the trunk is set up"
                ),
            ),
            (Some(realm), 404) if registers => Finding::fail(
                CHECK,
                format!("{user:?} has a right password, and {} is nobody there: {said} (realm {realm:?})", self.aor()),
                "`domain` is not the one that the account is of",
                format!("set pivot.trunks.{name}.domain to the domain of the account"),
            ),
            (Some(realm), code) if code < 500 => {
                let kept = match answer.contacts {
                    0 => ", which has no contact registered",
                    _ => ", which has a contact registered",
                };
                let kept = if registers && code < 300 { kept } else { "" };
                Finding::ok(CHECK, format!("{user:?} is accepted by its password (realm {realm:?}, {method}){kept}"))
            }
            (None, 200..=299) if user.is_empty() => Finding::ok(CHECK, "none is configured, and none was asked for"),
            (None, 200..=299) => Finding::warn(
                CHECK,
                format!("the password of {user:?} was never asked for: {method} was answered {said} without it"),
                "the provider knows this host by its address, or asks at INVITE alone. A wrong password would show at the first call, as 401 or 407",
                "nothing, if calls work; if they are answered 401, 403 or 407, correct username and password",
            ),
            (None, _) if user.is_empty() => {
                Finding::ok(CHECK, format!("none is configured; {method} got {said} without being asked for one"))
            }
            (None, code) if registers && code < 500 => Finding::fail(
                CHECK,
                format!("REGISTER is refused before any password was asked for: {said}"),
                "the host takes no registrations, not of this domain, or not from this address",
                "set `registrar` to the host that the provider names; if it wants none, leave `register` out and give `addresses`",
            ),
            (_, _) => Finding::warn(
                CHECK,
                format!("whether the password of {user:?} is right does not show: {method} was answered {said}"),
                "the server said so before it looked at the credentials, or instead",
                "try again; if it stays, ask the provider with this line",
            ),
        }
    }
}
