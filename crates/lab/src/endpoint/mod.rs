//! Parties of a call on real UDP sockets: each plays a stream with its original timing and records what it receives.
//!
//! All endpoints of an [`Endpoints`] share one sending thread, which keeps a heap of due times, and one receiving thread, which
//! waits for all sockets at once: a party costs a socket, not a thread.

mod due;
mod party;
mod player;
mod receiver;
mod recording;
mod rtcp;
mod secured;
mod sender;
mod sent;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use patchcord_srtp::SessionKeys;

use crate::stream::RtpStream;
use crate::sys::Epoll;
use party::Party;
pub(crate) use secured::Secured;

pub use player::Playback;
pub use recording::{Received, Recording};
pub use rtcp::RtcpReports;
pub use sent::{Fingerprint, SentLog, SentPacket};

/// Room for the datagrams that arrive while the receiving thread does not run: 200 ms at 50,000 packets/s of 172 bytes, which take
/// about 768 bytes of buffer each. The kernel grants at most `net.core.rmem_max`.
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// Endpoints that share a sending and a receiving thread. Dropping it ends both; the recordings stay with the endpoints.
#[derive(Debug)]
pub struct Endpoints {
    schedule: Arc<sender::Schedule>,
    arrivals: Arc<receiver::Arrivals>,
    threads: Vec<JoinHandle<()>>,
}

/// How an endpoint behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointOptions {
    /// So many packets are kept of what was received, and as many entries of what was sent; more are counted only. 60,000 are
    /// 20 minutes of speech in frames of 20 ms.
    pub packets_max: usize,
    /// Sends RTCP reports to where its RTP goes (RFC 5761); `None` sends no RTCP.
    pub rtcp: Option<RtcpReports>,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self { packets_max: 60_000, rtcp: None }
    }
}

/// A party: a UDP socket that plays and records. Clones are the same party.
#[derive(Debug, Clone)]
pub struct Endpoint {
    party: Arc<Party>,
    schedule: Arc<sender::Schedule>,
}

/// What an endpoint has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// RTP packets received, those beyond the recording's limit included.
    pub received: u64,
    /// RTCP packets received.
    pub received_rtcp: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// Packets that the system did not take.
    pub send_errors: u64,
    /// Datagrams that were not SRTP under the endpoint's key, or were there before.
    pub refused: u64,
    /// A stream is being played: it has not ended, nor was it paused or stopped.
    pub playing: bool,
}

/// Why an endpoint could not be made or did not do what was waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The threads' resources could not be had.
    #[error("cannot start the endpoints' threads: {0}")]
    Start(#[source] io::Error),
    /// The endpoint's socket could not be had.
    #[error(
        "cannot open a UDP socket on {address} for {name}: {source}; is the address one of this host, and the port free?"
    )]
    Socket {
        /// The endpoint's name.
        name: String,
        /// Where it was to be bound.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The time was over.
    #[error("{party} waited {waited:?} in vain for {what}; so far: {progress:?}")]
    Timeout {
        /// The endpoint's name and own address.
        party: String,
        /// How long it waited.
        waited: Duration,
        /// What it waited for.
        what: String,
        /// What it has seen.
        progress: Box<Progress>,
    },
    /// A stream was to be played before the endpoint knew where to.
    #[error("{name} ({address}) has no remote address to play to: set it first")]
    NoRemote {
        /// The endpoint's name.
        name: String,
        /// Its own address.
        address: SocketAddr,
    },
}

impl Endpoints {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`EndpointError::Start`] if the system has no thread or descriptor left.
    pub fn start() -> Result<Self, EndpointError> {
        let schedule = Arc::new(sender::Schedule::default());
        let arrivals = Arc::new(receiver::Arrivals::new().map_err(EndpointError::Start)?);
        let sending = thread("lab-send", {
            let schedule = Arc::clone(&schedule);
            move || schedule.run()
        })?;
        // From here on, an error ends the thread that runs already.
        let mut endpoints = Self { schedule, arrivals, threads: vec![sending] };
        endpoints.threads.push(thread("lab-receive", {
            let arrivals = Arc::clone(&endpoints.arrivals);
            move || arrivals.run()
        })?);
        Ok(endpoints)
    }

    /// Adds a party with a socket bound to `address` (port 0: any free port), which records from now on.
    ///
    /// The socket belongs to the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`EndpointError::Socket`] if the address cannot be had.
    pub fn add(&self, name: &str, address: SocketAddr, options: EndpointOptions) -> Result<Endpoint, EndpointError> {
        let failed = |source| EndpointError::Socket { name: name.to_owned(), address, source };
        let socket = bound(address).map_err(failed)?;
        let local = socket.local_addr().map_err(failed)?;
        let reports = options.rtcp.is_some();
        let party = Arc::new(Party::new(name.to_owned(), local, socket, options));
        self.arrivals.watch(&party).map_err(failed)?;
        if reports {
            self.schedule.report_from_now_on(&party);
        }
        Ok(Endpoint { party, schedule: Arc::clone(&self.schedule) })
    }
}

