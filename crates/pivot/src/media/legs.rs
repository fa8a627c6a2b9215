//! The parties of a call as the relay has them: each with one leg, which is made when the party is first spoken of, and keeps its port
//! and its key for as long as the party is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use core::net::SocketAddr;

use patchcord_control::api::{
    CallState, CodecParts, CodecSpec, Command, CommandAnswer, CommandRequest, Detail, Direction, ID_LEN_MAX, LatchSpec,
    LegCodecs, LegCreate, LegDirection, LegRemote, LegSrtp, MergeCall, OneParty, RelayingName, Secret,
};
use patchcord_control::{ApiError, ErrorCode};
use thiserror::Error;

use super::description::{Crypto, Ours, Theirs, Unusable, is_audio, mirrored};
use super::formats::{answered, offered};
use super::relay::Relay;
use crate::call::sipfrag::status;
use crate::message::{Sdp, Status};

/// The suite that everybody has (RFC 4568 6.2.1).
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";

/// The legs of one call.
pub struct Legs {
    relay: Arc<dyn Relay>,
    call: Arc<str>,
    parties: BTreeMap<Arc<str>, Leg>,
    /// Numbers the requests.
    requests: u64,
    /// Tells the sessions of this call from each other.
    session: u64,
}

/// One party's.
#[derive(Debug)]
struct Leg {
    rtp: SocketAddr,
    rtcp: SocketAddr,
    /// What the party takes, or was offered.
    codecs: Vec<CodecParts>,
    rtcp_mux: bool,
    /// Its latest description.
    theirs: Option<Theirs>,
    /// An offer of its waits for an answer.
    owes_answer: bool,
    /// What it is sent with.
    key: Option<Crypto>,
    session: u64,
    version: u64,
}

/// The media of a party could not be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MediaError {
    /// Its description is of no use.
    #[error("the session description of {party} is of no use: {why}")]
    Description {
        /// Whose.
        party: Arc<str>,
        /// What is wrong with it.
        why: Unusable,
    },
    /// It has nothing that the other side speaks, nor anything that could be made of it.
    #[error("{party} has no format that {other} has, nor one that the relay can make: it offered {offered}")]
    NoFormat {
        /// Who.
        party: Arc<str>,
        /// Whom it is to talk to.
        other: Arc<str>,
        /// What it has.
        offered: String,
    },
    /// It may not have SRTP, or has to have it.
    #[error("{party} {why}")]
    Srtp {
        /// Who.
        party: Arc<str>,
        /// What is wrong.
        why: &'static str,
    },
    /// The relay refuses.
    #[error("the relay refuses: {0}")]
    Relay(ApiError),
}

impl From<ApiError> for MediaError {
    fn from(error: ApiError) -> Self {
        Self::Relay(error)
    }
}

impl MediaError {
    /// The status line that goes with it (RFC 3261 21).
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Description { why: Unusable::Malformed(_), .. } => {
                Status { code: 400, phrase: "Bad Session Description".into() }
            }
            Self::Description { .. } | Self::NoFormat { .. } | Self::Srtp { .. } => status(488),
            Self::Relay(error) => match error.code.status() {
                422 => status(488),
                503 => status(503),
                _ => status(500),
            },
        }
    }
}

impl Legs {
    /// Begins the call at the relay, on the worker of the call `beside` if that has room.
    ///
    /// # Errors
    /// The relay has no room, or is not there.
    pub async fn begin(
        relay: Arc<dyn Relay>,
        call: Arc<str>,
        session: u64,
        beside: Option<&str>,
    ) -> Result<Self, MediaError> {
        // Another name is another request.
        let id = if call.len() <= ID_LEN_MAX { call.to_string() } else { format!("pivot-call-{session}") };
        match relay.create(&call, &id, beside).await {
            // That one is over, or its worker full.
            Err(error) if beside.is_some() && matches!(error.code, ErrorCode::UnknownCall | ErrorCode::NoRoom) => {
                relay.create(&call, &format!("pivot-call-{session}-alone"), None).await?;
            }
            created => created?,
        }
        Ok(Self { relay, call, parties: BTreeMap::new(), requests: 0, session })
    }

    /// Whether the party has a leg.
    #[must_use]
    pub fn has(&self, party: &str) -> bool {
        self.parties.contains_key(party)
    }

    /// Whether the party speaks SRTP.
    #[must_use]
    pub fn is_secure(&self, party: &str) -> bool {
        self.parties.get(party).is_some_and(|leg| leg.key.is_some())
    }

    /// Executes bridge commands, all or none.
    ///
    /// # Errors
    /// The relay refuses.
    pub async fn execute(&mut self, commands: Vec<Command>) -> Result<Arc<CommandAnswer>, ApiError> {
        self.requests += 1;
        // Its receipts are told from those of a call that is taken in.
        let id = format!("pivot-{}-{}", self.session, self.requests);
        self.relay.execute(&self.call, CommandRequest { id, commands, wait_ms: 0 }).await
    }

