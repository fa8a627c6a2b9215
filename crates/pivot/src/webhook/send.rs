//! HTTP connections, and one exchange on one of its own.

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use hyper::http::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::answer::ANSWER_LEN_MAX;
use super::place::Place;

/// The head of an answer has no more bytes and no more fields.
const HEAD_LEN_MAX: usize = 16 * 1024;
const FIELDS_MAX: usize = 64;

/// Sends requests on a connection.
pub(crate) type Sender = http1::SendRequest<Full<Bytes>>;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It may be there when asked again.
    Again(String),
    /// It would be the same again.
    Final(String),
}

/// What is posted.
pub(super) struct Letter<'a> {
    pub(super) content_type: &'static str,
    /// `Patchcord-Delivery`.
    pub(super) delivery: &'a str,
    /// `Patchcord-Signature`.
    pub(super) signature: Option<&'a str>,
    pub(super) body: &'a str,
}

/// Posts, and gives the body of an answer that is a success.
pub(super) async fn post(place: &Place, tls: Option<&TlsConnector>, letter: Letter<'_>) -> Result<Vec<u8>, Fault> {
    read(post_only(place, tls, letter).await?).await
}

/// Posts, and gives an answer that is a success.
pub(super) async fn post_only(
    place: &Place,
    tls: Option<&TlsConnector>,
    letter: Letter<'_>,
) -> Result<Response<Incoming>, Fault> {
    let Letter { content_type, delivery, signature, body } = letter;
    let mut request = Request::post(&*place.path)
        .header(HOST, &*place.authority)
        .header(CONTENT_TYPE, content_type)
        .header(ACCEPT, "application/json, application/xml, text/xml")
        .header(USER_AGENT, "patchcord")
        .header(CONNECTION, "close")
        .header("Patchcord-Delivery", delivery);
    if let Some(signature) = signature {
        request = request.header("Patchcord-Signature", signature);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    let request = request.map_err(|error| Fault::Final(format!("it cannot be asked: {error}")))?;
    let response = open(place, tls).await?.send_request(request).await.map_err(|error| broken(&error))?;
    success(response)
}

/// A connection, which a task of its own drives until its sender is dropped.
pub(crate) async fn open(place: &Place, tls: Option<&TlsConnector>) -> Result<Sender, Fault> {
    let failed = |error: std::io::Error| Fault::Again(format!("no connection: {error}"));
    let stream = TcpStream::connect((&*place.host, place.port)).await.map_err(failed)?;
    // Requests are short, and each is waited for.
    stream.set_nodelay(true).map_err(failed)?;
    match tls.filter(|_| place.is_secure) {
        Some(tls) => {
            let name = ServerName::try_from(place.host.to_string());
            let name = name.map_err(|error| Fault::Final(format!("{:?}: {error}", place.host)))?;
            let stream = tls.connect(name, stream).await;
            speak(stream.map_err(|error| Fault::Again(format!("no TLS connection: {error}")))?).await
        }
        None if place.is_secure => Err(Fault::Final("there is no TLS to reach it by".to_owned())),
        None => speak(stream).await,
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, Fault> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_LEN_MAX).max_headers(FIELDS_MAX);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    tokio::spawn(connection);
    Ok(sender)
}

pub(crate) fn broken(error: &hyper::Error) -> Fault {
    Fault::Again(format!("the connection broke: {}", chain(error)))
}

fn success(response: Response<Incoming>) -> Result<Response<Incoming>, Fault> {
    let status = response.status();
    match status.as_u16() {
        200..300 => Ok(response),
        500.. => Err(Fault::Again(format!("it answers {status}"))),
        300..400 => {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            let to: String = to.chars().take(200).collect();
            let why = format!("it answers {status} to {to}, and redirections are not followed: configure that URL");
            Err(Fault::Final(why))
        }
        _ => Err(Fault::Final(format!("it answers {status}"))),
    }
}

async fn read(response: Response<Incoming>) -> Result<Vec<u8>, Fault> {
    let body = Limited::new(response.into_body(), ANSWER_LEN_MAX).collect().await;
    body.map(|body| body.to_bytes().to_vec()).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Fault::Final(format!("its answer has more than {ANSWER_LEN_MAX} bytes"))
        } else {
            Fault::Again(format!("its answer broke off: {}", chain(error.as_ref())))
        }
    })
}

/// An error with what is behind it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = core::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
