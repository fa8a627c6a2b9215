//! Who speaks first: `a=setup` (RFC 4145 4, RFC 5763 5, RFC 8842 5).

use core::fmt;
use core::str::FromStr;

/// Which side of the handshake this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends the `ClientHello`: the active side.
    Client,
    /// Waits for it: the passive side.
    Server,
}

impl Role {
    /// The other side's role.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// This side's role, from what this side and the other one wrote. None as long as it is not settled (`actpass` awaits its
    /// answer, `holdconn` wants no association), and where both want the same part.
    #[must_use]
    pub const fn settled(local: Setup, remote: Setup) -> Option<Self> {
        match (local, remote) {
            (Setup::Active, Setup::Passive | Setup::ActPass) | (Setup::ActPass, Setup::Passive) => Some(Self::Client),
            (Setup::Passive, Setup::Active | Setup::ActPass) | (Setup::ActPass, Setup::Active) => Some(Self::Server),
            _ => None,
        }
    }
}

/// The value of `a=setup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// Will send the `ClientHello`.
    Active,
    /// Waits for it.
    Passive,
    /// Leaves the choice to the answer: what an offer says (RFC 5763 5).
    ActPass,
    /// Wants no association for now.
    HoldConn,
}

impl Setup {
    /// Its name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
            Self::HoldConn => "holdconn",
        }
    }

    /// What an answer says to this offer (RFC 4145 4.1). Where the offer leaves the choice, a side that already has an
    /// association keeps its `role` in it (RFC 8842 5.4), else it takes the part that it `prefers`.
    #[must_use]
    pub const fn answered(self, role: Option<Role>, prefers: Role) -> Self {
        match self {
            Self::Active => Self::Passive,
            Self::Passive => Self::Active,
            Self::HoldConn => Self::HoldConn,
            Self::ActPass => match role {
                Some(role) => Self::of(role),
                None => Self::of(prefers),
            },
        }
    }

    const fn of(role: Role) -> Self {
        match role {
            Role::Client => Self::Active,
            Role::Server => Self::Passive,
        }
    }
}

impl From<Role> for Setup {
    fn from(role: Role) -> Self {
        Self::of(role)
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Setup {
    type Err = SetupError;

    fn from_str(name: &str) -> Result<Self, SetupError> {
        [Self::Active, Self::Passive, Self::ActPass, Self::HoldConn]
            .into_iter()
            .find(|setup| setup.name().eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| SetupError(name.to_owned()))
    }
}

/// A text that is no value of `a=setup`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a=setup is active, passive, actpass or holdconn, not {0:?}")]
pub struct SetupError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_both_ways() {
        for setup in [Setup::Active, Setup::Passive, Setup::ActPass, Setup::HoldConn] {
            assert_eq!(setup.name().parse(), Ok(setup));
            assert_eq!(setup.name().to_uppercase().parse(), Ok(setup));
        }
        assert_eq!(
            "both".parse::<Setup>().map_err(|error| error.to_string()),
            Err("a=setup is active, passive, actpass or holdconn, not \"both\"".to_owned())
        );
    }

    #[test]
    fn an_answer_takes_the_part_that_is_left() {
        for prefers in [Role::Client, Role::Server] {
            for role in [None, Some(Role::Client), Some(Role::Server)] {
                assert_eq!(Setup::Active.answered(role, prefers), Setup::Passive);
                assert_eq!(Setup::Passive.answered(role, prefers), Setup::Active);
                assert_eq!(Setup::HoldConn.answered(role, prefers), Setup::HoldConn);
            }
            assert_eq!(Setup::ActPass.answered(None, prefers), Setup::from(prefers));
            // A re-offer keeps the association, and so the part.
            assert_eq!(Setup::ActPass.answered(Some(prefers.other()), prefers), Setup::from(prefers.other()));
        }
    }

    #[test]
    fn both_sides_agree_on_who_is_who() {
        for offer in [Setup::Active, Setup::Passive, Setup::ActPass] {
            for prefers in [Role::Client, Role::Server] {
                let answer = offer.answered(None, prefers);
                let answerer = Role::settled(answer, offer);
                assert!(answerer.is_some(), "{offer} {answer}");
                assert_eq!(Role::settled(offer, answer), answerer.map(Role::other), "{offer} {answer}");
            }
        }
        for (local, remote) in [
            (Setup::ActPass, Setup::ActPass),
            (Setup::Active, Setup::Active),
            (Setup::Passive, Setup::Passive),
            (Setup::HoldConn, Setup::Active),
        ] {
            assert_eq!(Role::settled(local, remote), None);
        }
    }
}
