//! All calls at one moment, and what must hold of them at any.

use core::net::SocketAddr;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use patchcord_control::Control;
use patchcord_control::api::CallState;
use patchcord_control::ng::Ng;
use patchcord_control::ng::listen::Answer;
use patchcord_ng::{Dict, Request, Transport, Value};

use crate::worker::TestWorker;

/// Entries of replies that are times.
const TIMES: [&str; 5] = ["created", "created_us", "last signal", "last packet", "reported at"];

/// All calls, by every name that they have.
#[derive(Debug, PartialEq)]
pub struct World(pub BTreeMap<String, Seen>);

/// What can be seen of a call, but for times.
#[derive(Debug, PartialEq)]
pub struct Seen {
    /// By the HTTP API.
    pub state: CallState,
    /// By ng's `query`.
    pub query: Dict,
}

impl World {
    /// Looks at everything, and that it fits together.
    pub async fn look(control: &Control, ng: &Ng, worker: &TestWorker) -> Self {
        let mut calls = BTreeMap::new();
        for name in names(ng).await {
            let mut state = control.snapshot(&name).await.expect("a call that is listed is there");
            worker.check_sources(&state);
            state.age_ms = 0;
            state.legs.iter_mut().for_each(|leg| leg.idle_ms = None);
            let mut query = ask(ng, Dict::new().with("command", "query").with("call-id", name.as_str())).await;
            assert_eq!(query.text("result").as_deref(), Some("ok"), "{name}: {query:?}");
            without_times(&mut query);
            calls.insert(name, Seen { state, query });
        }
        let world = Self(calls);
        world.fits(control, worker);
        world
    }

    /// Ports that are leased, ports that are open and ports of legs are the same, and belong to one leg each.
    fn fits(&self, control: &Control, worker: &TestWorker) {
        let mut ports = BTreeSet::<SocketAddr>::new();
        for (name, Seen { state, query }) in self.by_own_name() {
            let parties: BTreeSet<_> = state.legs.iter().map(|leg| &leg.party).collect();
            assert_eq!(parties.len(), state.legs.len(), "{name}: parties have names of their own");
            for leg in &state.legs {
                assert!(
                    ports.insert(leg.local) && ports.insert(leg.local_rtcp),
                    "{name}: {leg:?} has a port of another"
                );
            }
            let own: Vec<_> = state.legs.iter().map(|leg| i64::from(leg.local.port())).collect();
            let told: Vec<_> = local_ports(query);
            assert!(told.iter().all(|port| own.contains(port)), "{name}: query tells of {told:?}, legs have {own:?}");
        }
        assert_eq!(ports, worker.locals().into_iter().collect(), "ports of legs and open ports");
        let leased: u32 = control.ports().iter().map(|(_, counts)| counts.leased).sum();
        assert_eq!(leased as usize, ports.len(), "leased ports and ports of legs");
    }

    /// Each call once.
    fn by_own_name(&self) -> impl Iterator<Item = (&str, &Seen)> {
        self.0.iter().map(|(name, seen)| (name.as_str(), seen)).filter(|(name, seen)| *seen.state.call == **name)
    }

    /// What the call of a name calls itself.
    pub fn own_name(&self, name: &str) -> Option<Arc<str>> {
        self.0.get(name).map(|seen| Arc::clone(&seen.state.call))
    }

    /// Everything but the calls of these names is the same in both.
    pub fn assert_same_without(&self, after: &Self, changed: &BTreeSet<Arc<str>>, why: &dyn core::fmt::Display) {
        let others = |world: &'_ Self| -> BTreeSet<String> {
            let other = |(_, seen): &(&String, &Seen)| !changed.contains(&seen.state.call);
            world.0.iter().filter(other).map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(others(self), others(after), "calls before and after {why}");
        for name in others(self) {
            assert_eq!(self.0.get(&name), after.0.get(&name), "call {name:?} before and after {why}");
        }
    }
}

/// Asks without a cookie.
async fn ask(ng: &Ng, dict: Dict) -> Dict {
    ng.answer(Request { dict, transport: Transport::Udp, peer: None }).await
}

/// Names of all calls.
pub async fn names(ng: &Ng) -> Vec<String> {
    let list = ask(ng, Dict::new().with("command", "list").with("limit", 1_000_000_i64)).await;
    let calls = list.list("calls").unwrap_or_default();
    calls.iter().filter_map(Value::text).map(Cow::into_owned).collect()
}

fn without_times(dict: &mut Dict) {
    dict.0.retain(|(key, _)| !TIMES.iter().any(|time| time.as_bytes() == &**key));
    for (_, value) in &mut dict.0 {
        each_dict(value, &mut |dict| without_times(dict));
    }
}

fn each_dict(value: &mut Value, each: &mut dyn FnMut(&mut Dict)) {
    match value {
        Value::Dict(dict) => each(dict),
        Value::List(list) => list.iter_mut().for_each(|value| each_dict(value, each)),
        Value::Bytes(_) | Value::Integer(_) => {}
    }
}

/// Local RTP ports that a query tells of.
fn local_ports(query: &Dict) -> Vec<i64> {
    let tags = query.dict("tags").into_iter().flat_map(|tags| &tags.0);
    let lists = |value: &'_ Value, key: &str| match value {
        Value::Dict(dict) => dict.list(key).unwrap_or_default().to_vec(),
        _ => Vec::new(),
    };
    let medias = tags.flat_map(|(_, tag)| lists(tag, "medias"));
    let rtp = medias.filter_map(|media| lists(&media, "streams").into_iter().next());
    rtp.filter_map(|stream| match stream {
        Value::Dict(stream) => stream.get("local port").and_then(Value::integer),
        _ => None,
    })
    .collect()
}
