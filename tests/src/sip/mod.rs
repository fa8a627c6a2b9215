//! A SIP proxy that is real; telephones that do exactly what a test says ([`Phone`]), and real ones ([`Sipp`], [`Baresip`],
//! [`Linphone`]).

mod baresip;
mod digest;
mod linphone;
mod message;
mod phone;
mod proxy;
mod registrar;
mod sipp;
mod switch;

pub use baresip::{Baresip, Keying};
pub use digest::authorization;
pub use linphone::Linphone;
pub use message::Message;
pub use phone::{Call, Media, Phone, media_of};
pub use proxy::Kamailio;
pub use registrar::Registrar;
pub use sipp::{Cast, Sipp};
pub use switch::Switch;

/// What comes after the @ in the addresses of telephones that register; the proxy's configuration has it too.
pub const DOMAIN: &str = "pbx.example";
