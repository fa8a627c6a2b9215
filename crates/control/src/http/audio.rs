//! `/v1/audio`: what can be played, and what more is to be.

use core::time::Duration;

use axum::Json;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use patchcord_codec::prompt::Format;
use serde::Deserialize;

use super::errors::{ErrorBody, Path, Query};
use crate::api::{AudioList, AudioState, AudioUrl, read};
use crate::audio::Upload;
use crate::audio::fetch::AUDIO_LEN_MAX;
use crate::control::Control;
use crate::error::{ApiError, ErrorCode};

/// How long a client may take to send its audio.
const PATIENCE: Duration = Duration::from_secs(60);

/// The query of an upload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutAudio {
    #[serde(default)]
    fade_ms: u16,
}

/// Lists the audio that `play` and `hold` can name.
#[utoipa::path(
    get, path = "/v1/audio", tag = "audio",
    responses((status = 200, body = AudioList), (status = 401, body = ErrorBody)),
    security((), ("token" = []))
)]
pub(super) async fn list(State(control): State<Control>) -> Json<AudioList> {
    Json(control.audio())
}

/// Uploads audio: WAV, Ogg/Opus, or audio without a header as its content type says; or JSON with the URL of such.
#[utoipa::path(
    put, path = "/v1/audio/{name}", tag = "audio",
    params(
        ("name" = String, Path, description = "What commands will call it"),
        ("fade_ms" = Option<u16>, Query, description = "Within so many milliseconds it rises at its beginning and falls at its end"),
    ),
    request_body(content(
        (Vec<u8> = "audio/wav"), (Vec<u8> = "audio/ogg"), (Vec<u8> = "audio/PCMU"), (Vec<u8> = "audio/PCMA"),
        (Vec<u8> = "audio/G722"), (Vec<u8> = "audio/L16"), (AudioUrl = "application/json"),
    )),
    responses(
        (status = 200, body = AudioState, description = "It has taken the place of another one"),
        (status = 201, body = AudioState),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "audio-exists, audio-full"),
        (status = 413, body = ErrorBody),
        (status = 422, body = ErrorBody, description = "bad-audio, fetch-refused"),
        (status = 502, body = ErrorBody, description = "fetch-failed"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn put(
    State(control): State<Control>,
    Path(name): Path,
    Query(PutAudio { fade_ms }): Query<PutAudio>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let bad = |why: String| ApiError::new(ErrorCode::BadRequest, why);
    let said = content_type(&parts.headers);
    let is_json = said.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    let format = if is_json { None } else { Format::of_content_type(said).map_err(|error| bad(error.to_string()))? };
    let upload = async {
        let body: Bytes = tokio::time::timeout(PATIENCE, to_bytes(body, AUDIO_LEN_MAX))
            .await
            .map_err(|_| bad(format!("the body has not come within {} s", PATIENCE.as_secs())))?
            .map_err(|error| unread(&error))?;
        if is_json {
            let AudioUrl { url } = read(&body)?;
            return Ok(Upload::Url(url));
        }
        Ok(Upload::Bytes(body.into(), format))
    };
    let (state, new) = control.upload(&name, fade_ms, upload).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(state)).into_response())
}

/// Deletes audio that was uploaded. Calls that play it go on with it.
#[utoipa::path(
    delete, path = "/v1/audio/{name}", tag = "audio",
    params(("name" = String, Path, description = "Its name")),
    responses(
        (status = 200, body = AudioState), (status = 401, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "audio-exists: it is the server's own"),
        (status = 422, body = ErrorBody, description = "unknown-audio"),
    ),
    security((), ("token" = []))
)]
pub(super) async fn delete(State(control): State<Control>, Path(name): Path) -> Result<Json<AudioState>, ApiError> {
    control.delete_audio(&name).map(Json)
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn unread(error: &axum::Error) -> ApiError {
    // The limit is one of the causes, and has no type of axum's own.
    let mut cause: Option<&dyn core::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("length limit exceeded") {
            let message = format!("the audio has more than {AUDIO_LEN_MAX} bytes: cut it, or lower its sample rate");
            return ApiError::new(ErrorCode::TooLarge, message);
        }
        cause = error.source();
    }
    ApiError::new(ErrorCode::BadRequest, format!("the body could not be read: {error}"))
}
