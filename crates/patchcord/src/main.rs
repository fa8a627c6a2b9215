//! An RTP media relay for call transfers.
fn main() {}
