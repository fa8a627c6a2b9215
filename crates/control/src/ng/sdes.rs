//! SRTP with keys in SDP (RFC 4568) in offers and answers: the relay speaks SRTP with each party for itself, under keys of its own.
//!
//! Who offers keys is answered with one of its suites; who is to be offered some gets those that are good enough. Keys stay over
//! further offers as long as their suite does. Where both sides have the same protection and everything is to be relayed unread,
//! their lines pass as they are, and so does what they encrypt.

use patchcord_ng::Options;
use patchcord_srtp::sdes::{Crypto, SdesError};
use patchcord_srtp::{Protections, Suite};

use super::dtls::Dtls;
use super::keying::{Keying, ToldKeys};
use super::media::{Described, Exchange, Phase};
use super::session::PartyId;
use crate::api::{Command, LegSrtp, Secret};
use crate::call::srtp::{is_good, new_key};
use crate::error::{ApiError, ErrorCode};

/// What an m= line says of keys.
#[derive(Clone, Debug, Default)]
pub(super) struct DescribedSdes {
    pub(super) usable: Vec<Crypto>,
    pub(super) faults: Vec<SdesError>,
}

impl DescribedSdes {
    pub(super) fn read(media: &patchcord_sdp::Media) -> Self {
        let values = media.attributes.iter().filter(|(name, _)| name == "crypto").map(|(_, value)| value.as_str());
        let (usable, faults) = Crypto::parse_all(values);
        Self { usable, faults }
    }

    /// Whether there are such lines, good or bad.
    pub(super) fn are_any(&self) -> bool {
        !self.usable.is_empty() || !self.faults.is_empty()
    }
}

/// Keys, as far as a party and the relay have agreed on them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sdes {
    /// What the party was offered, with keys of ours.
    offered: Vec<Crypto>,
    /// What is in force: ours under the tag that both use, and the party's.
    in_force: Option<Box<Pair>>,
}

impl Sdes {
    /// The party agrees on keys in another way.
    pub(super) fn forget(&mut self) {
        self.offered.clear();
        self.in_force = None;
    }
}

/// The keys of both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    ours: Crypto,
    theirs: Crypto,
}

impl Exchange<'_, '_> {
    /// Whether two that speak RTP are to take an opportunity of SRTP (RFC 8643).
    pub(super) fn is_opportunistic(&mut self, index: usize, line: &Described) -> bool {
        let osrtp = &self.options.osrtp;
        match self.phase {
            Phase::Offer => osrtp.offer || (osrtp.accept && !line.sdes.usable.is_empty()),
            Phase::Answer => {
                let offerer = self.media(self.to, index).keys.sdes.in_force.is_some();
                offerer || !self.media(self.from, index).keys.sdes.offered.is_empty()
            }
        }
    }

    /// The sender offers keys: one of its suites is taken, and from now on it speaks SRTP with us.
    pub(super) fn take_offered_keys(&mut self, index: usize, line: &Described) -> Result<(), ApiError> {
        let is_secured = Keying::of(&line.protocol) == Keying::Sdes;
        if !is_secured && (line.sdes.usable.is_empty() || !self.options.osrtp.accept) {
            return self.end_srtp(self.from, index);
        }
        let acceptable = |crypto: &&Crypto| self.is_acceptable(crypto);
        let wanted = &self.options.sdes.offerer_pref;
        let mut preferred = wanted.iter().filter_map(|name| name.parse::<Suite>().ok());
        let of_suite = |suite| line.sdes.usable.iter().filter(acceptable).find(|crypto| crypto.key.suite() == suite);
        let Some(theirs) = preferred.find_map(of_suite).or_else(|| line.sdes.usable.iter().find(acceptable)).cloned()
        else {
            return Err(none_usable("the offer", line));
        };
        let present = self.media(self.from, index).keys.sdes.in_force.clone();
        let ours = match present {
            Some(pair) if pair.ours.key.suite() == theirs.key.suite() => Crypto { tag: theirs.tag, ..pair.ours },
            _ => own(theirs.tag, theirs.key.suite())?,
        };
        self.put_in_force(self.from, index, Pair { ours, theirs })
    }

    /// The receiver is offered keys of ours: those in force first, then one for each suite that is good enough.
    pub(super) fn offer_keys(&mut self, index: usize, secured: bool) -> Result<ToldKeys, ApiError> {
        if (!secured && !self.options.osrtp.offer) || self.options.sdes.off {
            self.media(self.to, index).keys.sdes.offered.clear();
            self.end_srtp(self.to, index)?;
            return Ok(ToldKeys::NONE);
        }
        self.media(self.to, index).keys.dtls = Dtls::default();
        let before = core::mem::take(&mut self.media(self.to, index).keys.sdes.offered);
        let present = self.media(self.to, index).keys.sdes.in_force.clone().map(|pair| pair.ours);
        let mut offered: Vec<Crypto> = present.into_iter().collect();
        let free = |offered: &[Crypto]| (1..).find(|tag| offered.iter().all(|known| known.tag != *tag)).unwrap_or(1);
        for suite in suites(self.options, self.plan.env.allows_weak_srtp) {
            if offered.iter().any(|known| known.key.suite() == suite) {
                continue;
            }
            let tag = free(&offered);
            // An offer that is repeated before its answer has the same keys.
            let again = before.iter().find(|known| known.key.suite() == suite).cloned();
            offered.push(match again {
                Some(again) => Crypto { tag, ..again },
                None => own(tag, suite)?,
            });
        }
        if offered.is_empty() {
            let why = "the SDES flags leave no suite to offer; leave out some of no- and only-".to_owned();
            return Err(ApiError::new(ErrorCode::BadSrtp, why));
        }
        if secured && self.media(self.to, index).keys.sdes.in_force.is_none() {
            // Nothing in the clear to whoever is to speak SRTP, not even before it has answered.
            let party = self.name(self.to, index);
            self.plan.add(&Command::LegSrtp(LegSrtp::demanded(party)))?;
        }
        let told = offered.iter().map(|crypto| self.text(crypto)).collect();
        self.media(self.to, index).keys.sdes.offered = offered;
        Ok(ToldKeys::Own { crypto: told, dtls: None })
    }

