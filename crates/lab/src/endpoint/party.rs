//! One endpoint's socket and state, shared by the two threads and its handles.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use patchcord_rtp::RTP_HEADER_LEN;

use super::player::{Playback, Player};
use super::recording::{Received, Recording};
use super::rtcp::Reporter;
use super::secured::Secured;
use super::sent::SentLog;
use super::{EndpointError, EndpointOptions, Progress};
use crate::clock;
use crate::stream::RtpStream;

#[derive(Debug)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) local: SocketAddr,
    pub(super) socket: UdpSocket,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) remote: Option<SocketAddr>,
    pub(super) recording: Recording,
    pub(super) sent: SentLog,
    player: Option<Player>,
    /// Rises with every change of what is played: what the heap still holds for an older one is void.
    generation: u64,
    progress: Progress,
    reporter: Option<Reporter>,
    secured: Option<Secured>,
    /// Threads that wait for a change: mostly none, and telling nobody is a system call too.
    waiting: u32,
}

impl Party {
    pub(super) fn new(name: String, local: SocketAddr, socket: UdpSocket, options: EndpointOptions) -> Self {
        let state = State {
            remote: None,
            recording: Recording::new(&name, options.packets_max),
            sent: SentLog::new(&name, options.packets_max),
            player: None,
            generation: 0,
            progress: Progress::default(),
            reporter: options.rtcp.map(|reports| Reporter::new(reports, local.port())),
            secured: None,
            waiting: 0,
        };
        Self { name, local, socket, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The state stays consistent at every point where a panic could strike, so a poisoned lock is no reason to stop.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a stream; returns when its first packet is due and the generation it is valid for.
    pub(super) fn play(&self, stream: Arc<RtpStream>, playback: Playback) -> Option<(u64, u64)> {
        let mut state = self.lock();
        state.player = Some(Player::new(stream, playback, clock::now_ns()));
        let due = state.reschedule();
        self.tell(state);
        due
    }

    pub(super) fn secure(&self, secured: Secured) {
        self.lock().secured = Some(secured);
    }

    pub(super) fn pause(&self) {
        let mut state = self.lock();
        if let Some(player) = &mut state.player {
            player.pause(clock::now_ns());
        }
        state.reschedule();
        self.tell(state);
    }

    pub(super) fn resume(&self) -> Option<(u64, u64)> {
        let mut state = self.lock();
        state.player.as_mut()?.resume(clock::now_ns());
        state.reschedule()
    }

    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.player = None;
        state.reschedule();
        self.tell(state);
    }

    /// Sends the packet that is due, if the generation still holds, and returns when the next one is.
    pub(super) fn send_next(&self, generation: u64, packet: &mut Vec<u8>) -> Option<u64> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.generation != generation {
            return None;
        }
        let remote = state.remote?;
        let player = state.player.as_mut()?;
        let header = player.take(packet)?;
        let (clock_rate, next_ns) = (player.clock_rate(), player.due_ns());
        // Sent under the lock: nobody can pause or stop between the decision and the packet.
        let sent_ns = clock::now_ns();
        let wire = match &mut state.secured {
            Some(secured) => secured.protect(packet).map_err(io::Error::other),
            None => Ok(&packet[..]),
        };
        match wire.and_then(|wire| self.socket.send_to(wire, remote)) {
            Ok(_) => {
                state.progress.sent += 1;
                state.sent.push(sent_ns, header, packet);
                let payload_len = packet.len() - RTP_HEADER_LEN;
                if let Some(reporter) = &mut state.reporter {
                    reporter.sent(&header, clock_rate, payload_len, sent_ns);
                }
            }
            Err(_) => state.progress.send_errors += 1,
        }
        state.progress.playing = next_ns.is_some();
        self.tell(guard);
        next_ns
    }

    /// Sends an RTCP report and returns when the next one is due.
    pub(super) fn send_report(&self) -> Option<u64> {
        let mut state = self.lock();
        let now_ns = clock::now_ns();
        let remote = state.remote;
        let reporter = state.reporter.as_mut()?;
        let next_ns = now_ns + reporter.interval_ns();
        if let Some(remote) = remote
            && let Some(report) = reporter.report(now_ns, clock::unix_ns())
        {
            let state = &mut *state;
            let wire = match &mut state.secured {
                Some(secured) => secured.protect(&report).map_err(io::Error::other),
                None => Ok(&report[..]),
            };
            if wire.and_then(|wire| self.socket.send_to(wire, remote)).is_err() {
                state.progress.send_errors += 1;
            }
        }
        Some(next_ns)
    }

    /// Takes note of datagrams that arrived.
    pub(super) fn received<'a>(&self, datagrams: impl IntoIterator<Item = Received<'a>>) {
        let mut state = self.lock();
        for mut received in datagrams {
            let plain = state.secured.as_mut().map(|secured| secured.unprotect(received.bytes));
            match &plain {
                Some(Ok(plain)) => received.bytes = plain,
                Some(Err(_)) => {
                    state.progress.refused += 1;
                    continue;
                }
                None => {}
            }
            let header = received.header();
            if header.is_some() {
                state.progress.received += 1;
            } else if received.is_rtcp() {
                state.progress.received_rtcp += 1;
            }
            if let Some(reporter) = &mut state.reporter {
                match &header {
                    Some(header) => reporter.received(header, received.at_ns),
                    None => reporter.received_rtcp(received.bytes, received.at_ns),
                }
            }
            state.recording.push(received);
        }
        self.tell(state);
    }

    /// Lets go of the state and wakes up who waits for a change of it.
    fn tell(&self, state: MutexGuard<'_, State>) {
        let waiting = state.waiting;
        drop(state);
        if waiting > 0 {
            self.changed.notify_all();
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.lock().progress
    }

    pub(super) fn wait(
        &self,
        timeout: Duration,
        what: &str,
        condition: impl Fn(&Progress) -> bool,
    ) -> Result<(), EndpointError> {
        self.wait_for_state(timeout, what, |state| condition(&state.progress))
    }

    pub(super) fn wait_for_datagram(
        &self,
        timeout: Duration,
        what: &str,
        condition: impl Fn(&Received<'_>) -> bool,
    ) -> Result<(), EndpointError> {
        let mut looked_at = self.lock().recording.len();
        self.wait_for_state(timeout, what, |state| {
            let found = state.recording.datagrams().skip(looked_at).any(|received| condition(&received));
            looked_at = state.recording.len();
            found
        })
    }

    fn wait_for_state(
        &self,
        timeout: Duration,
        what: &str,
        mut condition: impl FnMut(&State) -> bool,
    ) -> Result<(), EndpointError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.lock();
        while !condition(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(EndpointError::Timeout {
                    party: format!("{} ({})", self.name, self.local),
                    waited: timeout,
                    what: what.to_owned(),
                    progress: Box::new(state.progress),
                });
            }
            state.waiting += 1;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
        Ok(())
    }
}

impl State {
    /// Makes everything scheduled so far void; returns what is to be scheduled now.
    fn reschedule(&mut self) -> Option<(u64, u64)> {
        self.generation += 1;
        let due_ns = self.player.as_ref().and_then(Player::due_ns);
        self.progress.playing = due_ns.is_some();
        Some((due_ns?, self.generation))
    }
}
