//! A SIP proxy that is real, and telephones that do exactly what a test says.

mod message;
mod phone;
mod proxy;

pub use message::Message;
pub use phone::{Call, Media, Phone};
pub use proxy::Kamailio;
