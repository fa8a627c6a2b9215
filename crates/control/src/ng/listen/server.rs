//! What all listeners share, and the way of one message through it.

use core::future::Future;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use patchcord_ng::{Cookies, Dict, Key, Message, Request, Seen, Transport};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Answer;
use super::seldom::Seldom;

/// How much is taken from others at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests that may be worked on at once; more than that wait in the kernel's queues.
    pub running: usize,
    /// Requests of one connection that may be worked on at once.
    pub running_on_connection: usize,
    /// Connections of all kinds that may be open at once; one more is closed. A proxy has one for each of its processes; a
    /// WebSocket over [`Server::http`] counts twice.
    pub connections: usize,
    /// How long a connection may say nothing. A proxy keeps its connection over a quiet night, so this is long.
    pub idle: Duration,
    /// How long the rest of a message may take, and the receiving of a reply.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            running: 4096,
            running_on_connection: 256,
            connections: 1024,
            idle: Duration::from_secs(6 * 3600),
            patience: Duration::from_secs(30),
        }
    }
}

/// What a datagram can hold over IPv4, bytes: 65,535 without the headers of IP and UDP.
const DATAGRAM_LEN_MAX: usize = 65_535 - 20 - 8;

/// Those who wait for the reply to a request that somebody else sent first.
type Waiting = watch::Sender<Option<Reply>>;
/// A reply as it goes out.
pub(super) type Reply = Arc<[u8]>;

/// What all listeners share: who answers, which replies are remembered, how many requests may run at once.
#[derive(Debug)]
pub struct Server<A> {
    answer: A,
    pub(super) limits: Limits,
    cookies: Mutex<Cookies<Waiting>>,
    started: Instant,
    /// Requests that may yet be waited for.
    pub(super) places: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    complaints: Seldom,
}

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) transport: Transport,
    pub(super) peer: Option<SocketAddr>,
}

/// What becomes of a message.
pub(super) enum Outcome {
    /// The reply is there.
    Now(Reply),
    /// The reply is being worked on. `None`: it came to nothing.
    Later(Pin<Box<dyn Future<Output = Option<Reply>> + Send>>),
}

impl<A: Answer> Server<A> {
    /// Lets `answer` answer.
    pub fn new(answer: A) -> Arc<Self> {
        Self::with_limits(answer, Limits::default())
    }