    /// Takes a party's offer: its leg is made, or goes on with what it says now. [`Legs::answer`] answers it.
    ///
    /// # Errors
    /// The description is of no use, or the relay refuses; nothing has changed.
    pub async fn offered_by(&mut self, party: &Arc<str>, sdp: &str) -> Result<(), MediaError> {
        let theirs = self.read(party, sdp)?;
        if self.has(party) {
            self.apply(party, &theirs).await?;
        } else {
            self.create(party, theirs.codecs.clone(), Some(&theirs), false).await?;
        }
        if let Some(leg) = self.parties.get_mut(party) {
            (leg.theirs, leg.owes_answer) = (Some(theirs), true);
        }
        Ok(())
    }

    /// An offer to a party that is to talk to `other`: of a new one that makes the leg. `secure` has it speak SRTP.
    ///
    /// # Errors
    /// The relay refuses.
    pub async fn offer_to(&mut self, party: &Arc<str>, other: Option<&str>, secure: bool) -> Result<Sdp, MediaError> {
        if !self.has(party) {
            let of = other.and_then(|other| self.parties.get(other)).map_or(&[][..], |leg| &leg.codecs);
            let codecs = offered(of);
            self.create(party, codecs, None, secure).await?;
        }
        Ok(self.describe(party, Direction::SendRecv, None))
    }

    /// Takes a party's answer to our offer.
    ///
    /// # Errors
    /// The description is of no use, or the relay refuses; nothing has changed.
    pub async fn answered_by(&mut self, party: &Arc<str>, sdp: &str) -> Result<(), MediaError> {
        let theirs = self.read(party, sdp)?;
        let Some(leg) = self.parties.get(party) else { return Ok(()) };
        match (&leg.key, theirs.is_secure()) {
            (Some(_), false) => {
                return Err(srtp(party, "was offered SRTP and answers with RTP: its key would be missing"));
            }
            (None, true) => return Err(srtp(party, "was offered RTP and answers with SRTP")),
            _ => {}
        }
        self.apply(party, &theirs).await?;
        if let Some(leg) = self.parties.get_mut(party) {
            leg.theirs = Some(theirs);
        }
        Ok(())
    }

    /// Our answer to the offer of a party that is to talk to `other`; or, if it made none, our offer.
    ///
    /// # Errors
    /// It has no format that goes with the other's, or the relay refuses.
    pub async fn answer(&mut self, party: &Arc<str>, other: &str) -> Result<Sdp, MediaError> {
        let heard = self.parties.get(other).map(|leg| leg.codecs.clone()).unwrap_or_default();
        let Some(leg) = self.parties.get(party) else { return self.offer_to(party, Some(other), false).await };
        let Some(theirs) = leg.theirs.clone().filter(|_| leg.owes_answer) else {
            return Ok(self.describe(party, Direction::SendRecv, None));
        };
        let codecs = if heard.is_empty() { theirs.codecs.clone() } else { answered(&theirs.codecs, &heard) };
        if !codecs.iter().any(is_audio) {
            let offered: Vec<_> = theirs.codecs.iter().map(|codec| codec.encoding.as_str()).collect();
            let (party, other) = (Arc::clone(party), Arc::from(other));
            return Err(MediaError::NoFormat { party, other, offered: offered.join(", ") });
        }
        self.execute(vec![Command::LegCodecs(LegCodecs { party: party.to_string(), codecs: specs(&codecs, true) })])
            .await?;
        if let Some(leg) = self.parties.get_mut(party) {
            (leg.codecs, leg.owes_answer) = (codecs, false);
        }
        Ok(self.describe(party, mirrored(theirs.direction), Some(&theirs)))
    }

    /// All legs of another call are this call's from now on; `rename` says what parties are called then, if they are called otherwise.
    ///
    /// # Errors
    /// The relay refuses; nothing has changed.
    pub async fn merge(&mut self, other: &mut Self, rename: BTreeMap<String, String>) -> Result<(), MediaError> {
        self.requests += 1;
        let id = format!("pivot-merge-{}-{}", self.session, self.requests);
        let named = |party: Arc<str>| rename.get(&*party).map_or(party, |name| name.as_str().into());
        let request = MergeCall { id, call: other.call.to_string(), rename: rename.clone() };
        self.relay.merge(&self.call, request).await?;
        self.parties.extend(core::mem::take(&mut other.parties).into_iter().map(|(party, leg)| (named(party), leg)));
        Ok(())
    }

    /// The party is gone: its port is free.
    pub async fn remove(&mut self, party: &str) {
        if self.parties.remove(party).is_some() {
            let command = Command::LegDelete(OneParty { party: party.to_owned() });
            if let Err(error) = self.execute(vec![command]).await {
                tracing::debug!(call = %self.call, party, %error, "its leg was gone already");
            }
        }
    }

    /// How the call stands at the relay; `None`: it is gone there.
    pub async fn state(&self) -> Option<CallState> {
        self.relay.state(&self.call).await.ok()
    }

