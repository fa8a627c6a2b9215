//! What a party heard, as audio: the G.711 or Opus payloads of a recording on a time line.

use std::path::Path;

use patchcord_codec::codec::OpusParameters;
use patchcord_codec::decoder::NewStreamError;
use patchcord_codec::wav::{self, WavError};
use patchcord_codec::{Audio, Codec, Decoder, Law, TELEPHONE_RATE};
use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, Ssrc};

use crate::endpoint::Recording;

/// A packet whose timestamp puts it further than this from where its arrival does begins a new piece: the timestamps jumped.
const DISAGREEMENT_MAX_NS: i64 = 2_000_000_000;

/// Longest audio made, in samples: an hour. What would lie behind is left out.
const SAMPLES_MAX: u64 = 3_600 * TELEPHONE_RATE as u64;

/// Decodes a recording. Packets are placed by their timestamps, so that jitter and reordering are not heard; where packets are
/// missing there is silence. The first packet of each SSRC, and the first after a jump of the timestamps, is placed by its arrival.
/// Payloads other than PCMU and PCMA (telephone events, for instance) are passed over.
#[must_use]
pub fn audio_of(recording: &Recording) -> Audio {
    placed(recording, TELEPHONE_RATE, |header, payload| {
        Some(Law::from_payload_type(header.payload_type.get())?.decode(payload))
    })
}

/// As [`audio_of`], of what came as Opus (RFC 7587) under this payload type: decoded at 8 kHz, in the order of arrival.
///
/// # Errors
/// libopus makes no decoder.
pub fn opus_audio_of(recording: &Recording, payload_type: PayloadType) -> Result<Audio, NewStreamError> {
    let codec = Codec::Opus(OpusParameters::default());
    let mut decoder = Decoder::new(codec, TELEPHONE_RATE)?;
    Ok(placed(recording, codec.clock_rate(), |header, payload| {
        let mut samples = Vec::new();
        let decoded = header.payload_type == payload_type && decoder.decode(payload, &mut samples).is_ok();
        decoded.then_some(samples)
    }))
}

/// What `decode` makes of the packets, on a time line; `clock_rate` is that of their timestamps, a multiple of 8 kHz.
fn placed(
    recording: &Recording,
    clock_rate: u32,
    mut decode: impl FnMut(&RtpHeader, &[u8]) -> Option<Vec<i16>>,
) -> Audio {
    let mut samples: Vec<i16> = Vec::new();
    let mut anchor: Option<Anchor> = None;
    let mut first_ns = None;
    for (header, received) in recording.rtp() {
        let Some(decoded) = decode(&header, received.payload()) else { continue };
        let since_first_ns = received.at_ns.saturating_sub(*first_ns.get_or_insert(received.at_ns));
        let by_arrival = since_first_ns * u64::from(TELEPHONE_RATE) / 1_000_000_000;
        let by_timestamp = anchor.and_then(|anchor| anchor.position(&header, clock_rate, by_arrival));
        let position = by_timestamp.unwrap_or_else(|| {
            anchor = Some(Anchor { ssrc: header.ssrc, timestamp: header.timestamp, position: by_arrival });
            by_arrival
        });
        place(&mut samples, position, &decoded);
    }
    Audio::telephone(samples)
}

/// Writes what [`audio_of`] gives as a WAV file of 16 bits, 8 kHz, mono.
///
/// # Errors
/// The file cannot be written.
pub fn write(recording: &Recording, path: &Path) -> Result<(), WavError> {
    wav::write_file(path, &audio_of(recording))
}

/// A packet whose place on the time line is known.
#[derive(Clone, Copy)]
struct Anchor {
    ssrc: Ssrc,
    timestamp: RtpTimestamp,
    position: u64,
}

impl Anchor {
    /// Where the timestamp lies, if it is one of the same source and agrees with the arrival.
    fn position(self, header: &RtpHeader, clock_rate: u32, by_arrival: u64) -> Option<u64> {
        const DISAGREEMENT_MAX: i64 = DISAGREEMENT_MAX_NS / 1_000_000 * TELEPHONE_RATE as i64 / 1_000;
        let units = i64::from(header.timestamp.wrapping_sub(self.timestamp).cast_signed());
        let position = self.position.checked_add_signed(units / i64::from(clock_rate / TELEPHONE_RATE).max(1))?;
        (header.ssrc == self.ssrc
            && position.cast_signed().abs_diff(by_arrival.cast_signed()) <= DISAGREEMENT_MAX.unsigned_abs())
        .then_some(position)
    }
}

fn place(samples: &mut Vec<i16>, position: u64, decoded: &[i16]) {
    let end = position.saturating_add(decoded.len() as u64);
    if end > SAMPLES_MAX {
        return;
    }
    let (position, end) = (position as usize, end as usize);
    if samples.len() < end {
        samples.resize(end, 0);
    }
    samples[position..end].copy_from_slice(decoded);
}
