//! Connections: TCP, TLS (RFC 3261 18), WebSocket (RFC 7118), those that others open and those that we open.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rsipstack::transport::channel::ChannelConnection;
use rsipstack::transport::{SipConnection, TransportEvent};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use super::net::{Net, sip_address};
use super::trace::{Between, trace};
use super::vet::content_length;
use crate::message::{Origin, Transport};

/// A peer that does not get through its handshake, or takes nothing, for so long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nothing is heard on a connection for so long: it is closed, and opened again when it is needed.
const IDLE: Duration = Duration::from_secs(900);

/// The WebSocket subprotocol (RFC 7118 4.1).
const SUBPROTOCOL: &str = "sip";

/// Serves a connection that somebody has opened, until it ends.
pub(super) async fn serve(net: &Arc<Net>, socket: TcpStream, from: Origin, tls: Option<TlsAcceptor>) {
    let _ = socket.set_nodelay(true);
    let between = between(&socket, from);
    let served = match tls {
        Some(tls) => match tokio::time::timeout(PATIENCE, tls.accept(socket)).await {
            Ok(Ok(socket)) => serve_any(net, socket, between).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
        None => serve_any(net, socket, between).await,
    };
    if let Err(error) = served {
        tracing::debug!(from = %from.address, %error, "a SIP connection failed");
    }
}

async fn serve_any<S>(net: &Arc<Net>, socket: S, between: Between) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (connection, outgoing) = connection(net, between.peer).await?;
    if matches!(between.peer.transport, Transport::Ws | Transport::Wss) {
        let accepted = tokio_tungstenite::accept_hdr_async_with_config(socket, subprotocol, Some(limits(net)));
        let socket = tokio::time::timeout(PATIENCE, accepted).await?.map_err(io::Error::other)?;
        carry_web(net, socket, between, connection, outgoing).await;
    } else {
        carry(net, socket, between, connection, outgoing).await;
    }
    Ok(())
}

/// Opens a connection. `host` is whom its certificate must name.
pub(super) async fn dial(
    net: &Arc<Net>,
    transport: Transport,
    to: SocketAddr,
    host: &str,
    tls: &TlsConnector,
) -> io::Result<SipConnection> {
    let socket = TcpStream::connect(to).await?;
    let _ = socket.set_nodelay(true);
    let between = between(&socket, Origin { address: to, transport });
    if transport.is_secure() {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        carry_dialled(net, tls.connect(name, socket).await?, between, host).await
    } else {
        carry_dialled(net, socket, between, host).await
    }
}

async fn carry_dialled<S>(net: &Arc<Net>, socket: S, between: Between, host: &str) -> io::Result<SipConnection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = between.peer;
    let (connection, outgoing) = connection(net, peer).await?;
    let (net, handed) = (Arc::clone(net), connection.clone());
    if matches!(peer.transport, Transport::Ws | Transport::Wss) {
        let scheme = if peer.transport == Transport::Wss { "wss" } else { "ws" };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let uri = format!("{scheme}://{host}:{}/", peer.address.port());
        let mut request = uri.into_client_request().map_err(io::Error::other)?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        let opened = tokio_tungstenite::client_async_with_config(request, socket, Some(limits(&net)));
        let (socket, _) = opened.await.map_err(io::Error::other)?;
        tokio::spawn(async move { carry_web(&net, socket, between, handed, outgoing).await });
    } else {
        tokio::spawn(async move { carry(&net, socket, between, handed, outgoing).await });
    }
    Ok(connection)
}

/// Between which two a connection is.
fn between(socket: &TcpStream, peer: Origin) -> Between {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    Between { local: socket.local_addr().unwrap_or(unknown), peer }
}

/// What rsipstack sends by, and what takes it from there.
async fn connection(net: &Net, peer: Origin) -> io::Result<(SipConnection, UnboundedReceiver<TransportEvent>)> {
    // rsipstack reads all connections by one channel.
    let (_, nothing) = mpsc::unbounded_channel();
    let (sender, outgoing) = mpsc::unbounded_channel();
    let address = sip_address(peer.transport, peer.address);
    let token = net.token.child_token();
    let connection = ChannelConnection::create_connection(nothing, sender, address, Some(token)).await;
    Ok((SipConnection::Channel(connection.map_err(io::Error::other)?), outgoing))
}

/// The next message that a connection is to carry; `None`: it is to end.
async fn to_send(outgoing: &mut UnboundedReceiver<TransportEvent>) -> Option<Vec<u8>> {
    match outgoing.recv().await {
        Some(TransportEvent::Incoming(message, ..)) => Some(message.to_bytes()),
        _ => None,
    }
}

/// Carries messages until the connection ends, and then says so by its token.
async fn carry<S>(
    net: &Arc<Net>,
    socket: S,
    between: Between,
    connection: SipConnection,
    mut outgoing: UnboundedReceiver<TransportEvent>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let token = connection.cancel_token().unwrap_or_default();
    let (mut reader, mut writer) = tokio::io::split(socket);
    let (answers, mut answered) = mpsc::channel::<Vec<u8>>(16);
    let reading = async {
        let mut frames = Frames { buffer: Vec::new(), limit: net.config.limits.message };
        let mut chunk = vec![0; 16_384];
        loop {
            let read = tokio::time::timeout(IDLE, reader.read(&mut chunk)).await??;
            if read == 0 {
                return io::Result::Ok(());
            }
            frames.buffer.extend_from_slice(&chunk[..read]);
            while let Some(frame) = frames.next()? {
                let answer = match frame {
                    Frame::KeepAlive => Some(b"\r\n".to_vec()),
                    Frame::Message(message) => net.take(&message, between, &connection, false),
                };
                if let Some(answer) = answer
                    && answers.send(answer).await.is_err()
                {
                    return Ok(());
                }
            }
        }
    };
    let writing = async {
        loop {
            let bytes = tokio::select! {
                message = to_send(&mut outgoing) => match message {
                    Some(message) => message,
                    None => return io::Result::Ok(()),
                },
                Some(answer) = answered.recv() => answer,
            };
            trace(net.config.trace.as_ref(), true, between, &bytes);
            tokio::time::timeout(PATIENCE, writer.write_all(&bytes)).await??;
            writer.flush().await?;
        }
    };
    let ended = tokio::select! {
        ended = reading => ended,
        ended = writing => ended,
        () = token.cancelled() => Ok(()),
    };
    token.cancel();
    if let Err(error) = ended {
        tracing::debug!(peer = %between.peer.address, %error, "a SIP connection ended");
    }
    let _ = tokio::time::timeout(PATIENCE, writer.shutdown()).await;
}

