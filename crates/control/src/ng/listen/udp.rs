//! ng over UDP: a datagram is a message, and its reply goes back from the address that it came to.

use core::net::SocketAddr;
use std::io;
use std::sync::Arc;

use patchcord_ng::{MESSAGE_LEN_MAX, Message, Transport};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::server::{Origin, Outcome, Reply};
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
        // Ends with the last one that has a reply to send.
        let (outbox, replies) = mpsc::unbounded_channel();
        tokio::spawn(send_replies(Arc::clone(&socket), replies));
        let mut datagram = vec![0; MESSAGE_LEN_MAX];
        loop {
            socket.readable().await?;
            for _ in 0..BATCH {
                match socket.try_receive(&mut datagram) {
                    Ok((len, peer, local)) => self.datagram(&outbox, &datagram[..len], peer, local).await,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An earlier reply found nobody: that is no fault of the socket.
                    Err(error) => tracing::debug!(%error, "receiving an ng datagram"),
                }
            }
            tokio::task::yield_now().await;
        }
    }

    async fn datagram(
        self: &Arc<Self>,
        outbox: &UnboundedSender<Outgoing>,
        datagram: &[u8],
        peer: SocketAddr,
        local: Local,
    ) {
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
        let send = move |outbox: &UnboundedSender<Outgoing>, reply| {
            // Without the other end, the socket is gone and so are those who asked.
            let _ = outbox.send(Outgoing { reply, peer, local, _place: place });
        };
        match self.begin(&message, Origin { transport: Transport::Udp, peer: Some(peer) }) {
            Outcome::Now(reply) => send(outbox, reply),
            Outcome::Later(work) => {
                let outbox = outbox.clone();
                tokio::spawn(async move {
                    if let Some(reply) = work.await {
                        send(&outbox, reply);
                    }
                });
            }
        }
    }
}

/// A reply on its way.
struct Outgoing {
    reply: Reply,
    peer: SocketAddr,
    local: Local,
    /// Until it is sent, it counts as a request that is worked on.
    _place: OwnedSemaphorePermit,
}

/// Sends replies when the tasks that are ready have had their turn: one right after the other. A proxy that is woken for each of
/// them, and asleep again before the next, costs both sides more than the replies do.
async fn send_replies(socket: Arc<UdpListener>, mut replies: UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing { reply, peer, local, .. }) = replies.recv().await {
        if let Err(error) = socket.send(&reply, peer, local).await {
            tracing::debug!(%peer, len = reply.len(), %error, "sending an ng reply");
        }
    }
}
