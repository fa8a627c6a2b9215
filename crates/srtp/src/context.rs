//! Which packets there were: cryptographic contexts (RFC 3711 3.2) without their transforms.

use core::mem;

use patchcord_rtp::{RtpHeader, Ssrc};

use crate::error::SrtpError;
use crate::index::{Known, PacketIndex, Window};
use crate::keys::SessionKeys;

/// The first RTCP index that is none (RFC 3711 9.2: at most 2^31 packets under one key).
const RTCP_INDEX_END: u32 = 1 << 31;
/// SSRCs that a fresh context has room for.
const STREAMS_AT_FIRST: usize = 4;
/// SSRCs at most. A context never forgets one: its packets could be sent, or accepted, a second time.
const STREAMS_MAX: usize = 256;

/// One SSRC.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: Ssrc,
    rtp: Option<Window>,
    rtcp: Option<Window>,
}

/// One SSRC from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The SSRC.
    pub ssrc: Ssrc,
    /// The newest packet of it.
    pub newest: PacketIndex,
}

/// The SSRCs of a context.
#[derive(Debug)]
struct Streams {
    /// What was asked for last is asked for next, almost always.
    recent: usize,
    all: Vec<Stream>,
}

impl Streams {
    fn new() -> Self {
        Self { recent: 0, all: Vec::with_capacity(STREAMS_AT_FIRST) }
    }

    #[inline]
    fn find(&self, ssrc: Ssrc) -> Option<usize> {
        if self.all.get(self.recent).is_some_and(|stream| stream.ssrc == ssrc) {
            return Some(self.recent);
        }
        self.all.iter().position(|stream| stream.ssrc == ssrc)
    }

    /// The SSRC's entry, made if there is none.
    #[inline]
    fn entry(&mut self, ssrc: Ssrc) -> Result<&mut Stream, SrtpError> {
        self.recent = match self.find(ssrc) {
            Some(at) => at,
            None if self.all.len() < self.all.capacity() => {
                self.all.push(Stream { ssrc, rtp: None, rtcp: None });
                self.all.len() - 1
            }
            None => return Err(SrtpError::TooManyStreams),
        };
        Ok(&mut self.all[self.recent])
    }

    fn provide(&mut self) {
        let room = self.all.capacity();
        if room - self.all.len() < STREAMS_AT_FIRST / 2 && room < STREAMS_MAX {
            // Twice the room.
            self.all.reserve_exact(2 * room - self.all.len());
        }
    }

    fn states(&self) -> impl Iterator<Item = StreamState> + '_ {
        self.all.iter().filter_map(|stream| {
            let newest = PacketIndex::from_number(stream.rtp?.newest());
            Some(StreamState { ssrc: stream.ssrc, newest })
        })
    }

    /// The state of the SSRC that was seen last.
    fn recent(&self) -> Option<StreamState> {
        let stream = self.all.get(self.recent)?;
        Some(StreamState { ssrc: stream.ssrc, newest: PacketIndex::from_number(stream.rtp?.newest()) })
    }
}

/// The side that protects.
#[derive(Debug)]
pub struct Sender {
    keys: Box<SessionKeys>,
    streams: Streams,
    /// Of the next RTCP packet, whatever its SSRC (RFC 3711 3.4).
    next_rtcp: u32,
}

impl Sender {
    /// A context that nothing was sent in.
    #[must_use]
    pub fn new(keys: SessionKeys) -> Self {
        Self { keys: Box::new(keys), streams: Streams::new(), next_rtcp: 1 }
    }

    /// The present keys.
    #[must_use]
    #[inline]
    pub fn keys(&self) -> &SessionKeys {
        &self.keys
    }

    /// Takes other keys. Roll-over counters and indices go on (RFC 3711 8.1.1: they belong to the stream, and a receiver that
    /// was told of a new key in mid-stream goes on counting too).
    pub fn rekey(&mut self, keys: SessionKeys) {
        *self.keys = keys;
    }

