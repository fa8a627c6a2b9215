//! A call and its parties: sockets on loopback that play the captures.

use std::sync::Arc;

use patchcord_codec::Audio;
use patchcord_lab::capture::Capture;
use patchcord_lab::endpoint::{Endpoint, EndpointOptions, Endpoints, Playback, Recording, SentLog};
use patchcord_lab::stream::RtpStream;
use patchcord_lab::wav;
use patchcord_rtp::PayloadType;
use patchcord_srtp::sdes::Crypto;
use patchcord_srtp::{MasterKey, Protections, SessionKeys, Suite};
use serde_json::json;

use crate::client::api::Api;
use crate::client::call_path;
use crate::client::model::Call;
use crate::failure::Failure;
use crate::media::{self, error};

/// The parties' speech: the captures of this repository.
const CAPTURES: [(&str, &[u8]); 3] = [
    (TRANSFEREE, include_bytes!("../../../../captures/transferee.pcap")),
    (AGENT, include_bytes!("../../../../captures/agent.pcap")),
    (TARGET, include_bytes!("../../../../captures/target.pcap")),
];

/// The party that is transferred: it stays, and must not notice more than whom it hears.
pub(super) const TRANSFEREE: &str = "transferee";
/// The party that it talks to first.
pub(super) const AGENT: &str = "agent";
/// The party that it is transferred to.
pub(super) const TARGET: &str = "target";

/// What a telephone speaks.
pub(super) const TELEPHONE: &[&str] = &["PCMU"];

/// What the parties speak in the demo with SRTP, in the order in which they enter.
const SUITES: [Suite; 3] = [Suite::AesCm128HmacSha1_80, Suite::AeadAes256Gcm, Suite::AesCm256HmacSha1_80];

/// A call that is being played.
pub(super) struct Stage {
    pub(super) call: String,
    pub(super) api: Api,
    /// Keeps the endpoints' threads.
    endpoints: Endpoints,
    parties: Vec<Member>,
    number: u32,
    srtp: bool,
}

/// A party of it, and what decodes what it hears.
struct Member {
    endpoint: Endpoint,
    opus: Option<PayloadType>,
}

/// A call that is over.
pub(super) struct Played {
    pub(super) call: String,
    pub(super) parties: Vec<PlayedParty>,
    /// The call's state as the relay gave it at the end.
    pub(super) state: Call,
}

/// What one party did and got.
pub(super) struct PlayedParty {
    pub(super) call: String,
    pub(super) name: String,
    pub(super) recording: Recording,
    pub(super) sent: SentLog,
    /// Datagrams that were not SRTP under the party's key, where it has one.
    pub(super) refused: u64,
    /// What it hears is Opus, under this payload type; else it is G.711.
    pub(super) opus: Option<PayloadType>,
}

impl Stage {
    /// Creates the call. Calls of different numbers have different SSRCs and sequence numbers; number 0 plays the captures
    /// as they are.
    pub(super) fn set(api: &Api, call: &str, number: u32, srtp: bool) -> Result<Self, Failure> {
        api.post("/v1/calls", &json!({ "call": call }))?;
        let endpoints = Endpoints::start().map_err(error)?;
        Ok(Self { call: call.to_owned(), api: api.clone(), endpoints, parties: Vec::new(), number, srtp })
    }

    /// Gives a party that speaks these codecs a socket, and a leg that knows it.
    pub(super) fn enter(&mut self, name: &str, codecs: &[&str]) -> Result<Endpoint, Failure> {
        let endpoint = self
            .endpoints
            .add(name, "127.0.0.1:0".parse().expect("an address"), EndpointOptions::default())
            .map_err(error)?;
        let leg = media::create_leg(&self.api, &self.call, name, endpoint.local_addr(), codecs)?;
        if self.srtp {
            self.secure(&endpoint)?;
        }
        endpoint.set_remote(leg);
        self.parties.push(Member { endpoint: endpoint.clone(), opus: codecs.iter().find_map(|codec| opus(codec)) });
        Ok(endpoint)
    }

    /// Party and relay agree on keys, as they would by their SDPs: the party's is made here, the other is the relay's answer.
    fn secure(&self, endpoint: &Endpoint) -> Result<(), Failure> {
        let suite = SUITES[self.parties.len() % SUITES.len()];
        let number = self.number * 3 + self.parties.len() as u32;
        let len = suite.key_len() + suite.salt_len();
        // Everybody can read this key: it protects a demonstration.
        let key: Vec<u8> = (0..len as u32).map(|at| (number * 47 + at * 5) as u8).collect();
        let sends = MasterKey::new(suite, &key).map_err(error)?;
        let line = |key: MasterKey| Crypto { tag: 1, key, mki: None, protections: Protections::ALL };
        let receive = line(sends.clone()).to_value(true);
        let command = json!({ "command": "leg-srtp", "party": endpoint.name(), "receive": receive.as_str() });
        let answer = self.api.command(&self.call, command)?;
        let send = answer["results"][0]["send"].as_str().unwrap_or_default();
        let hears = Crypto::parse(&format!("1 {send}")).map_err(error)?.key;
        let derive = |key: &MasterKey| SessionKeys::derive(key, None, Protections::ALL).map_err(error);
        endpoint.secure(derive(&sends)?, derive(&hears)?);
        Ok(())
    }

