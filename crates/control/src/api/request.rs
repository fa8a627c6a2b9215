//! The body of a request with commands: one command with its id, or a batch.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::command::Command;
use crate::error::{ApiError, ErrorCode};

/// The most commands in a batch.
pub const BATCH_LEN_MAX: usize = 64;
/// The longest id, in bytes.
pub const ID_LEN_MAX: usize = 128;
/// The longest name of a call or party, in bytes: Call-IDs and tags of SIP have names of this length.
pub const NAME_LEN_MAX: usize = 255;
/// The longest time that an answer is kept back for receipts.
pub const WAIT_MS_MAX: u32 = 60_000;

/// Commands under one id, applied as a whole or refused as a whole.
///
/// As JSON it is written with a list of commands; a single command may also be given with its fields beside the id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CommandRequest {
    /// Chosen by the client.
    #[schema(min_length = 1, max_length = 128)]
    pub id: String,
    /// In this order.
    #[schema(min_items = 1, max_items = 64)]
    pub commands: Vec<Command>,
    /// Keep the answer back until all receipts are in, at most this many milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(maximum = 60000)]
    pub wait_ms: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(ms: &u32) -> bool {
    *ms == 0
}

/// One command with its id beside its fields.
#[derive(Serialize, ToSchema)]
pub struct SingleCommandRequest {
    /// Chosen by the client.
    #[schema(min_length = 1, max_length = 128)]
    id: String,
    /// Keep the answer back until all receipts are in, at most this many milliseconds.
    #[schema(maximum = 60000)]
    wait_ms: Option<u32>,
    /// The command.
    #[serde(flatten)]
    command: Command,
}

/// The body of a request with commands, in either of its two forms.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum CommandBody {
    /// A batch.
    Batch(CommandRequest),
    /// One command.
    Single(SingleCommandRequest),
}

impl CommandRequest {
    /// One command.
    pub fn single(id: impl Into<String>, command: Command) -> Self {
        Self { id: id.into(), commands: vec![command], wait_ms: 0 }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// 400 with the place of the mistake: line and column where it is not JSON, else the field.
    pub fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        let mut object: Map<String, Value> = read(body)?;
        let id = match object.remove("id") {
            Some(Value::String(id)) => id,
            Some(_) => return Err(bad("`id` must be a string")),
            None => {
                return Err(bad(
                    "missing field `id`: choose one, so that a repeat of this request can be told from a new one",
                ));
            }
        };
        check_id(&id)?;
        let wait_ms = match object.remove("wait_ms") {
            None => 0,
            Some(value) => value
                .as_u64()
                .and_then(|ms| u32::try_from(ms).ok())
                .filter(|&ms| ms <= WAIT_MS_MAX)
                .ok_or_else(|| bad(format!("`wait_ms` must be a number from 0 to {WAIT_MS_MAX}")))?,
        };
        let commands = match object.remove("commands") {
            None => vec![command(Value::Object(object), 0)?],
            Some(Value::Array(list)) => {
                if let Some(extra) = object.keys().next() {
                    return Err(ApiError::new(
                        ErrorCode::UnknownField,
                        format!(
                            "unknown field `{extra}` beside `commands`: a batch has `id`, `commands` and `wait_ms`"
                        ),
                    ));
                }
                if list.is_empty() || list.len() > BATCH_LEN_MAX {
                    return Err(bad(format!(
                        "`commands` has {} entries; 1 to {BATCH_LEN_MAX} are possible",
                        list.len()
                    )));
                }
                list.into_iter().enumerate().map(|(index, value)| command(value, index)).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(bad("`commands` must be a list")),
        };
        Ok(Self { id, commands, wait_ms })
    }
}

/// Reads a JSON body into a type whose unknown fields are refused.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            return data_error(&error, "body");
        }
        ApiError::new(ErrorCode::MalformedJson, format!("the body is not JSON: {error}"))
    })
}

/// Takes another call into the one of the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeCall {
    /// The same id again gives the first answer again.
    pub id: String,
    /// The other call.
    pub call: String,
    /// Parties of the other call, and what they are called from then on: for names that both have.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
}

