//! Who calls: by the address a request comes from, or by the user that it has proven to be.

use core::fmt;
use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::settings::{Settings, TrunkSettings};
use crate::call::trunk::Trunk;
use crate::call::uri::user_of;
use crate::message::{Incoming, Origin};
use crate::sip::{Accounts, CredentialsOf, Occasion};

/// User names and their passwords, which are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Users(pub BTreeMap<Box<str>, Box<str>>);

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl TrunkSettings {
    /// It is known by its users alone.
    fn is_anywhere(&self) -> bool {
        self.trunk.addresses.is_empty() && self.users.is_some()
    }

    fn password(&self, user: &str) -> Option<Box<str>> {
        self.users.as_ref()?.0.get(user).cloned()
    }
}

impl Settings {
    /// The trunk that a call comes by. Of several that are registered at one place it is the one whose account was called.
    #[must_use]
    pub fn caller(&self, incoming: &Incoming) -> Option<&TrunkSettings> {
        let address = incoming.origin.address.ip();
        let called = user_of(&incoming.request_uri);
        let is_account = |trunk: &&TrunkSettings| {
            let account = trunk.registration.as_ref().map(|registration| &*registration.contact_user);
            account == Some(called) && trunk.standing.takes(address)
        };
        self.trunks.values().find(is_account).or_else(|| self.trunk_of(&incoming.origin)).or_else(|| {
            let user = incoming.user.as_deref()?;
            self.anywhere().find(|trunk| trunk.password(user).is_some())
        })
    }

    fn anywhere(&self) -> impl Iterator<Item = &TrunkSettings> {
        self.trunks.values().filter(|trunk| trunk.is_anywhere())
    }

    fn is_needed(&self, origin: &Origin, occasion: Occasion) -> bool {
        match (self.trunk_of(origin), occasion) {
            (Some(trunk), _) => trunk.users.is_some(),
            (None, Occasion::Begin) => self.anywhere().next().is_some(),
            // Somebody whom we have called.
            (None, Occasion::Refer) => false,
        }
    }

    fn password(&self, origin: &Origin, user: &str) -> Option<Box<str>> {
        match self.trunk_of(origin) {
            Some(trunk) => trunk.password(user),
            None => self.anywhere().find_map(|trunk| trunk.password(user)),
        }
    }

    /// What the trunks that call are answered with when they challenge in their dialogs; none, if no trunk has any.
    pub(super) fn credentials(&self) -> Option<CredentialsOf> {
        self.trunks.values().any(|trunk| trunk.credentials.is_some()).then(|| {
            let settings = self.clone();
            Arc::new(move |origin: &Origin| settings.trunk_of(origin)?.credentials.clone()) as CredentialsOf
        })
    }

    /// Who is challenged; none, if nobody is.
    pub(super) fn accounts(&self) -> Option<Accounts> {
        self.trunks.values().any(|trunk| trunk.users.is_some()).then(|| {
            // Its trunks share how they stand with ours.
            let one = Arc::new(self.clone());
            let other = Arc::clone(&one);
            Accounts {
                realm: self.realm.clone(),
                is_needed: Arc::new(move |origin, occasion| one.is_needed(origin, occasion)),
                password: Arc::new(move |origin, user| other.password(origin, user)),
            }
        })
    }
}

