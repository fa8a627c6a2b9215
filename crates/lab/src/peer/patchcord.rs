//! Patchcord as a peer, driven by its HTTP API.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use patchcord_srtp::Suite;
use serde_json::{Value, json};

use super::relay::CONTROL_TIMEOUT;
use super::secured::CallKeys;
use super::{CallPlan, CallPorts, PeerError, Relay, Topology, http};

const CONTROL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8223);

/// `patchcord serve` with one worker.
#[derive(Debug, Clone)]
pub struct Patchcord {
    /// What the results call it: with other arguments it can be compared with itself.
    pub name: String,
    /// The executable.
    pub program: String,
    /// Appended to its arguments, as `--backend mmsg`.
    pub arguments: Vec<String>,
    /// Callees speak SRTP with this suite.
    pub callee_suite: Option<Suite>,
}

impl Default for Patchcord {
    fn default() -> Self {
        Self {
            name: "patchcord".to_owned(),
            program: "patchcord".to_owned(),
            arguments: Vec::new(),
            callee_suite: None,
        }
    }
}

impl Relay for Patchcord {
    fn name(&self) -> &str {
        &self.name
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["serve", "--workers", "1", "--ports", "2000-65000"])
            .args(["--interface", &format!("caller/{}", Topology::RELAY_TO_CALLER)])
            .args(["--interface", &format!("callee/{}", Topology::RELAY_TO_CALLEE)])
            .args(["--http", &CONTROL.to_string()])
            .args(&self.arguments);
        command
    }

    fn is_ready(&self) -> bool {
        http::request(CONTROL, "GET", "/readyz", "", Duration::from_millis(200)).is_ok_and(|(status, _)| status == 200)
    }

    fn callee_suite(&self) -> Option<Suite> {
        self.callee_suite
    }

    fn create_call(&self, plan: &CallPlan) -> Result<CallPorts, PeerError> {
        let call = format!("lab-{}", plan.number);
        self.post("/v1/calls", &json!({ "call": call }))?;
        let leg = |party: &str, remote: SocketAddr| {
            json!({
                "command": "leg-create", "party": party, "interface": party, "remote": remote.to_string(),
                "codecs": ["PCMU"],
            })
        };
        let mut commands = vec![
            leg("caller", plan.caller),
            leg("callee", plan.callee),
            json!({ "command": "bridge", "a": "caller", "b": "callee", "trigger": "immediate" }),
        ];
        if let Some(suite) = self.callee_suite {
            let [receive, send] = CallKeys::new(suite, plan.number)?.texts();
            commands.push(json!({ "command": "leg-srtp", "party": "callee", "receive": receive, "send": send }));
        }
        let batch = json!({ "id": "set-up", "commands": commands });
        let path = format!("/v1/calls/{call}/commands");
        let answer = self.post(&path, &batch)?;
        let local = |index: usize| {
            let address = answer["results"][index]["local"].as_str().and_then(|local| local.parse().ok());
            address.ok_or_else(|| self.refused(&path, format!("no local address in {answer}")))
        };
        Ok(CallPorts { to_caller: local(0)?, to_callee: local(1)? })
    }
}

impl Patchcord {
    fn post(&self, path: &str, body: &Value) -> Result<Value, PeerError> {
        let (status, answer) = http::request(CONTROL, "POST", path, &body.to_string(), CONTROL_TIMEOUT)
            .map_err(|error| self.refused(path, error.to_string()))?;
        if !(200..300).contains(&status) {
            return Err(self.refused(path, format!("{status}: {answer}")));
        }
        serde_json::from_str(&answer).map_err(|error| self.refused(path, format!("{error} in {answer}")))
    }

    fn refused(&self, request: &str, answer: String) -> PeerError {
        PeerError::Control { relay: self.name.clone(), request: request.to_owned(), answer }
    }
}
