//! The chunks of a RIFF file, as far as WAV needs them.

use super::ContentError;

/// Format tags of the `fmt ` chunk.
pub(super) const PCM: u16 = 0x0001;
pub(super) const FLOAT: u16 = 0x0003;
pub(super) const A_LAW: u16 = 0x0006;
pub(super) const MU_LAW: u16 = 0x0007;
/// The real tag is in the chunk's extension.
const EXTENSIBLE: u16 = 0xFFFE;

/// How the samples lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) tag: u16,
    pub(super) channels: u16,
    pub(super) sample_rate: u32,
    pub(super) bits: u16,
}

/// The two chunks that matter.
pub(super) struct Riff<'a> {
    pub(super) layout: Layout,
    pub(super) data: &'a [u8],
}

/// Finds the layout and the samples. Samples that the file does not hold are not missed: what is there is taken.
pub(super) fn parse(bytes: &[u8]) -> Result<Riff<'_>, ContentError> {
    let (Some(b"RIFF"), Some(b"WAVE"), Some(mut rest)) = (bytes.get(..4), bytes.get(8..12), bytes.get(12..)) else {
        return Err(ContentError::NotWav);
    };
    let mut layout = None;
    while let Some((header, after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let content = &after[..length.min(after.len())];
        match &header[..4] {
            b"fmt " => layout = parse_layout(content),
            b"data" => {
                let layout = layout.ok_or(ContentError::NoChunk("fmt "))?;
                // A recorder that could not go back to fill in the length leaves 0.
                let data = if length == 0 { after } else { content };
                return Ok(Riff { layout, data });
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = after.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    Err(ContentError::NoChunk(if layout.is_some() { "data" } else { "fmt " }))
}

fn parse_layout(content: &[u8]) -> Option<Layout> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(*content.get(at..)?.first_chunk()?));
    let tag = match u16_at(0)? {
        // The first two bytes of the sub-format's GUID.
        EXTENSIBLE => u16_at(24)?,
        tag => tag,
    };
    let sample_rate = u32::from_le_bytes(*content.get(4..)?.first_chunk()?);
    Some(Layout { tag, channels: u16_at(2)?, sample_rate, bits: u16_at(14)? })
}
