//! What the engine hands out. It knows no codec: whatever needs one is somebody else's work, who is given packets, and gives back what
//! was made of them ([`Shard::made`](crate::Shard::made)).

use crate::ids::{LegId, MadeId};
use crate::mixing::Mixing;
use crate::overhearing::Overhearing;
use crate::time::MonoTime;
use crate::transcoding::Transcoding;

/// For whoever has the codecs, in this order.
#[derive(Debug)]
pub enum HandOut<'a> {
    /// A leg hears another one transcoded from here on: packets of it will follow.
    Transcode(Transcoding),
    /// A packet that its source has sent; never one of RTCP.
    Packet {
        /// Which transcoding's. If it is later than the latest one of the same listener, the same transcoding goes on under it, and begins
        /// anew with this packet: what came between was relayed as it was. What is made under the former name is not heard.
        id: MadeId,
        /// RTP, not encrypted.
        bytes: &'a [u8],
    },
    /// A leg hears several others from here on; or, if the name is known, others than before.
    Mix(Mixing),
    /// No more packets of a transcoding will follow, and nothing that is made of it, or of a mix, will be heard.
    End(MadeId),
    /// Who overhears a leg from here on, and in which formats; until nobody does.
    Overhear(Overhearing),
    /// A packet that an overheard leg's party has sent; never one of RTCP.
    Heard(Heard<'a>),
}

/// See [`HandOut::Heard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Whose party has sent it.
    pub leg: LegId,
    /// Who is to have it.
    pub by: crate::overhearing::Ears,
    /// When it arrived.
    pub at: MonoTime,
    /// RTP, not encrypted.
    pub bytes: &'a [u8],
}
