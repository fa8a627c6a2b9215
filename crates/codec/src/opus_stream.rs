//! Opus by libopus (RFC 6716).

use core::fmt;

use opus::{Application, Bandwidth, Bitrate, Channels, ErrorCode, Signal};

use crate::codec::{OPUS_BITRATES, OPUS_PACKET_MAX_MS, OpusParameters};
use crate::encoder::{EncoderOptions, OPUS_PAYLOAD_MAX};

/// The longest payload that is looked at, in bytes: that of any datagram.
const PAYLOAD_MAX: usize = 65_535;

/// What libopus says is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusFault(ErrorCode);

impl fmt::Display for OpusFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.description())
    }
}

impl From<opus::Error> for OpusFault {
    fn from(error: opus::Error) -> Self {
        Self(error.code())
    }
}

#[derive(Debug)]
pub(crate) struct OpusDecoder {
    sample_rate: u32,
    decoder: opus::Decoder,
}

impl OpusDecoder {
    pub(crate) fn new(sample_rate: u32) -> Result<Self, OpusFault> {
        // libopus mixes two channels down within its decoder, for less than decoding both.
        Ok(Self { sample_rate, decoder: opus::Decoder::new(sample_rate, Channels::Mono)? })
    }

    pub(crate) fn reset(&mut self) {
        // libopus refuses it of no decoder that it has made.
        let _ = self.decoder.reset_state();
    }

    /// The samples that the packet's TOC byte and frame count promise: 120 ms at most (RFC 6716 3.4, R5).
    pub(crate) fn samples_in(&self, packet: &[u8]) -> Result<usize, OpusFault> {
        if packet.len() > PAYLOAD_MAX {
            return Err(OpusFault(ErrorCode::InvalidPacket));
        }
        Ok(opus::packet::get_nb_samples(packet, self.sample_rate)?)
    }

    /// Appends `samples`, as many as [`Self::samples_in`] has said.
    pub(crate) fn decode(&mut self, packet: &[u8], samples: usize, out: &mut Vec<i16>) -> Result<(), OpusFault> {
        let start = out.len();
        out.resize(start + samples, 0);
        match self.decoder.decode(packet, &mut out[start..], false) {
            Ok(decoded) => out.truncate(start + decoded),
            Err(error) => {
                out.truncate(start);
                return Err(error.into());
            }
        }
        Ok(())
    }

    pub(crate) fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        let end = out.len() + samples;
        while out.len() < end {
            self.make_up(&[], end, out);
        }
    }

    pub(crate) fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<i16>) {
        let end = out.len() + samples;
        // The correction is of the one frame before `next`; what was lost before that is concealed.
        let in_next = self.samples_in(next).unwrap_or(0);
        self.conceal(samples.saturating_sub(in_next), out);
        self.make_up(next, end, out);
        self.conceal(end - out.len(), out);
    }

    /// Appends up to `end`, 120 ms at most: from the correction in `packet`, or without one made up. It is silence if
    /// libopus refuses.
    fn make_up(&mut self, packet: &[u8], end: usize, out: &mut Vec<i16>) {
        let start = out.len();
        let per_ms = self.sample_rate as usize / 1000;
        let wanted = (end - start).min(OPUS_PACKET_MAX_MS as usize * per_ms);
        // libopus makes up multiples of 2.5 ms; what is over is dropped.
        let whole = wanted.next_multiple_of((5 * per_ms / 2).max(1));
        out.resize(start + whole, 0);
        let made = self.decoder.decode(packet, &mut out[start..], !packet.is_empty());
        if let Ok(made) = made {
            out[start + made.min(whole)..].fill(0);
        } else {
            out[start..].fill(0);
        }
        out.truncate(start + wanted);
    }
}

/// Whether a packet has forward error correction for the one before it: the LBRR flag that follows the flags of voice
/// activity at the beginning of a SILK frame (RFC 6716 4.2.3 and 4.2.4).
pub(crate) fn has_fec(packet: &[u8]) -> bool {
    let (Some(&toc), Some(&first)) = (packet.first(), first_frame(packet).and_then(<[u8]>::first)) else {
        return false;
    };
    let configuration = toc >> 3;
    // RFC 6716 3.1, table 2: SILK alone has four durations a bandwidth, both layers together have 10 and 20 ms, and from
    // 16 on there is no SILK. Each 20 ms are a SILK frame.
    let silk_frames = match configuration {
        0..12 if configuration % 4 >= 2 => configuration % 4,
        0..16 => 1,
        _ => return false,
    };
    let flag = |bit: u8| first >> (7 - bit) & 1 == 1;
    let stereo = toc & 4 != 0;
    flag(silk_frames) || stereo && flag(2 * silk_frames + 1)
}

/// The first frame of a packet (RFC 6716 3.2), if it has one with content.
fn first_frame(packet: &[u8]) -> Option<&[u8]> {
    let (&toc, rest) = packet.split_first()?;
    match toc & 3 {
        0 => Some(rest),
        1 => Some(&rest[..rest.len() / 2]),
        2 => with_length(rest),
        _ => {
            let (&count, rest) = rest.split_first()?;
            let (variable, padded) = (count & 0x80 != 0, count & 0x40 != 0);
            let rest = if padded { after_padding_length(rest)? } else { rest };
            match count & 0x3F {
                0 => None,
                1 => Some(rest),
                frames if variable => with_lengths(rest, frames),
                _ => Some(rest),
            }
        }
    }
}

