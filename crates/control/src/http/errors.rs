//! Errors as answers: always JSON, whoever found them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BODY_LEN_MAX;
use crate::error::{ApiError, ErrorCode};

/// The body of every answer that is an error.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What was wrong.
    error: ApiError,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(ErrorBody { error: self.clone() })).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Logs what was refused, with the path that names the call: only requests of clients can trigger it.
pub(super) async fn name_the_request(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    if let Some(error) = response.extensions().get::<ApiError>() {
        let (code, status, command) = (error.code.name(), error.code.status(), error.command);
        if status >= 500 {
            tracing::warn!(%method, path, code, status, command, reason = %error, "request refused");
        } else {
            tracing::info!(%method, path, code, status, command, reason = %error, "request refused");
        }
    }
    response
}

pub(super) async fn unknown_path(uri: Uri) -> ApiError {
    let path = uri.path();
    ApiError::new(ErrorCode::UnknownPath, format!("there is no {path} here; /openapi.json describes what there is"))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let path = uri.path();
    ApiError::new(
        ErrorCode::MethodNotAllowed,
        format!("{path} cannot be asked for with {method}; /openapi.json describes what there is"),
    )
}

/// A whole body, whatever its content type.
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                ApiError::new(ErrorCode::TooLarge, format!("the body has more than {BODY_LEN_MAX} bytes"))
            }
            other => ApiError::new(ErrorCode::BadRequest, format!("the body could not be read: {other}")),
        })
    }
}

/// The call, or the audio, that the path names.
pub(super) struct Path(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path: Result<axum::extract::Path<String>, PathRejection> =
            axum::extract::Path::from_request_parts(parts, state).await;
        match path {
            Ok(axum::extract::Path(call)) => Ok(Self(call)),
            Err(rejection) => Err(ApiError::new(ErrorCode::BadRequest, format!("the path: {rejection}"))),
        }
    }
}

/// The query, whose unknown fields are refused.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<axum::extract::Query<T>, QueryRejection> =
            axum::extract::Query::from_request_parts(parts, state).await;
        match query {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                Err(ApiError::new(ErrorCode::BadRequest, format!("the query: {}", rejection.body_text())))
            }
        }
    }
}
