//! Requests to the relay: connections that are kept and used again, a limit for each try, and what an answer may be.

use core::fmt;
use core::time::Duration;
use std::sync::{Mutex, PoisonError};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::http::header::{AUTHORIZATION, HOST, USER_AGENT};
use hyper::http::{Method, Request, Response};
use patchcord_control::{ApiError, ErrorCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

use crate::webhook::{Fault, Place, Secret, Sender, broken, open};

/// An answer has no more bytes: that is some hundred times what a call of 64 legs has.
const ANSWER_LEN_MAX: usize = 4 << 20;
/// Connections that wait for the next request; more are closed when they have been used.
const IDLE_MAX: usize = 16;
/// How long one try may take, and how often it is made.
const TRY: Duration = Duration::from_secs(2);
const TRIES: u32 = 3;
/// How long all of it may take.
const DEADLINE: Duration = Duration::from_secs(4);

/// The way to a relay.
pub(super) struct Http {
    pub(super) place: Place,
    pub(super) tls: Option<TlsConnector>,
    pub(super) token: Option<Secret>,
    pub(super) idle: Mutex<Vec<Sender>>,
}

#[derive(Deserialize)]
struct Refusal {
    error: ApiError,
}

impl Http {
    /// Asks until there is an answer or the deadline is over. Each request can be repeated: it has an id, or reads.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, ApiError> {
        let (body, end) = (Bytes::from(body), Instant::now() + DEADLINE);
        let mut why = String::new();
        for _ in 0..TRIES {
            let limit = end.min(Instant::now() + TRY);
            match timeout_at(limit, self.try_once(&method, path, body.clone())).await {
                Ok(Ok((status, body))) => return self.read(status, &body),
                Ok(Err(Fault::Final(fault))) => return Err(self.unavailable(fault)),
                Ok(Err(Fault::Again(fault))) => why = fault,
                Err(_) => why = "no answer in time".to_owned(),
            }
            // The others may be as dead.
            self.idle().clear();
            if Instant::now() >= end {
                break;
            }
        }
        Err(self.unavailable(why))
    }

    /// A connection of its own, with an answer that goes on.
    pub(super) async fn stream(&self, path: &str) -> Result<Response<Incoming>, Fault> {
        let late = |_| Fault::Again("no answer in time".to_owned());
        let asked = async {
            let mut sender = open(&self.place, self.tls.as_ref()).await?;
            self.send(&mut sender, &Method::GET, path, Bytes::new()).await
        };
        timeout(DEADLINE, asked).await.map_err(late)?
    }

    /// The relay cannot be had, or does not speak as it should.
    pub(super) fn unavailable(&self, why: impl fmt::Display) -> ApiError {
        ApiError::new(ErrorCode::WorkerUnavailable, format!("the relay at {}: {why}", self.place))
    }

    async fn try_once(&self, method: &Method, path: &str, body: Bytes) -> Result<(u16, Bytes), Fault> {
        let kept = loop {
            let kept = self.idle().pop();
            if kept.as_ref().is_none_or(|sender| !sender.is_closed()) {
                break kept;
            }
        };
        let mut sender = match kept {
            Some(sender) => sender,
            None => open(&self.place, self.tls.as_ref()).await?,
        };
        let response = self.send(&mut sender, method, path, body).await?;
        let status = response.status().as_u16();
        if response.body().size_hint().lower() > ANSWER_LEN_MAX as u64 {
            return Err(Fault::Final(format!("its answer has more than {ANSWER_LEN_MAX} bytes")));
        }
        let body = Limited::new(response.into_body(), ANSWER_LEN_MAX).collect().await;
        let body = body.map_err(|error| Fault::Final(format!("its answer cannot be read: {error}")))?.to_bytes();
        let mut idle = self.idle();
        if !sender.is_closed() && idle.len() < IDLE_MAX {
            idle.push(sender);
        }
        drop(idle);
        Ok((status, body))
    }

    async fn send(
        &self,
        sender: &mut Sender,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, Fault> {
        let path = format!("{}{path}", self.place.base());
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.place.authority());
        request = request.header(USER_AGENT, "patchcord");
        if let Some(Secret(token)) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request =
            request.body(Full::new(body)).map_err(|error| Fault::Final(format!("it cannot be asked: {error}")))?;
        sender.ready().await.map_err(|error| broken(&error))?;
        sender.send_request(request).await.map_err(|error| broken(&error))
    }

    fn read<T: DeserializeOwned>(&self, status: u16, body: &[u8]) -> Result<T, ApiError> {
        if (200..300).contains(&status) {
            return serde_json::from_slice(body)
                .map_err(|error| self.unavailable(format!("its answer is none of this API: {error}")));
        }
        if let Ok(Refusal { error }) = serde_json::from_slice(body) {
            return Err(error);
        }
        // A proxy before it, or a code that is not known here.
        let code = if (400..500).contains(&status) { ErrorCode::Refused } else { ErrorCode::WorkerUnavailable };
        Err(ApiError::new(code, format!("the relay at {} answers {status}", self.place)))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Sender>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
