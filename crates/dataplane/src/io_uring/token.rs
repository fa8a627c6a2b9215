//! What a completion is about: the 64 bits that an operation carries.

use patchcord_relay::ids::PortId;

/// ```text
/// 63    56 55        32 31          0
/// | kind  | generation | port index |
/// ```
/// The generation tells a port's completions from those of a port that had its number before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A multishot receive.
    Receive { port: PortId, generation: Generation },
    /// A send; it completes only if it failed.
    Send,
    /// The poll of the worker's eventfd.
    Wake,
    /// A cancellation; its result does not matter, that of the cancelled receive does.
    Cancel,
}

/// How often a port number has been given to a socket, modulo 2^24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Generation(u32);

const GENERATION_MASK: u32 = 0x00ff_ffff;

impl Generation {
    pub(super) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1) & GENERATION_MASK)
    }
}

impl Token {
    pub(super) const fn pack(self) -> u64 {
        match self {
            Self::Receive { port, generation } => (generation.0 as u64) << 32 | port.index() as u64,
            Self::Send => 1 << 56,
            Self::Wake => 2 << 56,
            Self::Cancel => 3 << 56,
        }
    }

    pub(super) const fn unpack(bits: u64) -> Self {
        match bits >> 56 {
            0 => Self::Receive {
                port: PortId::from_index(bits as u32),
                generation: Generation((bits >> 32) as u32 & GENERATION_MASK),
            },
            1 => Self::Send,
            2 => Self::Wake,
            _ => Self::Cancel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GENERATION_MASK, Generation, Token};
    use patchcord_relay::ids::{Component, PortId};

    #[test]
    fn tokens_survive_the_kernel() {
        let port = PortId::new(0x7fff_ffff, Component::Rtcp);
        let generation = Generation(GENERATION_MASK);
        for token in [Token::Receive { port, generation }, Token::Send, Token::Wake, Token::Cancel] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
        assert_eq!(generation.next(), Generation(0));
    }
}
