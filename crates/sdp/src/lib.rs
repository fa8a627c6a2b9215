//! SDP (RFC 8866) that keeps every byte it did not mean to change.
//!
//! A relay passes session descriptions on. It must change addresses, ports and a few attributes, and must not touch anything
//! else, whether it knows what that means or not. [`Sdp`] therefore keeps the text as it came and finds in it what a relay
//! needs ([`Session`], [`Media`]); [`Sdp::rewrite`] gives the text with an [`Edit`] done.
//!
//! The code map: `line` takes the text apart; `session` and `media` say what the lines mean; `codec` and `candidate` read
//! single attributes; `edit` is what can be changed, `rewrite` changes it.

#![forbid(unsafe_code)]

mod candidate;
mod codec;
mod edit;
mod error;
mod line;
mod media;
mod rewrite;
mod session;

pub use candidate::Candidate;
pub use codec::Codec;
pub use edit::{Dtls, Edit, Format, Ice, Keys, MediaEdit, Relay, RtcpAttribute};
pub use error::SdpError;
pub use media::{Direction, Media, Rtcp};
pub use session::Session;

/// The longest description, in bytes.
pub const LEN_MAX: usize = 65_535;
/// The most lines.
pub const LINES_MAX: usize = 4000;
/// The most m= lines. Real descriptions have up to a dozen.
pub const MEDIA_MAX: usize = 64;

/// A session description.
#[derive(Clone, Debug)]
pub struct Sdp {
    text: String,
    lines: Vec<line::Line>,
    session: Session,
    media: Vec<Media>,
}

impl Sdp {
    /// Takes a description apart. Line ends may be CRLF or LF, blank lines and a missing last line end are forgiven.
    ///
    /// # Errors
    /// It is no UTF-8, too large, or a line that matters is malformed; the error names the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        if bytes.len() > LEN_MAX {
            return Err(SdpError::TooLong(bytes.len()));
        }
        let text = core::str::from_utf8(bytes).map_err(|error| SdpError::NotText { at: error.valid_up_to() })?;
        let lines = line::split(text)?;
        let first_media = lines.iter().position(|line| line.kind == b'm').unwrap_or(lines.len());
        let session = Session::read(text, &lines[..first_media])?;
        let mut media = Vec::with_capacity(lines.iter().filter(|line| line.kind == b'm').count().min(MEDIA_MAX));
        let mut start = first_media;
        while start < lines.len() {
            if media.len() == MEDIA_MAX {
                return Err(SdpError::TooManyMedia);
            }
            let len =
                lines[start + 1..].iter().position(|line| line.kind == b'm').map_or(lines.len() - start, |len| len + 1);
            media.push(Media::read(text, &lines[start..start + len], start..start + len, &session)?);
            start += len;
        }
        Ok(Self { text: text.to_owned(), lines, session, media })
    }

    /// The text as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What holds for all media.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The m= lines with what belongs to them, by their index.
    #[must_use]
    pub fn media(&self) -> &[Media] {
        &self.media
    }
}

#[cfg(test)]
mod tests;
