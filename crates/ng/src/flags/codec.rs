//! Which codecs are taken out of an SDP, put in, or reordered.

/// `codec`: lists of codec names or specifications (`opus/48000/2`), in the order given. `all` and `full` are among them
/// as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codecs {
    /// Taken out.
    pub strip: Vec<String>,
    /// Kept in spite of `strip: all`, and in this order.
    pub offer: Vec<String>,
    /// Kept in spite of `strip: all`.
    pub except: Vec<String>,
    /// Taken out towards the receiver, but taken from the sender.
    pub mask: Vec<String>,
    /// Added.
    pub transcode: Vec<String>,
    /// As `mask`, with transcoding.
    pub consume: Vec<String>,
    /// Taken from the sender even if the receiver refuses it.
    pub accept: Vec<String>,
    /// Options of codecs.
    pub set: Vec<String>,
    /// Not looked at.
    pub ignore: Vec<String>,
}
