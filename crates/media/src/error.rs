//! Why a stream cannot be made into another format.

use patchcord_codec::decoder::NewStreamError;
use patchcord_codec::resample::ResampleError;

/// Why one party cannot be heard by another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotTranscode {
    /// The source has no audio that can be decoded.
    #[error("the source has no format that can be decoded: it must have PCMU, PCMA, G722, L16 or opus")]
    NoSource,
    /// The listener has no audio that can be encoded.
    #[error("the listener has no format that can be encoded: it must have PCMU, PCMA, G722, L16 or opus")]
    NoListener,
    /// No decoder or encoder could be made.
    #[error(transparent)]
    Codec(#[from] NewStreamError),
    /// The sample rates cannot be converted.
    #[error(transparent)]
    Resample(#[from] ResampleError),
}
