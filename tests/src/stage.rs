//! Calls whose parties are the lab's endpoints.

use std::net::SocketAddr;
use std::sync::Arc;

use patchcord_lab::endpoint::{Endpoint, EndpointOptions, Endpoints};
use patchcord_lab::stream::RtpStream;
use patchcord_rtp::{PayloadType, Ssrc};
use serde_json::{Value, json};

use crate::client::Client;

/// Bytes of a frame of 20 ms of G.711.
pub const FRAME_LEN: usize = 160;

/// A stream of PCMU in frames of 20 ms whose payloads name it and their place: no two packets of streams with different
/// numbers are alike.
#[must_use]
pub fn numbered_stream(number: u32, packets: u32) -> Arc<RtpStream> {
    let frames = (0..packets).map(|index| {
        let mut frame = [0x55; FRAME_LEN];
        frame[..4].copy_from_slice(&number.to_be_bytes());
        frame[4..8].copy_from_slice(&index.to_be_bytes());
        frame
    });
    // Numbers near each other must not give SSRCs near each other.
    let ssrc = Ssrc(number.wrapping_add(1).wrapping_mul(0x9e37_79b1));
    Arc::new(RtpStream::from_frames(ssrc, PayloadType::default(), 8_000, FRAME_LEN as u32, frames))
}

/// Number and place of a payload of [`numbered_stream`]; `None` if it is something else.
#[must_use]
pub fn number_of(payload: &[u8]) -> Option<(u32, u32)> {
    let (number, rest) = payload.split_first_chunk()?;
    let (index, rest) = rest.split_first_chunk()?;
    let ours = rest.len() == FRAME_LEN - 8 && rest.iter().all(|&byte| byte == 0x55);
    ours.then(|| (u32::from_be_bytes(*number), u32::from_be_bytes(*index)))
}

/// The command that creates a leg for a party that receives PCMU at `remote`.
#[must_use]
pub fn leg_create(party: &str, remote: SocketAddr) -> Value {
    json!({"command": "leg-create", "party": party, "remote": remote.to_string(), "codecs": ["PCMU"]})
}

/// The address in a result's field.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn address(result: &Value, field: &str) -> SocketAddr {
    let text = result[field].as_str().unwrap_or_else(|| panic!("{result} has no address as {field}"));
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Gives a call a party, and the party an endpoint that sends to its leg.
///
/// # Panics
/// If the relay refuses, or the system has no port.
#[must_use]
pub fn join(client: &Client, call: &str, endpoints: &Endpoints, party: &str) -> Endpoint {
    let endpoint = endpoints
        .add(party, SocketAddr::from(([127, 0, 0, 1], 0)), EndpointOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let results = client.command(call, leg_create(party, endpoint.local_addr()));
    endpoint.set_remote(address(&results[0], "local"));
    endpoint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_packets_are_recognised() {
        let stream = numbered_stream(7, 3);
        let numbers: Vec<_> = stream.packets.iter().map(|packet| number_of(&packet.bytes[12..])).collect();
        assert_eq!(numbers, [Some((7, 0)), Some((7, 1)), Some((7, 2))]);
        assert_eq!(number_of(&[0x55; FRAME_LEN - 1]), None);
        assert_eq!(number_of(&[0xd5; FRAME_LEN]), None);
    }
}
