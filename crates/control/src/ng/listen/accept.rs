//! A TCP listener for HTTP with a bounded number of connections.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::sync::Arc;

use axum::serve::{Listener, ListenerExt as _};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::KeepAlive;
use patchcord_ng::Transport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;

use super::server::Origin;
use super::{Answer, Server, standalone};

impl<A: Answer> Server<A> {
    /// Serves [`standalone`] until it is dropped.
    ///
    /// # Errors
    /// The listener is broken.
    pub async fn http(self: Arc<Self>, listener: TcpListener) -> io::Result<()> {
        let service = standalone(Arc::clone(&self)).into_make_service_with_connect_info::<SocketAddr>();
        // Only the addresses of listeners that are tapped are known to what is served.
        let listener = Bounded { listener, server: self }.tap_io(|_| ());
        axum::serve(listener, service).await
    }
}

/// Accepts no more connections than there are places.
struct Bounded<A> {
    listener: TcpListener,
    server: Arc<Server<A>>,
}

impl<A: Answer> Listener for Bounded<A> {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Placed, SocketAddr) {
        loop {
            let (stream, peer) = Listener::accept(&mut self.listener).await;
            let Some(place) = self.server.connection(Origin { transport: Transport::Http, peer: Some(peer) }) else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            // A peer that is gone without a word is noticed in the end.
            let _ = setsockopt(&stream, KeepAlive, &true);
            return (Placed { stream, _place: place }, peer);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection and its place.
struct Placed {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
