//! A page of docs/providers, and its configuration with loopback in place of the addresses that documents use (RFC 5737).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use patchcord_tests::sip::Phone;
use toml::{Table, Value};

/// Where the pages say that the pivot is.
pub(crate) const PIVOT: &str = "192.0.2.10";
/// Where they say that an agent platform or a switch is.
pub(crate) const AGENT: &str = "198.51.100.20";

/// A page.
pub(crate) struct Page {
    /// Its file without `.md`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Where the pages are.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers")
}

impl Page {
    /// The page about this provider.
    pub(crate) fn of(name: &str) -> Self {
        let path = folder().join(name).with_extension("md");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: name.to_owned(), text }
    }

    /// All pages but the index, by name.
    pub(crate) fn all() -> Vec<Self> {
        let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
        let names = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
        let mut names: Vec<_> = names.filter(|name| name != "README").collect();
        names.sort();
        names.iter().map(|name| Self::of(name)).collect()
    }

    /// Its configurations, each of them whole; the first is the one for everybody.
    pub(crate) fn configurations(&self) -> Vec<&str> {
        self.text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
    }

    /// One of them, by its number.
    pub(crate) fn profile(&self, number: usize) -> Table {
        let text = self.configurations().get(number).copied();
        let text = text.unwrap_or_else(|| panic!("docs/providers/{}.md has no ```toml {number}", self.name));
        text.parse().unwrap_or_else(|error| panic!("docs/providers/{}.md: {error}", self.name))
    }
}

/// The trunk that calls come by, and the one that they go to.
pub(crate) fn trunks(profile: &Table) -> (String, String) {
    let route = &profile["pivot"]["routes"][0];
    let name = |key: &str| route[key].as_str().unwrap().to_owned();
    (name("from"), name("by"))
}

/// The keys of a trunk.
pub(crate) fn trunk<'a>(profile: &'a mut Table, name: &str) -> &'a mut Table {
    profile["pivot"]["trunks"][name].as_table_mut().unwrap()
}

/// The same where everybody is on loopback. Domains stay: they are what a Refer-To has. Transports become UDP.
pub(crate) fn on_loopback(mut profile: Table, pivot: SocketAddr, agent: &Phone, target: &Phone) -> String {
    let (carrier, platform) = trunks(&profile);
    for name in [&carrier, &platform] {
        let here: &[&str] = if *name == carrier { &["127.0.0.2", "127.0.0.4"] } else { &["127.0.0.3"] };
        let trunk = trunk(&mut profile, name);
        trunk.insert("addresses".to_owned(), here.to_vec().into());
        let domain = trunk["domain"].as_str().unwrap();
        let domain = match domain {
            PIVOT => pivot.ip().to_string(),
            AGENT => agent.address().ip().to_string(),
            _ => domain.to_owned(),
        };
        trunk.insert("domain".to_owned(), domain.into());
    }
    let proxy = format!("sip:{}", target.address());
    trunk(&mut profile, &carrier).insert("proxy".to_owned(), proxy.into());
    trunk(&mut profile, &platform).remove("proxy");
    let pivot_keys = profile["pivot"].as_table_mut().unwrap();
    pivot_keys.insert("listen".to_owned(), vec![format!("udp:{pivot}")].into());
    for route in pivot_keys["routes"].as_array_mut().unwrap() {
        let to = route["to"].as_str().unwrap();
        let (user, _) = to.split_once('@').unwrap_or_else(|| panic!("{to} has a user part"));
        let by = if route["by"].as_str() == Some(&carrier) { target } else { agent };
        let to = format!("{user}@{}", by.address());
        route.as_table_mut().unwrap().insert("to".to_owned(), Value::String(to));
    }
    // Plain sockets are up sooner than steered ones, and what moves the packets is not what is tested.
    profile.insert("workers".to_owned(), Table::from_iter([("backend".to_owned(), "mmsg".into())]).into());
    toml::to_string(&profile).unwrap()
}
