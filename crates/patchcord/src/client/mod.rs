//! The client commands: each is a request to a running relay's HTTP API.

pub(crate) mod api;
pub(crate) mod args;
mod audio;
mod commands;
mod dump;
pub(crate) mod events;
mod explain;
pub(crate) mod model;
mod records;
pub(crate) mod show;
mod transfers;

use serde_json::{Value, json};

use self::api::{Api, ApiError, encoded};
use self::args::{ClientCommand, Connection, ServerArgs};
use crate::failure::Failure;
use crate::output;

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl ServerArgs {
    /// The API that these arguments name.
    pub(crate) fn api(&self) -> Api {
        Api::new(&self.server, self.token.as_deref())
    }
}

impl Connection {
    fn api(&self) -> Api {
        self.relay.api()
    }

    /// Prints an answer as JSON or as text.
    fn print(&self, answer: &Value, text: impl FnOnce(&Value) -> Result<String, ApiError>) -> Result<(), Failure> {
        if self.json {
            output::print_json(answer);
        } else {
            output::print(&text(answer)?);
        }
        Ok(())
    }
}

/// Runs a client command.
pub(crate) fn run(command: ClientCommand) -> Result<(), Failure> {
    match command {
        ClientCommand::Calls { to } => {
            let api = to.api();
            to.print(&api.get("/v1/calls")?, |answer| Ok(show::calls(&api.typed(answer.clone())?)))
        }
        ClientCommand::Show { call, to } => {
            let api = to.api();
            to.print(&api.get(&call_path(&call))?, |answer| Ok(show::call(&api.typed(answer.clone())?)))
        }
        ClientCommand::Explain { call, to } => explain::run(&call, &to),
        ClientCommand::Audio(command) => audio::run(command),
        ClientCommand::Transfer(arguments) => transfers::begin(&arguments),
        ClientCommand::Transfers(command) => transfers::run(command),
        ClientCommand::Records(command) => records::run(command),
        ClientCommand::Dump(arguments) => dump::run(&arguments),
        ClientCommand::Workers { to } => {
            let api = to.api();
            to.print(&api.get("/v1/workers")?, |answer| Ok(show::workers(&api.typed(answer.clone())?)))
        }
        ClientCommand::Events { call, count, to } => follow(&to, call.as_deref(), count),
        ClientCommand::Create { call, id, to } => {
            let mut body = json!({ "id": id.unwrap_or_else(api::random_id) });
            if let Some(call) = call {
                body["call"] = json!(call);
            }
            let answer = to.api().post("/v1/calls", &body)?;
            to.print(&answer, |answer| Ok(show::created(answer)))
        }
        ClientCommand::Delete { call, id, to } => {
            let api = to.api();
            let id = id.unwrap_or_else(api::random_id);
            let answer = api.delete(&format!("{}?id={}", call_path(&call), encoded(&id)))?;
            to.print(&answer, |answer| Ok(show::call(&api.typed(answer.clone())?)))
        }
        other => {
            let request = commands::request(other)?;
            let answer = request.meta.to.api().command(&request.call, request.body)?;
            request.meta.to.print(&answer, |answer| Ok(show::results(answer)))
        }
    }
}

/// Prints events until the server ends the stream or `count` were there.
fn follow(to: &Connection, call: Option<&str>, count: Option<usize>) -> Result<(), Failure> {
    let events = to.api().events(call)?;
    for event in events.take(count.unwrap_or(usize::MAX)) {
        output::print_line(&if to.json { event.to_string() } else { show::event(&event) });
    }
    Ok(())
}

/// The path of a call.
pub(crate) fn call_path(call: &str) -> String {
    format!("/v1/calls/{}", encoded(call))
}
