//! How it stands with a trunk: whether the pivot is registered there.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::sip::Registered;

/// How it stands with a trunk.
#[derive(Debug)]
pub struct Standing(Mutex<State>);

#[derive(Debug)]
struct State {
    how: Registered,
    /// Where it is registered, and until when.
    at: Option<(IpAddr, Instant)>,
    /// What was answered when it was last tried in vain, until it is well again.
    error: Option<Box<str>>,
    /// Somebody has been told of that.
    is_told: bool,
}

/// What an operator is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is registered, for so many seconds.
    Well(u32),
    /// It is not; why.
    Failed(Box<str>),
}

/// A registration, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// `registering`, `registered`, `failed`, `ended`.
    pub state: &'static str,
    /// For how long it is registered from now on, if the registrar still keeps it.
    pub left: Option<Duration>,
    /// Why it failed when it was last tried.
    pub error: Option<Box<str>>,
}

impl Default for Standing {
    fn default() -> Self {
        Self(Mutex::new(State { how: Registered::Trying, at: None, error: None, is_told: false }))
    }
}

impl Standing {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the address of a registrar that keeps our Contact.
    #[must_use]
    pub fn takes(&self, address: IpAddr) -> bool {
        self.addresses().contains(&address.to_canonical())
    }

    /// The addresses from which it sends us calls because we are registered.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let at = self.state().at.filter(|(_, until)| Instant::now() < *until);
        at.map(|(address, _)| address.to_canonical()).into_iter().collect()
    }

    /// How it is.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let state = self.state();
        let left = state.at.map(|(_, until)| until.saturating_duration_since(Instant::now()));
        let name = match state.how {
            Registered::Trying => "registering",
            Registered::Yes { .. } => "registered",
            Registered::No(_) => "failed",
            Registered::Ended => "ended",
        };
        Registry { state: name, left: left.filter(|left| !left.is_zero()), error: state.error.clone() }
    }

    /// Notes how it is now. What is given back is new to an operator.
    pub(super) fn note(&self, how: &Registered) -> Option<Told> {
        let mut state = self.state();
        let told = match how {
            Registered::Yes { expires_s, at } => {
                let until = Instant::now() + Duration::from_secs((*expires_s).into());
                state.at = at.map(|at| (at, until));
                state.error = None;
                let is_new = state.is_told || !matches!(state.how, Registered::Yes { .. });
                state.is_told = false;
                is_new.then_some(Told::Well(*expires_s))
            }
            Registered::No(status) => {
                let error: Box<str> = format!("{} {}", status.code, status.phrase).into();
                state.error = Some(error.clone());
                let is_new = !core::mem::replace(&mut state.is_told, true);
                is_new.then_some(Told::Failed(error))
            }
            Registered::Ended => {
                state.at = None;
                None
            }
            Registered::Trying => None,
        };
        state.how = how.clone();
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Status;

    #[test]
    fn each_change_is_told_once_and_what_is_registered_counts_until_it_is_over() {
        let standing = Standing::default();
        let registrar = IpAddr::from([192, 0, 2, 5]);
        let no = Registered::No(Status { code: 403, phrase: "Not you".into() });
        let yes = |expires_s| Registered::Yes { expires_s, at: Some(registrar) };
        assert_eq!(standing.registry().state, "registering");
        assert_eq!(standing.note(&no), Some(Told::Failed("403 Not you".into())));
        assert_eq!(standing.note(&no), None);
        assert!(!standing.takes(registrar));
        assert_eq!(standing.note(&yes(60)), Some(Told::Well(60)));
        assert_eq!(standing.note(&yes(60)), None, "a refresh is no news");
        assert!(standing.takes(registrar) && standing.takes("::ffff:192.0.2.5".parse().expect("an address")));
        assert!(!standing.takes([192, 0, 2, 6].into()));
        // A refresh that fails does not end what the registrar keeps.
        assert!(standing.note(&no).is_some() && standing.takes(registrar));
        let registry = standing.registry();
        assert_eq!((registry.state, registry.error.as_deref()), ("failed", Some("403 Not you")));
        assert!(registry.left.is_some_and(|left| left <= Duration::from_secs(60)));
        assert_eq!(standing.note(&yes(0)), Some(Told::Well(0)));
        assert!(!standing.takes(registrar) && standing.registry().left.is_none());
        standing.note(&yes(60));
        standing.note(&Registered::Ended);
        assert!(!standing.takes(registrar));
    }
}
