//! What there was to be heard.

use patchcord_codec::{Audio, Country, music};
use patchcord_lab::endpoint::{Received, Recording};
use patchcord_lab::wav;

use super::script::RINGBACK_COUNTRY;
use super::stage::{self, AGENT, TARGET, TRANSFEREE};
use crate::failure::Failure;

/// The name of the hold audio.
pub(super) const MUSIC: &str = "music";
/// The name of the ringing tone.
pub(super) const RINGBACK: &str = "ringback";

/// All audio of the demo by name: the captures as they sound on their own, the relay's music and ringing tone.
pub(super) fn all() -> Result<Vec<(&'static str, Audio)>, Failure> {
    let country: Country =
        RINGBACK_COUNTRY.parse().map_err(|_| Failure::failed("the ringing tone's country is unknown"))?;
    let ringback = country.ringback();
    // A ringing tone loops; twice its length holds every piece of it that can be heard in one go.
    let ringback = ringback.looped(ringback.duration() * 2);
    Ok(vec![
        (TRANSFEREE, speech(TRANSFEREE)?),
        (AGENT, speech(AGENT)?),
        (TARGET, speech(TARGET)?),
        (MUSIC, music::hold_melody()),
        (RINGBACK, ringback),
    ])
}

/// A capture decoded without a relay in between.
pub(super) fn speech(party: &str) -> Result<Audio, Failure> {
    let stream = stage::speech(party)?;
    let mut recording = Recording::new(party, stream.packets.len());
    for packet in &stream.packets {
        let from = stream.source.unwrap_or_else(|| ([0, 0, 0, 0], 0).into());
        recording.push(Received { at_ns: packet.offset_ns, from, bytes: &packet.bytes });
    }
    Ok(wav::audio_of(&recording))
}
