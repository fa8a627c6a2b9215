//! ng over UDP: a datagram is a message, and its reply goes back from the address that it came to.

use core::net::SocketAddr;
use std::io;
use std::sync::Arc;

use patchcord_ng::{MESSAGE_LEN_MAX, Message, Transport};

use super::server::{Origin, Outcome};
use super::socket::{Local, UdpListener};
use super::{Answer, Server};

/// Datagrams that are answered before other tasks get their turn.
const BATCH: usize = 64;

impl<A: Answer> Server<A> {
    /// Answers datagrams until it is dropped.
    ///
    /// # Errors
    /// The socket is broken.
    pub async fn udp(self: Arc<Self>, socket: UdpListener) -> io::Result<()> {
        let socket = Arc::new(socket);
        let mut datagram = vec![0; MESSAGE_LEN_MAX];
        loop {
            socket.readable().await?;
            for _ in 0..BATCH {
                match socket.try_receive(&mut datagram) {
                    Ok((len, peer, local)) => self.datagram(&socket, &datagram[..len], peer, local).await,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An earlier reply found nobody: that is no fault of the socket.
                    Err(error) => tracing::debug!(%error, "receiving an ng datagram"),
                }
            }
            tokio::task::yield_now().await;
        }
    }

    async fn datagram(self: &Arc<Self>, socket: &Arc<UdpListener>, datagram: &[u8], peer: SocketAddr, local: Local) {
        let message = match Message::split(datagram) {
            Ok(message) => message,
            Err(error) => {
                let len = datagram.len();
                tracing::debug!(%peer, len, %error, "a datagram for ng is no message");
                self.complain(|unsaid| tracing::warn!(%peer, len, %error, unsaid, "a datagram for ng is no message"));
                return;
            }
        };
        // Waiting here keeps what comes next in the kernel's queue. Nobody begins without a place: those who wait for somebody
        // else's reply could take them all otherwise.
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
        match self.begin(&message, Origin { transport: Transport::Udp, peer: Some(peer) }) {
            Outcome::Now(reply) => send(socket, &reply, peer, local).await,
            Outcome::Later(work) => {
                let socket = Arc::clone(socket);
                tokio::spawn(async move {
                    if let Some(reply) = work.await {
                        send(&socket, &reply, peer, local).await;
                    }
                    drop(place);
                });
            }
        }
    }
}

async fn send(socket: &UdpListener, reply: &[u8], peer: SocketAddr, local: Local) {
    if let Err(error) = socket.send(reply, peer, local).await {
        tracing::debug!(%peer, len = reply.len(), %error, "sending an ng reply");
    }
}