    /// Lets a party begin to speak what its capture has.
    pub(super) fn speak(&self, party: &Endpoint) -> Result<(), Failure> {
        self.play(party, speech(party.name())?)
    }

    /// Lets a party begin to send a stream.
    pub(super) fn play(&self, party: &Endpoint, stream: RtpStream) -> Result<(), Failure> {
        let playback = match self.number {
            0 => Playback::default(),
            number => {
                // Three captures, three SSRCs.
                let index = CAPTURES.iter().position(|(name, _)| *name == party.name()).unwrap_or(0) as u32;
                Playback::default().numbered(number * 3 + index)
            }
        };
        party.play(Arc::new(stream), playback).map_err(error)
    }

    /// Sends a bridge command under an id of its own.
    pub(super) fn command(&self, id: &str, mut body: serde_json::Value) -> Result<serde_json::Value, Failure> {
        body["id"] = json!(id);
        Ok(self.api.command(&self.call, body)?)
    }

    /// Ends the call; what the parties got is kept.
    pub(super) fn strike(self) -> Result<Played, Failure> {
        for Member { endpoint, .. } in &self.parties {
            endpoint.stop();
        }
        let state = self.api.typed(self.api.delete(&call_path(&self.call))?)?;
        let played = |Member { endpoint, opus }: &Member| PlayedParty {
            call: self.call.clone(),
            name: endpoint.name().to_owned(),
            recording: endpoint.recording(),
            sent: endpoint.sent(),
            refused: endpoint.progress().refused,
            opus: *opus,
        };
        Ok(Played { parties: self.parties.iter().map(played).collect(), call: self.call, state })
    }
}

impl Played {
    /// The party of that name.
    pub(super) fn party(&self, name: &str) -> Result<&PlayedParty, Failure> {
        let found = self.parties.iter().find(|party| party.name == name);
        found.ok_or_else(|| Failure::failed(format!("call {} has no party {name}", self.call)))
    }

    /// What everybody sent.
    pub(super) fn sent(&self) -> Vec<&SentLog> {
        self.parties.iter().map(|party| &party.sent).collect()
    }
}

impl PlayedParty {
    /// What it heard, at 8 kHz.
    pub(super) fn audio(&self) -> Result<Audio, Failure> {
        self.audio_of(&self.recording)
    }

    /// A part of it: `recording` has some of the party's packets.
    pub(super) fn audio_of(&self, recording: &Recording) -> Result<Audio, Failure> {
        match self.opus {
            Some(payload_type) => wav::opus_audio_of(recording, payload_type).map_err(error),
            None => Ok(wav::audio_of(recording)),
        }
    }

    /// `transferee` in the first call, `no-answer-transferee` in the other.
    pub(super) fn file_name(&self) -> String {
        if self.call == "transfer" { self.name.clone() } else { format!("{}-{}", self.call, self.name) }
    }
}

/// The payload type of `"111 opus/48000/2"`; `None` for other codecs.
fn opus(codec: &str) -> Option<PayloadType> {
    let (number, encoding) = codec.split_once(' ')?;
    if encoding.starts_with("opus/") { PayloadType::new(number.parse().ok()?) } else { None }
}

/// The one stream of a party's capture.
pub(super) fn speech(party: &str) -> Result<RtpStream, Failure> {
    let (_, bytes) = CAPTURES
        .iter()
        .find(|(name, _)| *name == party)
        .ok_or_else(|| Failure::failed(format!("there is no capture of {party}")))?;
    let capture = Capture::read(&format!("{party}.pcap"), bytes).map_err(error)?;
    let stream = RtpStream::find(&capture.datagrams).into_iter().next();
    stream.ok_or_else(|| Failure::failed(format!("there is no RTP stream in {party}.pcap")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_is_told_from_other_codecs() {
        assert_eq!(opus("111 opus/48000/2"), PayloadType::new(111));
        for other in ["PCMU", "101 telephone-event/8000", "200 opus/48000/2", "x opus/48000/2"] {
            assert_eq!(opus(other), None, "{other}");
        }
    }

    #[test]
    fn every_party_has_ten_seconds_of_speech_at_least() {
        for (party, _) in CAPTURES {
            let stream = speech(party).expect(party);
            assert!(stream.duration().as_secs() >= 18, "{party}: {:?}", stream.duration());
            assert_eq!(stream.payload_type.get(), 0, "{party}");
        }
    }
}