/// RFC 6716 3.2.5: as many bytes of 255 as there are, and one other.
fn after_padding_length(rest: &[u8]) -> Option<&[u8]> {
    let last = rest.iter().position(|&length| length != 255)?;
    rest.get(last + 1..)
}

/// The first frame after its own length.
fn with_length(rest: &[u8]) -> Option<&[u8]> {
    let (length, rest) = length(rest)?;
    rest.get(..length)
}

/// The first frame after the lengths of all `frames` but the last.
fn with_lengths(rest: &[u8], frames: u8) -> Option<&[u8]> {
    let (first, mut rest) = length(rest)?;
    for _ in 2..frames {
        (_, rest) = length(rest)?;
    }
    rest.get(..first)
}

/// RFC 6716 3.2.1: one byte, or two from 252 on.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 252 {
        return Some((usize::from(first), rest));
    }
    let (&second, rest) = rest.split_first()?;
    Some((4 * usize::from(second) + usize::from(first), rest))
}

#[derive(Debug)]
pub(crate) struct OpusEncoder {
    dtx: bool,
    lag: usize,
    encoder: opus::Encoder,
}

impl OpusEncoder {
    pub(crate) fn new(
        sample_rate: u32,
        parameters: &OpusParameters,
        options: EncoderOptions,
    ) -> Result<Self, OpusFault> {
        let mut encoder = opus::Encoder::new(sample_rate, Channels::Mono, Application::Voip)?;
        let rate = sample_rate.min(parameters.playback_rate_max);
        let (bandwidth, recommended) = speech(rate);
        let wanted = options.bitrate.unwrap_or(recommended);
        let bitrate = wanted.min(parameters.average_bitrate_max.unwrap_or(wanted));
        let bitrate = bitrate.clamp(*OPUS_BITRATES.start(), *OPUS_BITRATES.end());
        encoder.set_bitrate(Bitrate::Bits(bitrate as i32))?;
        encoder.set_max_bandwidth(bandwidth)?;
        encoder.set_complexity(options.complexity.min(10).into())?;
        encoder.set_signal(Signal::Auto)?;
        encoder.set_vbr(!parameters.constant_bitrate)?;
        encoder.set_inband_fec(parameters.fec)?;
        encoder.set_packet_loss_perc(options.expected_loss_percent.min(100).into())?;
        encoder.set_dtx(parameters.dtx)?;
        let lag = usize::try_from(encoder.get_lookahead()?).unwrap_or(0);
        Ok(Self { dtx: parameters.dtx, lag, encoder })
    }

    /// Samples that the encoder looks ahead.
    pub(crate) const fn lag(&self) -> usize {
        self.lag
    }

    pub(crate) fn reset(&mut self) {
        // libopus refuses it of no encoder that it has made; what was set stays.
        let _ = self.encoder.reset_state();
    }

    pub(crate) fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<(), OpusFault> {
        let start = out.len();
        out.resize(start + OPUS_PAYLOAD_MAX, 0);
        match self.encoder.encode(samples, &mut out[start..]) {
            // Packets of one or two bytes need not be sent: the receiver makes up the noise by itself.
            Ok(len) if self.dtx && len <= 2 => out.truncate(start),
            Ok(len) => out.truncate(start + len),
            Err(error) => {
                out.truncate(start);
                return Err(error.into());
            }
        }
        Ok(())
    }
}

/// The bandwidth that so many samples a second can have (RFC 6716 2, table 1), and the bit rate at which its speech is
/// good (RFC 7587 3.1.1).
fn speech(rate: u32) -> (Bandwidth, u32) {
    match rate {
        0..12_000 => (Bandwidth::Narrowband, 12_000),
        12_000..16_000 => (Bandwidth::Mediumband, 16_000),
        16_000..24_000 => (Bandwidth::Wideband, 20_000),
        24_000..48_000 => (Bandwidth::Superwideband, 28_000),
        _ => (Bandwidth::Fullband, 32_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_of_forward_error_correction_is_found_in_every_framing() {
        // SILK alone, 20 ms, mono: one flag of voice activity, then the one that is looked for.
        let silk = 1 << 3;
        for (packet, has) in [
            (&[silk, 0b0100_0000][..], true),
            (&[silk, 0b1011_1111], false),
            // Two frames of equal length; two of which the first says its length; two of which both are padded.
            (&[silk | 1, 0x40, 0], true),
            (&[silk | 2, 1, 0x40, 0], true),
            (&[silk | 2, 252, 0, 0x40, 0], false),
            (&[silk | 3, 2, 0x40, 0], true),
            (&[silk | 3, 0x42, 255, 1, 0x40, 0], true),
            (&[silk | 3, 0x83, 1, 1, 0x40, 0, 0], true),
            // 60 ms are three frames; two channels have their flags one after the other.
            (&[3 << 3, 0b0001_0000], true),
            (&[3 << 3, 0b1110_1111], false),
            (&[silk | 4, 0b0001_0000], true),
            // Both layers; CELT alone.
            (&[15 << 3, 0b0100_0000], true),
            (&[16 << 3, 0xFF], false),
            (&[], false),
            (&[silk], false),
            (&[silk | 3], false),
            (&[silk | 3, 0x41, 255, 255], false),
        ] {
            assert_eq!(has_fec(packet), has, "{packet:02x?}");
        }
    }
}
