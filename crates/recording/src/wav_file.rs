//! A WAV file that is whole whenever it is looked at.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// RIFF, `fmt ` and the head of `data`.
pub(crate) const HEADER_BYTES: u64 = 44;
const BYTES_PER_SAMPLE: u32 = 2;

/// Linear samples of 16 bits, mono. What is written lies in memory until it is flushed.
#[derive(Debug)]
pub(crate) struct WavFile {
    file: File,
    rate: u32,
    /// Bytes of samples in the file.
    written: u64,
    waiting: Vec<u8>,
}

impl WavFile {
    pub(crate) fn new(mut file: File, rate: u32) -> io::Result<Self> {
        file.write_all(&header(rate, 0))?;
        Ok(Self { file, rate, written: 0, waiting: Vec::new() })
    }

    pub(crate) fn write(&mut self, samples: &[i16]) {
        self.waiting.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    }

    /// Bytes of samples so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// First the samples, then the header that speaks of them: at no moment does it speak of what is not there.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.write_all(&self.waiting);
        if flushed.is_ok() {
            self.written += self.waiting.len() as u64;
        }
        self.waiting.clear();
        let (rate, written) = (self.rate, self.written);
        match flushed {
            Ok(()) => self.file.write_all_at(&header(rate, written), 0),
            // A part of it may be there: the header has its room already.
            Err(error) => repair(&self.file).and(Err(error)),
        }
    }
}

/// Brings the header into line with the length of the file; gives the bytes of samples in it.
pub(crate) fn repair(file: &File) -> io::Result<u64> {
    let mut head = [0; HEADER_BYTES as usize];
    file.read_exact_at(&mut head, 0)?;
    if &head[..4] != b"RIFF" || &head[36..40] != b"data" {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no WAV file of the relay's"));
    }
    let rate = u32::from_le_bytes([head[24], head[25], head[26], head[27]]);
    let len = file.metadata()?.len();
    let bytes = len.saturating_sub(HEADER_BYTES) / u64::from(BYTES_PER_SAMPLE) * u64::from(BYTES_PER_SAMPLE);
    file.set_len(HEADER_BYTES + bytes)?;
    file.write_all_at(&header(rate, bytes), 0)?;
    Ok(bytes)
}

/// So many milliseconds of audio are in so many bytes of it.
pub(crate) fn ms(file: &File, bytes: u64) -> io::Result<u64> {
    let mut rate = [0; 4];
    file.read_exact_at(&mut rate, 24)?;
    Ok(bytes / u64::from(BYTES_PER_SAMPLE) * 1000 / u64::from(u32::from_le_bytes(rate)).max(1))
}

fn header(rate: u32, bytes: u64) -> [u8; HEADER_BYTES as usize] {
    // Parts are begun long before it does not fit.
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX - HEADER_BYTES as u32);
    let mut header = [0; HEADER_BYTES as usize];
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &(bytes + HEADER_BYTES as u32 - 8).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16_u32.to_le_bytes(),
        // Linear, one channel.
        &1_u16.to_le_bytes(),
        &1_u16.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * BYTES_PER_SAMPLE).to_le_bytes(),
        &(BYTES_PER_SAMPLE as u16).to_le_bytes(),
        &(BYTES_PER_SAMPLE as u16 * 8).to_le_bytes(),
        b"data",
        &bytes.to_le_bytes(),
    ];
    let mut at = 0;
    for field in fields {
        header[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_other_writers() {
        let audio = patchcord_codec::Audio { samples: vec![1; 7], sample_rate: 16_000 };
        assert_eq!(patchcord_codec::wav::to_bytes(&audio)[..44], header(16_000, 14));
    }
}
