//! Addresses in JSON, with an error that shows what was written.

use core::net::SocketAddr;

use serde::de::{Deserialize as _, Deserializer, Error as _};

fn parse<E: serde::de::Error>(text: &str) -> Result<SocketAddr, E> {
    text.parse().map_err(|_| {
        E::custom(format_args!("{text:?} is no address and port; write 192.0.2.7:4000 or [2001:db8::7]:4000"))
    })
}

/// An address and port.
pub(super) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

/// An address and port, or null.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    match Option::<String>::deserialize(deserializer) {
        Ok(text) => text.as_deref().map(parse).transpose(),
        Err(error) => Err(D::Error::custom(error)),
    }
}