    /// The answerer takes one of the keys that it was offered, and has one of its own for the same suite.
    pub(super) fn take_answered_keys(&mut self, index: usize, line: &Described) -> Result<(), ApiError> {
        let offered = self.media(self.from, index).keys.sdes.offered.clone();
        if offered.is_empty() {
            return self.end_srtp(self.from, index);
        }
        let pair = line.sdes.usable.iter().find_map(|theirs| {
            let same = |ours: &&Crypto| ours.tag == theirs.tag && ours.key.suite() == theirs.key.suite();
            let ours = offered.iter().find(same).filter(|_| self.is_acceptable(theirs))?;
            Some(Pair { ours: ours.clone(), theirs: theirs.clone() })
        });
        match pair {
            Some(pair) => self.put_in_force(self.from, index, pair),
            // RFC 8643 3: who does not take an opportunity has declined it.
            None if Keying::of(&line.protocol) == Keying::Plain && line.sdes.usable.is_empty() => {
                self.end_srtp(self.from, index)
            }
            None => Err(none_usable("the answer", line)),
        }
    }

    /// The offerer is told the key of ours that it is sent under, if it speaks SRTP.
    pub(super) fn answer_keys(&mut self, index: usize) -> ToldKeys {
        let pair = self.media(self.to, index).keys.sdes.in_force.clone();
        ToldKeys::Own { crypto: pair.iter().map(|pair| self.text(&pair.ours)).collect(), dtls: None }
    }

    fn put_in_force(&mut self, party: PartyId, index: usize, pair: Pair) -> Result<(), ApiError> {
        let sdes = &self.media(party, index).keys.sdes;
        if sdes.in_force.as_deref() != Some(&pair) {
            let name = self.name(party, index);
            let (receive, send) = (Some(self.text(&pair.theirs)), Some(self.text(&pair.ours)));
            self.plan.add(&Command::LegSrtp(LegSrtp { receive, send, ..LegSrtp::demanded(name) }))?;
            let keys = &mut self.media(party, index).keys;
            keys.sdes.in_force = Some(Box::new(pair));
            keys.dtls = Dtls::default();
        }
        Ok(())
    }

    /// The party speaks RTP, or what is relayed unread.
    pub(super) fn end_srtp(&mut self, party: PartyId, index: usize) -> Result<(), ApiError> {
        let name = self.name(party, index);
        let keys = &mut self.media(party, index).keys;
        keys.sdes.in_force = None;
        keys.dtls = Dtls::default();
        match self.plan.model.legs.named(&name) {
            Some(leg) if leg.srtp.is_some() => {
                self.plan.add(&Command::LegSrtp(LegSrtp { enabled: false, ..LegSrtp::demanded(name) }))
            }
            _ => Ok(()),
        }
    }

    fn is_acceptable(&self, crypto: &Crypto) -> bool {
        self.plan.env.allows_weak_srtp || is_good(crypto.key.suite(), crypto.protections)
    }

    fn text(&self, crypto: &Crypto) -> Secret {
        Secret::from(crypto.to_value(self.options.sdes.pad || !self.config.relay_unread).as_str())
    }
}

/// A key of ours under a tag.
fn own(tag: u32, suite: Suite) -> Result<Crypto, ApiError> {
    Ok(Crypto { tag, key: new_key(suite)?, mki: None, protections: Protections::ALL })
}

/// Suites to offer, in their order: what the flags leave of those that are good enough.
fn suites(options: &Options, allows_weak: bool) -> Vec<Suite> {
    let flags = &options.sdes;
    let named = |list: &[String], suite: Suite| list.iter().any(|name| name.parse() == Ok(suite));
    let mut suites: Vec<_> = Suite::ALL
        .into_iter()
        .filter(|suite| allows_weak || !suite.is_for_compatibility())
        .filter(|suite| if flags.only.is_empty() { !named(&flags.no, *suite) } else { named(&flags.only, *suite) })
        .collect();
    let place = |suite: &Suite| flags.order.iter().position(|name| name.parse() == Ok(*suite)).unwrap_or(usize::MAX);
    suites.sort_by_key(place);
    suites
}

fn none_usable(what: &str, line: &Described) -> ApiError {
    let faults: Vec<_> = line.sdes.faults.iter().map(ToString::to_string).collect();
    let faults = if faults.is_empty() { String::new() } else { format!(": {}", faults.join("; ")) };
    let why = format!("{what} has no a=crypto for {} that can be taken{faults}", line.protocol);
    ApiError::new(ErrorCode::BadSrtp, why)
}