async fn carry_web<S>(
    net: &Arc<Net>,
    mut socket: WebSocketStream<S>,
    between: Between,
    connection: SipConnection,
    mut outgoing: UnboundedReceiver<TransportEvent>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let token = connection.cancel_token().unwrap_or_default();
    loop {
        let bytes = tokio::select! {
            () = token.cancelled() => break,
            received = tokio::time::timeout(IDLE, socket.next()) => match received {
                Ok(Some(Ok(Message::Text(text)))) => net.take(text.as_bytes(), between, &connection, false),
                Ok(Some(Ok(Message::Binary(bytes)))) => net.take(&bytes, between, &connection, false),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => None,
                _ => break,
            },
            message = to_send(&mut outgoing) => match message {
                Some(message) => Some(message),
                None => break,
            },
        };
        let Some(bytes) = bytes else { continue };
        trace(net.config.trace.as_ref(), true, between, &bytes);
        let message = match String::from_utf8(bytes) {
            Ok(text) => Message::text(text),
            Err(bytes) => Message::binary(bytes.into_bytes()),
        };
        if !matches!(tokio::time::timeout(PATIENCE, socket.send(message)).await, Ok(Ok(()))) {
            break;
        }
    }
    token.cancel();
    let _ = tokio::time::timeout(PATIENCE, socket.close(None)).await;
}

fn limits(net: &Net) -> WebSocketConfig {
    let limit = net.config.limits.message;
    WebSocketConfig::default().max_message_size(Some(limit)).max_frame_size(Some(limit))
}

#[expect(clippy::result_large_err, reason = "tungstenite wants it so")]
fn subprotocol(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offered = request.headers().get_all("Sec-WebSocket-Protocol").into_iter();
    let offers_sip = offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|protocol| protocol.trim().eq_ignore_ascii_case(SUBPROTOCOL));
    if !offers_sip {
        let mut refused = ErrorResponse::new(Some("Sec-WebSocket-Protocol: sip is needed (RFC 7118)".to_owned()));
        *refused.status_mut() = tokio_tungstenite::tungstenite::http::StatusCode::BAD_REQUEST;
        return Err(refused);
    }
    response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

/// What a stream consists of.
enum Frame {
    Message(Vec<u8>),
    /// Two line ends, which want one (RFC 5626 4.4.1).
    KeepAlive,
}

/// Cuts a stream into messages by their Content-Length (RFC 3261 18.3).
struct Frames {
    buffer: Vec<u8>,
    limit: usize,
}

impl Frames {
    fn next(&mut self) -> io::Result<Option<Frame>> {
        if self.buffer.starts_with(b"\r\n\r\n") {
            self.buffer.drain(..4);
            return Ok(Some(Frame::KeepAlive));
        }
        if self.buffer.starts_with(b"\r\n") && self.buffer.get(2).is_some_and(|next| *next != b'\r') {
            self.buffer.drain(..2);
        }
        let wrong = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return if self.buffer.len() > self.limit { Err(wrong("a head without an end")) } else { Ok(None) };
        };
        // Without a length nobody knows where the next message begins.
        let length = content_length(&self.buffer[..end]).map_err(wrong)?.unwrap_or(0);
        let total = end + 4 + length;
        if total > self.limit {
            return Err(wrong("a message beyond the limit"));
        }
        if self.buffer.len() < total {
            return Ok(None);
        }
        Ok(Some(Frame::Message(self.buffer.drain(..total).collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_wherever_it_was_split() {
        let stream = b"\r\n\r\nA\r\nContent-Length: 3\r\n\r\nabc\r\nB\r\nl : 0\r\n\r\nC\r\n\r\n";
        for size in 1..stream.len() {
            let mut frames = Frames { buffer: Vec::new(), limit: 100 };
            let mut found = Vec::new();
            for chunk in stream.chunks(size) {
                frames.buffer.extend_from_slice(chunk);
                while let Some(frame) = frames.next().expect("it is well formed") {
                    found.push(match frame {
                        Frame::Message(message) => String::from_utf8(message).expect("text"),
                        Frame::KeepAlive => "keep-alive".to_owned(),
                    });
                }
            }
            let messages = ["A\r\nContent-Length: 3\r\n\r\nabc", "B\r\nl : 0\r\n\r\n", "C\r\n\r\n"];
            assert_eq!(found, ["keep-alive", messages[0], messages[1], messages[2]], "chunks of {size}");
        }
    }

    #[test]
    fn a_stream_beyond_the_limit_ends() {
        for stream in ["x".repeat(101), "A\r\nContent-Length: 99\r\n\r\n".to_owned(), "A\r\nl: -1\r\n\r\n".to_owned()] {
            assert!(Frames { buffer: stream.into_bytes(), limit: 100 }.next().is_err());
        }
    }
}