    /// The index under which this packet is to be protected. It counts as used from now on.
    ///
    /// # Errors
    /// [`SrtpError::IndexUsed`] if it was given before, or may have been; [`SrtpError::KeyExhausted`],
    /// [`SrtpError::TooManyStreams`].
    #[inline]
    pub fn claim(&mut self, header: &RtpHeader) -> Result<PacketIndex, SrtpError> {
        let stream = self.streams.entry(header.ssrc)?;
        let Some(window) = &mut stream.rtp else {
            let index = PacketIndex::new(0, header.sequence);
            stream.rtp = Some(Window::starting_with(index.get()));
            return Ok(index);
        };
        let newest = PacketIndex::from_number(window.newest());
        let Some(index) = newest.nearest(header.sequence) else {
            let is_late = header.sequence.distance_from(newest.sequence()) < 0;
            return Err(if is_late { SrtpError::IndexUsed } else { SrtpError::KeyExhausted });
        };
        match window.look_up(index.get()) {
            Known::New => {
                window.note(index.get());
                Ok(index)
            }
            Known::Seen | Known::Forgotten => Err(SrtpError::IndexUsed),
        }
    }

    /// The index under which the next RTCP compound is to be protected.
    ///
    /// # Errors
    /// [`SrtpError::KeyExhausted`].
    pub fn claim_rtcp(&mut self) -> Result<u32, SrtpError> {
        if self.next_rtcp == RTCP_INDEX_END {
            return Err(SrtpError::KeyExhausted);
        }
        let index = self.next_rtcp;
        self.next_rtcp += 1;
        Ok(index)
    }

    /// Makes room for further SSRCs, if there is little left. The one method that allocates.
    pub fn provide(&mut self) {
        self.streams.provide();
    }

    /// SSRCs that were sent.
    pub fn streams(&self) -> impl Iterator<Item = StreamState> + '_ {
        self.streams.states()
    }

    /// The SSRC that was sent last.
    #[must_use]
    pub fn recent(&self) -> Option<StreamState> {
        self.streams.recent()
    }
}

/// The side that unprotects.
#[derive(Debug)]
pub struct Receiver {
    keys: Box<SessionKeys>,
    /// Those before a re-keying, until something has proved to be made with the present ones.
    former: Option<Box<SessionKeys>>,
    streams: Streams,
}

impl Receiver {
    /// A context that nothing was received in.
    #[must_use]
    pub fn new(keys: SessionKeys) -> Self {
        Self { keys: Box::new(keys), former: None, streams: Streams::new() }
    }

    /// The keys that are expected.
    #[must_use]
    #[inline]
    pub fn keys(&self) -> &SessionKeys {
        &self.keys
    }

    /// The keys that are accepted too.
    #[must_use]
    pub fn former_keys(&self) -> Option<&SessionKeys> {
        self.former.as_deref()
    }

    /// Expects other keys. The present ones are accepted until the first packet under the new ones; roll-over counters and
    /// replay windows stay.
    pub fn rekey(&mut self, keys: SessionKeys) {
        // Keys that nothing was ever received under give way at once; those before them are what the party still uses.
        let replaced = mem::replace(&mut self.keys, Box::new(keys));
        if self.former.is_none() {
            self.former = Some(replaced);
        }
    }

    /// The index that this packet must have, if it is authentic. Nothing changes.
    ///
    /// # Errors
    /// [`SrtpError::Replayed`], [`SrtpError::TooOld`], [`SrtpError::TooManyStreams`].
    #[inline]
    pub fn expect(&self, header: &RtpHeader) -> Result<PacketIndex, SrtpError> {
        let stream = self.streams.find(header.ssrc).map(|at| &self.streams.all[at]);
        let Some(window) = stream.and_then(|stream| stream.rtp.as_ref()) else {
            if stream.is_none() && self.streams.all.len() == self.streams.all.capacity() {
                return Err(SrtpError::TooManyStreams);
            }
            // RFC 3711 3.3.1: the roll-over counter of a stream begins at zero.
            return Ok(PacketIndex::new(0, header.sequence));
        };
        let index = PacketIndex::from_number(window.newest()).nearest(header.sequence).ok_or(SrtpError::TooOld)?;
        match window.look_up(index.get()) {
            Known::New => Ok(index),
            Known::Seen => Err(SrtpError::Replayed),
            Known::Forgotten => Err(SrtpError::TooOld),
        }
    }