/// A trunk that takes requests of these addresses too.
pub(super) fn with_addresses(trunk: &Arc<Trunk>, addresses: &[IpAddr]) -> Arc<Trunk> {
    let missing: Vec<_> = addresses.iter().filter(|address| !trunk.takes(**address)).collect();
    if missing.is_empty() {
        return Arc::clone(trunk);
    }
    let mut trunk = Trunk::clone(trunk);
    let whole = |address: IpAddr| (address, if address.is_ipv4() { 32 } else { 128 });
    trunk.addresses.extend(missing.into_iter().map(|address| whole(address.to_canonical())));
    Arc::new(trunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::plan::Timing;
    use crate::driver::Standing;
    use crate::driver::{RtpLimits, TraceLimits};
    use crate::message::{Address, Transport};
    use crate::sip::{Config, Registered, Registration};

    fn trunk(name: &str, address: Option<[u8; 4]>, users: &[&str]) -> (Arc<str>, TrunkSettings) {
        let mut trunk = Trunk::new(name, "carrier.example");
        trunk.addresses.extend(address.map(|address| (IpAddr::from(address), 32)));
        let users = (!users.is_empty()).then(|| Users(users.iter().map(|&user| (user.into(), name.into())).collect()));
        let settings = TrunkSettings {
            trunk: Arc::new(trunk),
            proxy: None,
            credentials: None,
            is_secure: false,
            allows_srtp_without_tls: false,
            registration: None,
            webhook: None,
            users,
            standing: Arc::default(),
        };
        (name.into(), settings)
    }

    fn settings(trunks: impl IntoIterator<Item = (Arc<str>, TrunkSettings)>) -> Settings {
        Settings {
            sip: Config::new(Vec::new()),
            trunks: trunks.into_iter().collect(),
            routes: Vec::new(),
            timing: Timing::default(),
            calls_max: 1,
            ringback: None,
            realm: "r".into(),
            one_worker: false,
            archive: None,
            trace: TraceLimits::of_bytes(0),
            rtp: RtpLimits::default(),
            evidence: None,
            status_webhook: None,
        }
    }

    fn from(last: u8) -> Origin {
        Origin { address: ([192, 0, 2, last], 5060).into(), transport: Transport::Udp }
    }

    #[test]
    fn who_has_no_address_is_known_by_its_user() {
        let settings = settings([
            trunk("open", Some([192, 0, 2, 1]), &[]),
            trunk("strict", Some([192, 0, 2, 2]), &["s"]),
            trunk("clients", None, &["a", "b"]),
            trunk("others", None, &["c"]),
            trunk("unreachable", None, &[]),
        ]);
        let accounts = settings.accounts().expect("somebody is challenged");
        for (last, begins, refers) in [(1, false, false), (2, true, true), (3, true, false)] {
            assert_eq!((accounts.is_needed)(&from(last), Occasion::Begin), begins, "{last}");
            assert_eq!((accounts.is_needed)(&from(last), Occasion::Refer), refers, "{last}");
        }
        for (last, user, password) in [
            (2, "s", Some("strict")),
            (2, "a", None),
            (3, "s", None),
            (3, "b", Some("clients")),
            (3, "c", Some("others")),
        ] {
            assert_eq!((accounts.password)(&from(last), user).as_deref(), password, "{user} at {last}");
        }
        assert!(!format!("{settings:?}").contains("\"strict\": \"strict\""));
    }

    fn incoming(to: &str, last: u8, user: Option<&str>) -> Incoming {
        let nobody = || Address { display: "".into(), uri: "sip:x@y".into() };
        Incoming {
            request_uri: to.into(),
            from: nobody(),
            to: nobody(),
            call_id: "c".into(),
            from_tag: "f".into(),
            to_tag: "t".into(),
            origin: from(last),
            user: user.map(Into::into),
            asserted: Vec::new(),
            replaces: Vec::new(),
            referred_by: None,
            allow: None,
            supported: Vec::new(),
            extra: Vec::new(),
            offer: None,
        }
    }

    #[test]
    fn calls_are_told_apart_by_address_account_and_user() {
        let registered = |name, account: &str| {
            let (name, mut trunk) = trunk(name, None, &[]);
            trunk.registration = Some(Registration {
                registrar: "sip:r".into(),
                proxy: None,
                aor: "sip:a@r".into(),
                contact_user: account.into(),
                credentials: None,
                expires_s: 60,
            });
            trunk.standing.note(&Registered::Yes { expires_s: 60, at: Some([192, 0, 2, 5].into()) });
            (name, trunk)
        };
        let settings = settings([
            registered("a", "one"),
            registered("b", "two"),
            trunk("c", Some([192, 0, 2, 1]), &[]),
            trunk("d", None, &["u"]),
        ]);
        for (to, last, user, name) in [
            ("sip:one@p", 5, None, Some("a")),
            ("sip:two;x@p", 5, None, Some("b")),
            ("sip:other@p", 5, None, Some("a")),
            ("sip:two@p", 1, None, Some("c")),
            ("sip:two@p", 6, None, None),
            ("sip:two@p", 6, Some("u"), Some("d")),
            ("sip:two@p", 6, Some("v"), None),
        ] {
            let found = settings.caller(&incoming(to, last, user)).map(|trunk| trunk.trunk.name.to_string());
            assert_eq!(found.as_deref(), name, "{to} from {last}");
        }
    }

    #[test]
    fn nobody_is_asked_where_no_trunk_wants_it() {
        let settings = settings([trunk("open", None, &[])]);
        assert!(settings.accounts().is_none() && settings.trunk_of(&from(1)).is_none());
    }

    #[test]
    fn a_registrar_s_requests_are_its_trunk_s() {
        let settings = settings([trunk("a", Some([192, 0, 2, 1]), &[]), trunk("b", Some([192, 0, 2, 9]), &[])]);
        let name = |last| settings.trunk_of(&from(last)).map(|trunk| trunk.trunk.name.to_string());
        assert_eq!(name(5), None);
        let standing: &Standing = &settings.trunks["b"].standing;
        standing.note(&Registered::Yes { expires_s: 60, at: Some([192, 0, 2, 5].into()) });
        assert_eq!((name(5).as_deref(), name(1).as_deref()), (Some("b"), Some("a")));
        let extended = with_addresses(&settings.trunks["b"].trunk, &standing.addresses());
        assert!(extended.takes([192, 0, 2, 5].into()) && extended.takes([192, 0, 2, 9].into()));
        assert!(!extended.takes([192, 0, 2, 6].into()));
        let anywhere = Arc::new(Trunk::new("c", "c.example"));
        assert!(Arc::ptr_eq(&anywhere, &with_addresses(&anywhere, &[[192, 0, 2, 5].into()])));
    }
}