    /// As [`Server::new`], with limits of one's own.
    pub fn with_limits(answer: A, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            answer,
            limits,
            cookies: Mutex::new(Cookies::default()),
            started: Instant::now(),
            places: Arc::new(Semaphore::new(limits.running)),
            connections: Arc::new(Semaphore::new(limits.connections)),
            complaints: Seldom::default(),
        })
    }

    /// A place for one more connection, if there is one.
    pub(super) fn connection(&self, origin: Origin) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.connections).try_acquire_owned().ok();
        if place.is_none() {
            self.complain(|unsaid| {
                tracing::warn!(
                    ?origin,
                    max = self.limits.connections,
                    unsaid,
                    "too many connections for ng: one is refused"
                );
            });
        }
        place
    }

    /// Writes a warning that others can cause, unless there was one just now. `say` learns how many have been kept back.
    pub(super) fn complain(&self, say: impl FnOnce(u64)) {
        if let Some(unsaid) = self.complaints.now(Instant::now()) {
            say(unsaid);
        }
    }

    /// Takes a message that has a cookie.
    pub(super) fn begin(self: &Arc<Self>, message: &Message<'_>, origin: Origin) -> Outcome {
        let seen = self.cookies().look_up(message.cookie, message.body, self.now_ms(), || watch::Sender::new(None));
        let running = match seen {
            Seen::Done(reply) => return Outcome::Now(reply),
            Seen::Running(waiting) => {
                let mut reply = waiting.subscribe();
                // The sender must not be kept: waiting ends when the last one is gone.
                drop(waiting);
                return Outcome::Later(Box::pin(async move { reply.wait_for(Option::is_some).await.ok()?.clone() }));
            }
            Seen::New(key) => Running { server: Arc::clone(self), key, is_over: false },
        };
        match self.start(message, origin) {
            Begun::Done(dict) => Outcome::Now(running.finish(reply(message, &dict, origin))),
            Begun::Running(work) => {
                // The message is in a buffer that is needed for the next one; of its body the first byte tells the format.
                let cookie = message.cookie.to_vec();
                let first = message.body.first().copied();
                Outcome::Later(Box::pin(async move {
                    let dict = work.await;
                    let message = Message { cookie: &cookie, body: first.as_slice() };
                    Some(running.finish(reply(&message, &dict, origin)))
                }))
            }
        }
    }

    /// Takes a message without cookie: nothing is remembered.
    pub(super) async fn plain(self: &Arc<Self>, message: Message<'_>, origin: Origin) -> Vec<u8> {
        let dict = match self.start(&message, origin) {
            Begun::Done(dict) => dict,
            Begun::Running(work) => work.await,
        };
        reply(&message, &dict, origin)
    }

    /// Asks for the answer. Most are there at once, and nothing need be spawned for them.
    fn start(self: &Arc<Self>, message: &Message<'_>, origin: Origin) -> Begun {
        let dict = match message.dict() {
            Ok(dict) => dict,
            Err(error) => {
                tracing::debug!(?origin, %error, "an ng message cannot be read");
                return Begun::Done(Dict::new().with("result", "error").with("error-reason", error));
            }
        };
        let request = Request { dict, transport: origin.transport, peer: origin.peer };
        let server = Arc::clone(self);
        let mut work = Work(Box::pin(async move { server.answer.answer(request).await }));
        // What is not ready is polled again with the waker of whoever waits for it.
        match Pin::new(&mut work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(dict) => Begun::Done(dict),
            Poll::Pending => Begun::Running(work),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn cookies(&self) -> MutexGuard<'_, Cookies<Waiting>> {
        // What is remembered is whole at all times: who panicked while he held it has done no harm.
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered. If it comes to nothing, those who wait for it are told, and it may be tried again.
struct Running<A: Answer> {
    server: Arc<Server<A>>,
    key: Key,
    is_over: bool,
}

impl<A: Answer> Running<A> {
    fn finish(mut self, reply: Vec<u8>) -> Reply {
        let reply: Reply = reply.into();
        self.is_over = true;
        let now_ms = self.server.now_ms();
        let waiting = self.server.cookies().finish(&self.key, Arc::clone(&reply), now_ms);
        if let Some(waiting) = waiting {
            waiting.send_replace(Some(Arc::clone(&reply)));
        }
        reply
    }
}

impl<A: Answer> Drop for Running<A> {
    fn drop(&mut self) {
        if !self.is_over {
            drop(self.server.cookies().forget(&self.key));
        }
    }
}

/// An answer that is there, or is worked on.
enum Begun {
    Done(Dict),
    Running(Work),
}

/// An answer in the making. A panic becomes an error that is answered like others, so that it takes nobody else's request with
/// it.
struct Work(Pin<Box<dyn Future<Output = Dict> + Send>>);

impl Future for Work {
    type Output = Dict;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Dict> {
        // It is never polled again after a panic, so nothing broken is seen.
        catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))).unwrap_or_else(|_| {
            tracing::error!("a request of ng caused a panic");
            Poll::Ready(Dict::new().with("result", "error").with("error-reason", "internal error"))
        })
    }
}

/// The reply as it goes out.
fn reply(message: &Message<'_>, dict: &Dict, origin: Origin) -> Vec<u8> {
    let reply = message.reply(dict);
    if origin.transport != Transport::Udp || reply.len() <= DATAGRAM_LEN_MAX {
        return reply;
    }
    let reason =
        format!("the reply has {} bytes, and a datagram can hold {DATAGRAM_LEN_MAX}: ask over TCP", reply.len());
    message.reply(&Dict::new().with("result", "error").with("error-reason", reason))
}
