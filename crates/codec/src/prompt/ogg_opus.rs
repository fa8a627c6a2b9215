//! Opus in Ogg (RFC 7845): one stream of one or two channels, mixed down to one.

use std::io::Cursor;

use ogg::{OggReadError, Packet, PacketReader};

use crate::audio::Audio;
use crate::codec::{Codec, OpusParameters};
use crate::decoder::{Decoder, NewStreamError};
use crate::wav::DURATION_MAX;

/// What it is decoded to, Hz: nobody is sent a wider band.
const SAMPLE_RATE: u32 = 16_000;
/// Units of granule positions and of the pre-skip for a sample of that (RFC 7845 4).
const UNITS: u64 = 48_000 / SAMPLE_RATE as u64;
/// Samples that stand for a packet of which not even its length is known: 20 ms.
const UNKNOWN: usize = SAMPLE_RATE as usize / 50;

/// What is wrong with an Ogg file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OggOpusError {
    /// The container is damaged.
    #[error("the Ogg file is damaged: {0}")]
    Container(#[from] OggReadError),
    /// It has something else than Opus.
    #[error(
        "the Ogg file has no Opus stream at its beginning: convert it, for instance with `opusenc in.wav out.opus`"
    )]
    NoOpus,
    /// Its header is not what is read.
    #[error("the header of the Opus stream is wrong: {0}")]
    Header(&'static str),
    /// More channels than two.
    #[error("{0} channels are not read: make it mono or stereo")]
    Channels(u8),
    /// Several streams one after the other (RFC 7845 3).
    #[error("the Ogg file has several streams one after the other: make it one")]
    Chained,
    /// It ends before anything is heard.
    #[error("the Ogg file has no audio")]
    Empty,
    /// Too many packets are not Opus.
    #[error("{broken} of {packets} Opus packets are damaged")]
    Damaged {
        /// Packets that could not be decoded.
        broken: usize,
        /// All of them.
        packets: usize,
    },
    /// It plays too long.
    #[error("it plays more than the {max} s that are read: cut it", max = DURATION_MAX.as_secs())]
    TooLong,
    /// There is no decoder.
    #[error(transparent)]
    Decoder(#[from] NewStreamError),
}

/// The identification header (RFC 7845 5.1), as far as it matters.
struct Head {
    /// Units to leave out at the beginning.
    pre_skip: u64,
    /// What samples are multiplied by.
    gain: f64,
}

impl Head {
    fn read(packet: &[u8]) -> Result<Self, OggOpusError> {
        let rest = packet.strip_prefix(b"OpusHead").ok_or(OggOpusError::NoOpus)?;
        let &[version, channels, skip_low, skip_high, _, _, _, _, gain_low, gain_high, family, ..] = rest else {
            return Err(OggOpusError::Header("it is too short"));
        };
        // The upper half of the version changes with what an old reader cannot read.
        if version >> 4 != 0 {
            return Err(OggOpusError::Header("its version is not known"));
        }
        if channels == 0 {
            return Err(OggOpusError::Header("it has no channel"));
        }
        if channels > 2 {
            return Err(OggOpusError::Channels(channels));
        }
        if family != 0 {
            return Err(OggOpusError::Header("its channel mapping is not that of mono and stereo (family 0)"));
        }
        let gain_db = f64::from(i16::from_le_bytes([gain_low, gain_high])) / 256.0;
        let pre_skip = u16::from_le_bytes([skip_low, skip_high]).into();
        Ok(Self { pre_skip, gain: 10_f64.powf(gain_db / 20.0) })
    }
}

/// Reads a whole file. Packets that cannot be decoded are concealed, if they are fewer than half.
pub(super) fn read(bytes: &[u8]) -> Result<Audio, OggOpusError> {
    let mut packets = PacketReader::new(Cursor::new(bytes));
    let first = packets.read_packet()?.ok_or(OggOpusError::NoOpus)?;
    let head = Head::read(&first.data)?;
    let mut stream = Stream::new(first.stream_serial())?;
    while let Some(packet) = packets.read_packet()? {
        stream.take(&packet)?;
    }
    let samples = stream.finish(head.pre_skip)?;
    let loud = |sample: i16| (f64::from(sample) * head.gain).round() as i16;
    let samples = if head.gain == 1.0 { samples } else { samples.into_iter().map(loud).collect() };
    Ok(Audio { samples, sample_rate: SAMPLE_RATE })
}

/// The audio of one stream, as its packets come.
struct Stream {
    serial: u32,
    decoder: Decoder,
    samples: Vec<i16>,
    /// The comment header comes before the audio (RFC 7845 3).
    has_comments: bool,
    ended: bool,
    /// Where the page begins that is being decoded, in samples.
    page: usize,
    /// How long the last packet was that could be decoded.
    last: usize,
    packets: usize,
    broken: usize,
    /// The granule position that the first sample has, once known (RFC 7845 4.5).
    begins_at: Option<u64>,
    /// Samples of the last page that are not to be heard (RFC 7845 4.4).
    trimmed: usize,
}

impl Stream {
    fn new(serial: u32) -> Result<Self, OggOpusError> {
        let codec = Codec::Opus(OpusParameters::default());
        Ok(Self {
            serial,
            decoder: Decoder::new(codec, SAMPLE_RATE)?,
            samples: Vec::new(),
            has_comments: false,
            ended: false,
            page: 0,
            last: UNKNOWN,
            packets: 0,
            broken: 0,
            begins_at: None,
            trimmed: 0,
        })
    }

    fn take(&mut self, packet: &Packet) -> Result<(), OggOpusError> {
        // All streams that are interleaved begin before any goes on (RFC 3533 4).
        if packet.first_in_stream() && self.has_comments {
            return Err(OggOpusError::Chained);
        }
        // What is interleaved with it, such as a picture, is no matter.
        if packet.stream_serial() != self.serial || self.ended {
            return Ok(());
        }
        if !self.has_comments {
            if !packet.data.starts_with(b"OpusTags") {
                return Err(OggOpusError::Header("no comments come after it"));
            }
            self.has_comments = true;
            return Ok(());
        }
        self.decode(&packet.data)?;
        if packet.last_in_page() {
            self.end_of_page(packet.absgp_page(), packet.last_in_stream());
        }
        Ok(())
    }

    fn decode(&mut self, data: &[u8]) -> Result<(), OggOpusError> {
        let before = self.samples.len();
        self.packets += 1;
        if self.decoder.decode(data, &mut self.samples).is_ok() {
            self.last = self.samples.len() - before;
        } else {
            self.broken += 1;
            let len = self.decoder.samples_in(data).unwrap_or(self.last);
            self.decoder.conceal(len, &mut self.samples);
        }
        if self.samples.len() as u64 > DURATION_MAX.as_secs() * u64::from(SAMPLE_RATE) {
            return Err(OggOpusError::TooLong);
        }
        Ok(())
    }

    /// `granule` counts from before the pre-skip up to the page's end, in units. It is believed as far as it can be true.
    fn end_of_page(&mut self, granule: u64, last: bool) {
        let decoded = self.samples.len() as u64 * UNITS;
        // A stream that was cut out of a longer one does not begin at 0; one that ends on its first page does.
        let begins_at = *self.begins_at.get_or_insert(if last { 0 } else { granule.saturating_sub(decoded) });
        let of_page = self.samples.len() - self.page;
        if last {
            let too_much = decoded.saturating_sub(granule.saturating_sub(begins_at)) / UNITS;
            self.trimmed = usize::try_from(too_much).ok().filter(|&samples| samples <= of_page).unwrap_or(0);
            self.ended = true;
        }
        self.page = self.samples.len();
    }

    fn finish(mut self, pre_skip: u64) -> Result<Vec<i16>, OggOpusError> {
        if 2 * self.broken > self.packets {
            return Err(OggOpusError::Damaged { broken: self.broken, packets: self.packets });
        }
        self.samples.truncate(self.samples.len() - self.trimmed);
        let skipped = usize::try_from(pre_skip / UNITS).unwrap_or(usize::MAX).min(self.samples.len());
        self.samples.drain(..skipped);
        if self.samples.is_empty() { Err(OggOpusError::Empty) } else { Ok(self.samples) }
    }
}
