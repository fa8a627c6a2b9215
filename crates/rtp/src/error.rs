//! What can be wrong with a packet.

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtpError {
    /// Shorter than the fixed header.
    #[error("{len} bytes are too few for RTP: its fixed header alone has 12")]
    TooShort {
        /// Bytes in the datagram.
        len: usize,
    },
    /// Not version 2.
    #[error("version {version} in the first byte: RTP is version 2")]
    Version {
        /// The two version bits.
        version: u8,
    },
    /// The CSRC list goes beyond the datagram.
    #[error("a list of {count} CSRCs does not fit a datagram of {len} bytes")]
    CsrcList {
        /// The CC field.
        count: u8,
        /// Bytes in the datagram.
        len: usize,
    },
    /// The extension bit is set, but the extension goes beyond the datagram.
    #[error("the header extension would end at byte {end}, but the datagram has {len} bytes")]
    Extension {
        /// Where the extension, or its own header, would end.
        end: usize,
        /// Bytes in the datagram.
        len: usize,
    },
    /// The padding bit is set, but the last byte cannot be the length of the padding.
    #[error("the padding bit is set, but the last byte, {padding}, is not a padding length within {room} bytes")]
    Padding {
        /// The last byte.
        padding: u8,
        /// Bytes between the header and the end.
        room: usize,
    },
}

/// Why bytes are not RTCP, or why RTCP cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtcpError {
    /// Not even one packet header.
    #[error("{len} bytes at byte {at} are too few for an RTCP packet: its header alone has 4")]
    TooShort {
        /// Where the packet begins in the compound.
        at: usize,
        /// Bytes from there to the end.
        len: usize,
    },
    /// Not version 2.
    #[error("version {version} at byte {at}: RTCP is version 2")]
    Version {
        /// Where the packet begins in the compound.
        at: usize,
        /// The two version bits.
        version: u8,
    },
    /// The length field goes beyond the compound.
    #[error("the packet at byte {at} says that it has {said} bytes, but only {len} are left")]
    Length {
        /// Where the packet begins in the compound.
        at: usize,
        /// Bytes that its length field says.
        said: usize,
        /// Bytes from there to the end.
        len: usize,
    },
    /// The padding bit on a packet that is not the last, or a count of padding bytes that cannot be.
    #[error("wrong padding on the packet at byte {at}: only the last may have any, in multiples of 4 within its body")]
    Padding {
        /// Where the packet begins in the compound.
        at: usize,
    },
    /// The packet is of another type than the view asked for.
    #[error("the packet is of type {kind}, which is not the type asked for")]
    Kind {
        /// The packet's type.
        kind: u8,
    },
    /// The body ends before what the header's count or a length field in it says.
    #[error("the packet of type {kind} with count {count} is cut short: {len} bytes of body, at least {need} needed")]
    Body {
        /// The packet's type.
        kind: u8,
        /// The packet's count field.
        count: u8,
        /// Bytes of body.
        len: usize,
        /// Bytes that the count and the lengths in the body ask for.
        need: usize,
    },
    /// The buffer to write to is full.
    #[error("no room: the packet needs at least {need} bytes, {room} are left in the buffer")]
    NoRoom {
        /// Bytes the packet needs at least.
        need: usize,
        /// Bytes left.
        room: usize,
    },
    /// More report blocks than the 5 bits of the count field can say.
    #[error("more than 31 report blocks: put the others into a further receiver report")]
    TooManyBlocks,
    /// A text longer than its length byte can say.
    #[error("a text of {len} bytes: RTCP texts have at most 255")]
    TextTooLong {
        /// Bytes in the text.
        len: usize,
    },
    /// Bytes offered as a whole packet that are none.
    #[error("{len} bytes are not one whole RTCP packet: version, type or length do not agree")]
    NotAPacket {
        /// Bytes offered.
        len: usize,
    },
}
