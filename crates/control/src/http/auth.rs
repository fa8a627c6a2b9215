//! The token that every request under `/v1` carries, where one is configured.

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::control::Control;
use crate::error::{ApiError, ErrorCode};

pub(super) async fn check(State(control): State<Control>, request: Request, next: Next) -> Response {
    let Some(token) = &control.0.token else { return next.run(request).await };
    let given = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if given.and_then(bearer).is_some_and(|given| same(given, token.as_bytes())) {
        return next.run(request).await;
    }
    let message = if given.is_some() {
        "the token is not the server's; look at `http.token` in its configuration"
    } else {
        "this server wants a header `Authorization: Bearer TOKEN`"
    };
    ApiError::new(ErrorCode::Unauthorized, message).into_response()
}

/// The token after the scheme, which is compared without regard to case (RFC 9110 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Compares in a time that depends on the length of what was given alone, so that no part of a right token can be told
/// from a wrong one by a clock.
fn same(given: &[u8], token: &[u8]) -> bool {
    let mut difference = u8::from(given.len() != token.len());
    for (index, byte) in given.iter().enumerate() {
        difference |= byte ^ token.get(index % token.len().max(1)).copied().unwrap_or(0);
    }
    core::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_the_token() {
        assert!(same(b"secret", b"secret"));
        for given in [&b""[..], b"secre", b"secrets", b"secretsecret", b"Secret"] {
            assert!(!same(given, b"secret"), "{given:?}");
        }
        assert!(!same(b"x", b""));
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(bearer(b"bEaReR  x "), Some(&b"x"[..]));
        assert_eq!(bearer(b"Basic eDp4"), None);
        assert_eq!(bearer(b"Bear"), None);
    }
}