    /// Notes that a packet has proved to be authentic.
    ///
    /// # Errors
    /// [`SrtpError::Replayed`] if another one of the same batch had this index; the packet must not be used then.
    #[inline]
    pub fn accept(&mut self, ssrc: Ssrc, index: PacketIndex) -> Result<(), SrtpError> {
        let stream = self.streams.entry(ssrc)?;
        let Some(window) = &mut stream.rtp else {
            stream.rtp = Some(Window::starting_with(index.get()));
            return Ok(());
        };
        accept(window, index.get())
    }

    /// As [`Receiver::accept`], of the first packet under the present keys, whose sender has begun to count anew with them: what
    /// was received under the former ones cannot be received again. The former keys are not accepted any more.
    ///
    /// # Errors
    /// [`SrtpError::Replayed`] if something was received under the present keys already; [`SrtpError::TooManyStreams`].
    pub(crate) fn accept_anew(&mut self, ssrc: Ssrc, index: PacketIndex) -> Result<(), SrtpError> {
        if self.former.take().is_none() {
            return Err(SrtpError::Replayed);
        }
        self.streams.entry(ssrc)?.rtp = Some(Window::starting_with(index.get()));
        Ok(())
    }

    /// Whether an RTCP compound of this SSRC and index may be accepted, if it is authentic.
    ///
    /// # Errors
    /// As [`Receiver::expect`].
    pub fn expect_rtcp(&self, ssrc: Ssrc, index: u32) -> Result<(), SrtpError> {
        let stream = self.streams.find(ssrc).map(|at| &self.streams.all[at]);
        match stream {
            None if self.streams.all.len() == self.streams.all.capacity() => Err(SrtpError::TooManyStreams),
            None => Ok(()),
            Some(stream) => stream.rtcp.as_ref().map_or(Ok(()), |window| match window.look_up(u64::from(index)) {
                Known::New => Ok(()),
                Known::Seen => Err(SrtpError::Replayed),
                Known::Forgotten => Err(SrtpError::TooOld),
            }),
        }
    }

    /// As [`Receiver::accept`].
    ///
    /// # Errors
    /// As [`Receiver::accept`].
    pub fn accept_rtcp(&mut self, ssrc: Ssrc, index: u32) -> Result<(), SrtpError> {
        let stream = self.streams.entry(ssrc)?;
        let Some(window) = &mut stream.rtcp else {
            stream.rtcp = Some(Window::starting_with(u64::from(index)));
            return Ok(());
        };
        accept(window, u64::from(index))
    }

    /// Notes that a packet was made with the present keys: those before are not accepted any more.
    #[inline]
    pub fn settle(&mut self) {
        if self.former.is_some() {
            self.former = None;
        }
    }

    /// Makes room for further SSRCs, if there is little left. The one method that allocates.
    pub fn provide(&mut self) {
        self.streams.provide();
    }

    /// SSRCs that were received.
    pub fn streams(&self) -> impl Iterator<Item = StreamState> + '_ {
        self.streams.states()
    }

    /// The SSRC that was received last.
    #[must_use]
    pub fn recent(&self) -> Option<StreamState> {
        self.streams.recent()
    }
}

fn accept(window: &mut Window, index: u64) -> Result<(), SrtpError> {
    match window.look_up(index) {
        Known::New => {
            window.note(index);
            Ok(())
        }
        Known::Seen => Err(SrtpError::Replayed),
        Known::Forgotten => Err(SrtpError::TooOld),
    }
}
