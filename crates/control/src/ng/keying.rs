//! How the media of an offer or answer is protected: RTP, SRTP with keys in SDP, or SRTP with keys agreed on beside the media. Each side
//! is spoken with in its own way; what passes between them is RTP, unless everything is to be relayed unread.

use patchcord_ng::Options;

use super::dtls::Dtls;
use super::media::{Described, Exchange, Phase};
use super::sdes::Sdes;
use crate::api::Secret;
use crate::error::ApiError;

/// How media is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keying {
    /// Not at all.
    Plain,
    /// SRTP, with keys in SDP (RFC 4568).
    Sdes,
    /// SRTP, with keys agreed on beside the media (RFC 5764).
    Dtls,
    /// It is no RTP.
    Other,
}

impl Keying {
    /// By the protocol of an m= line.
    pub(super) fn of(protocol: &str) -> Self {
        match protocol {
            "RTP/AVP" | "RTP/AVPF" => Self::Plain,
            "RTP/SAVP" | "RTP/SAVPF" => Self::Sdes,
            "UDP/TLS/RTP/SAVP" | "UDP/TLS/RTP/SAVPF" => Self::Dtls,
            _ => Self::Other,
        }
    }

    /// By all that an m= line says: before there were protocols of its own (RFC 5764 8), DTLS was told by its fingerprint.
    fn of_line(line: &Described) -> Self {
        match Self::of(&line.protocol) {
            Self::Sdes if line.sdes.usable.is_empty() && line.dtls.is_some() => Self::Dtls,
            keying => keying,
        }
    }

    /// Whether a side that speaks one protocol can hear one that speaks the other.
    pub(super) fn are_translated(one: &str, other: &str) -> bool {
        match (Self::of(one), Self::of(other)) {
            (Self::Other, _) | (_, Self::Other) => one == other,
            _ => true,
        }
    }
}

/// What a party and the relay have agreed on for an m= line.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    /// The relay speaks SRTP with one of the two sides of this media, or with both.
    pub(super) terminates: bool,
    pub(super) sdes: Sdes,
    pub(super) dtls: Dtls,
}

/// What the other side is told of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum ToldKeys {
    /// What the sender says.
    #[default]
    Keep,
    /// This, or nothing.
    Own {
        /// Values of `a=crypto`.
        crypto: Vec<Secret>,
        dtls: Option<patchcord_sdp::Dtls>,
    },
}

impl ToldKeys {
    /// Nothing: the other side speaks RTP.
    pub(super) const NONE: Self = Self::Own { crypto: Vec::new(), dtls: None };

    /// The lines in place of the sender's, if there are to be others.
    pub(super) fn edit(&self) -> Option<patchcord_sdp::Keys> {
        match self {
            Self::Keep => None,
            Self::Own { crypto, dtls } => Some(patchcord_sdp::Keys {
                crypto: crypto.iter().map(|line| line.as_str().to_owned()).collect(),
                dtls: dtls.clone(),
            }),
        }
    }
}

/// The protocol in which the other side is to be told of media. `accept` names none: it is about an answerer's own choice.
pub(super) fn wanted(options: &Options) -> Option<&str> {
    options.transport_protocol.as_deref().filter(|wanted| *wanted != "accept")
}

impl Exchange<'_, '_> {
    /// The protocol in which the other side is told of a line.
    pub(super) fn protocol_towards(&mut self, index: usize, line: &Described) -> String {
        let spoken = self.media(self.to, index).protocol.clone();
        let answers = self.phase == Phase::Answer;
        let spoken = Some(spoken).filter(|spoken| !spoken.is_empty());
        let spoken = spoken.filter(|spoken| answers || Keying::are_translated(&line.protocol, spoken));
        let wanted = match self.phase {
            Phase::Offer => {
                wanted(self.options).filter(|_| Keying::of(&line.protocol) != Keying::Other).map(str::to_owned)
            }
            Phase::Answer => None,
        };
        wanted.or(spoken).unwrap_or_else(|| line.protocol.clone())
    }

    /// Whether the relay is to speak SRTP with a side of this media, or with both.
    /// `towards` is the protocol in which the other side is told of it.
    pub(super) fn note_keying(&mut self, index: usize, line: &Described, towards: &str) {
        let from = Keying::of_line(line);
        let offers = self.phase == Phase::Offer;
        let before = [self.from, self.to].into_iter().any(|party| self.media(party, index).keys.terminates);
        // Keys that its author has agreed on in some other way are nobody's business.
        let offers_keys = offers && (line.sdes.are_any() || line.dtls.is_some());
        let terminates = match (from, Keying::of(towards)) {
            (Keying::Other, _) | (_, Keying::Other) => false,
            (Keying::Plain, Keying::Plain) => self.is_opportunistic(index, line),
            (one, other) if one != other => true,
            _ => before || (offers_keys && !self.config.relay_unread),
        };
        for party in [self.from, self.to] {
            self.media(party, index).keys.terminates = terminates;
        }
    }

    /// Plans what the exchange means for the keys of both sides, whose legs are there; says what the receiver is told.
    /// `towards` is the protocol in which it is told.
    pub(super) fn agree_on_keys(
        &mut self,
        index: usize,
        line: &Described,
        towards: &str,
    ) -> Result<ToldKeys, ApiError> {
        if !self.media(self.from, index).keys.terminates {
            for party in [self.from, self.to] {
                self.end_srtp(party, index)?;
            }
            return Ok(ToldKeys::Keep);
        }
        match self.phase {
            Phase::Offer => {
                match Keying::of_line(line) {
                    Keying::Dtls => self.take_offered_dtls(index, line)?,
                    _ => self.take_offered_keys(index, line)?,
                }
                match Keying::of(towards) {
                    Keying::Dtls => self.offer_dtls(index, towards),
                    keying => self.offer_keys(index, keying == Keying::Sdes),
                }
            }
            Phase::Answer => {
                if self.media(self.from, index).keys.dtls.offered {
                    self.take_answered_dtls(index, line)?;
                } else {
                    self.take_answered_keys(index, line)?;
                }
                if self.media(self.to, index).keys.dtls.said.is_some() {
                    self.answer_dtls(index)
                } else {
                    Ok(self.answer_keys(index))
                }
            }
        }
    }
}
