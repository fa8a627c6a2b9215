//! The HTTP API from the client's side.

use std::io::Read;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

use super::events::EventStream;

/// How long an answer may take, beyond what the request itself asks the server to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an upload may take, with all that is done about it.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(120);

/// No file of the API is longer.
const FILE_LEN_MAX: u64 = 64 << 20;

/// A relay's HTTP API. Cheap to clone; requests block.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

/// Why a request has no answer.
#[derive(Debug, Error)]
pub(crate) enum ApiError {
    /// Nobody answers there.
    #[error(
        "cannot reach the relay at {base}: {reason}; start one with `patchcord serve`, or name another with --server URL"
    )]
    Unreachable { base: String, reason: String },
    /// The relay refused, with its code and its words.
    #[error("{message} ({code}, HTTP {status})")]
    Refused { status: u16, code: String, message: String },
    /// Something answers that does not speak this API.
    #[error("{base} does not answer like a Patchcord relay: {reason}; is --server right?")]
    NotARelay { base: String, reason: String },
}

impl ApiError {
    /// The code of a refusal, as in the API's table of errors.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

impl Api {
    /// The API at `base`, for instance `http://127.0.0.1:8223`.
    pub(crate) fn new(base: &str, token: Option<&str>) -> Self {
        let base = base.trim_end_matches('/');
        let base = if base.contains("://") { base.to_owned() } else { format!("http://{base}") };
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A relay is near; a proxy for the web is not the way to it.
            .proxy(None)
            .user_agent(concat!("patchcord/", env!("CARGO_PKG_VERSION")));
        // For one behind a proxy with TLS.
        if let Ok(tls) = patchcord_control::tls_config(None) {
            config = config.tls_config(tls);
        }
        let agent = config.build().new_agent();
        Self { base, token: token.filter(|token| !token.is_empty()).map(str::to_owned), agent }
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// `GET` of a path under the base.
    pub(crate) fn get(&self, path: &str) -> Result<Value, ApiError> {
        let request = self.authorised(self.agent.get(self.url(path)));
        self.answer(request.config().timeout_global(Some(ANSWER_TIMEOUT)).build().call())
    }

    /// [`Api::get`] in its own type.
    pub(crate) fn get_as<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.typed(self.get(path)?)
    }

    /// `POST` of a JSON body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        let waits = Duration::from_millis(body["wait_ms"].as_u64().unwrap_or(0));
        let request = self.authorised(self.agent.post(self.url(path)));
        self.answer(request.config().timeout_global(Some(ANSWER_TIMEOUT + waits)).build().send_json(body))
    }

    /// `PUT` of a body of some type, which the server may take its time with.
    pub(crate) fn put(&self, path: &str, content_type: Option<&str>, body: &[u8]) -> Result<Value, ApiError> {
        let mut request = self.authorised(self.agent.put(self.url(path)));
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        self.answer(request.config().timeout_global(Some(UPLOAD_TIMEOUT)).build().send(body))
    }

    /// `DELETE` of a path.
    pub(crate) fn delete(&self, path: &str) -> Result<Value, ApiError> {
        let request = self.authorised(self.agent.delete(self.url(path)));
        self.answer(request.config().timeout_global(Some(ANSWER_TIMEOUT)).build().call())
    }

    /// Posts a bridge command under a random id, unless it has one, and gives its whole answer.
    pub(crate) fn command(&self, call: &str, command: Value) -> Result<Value, ApiError> {
        let mut body = command;
        if body.get("id").is_none() {
            body["id"] = json!(random_id());
        }
        self.post(&format!("/v1/calls/{}/commands", encoded(call)), &body)
    }

    /// Opens the event stream, of one call or of all. Events from now on are in it.
    pub(crate) fn events(&self, call: Option<&str>) -> Result<EventStream, ApiError> {
        let path = match call {
            Some(call) => format!("/v1/events?call={}", encoded(call)),
            None => "/v1/events".to_owned(),
        };
        let body = self.stream(&path, None)?;
        EventStream::open(body).map_err(|reason| self.not_a_relay(&reason))
    }

    /// Opens the packets of a call as pcapng, until it ends or for so long.
    pub(crate) fn dump(&self, call: &str, limit: Option<Duration>) -> Result<impl Read + use<>, ApiError> {
        Ok(self.stream(&format!("/v1/calls/{}/dump", encoded(call)), limit)?.into_reader())
    }

    /// A file, whole.
    pub(crate) fn file(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        let body = self.stream(path, Some(ANSWER_TIMEOUT))?;
        let read = body.into_with_config().limit(FILE_LEN_MAX).read_to_vec();
        read.map_err(|error| self.unreachable(&error))
    }

    /// An answer that grows.
    fn stream(&self, path: &str, limit: Option<Duration>) -> Result<ureq::Body, ApiError> {
        let request = self.authorised(self.agent.get(self.url(path)));
        let config = request.config().timeout_connect(Some(ANSWER_TIMEOUT)).timeout_recv_response(Some(ANSWER_TIMEOUT));
        let config = config.timeout_recv_body(limit);
        let mut response = config.build().call().map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let status = response.status().as_u16();
        let body = response.body_mut().read_json().unwrap_or(Value::Null);
        Err(self.refused(status, &body))
    }

    /// An answer in its own type.
    pub(crate) fn typed<T: DeserializeOwned>(&self, value: Value) -> Result<T, ApiError> {
        serde_json::from_value(value).map_err(|reason| self.not_a_relay(&reason))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn authorised<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn answer(&self, result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, ApiError> {
        let mut response = result.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(64 << 20).read_json::<Value>();
        match (status, body) {
            (200..=299, Ok(value)) => Ok(value),
            (200..=299, Err(reason)) => Err(self.not_a_relay(&reason)),
            (status, body) => Err(self.refused(status, &body.unwrap_or(Value::Null))),
        }
    }

    fn refused(&self, status: u16, body: &Value) -> ApiError {
        let error = &body["error"];
        match (error["code"].as_str(), error["message"].as_str()) {
            (Some(code), Some(message)) => {
                let hint = if code == "unauthorized" {
                    "; give the relay's token with --token or PATCHCORD_TOKEN"
                } else {
                    ""
                };
                ApiError::Refused { status, code: code.to_owned(), message: format!("{message}{hint}") }
            }
            _ => self.not_a_relay(&format!("HTTP {status} without an error code")),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> ApiError {
        match error {
            ureq::Error::Json(_) | ureq::Error::Protocol(_) => self.not_a_relay(error),
            _ => ApiError::Unreachable { base: self.base.clone(), reason: error.to_string() },
        }
    }

    fn not_a_relay(&self, reason: &impl ToString) -> ApiError {
        ApiError::NotARelay { base: self.base.clone(), reason: reason.to_string() }
    }
}

/// A command id that nobody else chooses.
pub(crate) fn random_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    // The standard library seeds this hasher from the system's randomness, once a thread; the second value differs
    // from call to call.
    let state = RandomState::new();
    format!(
        "cli-{:016x}{:08x}",
        state.hash_one(std::time::SystemTime::now()),
        state.hash_one(std::process::id()) as u32
    )
}

/// A path segment with everything but unreserved characters (RFC 3986 2.3) percent-encoded.
pub(crate) fn encoded(segment: &str) -> String {
    let mut text = String::new();
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_path() {
        assert_eq!(encoded("a b/1?x"), "a%20b%2F1%3Fx");
        assert_eq!(encoded("call-1.x_~"), "call-1.x_~");
    }

    #[test]
    fn ids_differ() {
        assert_ne!(random_id(), random_id());
    }
}