/// Checks an id that a client chose.
pub(crate) fn check_id(id: &str) -> Result<(), ApiError> {
    if id.is_empty() || id.len() > ID_LEN_MAX || id.chars().any(char::is_control) {
        return Err(bad(format!("an `id` has 1 to {ID_LEN_MAX} bytes and no control characters")));
    }
    Ok(())
}

fn command(value: Value, index: usize) -> Result<Command, ApiError> {
    let named = value.get("command").is_some_and(Value::is_string);
    if !named {
        return Err(bad(format!("command {index} needs a field `command` with its name, such as \"bridge\"")).at(index));
    }
    let what = value.get("command").and_then(Value::as_str).unwrap_or_default().to_owned();
    serde_json::from_value(value).map_err(|error| data_error(&error, &what).at(index))
}

fn data_error(error: &serde_json::Error, what: &str) -> ApiError {
    let text = error.to_string();
    let code = if text.starts_with("unknown field") { ErrorCode::UnknownField } else { ErrorCode::BadRequest };
    ApiError::new(code, format!("{what}: {text}"))
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_and_a_batch_are_read() -> Result<(), ApiError> {
        let one = CommandRequest::from_json(br#"{"id": "1", "command": "bridge", "a": "x", "b": "y"}"#)?;
        let batch =
            CommandRequest::from_json(br#"{"commands": [{"b": "y", "a": "x", "command": "bridge"}], "id": "1"}"#)?;
        assert_eq!(one, batch);
        let text = serde_json::to_vec(&one).expect("it can be written");
        assert_eq!(CommandRequest::from_json(&text)?, one);
        Ok(())
    }

    #[test]
    fn mistakes_are_named() {
        for (body, code, words) in [
            ("{", ErrorCode::MalformedJson, "line 1 column 1"),
            ("[]", ErrorCode::BadRequest, "map"),
            (r#"{"id": 7, "command": "stop", "party": "a"}"#, ErrorCode::BadRequest, "`id`"),
            (r#"{"command": "stop", "party": "a"}"#, ErrorCode::BadRequest, "missing field `id`"),
            (r#"{"id": "", "command": "stop", "party": "a"}"#, ErrorCode::BadRequest, "1 to 128"),
            (r#"{"id": "1"}"#, ErrorCode::BadRequest, "`command`"),
            (r#"{"id": "1", "command": "brige"}"#, ErrorCode::BadRequest, "unknown variant `brige`, expected one of"),
            (r#"{"id": "1", "command": "stop", "party": "a", "fast": 1}"#, ErrorCode::UnknownField, "`fast`"),
            (r#"{"id": "1", "command": "stop"}"#, ErrorCode::BadRequest, "missing field `party`"),
            (r#"{"id": "1", "commands": []}"#, ErrorCode::BadRequest, "0 entries"),
            (r#"{"id": "1", "commands": [], "party": "a"}"#, ErrorCode::UnknownField, "`party`"),
            (r#"{"id": "1", "wait_ms": 60001, "command": "stop", "party": "a"}"#, ErrorCode::BadRequest, "`wait_ms`"),
            (r#"{"id": "1", "command": "leg-remote", "party": "a", "remote": "x"}"#, ErrorCode::BadRequest, "\"x\""),
            (
                r#"{"id": "1", "command": "play", "party": "a", "audio": "b", "repeat": 0}"#,
                ErrorCode::BadRequest,
                "repeat",
            ),
        ] {
            let error = CommandRequest::from_json(body.as_bytes()).expect_err(body);
            assert_eq!(error.code, code, "{body}: {error}");
            assert!(error.message.contains(words), "{body}: {error}");
        }
    }

    #[test]
    fn an_error_in_a_batch_has_its_index() {
        let body = br#"{"id": "1", "commands": [{"command": "stop", "party": "a"}, {"command": "stop"}]}"#;
        assert_eq!(CommandRequest::from_json(body).expect_err("no party").command, Some(1));
    }
}