impl Drop for Endpoints {
    fn drop(&mut self) {
        self.schedule.stop();
        self.arrivals.stop();
        for thread in self.threads.drain(..) {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl Endpoint {
    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.party.name
    }

    /// The address of its socket: what the other side sends to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.party.local
    }

    /// Speaks SRTP (RFC 3711) from now on, and hears nothing else: with the one key what it sends, with the other what it hears.
    pub fn secure(&self, sends: SessionKeys, hears: SessionKeys) {
        self.party.secure(Secured::new(sends, hears));
    }

    /// Where it sends to.
    pub fn set_remote(&self, remote: SocketAddr) {
        self.party.lock().remote = Some(remote);
    }

    /// Plays a stream from its beginning, from now on; what it plays already ends.
    ///
    /// # Errors
    /// [`EndpointError::NoRemote`] if [`Endpoint::set_remote`] has not been called.
    pub fn play(&self, stream: Arc<RtpStream>, playback: Playback) -> Result<(), EndpointError> {
        if self.party.lock().remote.is_none() {
            return Err(EndpointError::NoRemote { name: self.party.name.clone(), address: self.party.local });
        }
        self.schedule.play(&self.party, stream, playback);
        Ok(())
    }

    /// Falls silent in mid-stream. Nothing happens if it plays nothing.
    pub fn pause(&self) {
        self.party.pause();
    }

    /// Goes on after a pause with the next packet. Its timestamps have advanced by the pause, its sequence numbers have not, and
    /// the marker is set: as after silence suppression (RFC 3551 4.1).
    pub fn resume(&self) {
        self.schedule.resume(&self.party);
    }

    /// Ends the stream that is being played.
    pub fn stop(&self) {
        self.party.stop();
    }

    /// What it has done so far.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.party.progress()
    }

    /// Waits until it has received `packets` RTP packets since it was added.
    ///
    /// # Errors
    /// [`EndpointError::Timeout`].
    pub fn wait_for_packets(&self, packets: u64, timeout: Duration) -> Result<(), EndpointError> {
        self.party.wait(timeout, &format!("{packets} RTP packets"), |progress| progress.received >= packets)
    }

    /// Waits until it receives `packets` more RTP packets than it has now.
    ///
    /// # Errors
    /// [`EndpointError::Timeout`].
    pub fn wait_for_more_packets(&self, packets: u64, timeout: Duration) -> Result<(), EndpointError> {
        let wanted = self.progress().received + packets;
        self.party.wait(timeout, &format!("{packets} more RTP packets"), |progress| progress.received >= wanted)
    }

    /// Waits until the stream has been played to its end (or was paused or stopped).
    ///
    /// # Errors
    /// [`EndpointError::Timeout`].
    pub fn wait_until_played(&self, timeout: Duration) -> Result<(), EndpointError> {
        self.party.wait(timeout, "the end of its stream", |progress| !progress.playing)
    }

    /// Waits until what it has done fulfils a condition; `what` names the condition in the error.
    ///
    /// # Errors
    /// [`EndpointError::Timeout`].
    pub fn wait_until(
        &self,
        what: &str,
        timeout: Duration,
        condition: impl Fn(&Progress) -> bool,
    ) -> Result<(), EndpointError> {
        self.party.wait(timeout, what, condition)
    }

    /// Waits for a datagram, received from now on and within the recording's limit, that fulfils a condition; `what` names the
    /// condition in the error.
    ///
    /// # Errors
    /// [`EndpointError::Timeout`].
    pub fn wait_for_datagram(
        &self,
        what: &str,
        timeout: Duration,
        condition: impl Fn(&Received<'_>) -> bool,
    ) -> Result<(), EndpointError> {
        self.party.wait_for_datagram(timeout, what, condition)
    }

    /// A copy of what it has received so far.
    #[must_use]
    pub fn recording(&self) -> Recording {
        self.party.lock().recording.clone()
    }

    /// A copy of the notes on what it has sent so far.
    #[must_use]
    pub fn sent(&self) -> SentLog {
        self.party.lock().sent.clone()
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, EndpointError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(EndpointError::Start)
}

/// A non-blocking socket whose datagrams carry the time at which the kernel got them.
fn bound(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    crate::sys::stamp_arrivals(&socket)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
