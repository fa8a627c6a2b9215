//! The HTTP API from a client's side.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Request;

use crate::events::Events;
use crate::wait::{PATIENCE, eventually, poll};

/// How long an answer may take; the tests do not measure with it.
const ANSWER: Duration = Duration::from_secs(20);

/// A relay's HTTP API. Clones speak to the same relay.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    agent: ureq::Agent,
    next_id: Arc<AtomicU64>,
}

/// What the relay answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; a string if it is not JSON.
    pub body: Value,
}

impl Answer {
    /// The code of a refusal; empty if it is none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// The words of a refusal; empty if it is none.
    #[must_use]
    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
        Self { base: base.to_owned(), agent, next_id: Arc::new(AtomicU64::new(1)) }
    }

    /// Where it is, for instance `http://127.0.0.1:8223`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request with any body.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    pub fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        let url = format!("{}{path}", self.base);
        let request = Request::builder().method(method).uri(&url).body(body).expect("a method and a URL");
        let request =
            self.agent.configure_request(request).timeout_global(Some(ANSWER)).allow_non_standard_methods(true);
        let response = self.agent.run(request.build());
        let mut response = response.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        let text = response.body_mut().read_to_string().unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status: response.status().as_u16(), body }
    }

    /// `GET`s what must be there.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn get(&self, path: &str) -> Value {
        let answer = self.request("GET", path, "");
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.body);
        answer.body
    }

    /// Creates a call.
    ///
    /// # Panics
    /// If the relay refuses.
    pub fn create_call(&self, call: &str) {
        let answer = self.request("POST", "/v1/calls", &json!({ "call": call }).to_string());
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// Ends a call and gives its final state.
    ///
    /// # Panics
    /// If the relay refuses.
    pub fn delete_call(&self, call: &str) -> Value {
        let answer = self.request("DELETE", &format!("/v1/calls/{call}"), "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    /// Gives a command, or a batch of them as `{"commands": [...]}`. Without an `id` it gets one of its own.
    #[must_use]
    pub fn try_command(&self, call: &str, mut command: Value) -> Answer {
        if command["id"].is_null() {
            command["id"] = format!("test-{}", self.next_id.fetch_add(1, Ordering::Relaxed)).into();
        }
        self.request("POST", &format!("/v1/calls/{call}/commands"), &command.to_string())
    }

    /// [`Client::try_command`] for what must work: gives the answer's `results`.
    ///
    /// # Panics
    /// If the relay refuses.
    pub fn command(&self, call: &str, command: Value) -> Vec<Value> {
        let said = command.to_string();
        let mut answer = self.try_command(call, command);
        assert_eq!(answer.status, 200, "{said}: {}", answer.body);
        match answer.body["results"].take() {
            Value::Array(results) => results,
            other => panic!("{said}: results are {other}"),
        }
    }

    /// The state of a call.
    ///
    /// # Panics
    /// If there is no such call.
    #[must_use]
    pub fn call(&self, call: &str) -> Value {
        self.get(&format!("/v1/calls/{call}"))
    }

    /// A leg within a call's state.
    ///
    /// # Panics
    /// If there is no such call or party.
    #[must_use]
    pub fn leg(&self, call: &str, party: &str) -> Value {
        let state = self.call(call);
        let legs = state["legs"].as_array().expect("a call has a list of legs");
        let leg = legs.iter().find(|leg| leg["party"] == party);
        leg.unwrap_or_else(|| panic!("{call} has no party {party}: {state}")).clone()
    }

    /// Waits until a leg's state fulfils a condition; `what` names it in the error.
    ///
    /// # Panics
    /// If it does not.
    pub fn wait_for_leg(&self, call: &str, party: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let found = poll(|| {
            last = self.leg(call, party);
            condition(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("{call}: waited {PATIENCE:?} in vain for {what}; {party} is now {last}"))
    }

    /// Waits until a call has so many parties.
    ///
    /// # Panics
    /// If it does not come to that.
    pub fn wait_for_parties(&self, call: &str, count: usize) {
        let is_so = || (self.call(call)["parties"].as_array().map(Vec::len) == Some(count)).then_some(());
        poll(is_so).unwrap_or_else(|| panic!("{call} has not {count} parties but {}", self.call(call)["parties"]));
    }

    /// The names of all calls.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        let list = self.get("/v1/calls");
        let calls = list["calls"].as_array().expect("a list of calls");
        calls.iter().map(|call| call["call"].as_str().expect("a call has a name").to_owned()).collect()
    }

    /// The only call there is.
    ///
    /// # Panics
    /// If there is none, or another one beside it.
    #[must_use]
    pub fn only_call(&self) -> String {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.into_iter().next().expect("there is one")
    }

    /// Waits until the relay has no call, and no worker a leg.
    ///
    /// # Panics
    /// If it does not come to that.
    pub fn must_be_idle(&self) {
        eventually("the relay has no call", || self.calls().is_empty().then_some(()));
        let is_free = |worker: &Value| worker["legs"].as_u64() == Some(0);
        eventually("no worker has a leg", || self.workers().iter().all(is_free).then_some(()));
    }

    /// Waits until both parties of each of these calls have been sent so many packets more.
    ///
    /// # Panics
    /// If somebody is not sent them.
    pub fn wait_for_talk_in(&self, calls: &[impl AsRef<str>], packets: u64) {
        let before: Vec<_> = calls.iter().map(|call| sent(&self.call(call.as_ref()))).collect();
        for (call, before) in calls.iter().zip(before) {
            let call = call.as_ref();
            assert_eq!(before.len(), 2, "{call} has two parties");
            eventually(&format!("both parties of {call} are sent {packets} packets more"), || {
                let now = sent(&self.call(call));
                let enough = before.iter().zip(&now).all(|(before, now)| *now >= before + packets);
                enough.then_some(())
            });
        }
    }

    /// The counters of all workers.
    ///
    /// # Panics
    /// If the relay does not answer, or one of its workers does not.
    #[must_use]
    pub fn workers(&self) -> Vec<Value> {
        let answer = self.get("/v1/workers");
        let workers = answer["workers"].as_array().expect("a list of workers").clone();
        assert!(workers.iter().all(|worker| worker["error"].is_null()), "{answer}");
        workers
    }

    /// Its events from now on, of all calls.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn events(&self) -> Events {
        let response = self.agent.get(format!("{}/v1/events", self.base)).call();
        let response = response.unwrap_or_else(|error| panic!("{}/v1/events: {error}", self.base));
        assert_eq!(response.status().as_u16(), 200, "the event stream");
        Events::open(response.into_body())
    }
}

/// How many packets each leg of a call has been sent.
fn sent(call: &Value) -> Vec<u64> {
    let legs = call["legs"].as_array().expect("a call has a list of legs");
    legs.iter().map(|leg| leg["sent"]["packets"].as_u64().expect("a count")).collect()
}