    /// The call is over; how it stood in the end, if the relay says.
    pub async fn end(self) -> Option<Arc<CallState>> {
        match self.relay.delete(&self.call).await {
            Ok(state) => Some(state),
            Err(error) => {
                if error.code != ErrorCode::UnknownCall {
                    tracing::warn!(call = %self.call, %error, "the relay did not end a call");
                }
                None
            }
        }
    }

    fn read(&self, party: &Arc<str>, sdp: &str) -> Result<Theirs, MediaError> {
        Theirs::read(sdp).map_err(|why| MediaError::Description { party: Arc::clone(party), why })
    }

    async fn create(
        &mut self,
        party: &Arc<str>,
        codecs: Vec<CodecParts>,
        theirs: Option<&Theirs>,
        secure: bool,
    ) -> Result<(), MediaError> {
        let rtcp_mux = theirs.is_some_and(|theirs| theirs.rtcp_mux);
        let mut commands = vec![Command::LegCreate(LegCreate {
            party: party.to_string(),
            codecs: specs(&codecs, theirs.is_some()),
            remote: theirs.and_then(|theirs| theirs.remote),
            remote_rtcp: theirs.and_then(|theirs| theirs.remote_rtcp),
            rtcp_mux,
            interface: None,
            address_family: None,
            direction: theirs.map_or(Direction::SendRecv, |theirs| theirs.direction),
            latch: LatchSpec::default(),
            relaying: RelayingName::default(),
            dscp: None,
            egress: None,
            media_timeout_ms: None,
        })];
        let crypto = theirs.and_then(|theirs| theirs.crypto.as_ref());
        if secure || crypto.is_some() {
            let receive = crypto.map(|crypto| Secret(crypto.key.clone()));
            let suite = receive.is_none().then(|| SUITE.to_owned());
            commands.push(Command::LegSrtp(LegSrtp {
                party: party.to_string(),
                enabled: true,
                receive,
                send: None,
                suite,
            }));
        }
        let answer = self.execute(commands).await?;
        let mut leg = None;
        let mut key = None;
        for result in &answer.results {
            match &result.detail {
                Detail::Created(created) => leg = Some((created.advertised, created.advertised_rtcp)),
                Detail::Srtp(done) => key.clone_from(&done.send),
                _ => {}
            }
        }
        let Some((rtp, rtcp)) = leg else { return Ok(()) };
        let tag = crypto.map_or(1, |crypto| crypto.tag);
        let key = key.map(|key| Crypto { tag, key: key.as_str().to_owned() });
        self.session += 1;
        let leg = Leg {
            rtp,
            rtcp,
            codecs,
            rtcp_mux,
            theirs: None,
            owes_answer: false,
            key,
            session: self.session,
            version: 0,
        };
        self.parties.insert(Arc::clone(party), leg);
        Ok(())
    }

    /// Puts what a party says into its leg.
    async fn apply(&mut self, party: &Arc<str>, theirs: &Theirs) -> Result<(), MediaError> {
        let name = || party.to_string();
        let mut commands = vec![Command::LegCodecs(LegCodecs { party: name(), codecs: specs(&theirs.codecs, true) })];
        if let Some(remote) = theirs.remote {
            let remote_rtcp = theirs.remote_rtcp;
            commands.push(Command::LegRemote(LegRemote { party: name(), remote, remote_rtcp }));
        }
        commands.push(Command::LegDirection(LegDirection { party: name(), direction: theirs.direction }));
        if let Some(crypto) = &theirs.crypto {
            let receive = Some(Secret(crypto.key.clone()));
            commands.push(Command::LegSrtp(LegSrtp { party: name(), enabled: true, receive, send: None, suite: None }));
        }
        self.execute(commands).await?;
        if let Some(leg) = self.parties.get_mut(party) {
            leg.codecs.clone_from(&theirs.codecs);
        }
        Ok(())
    }

    fn describe(&mut self, party: &str, direction: Direction, offer: Option<&Theirs>) -> Sdp {
        let Some(leg) = self.parties.get_mut(party) else { return Sdp::default() };
        leg.version += 1;
        let ours = Ours {
            id: leg.session,
            version: leg.version,
            rtp: leg.rtp,
            rtcp: leg.rtcp,
            rtcp_mux: leg.rtcp_mux,
            codecs: &leg.codecs,
            direction,
            crypto: leg.key.clone(),
        };
        match offer {
            Some(offer) => ours.answer(offer),
            None => ours.offer(),
        }
    }
}

/// What a party has, or what it has been offered. If it has key presses, and the other one in the end has none, they are converted.
fn specs(codecs: &[CodecParts], is_theirs: bool) -> Vec<CodecSpec> {
    let converting = |codec: CodecParts| CodecParts { convert_tones: is_theirs && codec.is_telephone_event(), ..codec };
    codecs.iter().cloned().map(converting).map(CodecSpec::Parts).collect()
}

fn srtp(party: &Arc<str>, why: &'static str) -> MediaError {
    MediaError::Srtp { party: Arc::clone(party), why }
}
