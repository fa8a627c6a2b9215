//! Opus in Ogg: RFC 7845, RFC 3533.

use std::fs::File;
use std::io::{self, Write};

use ogg::PacketWriter;
use ogg::writing::PacketWriteEndInfo::{EndPage, EndStream, NormalPacket};
use patchcord_codec::codec::OpusParameters;
use patchcord_codec::{Codec, Encoder, EncoderOptions};

/// Granule positions count samples of 48 kHz, whatever was encoded (RFC 7845 4).
const GRANULE_RATE: u64 = 48_000;
/// Packets of 20 ms, and so many a page: a second.
const PACKETS_PER_SECOND: u32 = 50;
/// There is but one stream in a file.
const SERIAL: u32 = 1;

/// Mono. Whole pages lie in memory until they are flushed.
pub(crate) struct OpusFile {
    file: File,
    pages: PacketWriter<'static, Vec<u8>>,
    encoder: Encoder,
    rate: u32,
    /// Samples that are no frame yet.
    waiting: Vec<i16>,
    packets: u64,
    /// Samples in all.
    samples: u64,
    written: u64,
}

impl OpusFile {
    /// A file that says `comments`, names and values, about itself.
    pub(crate) fn new(file: File, rate: u32, producer: &str, comments: &[(String, String)]) -> io::Result<Self> {
        let codec = Codec::Opus(OpusParameters::default());
        let encoder = Encoder::new(codec, rate, EncoderOptions::default()).map_err(io::Error::other)?;
        let mut file = Self {
            file,
            pages: PacketWriter::new(Vec::new()),
            encoder,
            rate,
            waiting: Vec::new(),
            packets: 0,
            samples: 0,
            written: 0,
        };
        let pre_skip = u16::try_from(file.pre_skip()).unwrap_or(u16::MAX);
        file.pages.write_packet(head(pre_skip, rate), SERIAL, EndPage, 0)?;
        file.pages.write_packet(tags(producer, comments), SERIAL, EndPage, 0)?;
        file.flush()?;
        Ok(file)
    }

    /// Samples of 48 kHz that a player leaves out: what the encoder looks ahead.
    fn pre_skip(&self) -> u64 {
        (self.encoder.lag() as u64 * GRANULE_RATE).div_ceil(u64::from(self.rate))
    }

    const fn frame(&self) -> usize {
        (self.rate / PACKETS_PER_SECOND) as usize
    }

    pub(crate) fn write(&mut self, samples: &[i16]) -> io::Result<()> {
        self.samples += samples.len() as u64;
        self.waiting.extend_from_slice(samples);
        let whole = self.waiting.len() / self.frame() * self.frame();
        for start in (0..whole).step_by(self.frame()) {
            let packet = self.encode(start)?;
            let end = if self.packets.is_multiple_of(PACKETS_PER_SECOND.into()) { EndPage } else { NormalPacket };
            let granule = self.packets * GRANULE_RATE / u64::from(PACKETS_PER_SECOND);
            self.pages.write_packet(packet, SERIAL, end, granule)?;
        }
        self.waiting.drain(..whole);
        Ok(())
    }

    fn encode(&mut self, start: usize) -> io::Result<Vec<u8>> {
        let mut packet = Vec::new();
        let frame = &self.waiting[start..start + self.frame()];
        self.encoder.encode(frame, &mut packet).map_err(io::Error::other)?;
        self.packets += 1;
        Ok(packet)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let pages = self.pages.inner_mut();
        let flushed = self.file.write_all(pages);
        self.written += pages.len() as u64;
        pages.clear();
        flushed
    }

    /// Says that the stream ends here, to the sample: the last packet holds more (RFC 7845 4.4).
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let ends = self.pre_skip() + self.samples * GRANULE_RATE / u64::from(self.rate);
        let frame = GRANULE_RATE / u64::from(PACKETS_PER_SECOND);
        // What the encoder looks ahead is not yet in the packets so far, so that there is one more at least.
        while self.packets * frame < ends {
            self.waiting.resize(self.frame(), 0);
            let packet = self.encode(0)?;
            self.waiting.clear();
            let is_last = self.packets * frame >= ends;
            let (end, granule) = if is_last { (EndStream, ends) } else { (NormalPacket, self.packets * frame) };
            self.pages.write_packet(packet, SERIAL, end, granule)?;
        }
        self.flush()
    }

    /// Bytes of the file so far.
    pub(crate) const fn bytes(&self) -> u64 {
        self.written
    }
}

/// The identification header (RFC 7845 5.1).
fn head(pre_skip: u16, rate: u32) -> Vec<u8> {
    // Version, channels; no gain, and one mono or stereo stream.
    [b"OpusHead".as_slice(), &[1, 1], &pre_skip.to_le_bytes(), &rate.to_le_bytes(), &[0, 0, 0]].concat()
}

/// The comment header (RFC 7845 5.2).
fn tags(producer: &str, comments: &[(String, String)]) -> Vec<u8> {
    let mut tags = b"OpusTags".to_vec();
    let say = |tags: &mut Vec<u8>, text: &str| {
        tags.extend(u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        tags.extend(text.as_bytes());
    };
    say(&mut tags, producer);
    let comments: Vec<String> = comments.iter().map(|(name, value)| format!("{}={value}", field(name))).collect();
    tags.extend(u32::try_from(comments.len()).unwrap_or(0).to_le_bytes());
    for comment in &comments {
        say(&mut tags, comment);
    }
    tags
}

/// The name of a comment: ASCII from space to `}`, but `=`.
fn field(name: &str) -> String {
    let fits = |character: char| (' '..='}').contains(&character) && character != '=';
    name.chars().map(|character| if fits(character) { character.to_ascii_uppercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_rfc_7845() {
        assert_eq!(head(312, 16_000), b"OpusHead\x01\x01\x38\x01\x80\x3e\0\0\0\0\0");
        let tags = tags("p", &[("a=b".to_owned(), "c=d".to_owned())]);
        assert_eq!(tags, b"OpusTags\x01\0\0\0p\x01\0\0\0\x07\0\0\0A_B=c=d");
    }
}
