//! What the demo and `replay` need alike to bring a party's media to a relay.

use std::net::SocketAddr;

use serde_json::json;

use crate::client::api::Api;
use crate::failure::Failure;

/// An error of the laboratory as a failure of the command.
pub(crate) fn error(error: impl std::error::Error) -> Failure {
    Failure::Failed(error.to_string())
}

/// Creates a leg for a party that receives at `remote`; returns where the party has to send to.
pub(crate) fn create_leg(
    api: &Api,
    call: &str,
    party: &str,
    remote: SocketAddr,
    codecs: &[&str],
) -> Result<SocketAddr, Failure> {
    let command = json!({ "command": "leg-create", "party": party, "remote": remote.to_string(), "codecs": codecs });
    let answer = api.command(call, command)?;
    let advertised = answer["results"][0]["advertised"].as_str().unwrap_or_default();
    advertised
        .parse()
        .map_err(|_| Failure::failed(format!("the relay advertised {advertised:?} for {party}, which is no address")))
}
