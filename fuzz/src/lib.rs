//! What must hold of any bytes that come from the network. Each function panics if it does not.

pub mod calls;
pub mod ng;
pub mod rtp;
pub mod sdp;
pub mod srtp;
pub mod stun;
pub mod worker;
