//! ng over streams: TCP and UNIX sockets, with bencoded messages one behind the other.

use core::time::Duration;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::KeepAlive;
use patchcord_ng::stream::trim_line_ends;
use patchcord_ng::{MESSAGE_LEN_MAX, Message, Splitter, Transport};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::server::{Origin, Outcome, Reply};
use super::{Answer, Server};

/// How long no connection is accepted after that failed, as it does for want of file descriptors.
const RECOVERY: Duration = Duration::from_millis(100);

/// A UNIX socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "removing the ng socket");
        }
    }
}

/// Opens a UNIX socket for [`Server::unix`]. A socket that nobody listens on any more is removed before.
///
/// # Errors
/// Somebody listens there, something else than a socket is there, or the folder cannot be written to.
pub async fn bind_unix(path: impl AsRef<Path>) -> io::Result<UnixSocket> {
    let path = path.as_ref();
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let text = format!("{} is there already and is no socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            let text = format!("somebody listens on {}", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(UnixSocket { listener: UnixListener::bind(path)?, path: path.to_owned() })
}

impl<A: Answer> Server<A> {
    /// Accepts connections until it is dropped; those that are there go on.
    pub async fn tcp(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Replies are written whole: waiting for more to send would only delay them.
                    let _ = stream.set_nodelay(true);
                    // A peer that is gone without a word is noticed in the end.
                    let _ = setsockopt(&stream, KeepAlive, &true);
                    let (reader, writer) = stream.into_split();
                    self.connect(reader, writer, Origin { transport: Transport::Tcp, peer: Some(peer) });
                }
                Err(error) => self.not_accepted(&error).await,
            }
        }
    }

    /// As [`Server::tcp`], for a UNIX socket.
    pub async fn unix(self: Arc<Self>, socket: UnixSocket) {
        loop {
            match socket.listener.accept().await {
                Ok((stream, _)) => {
                    let (reader, writer) = stream.into_split();
                    self.connect(reader, writer, Origin { transport: Transport::Unix, peer: None });
                }
                Err(error) => self.not_accepted(&error).await,
            }
        }
    }

    async fn not_accepted(&self, error: &io::Error) {
        self.complain(|unsaid| tracing::warn!(%error, unsaid, "a connection for ng is not accepted"));
        tokio::time::sleep(RECOVERY).await;
    }

    fn connect<R, W>(self: &Arc<Self>, reader: R, writer: W, origin: Origin)
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let Some(place) = self.connection(origin) else { return };
        let server = Arc::clone(self);
        tokio::spawn(async move {
            let mut connection = Connection { server, origin, writer, running: JoinSet::new() };
            match connection.serve(reader).await {
                Ok(()) => tracing::debug!(?origin, "a connection for ng ended"),
                Err(error) => {
                    tracing::debug!(?origin, %error, "a connection for ng is closed");
                    connection.server.complain(|unsaid| {
                        tracing::warn!(?origin, %error, unsaid, "a connection for ng is closed");
                    });
                }
            }
            // What was begun is finished, though nobody hears of it: a request is done as a whole or not at all.
            connection.running.detach_all();
            drop(place);
        });
    }
}

struct Connection<A, W> {
    server: Arc<Server<A>>,
    origin: Origin,
    writer: W,
    running: JoinSet<Option<Reply>>,
}

impl<A: Answer, W: AsyncWrite + Unpin> Connection<A, W> {
    /// Answers until the other side ends, or says what is no message.
    async fn serve(&mut self, mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut splitter = Splitter::default();
        let mut bytes = Vec::with_capacity(4096);
        let limits = self.server.limits;
        let mut deadline = Instant::now() + limits.idle;
        loop {
            let received = tokio::select! {
                received = timeout_at(deadline, reader.read_buf(&mut bytes)), if self.running.len() < limits.running_on_connection => received,
                Some(done) = self.running.join_next() => {
                    self.write(done.ok().flatten().as_deref().unwrap_or_default()).await?;
                    continue;
                }
            };
            let received = match received {
                Ok(received) => received?,
                // Who waits for an answer is not idle.
                Err(_) if bytes.is_empty() && !self.running.is_empty() => {
                    deadline = Instant::now() + limits.idle;
                    continue;
                }
                Err(late) => return Err(late.into()),
            };
            if received == 0 {
                break;
            }
            let began = bytes.len() == received;
            let took = self.take(&mut splitter, &mut bytes).await?;
            if bytes.is_empty() {
                deadline = Instant::now() + limits.idle;
            } else if began || took {
                deadline = Instant::now() + limits.patience;
            }
        }
        if !bytes.is_empty() {
            tracing::debug!(origin = ?self.origin, len = bytes.len(), "a connection for ng ended within a message");
        }
        while let Some(done) = self.running.join_next().await {
            self.write(done.ok().flatten().as_deref().unwrap_or_default()).await?;
        }
        self.writer.shutdown().await
    }

    /// Takes all messages that are there as a whole, and answers those for which the answer is there. True: there were some.
    async fn take(&mut self, splitter: &mut Splitter, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let mut replies = Vec::new();
        let mut taken = 0;
        let result = loop {
            match splitter.next(&bytes[taken..]) {
                Ok(Some(len)) => {
                    let message = trim_line_ends(&bytes[taken..taken + len]);
                    if let Err(error) = self.message(message, &mut replies).await {
                        break Err(error);
                    }
                    taken += len;
                    if replies.len() > MESSAGE_LEN_MAX {
                        self.write(&replies).await?;
                        replies.clear();
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        };
        bytes.drain(..taken);
        // What came before the garbage is answered.
        self.write(&replies).await?;
        result.map(|()| taken > 0)
    }

    async fn message(&mut self, message: &[u8], replies: &mut Vec<u8>) -> io::Result<()> {
        let message =
            Message::split(message).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let Ok(place) = Arc::clone(&self.server.places).acquire_owned().await else { return Ok(()) };
        match self.server.begin(&message, self.origin) {
            Outcome::Now(reply) => replies.extend_from_slice(&reply),
            Outcome::Later(work) => {
                self.running.spawn(async move {
                    let reply = work.await;
                    drop(place);
                    reply
                });
            }
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(self.server.limits.patience, self.writer.write_all(bytes)).await?
    }
}
