//! What the option `codec` makes of an offer, and what that means for its answer.
//!
//! The engine transcodes between two legs that share no format, and relays between two that share one. So an answer is either or: what
//! the answerer has chosen decides, and the lists of both legs are made so that the engine does that.

mod answer;
mod offer;
mod settings;
mod spec;

use patchcord_relay::media::Codec;
use patchcord_sdp::Format;

use crate::call::is_transcodable;

pub(super) use answer::{Answer, answer};
pub(super) use offer::{Known, offer};
pub(super) use settings::Settings;

/// An m= line, as far as its formats go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// The words of the m= line.
    pub(super) formats: &'a [String],
    /// Those whose meaning is known, each number once.
    pub(super) codecs: &'a [Codec],
}

/// What an offer is to be, and what is to be known of it when its answer comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// What the receiver is offered, in order.
    pub(super) formats: Vec<Format>,
    pub(super) negotiation: Negotiation,
}

/// An offer that the relay has changed and that is not answered yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Negotiation {
    /// Formats that the offerer can be spoken with in, in its order.
    pub(super) usable: Vec<Codec>,
    /// What the receiver was offered, as far as its meaning is known.
    pub(super) offered: Vec<Codec>,
    /// Of these, what the relay has added.
    pub(super) added: Vec<Codec>,
    /// Formats of the offerer that it is to be spoken with in, whatever is answered.
    pub(super) consumed: Vec<Codec>,
    /// Formats of the offerer that it is to be spoken with in, if they are refused.
    pub(super) accepted: Vec<Codec>,
    /// The same holds for the one that it likes best.
    pub(super) accepts_first: bool,
    /// Keys are converted if only one of the two knows events.
    pub(super) converts_keys: bool,
}

impl Negotiation {
    /// Whether what it leads to may be more than passing packets on.
    pub(super) fn may_transcode(&self) -> bool {
        let Self { added, consumed, accepted, accepts_first, converts_keys, .. } = self;
        *accepts_first || *converts_keys || !(added.is_empty() && consumed.is_empty() && accepted.is_empty())
    }
}

/// The same in SDP's words.
fn written(codec: &Codec) -> patchcord_sdp::Codec {
    patchcord_sdp::Codec {
        payload_type: codec.payload_type.get(),
        encoding: codec.encoding.to_string(),
        clock_rate: codec.clock_rate,
        channels: codec.channels,
        fmtp: codec.fmtp.as_deref().map(str::to_owned),
    }
}

/// Codecs one after the other, each number once: the first counts.
pub(super) fn joined<'a>(codecs: impl IntoIterator<Item = &'a Codec>) -> Vec<Codec> {
    let mut joined: Vec<Codec> = Vec::new();
    for codec in codecs {
        if !joined.iter().any(|known| known.payload_type == codec.payload_type) {
            joined.push(codec.clone());
        }
    }
    joined
}

#[cfg(test)]
mod tests;
