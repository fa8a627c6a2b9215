//! SRTP with keys agreed on by DTLS (RFC 5763) in offers and answers: the relay is a party's peer, with a certificate of its own.
//!
//! Who is offered an association chooses who begins it. Both keep their parts over further offers, and the association stays until
//! the party's fingerprint or `tls-id` is another one (RFC 8842 5).

use patchcord_ng::options::Dtls as Wish;
use patchcord_sdp::{Media, Sdp};

use super::keying::ToldKeys;
use super::media::{Described, Exchange};
use super::session::PartyId;
use crate::api::{Command, DtlsRemote, LegDtls, LegSrtp};
use crate::call::Draft;
use crate::error::{ApiError, ErrorCode};

/// DTLS, as far as a party and the relay have agreed on it.
#[derive(Clone, Debug, Default)]
pub(super) struct Dtls {
    /// What the party's latest SDP says, if it speaks DTLS.
    pub(super) said: Option<DtlsRemote>,
    /// The party was offered it.
    pub(super) offered: bool,
    /// Which part the relay is to take in its answer to the party.
    wish: Option<Wish>,
}

/// What a line, or the session for all lines, says of DTLS. Without a fingerprint there is none (RFC 5763 5).
pub(super) fn described(sdp: &Sdp, media: &Media) -> Option<DtlsRemote> {
    let of = |attributes: &[(String, String)]| -> Vec<String> {
        let named = attributes.iter().filter(|(name, _)| name == "fingerprint");
        named.map(|(_, value)| value.clone()).collect()
    };
    let own = of(&media.attributes);
    let fingerprints = if own.is_empty() { of(&sdp.session().attributes) } else { own };
    let setup = media.attribute("setup").or_else(|| sdp.session().attribute_value("setup"));
    // What cannot be a name names nothing.
    let tls_id = media.attribute("tls-id").filter(|name| name.parse::<patchcord_dtls::TlsId>().is_ok());
    (!fingerprints.is_empty()).then(|| DtlsRemote {
        setup: setup.map(str::to_owned),
        fingerprints,
        tls_id: tls_id.map(str::to_owned),
    })
}

impl Exchange<'_, '_> {
    /// The sender speaks DTLS: what its certificate is to be is known, and who begins will be when it is answered.
    pub(super) fn take_offered_dtls(&mut self, index: usize, line: &Described) -> Result<(), ApiError> {
        let said = line.dtls.clone().ok_or_else(|| without_fingerprint("the offer", line))?;
        let wish = self.options.dtls_reverse;
        let keys = &mut self.media(self.from, index).keys;
        keys.sdes.forget();
        keys.dtls = Dtls { said: Some(said), offered: false, wish };
        let party = self.name(self.from, index);
        match self.plan.model.legs.named(&party) {
            // Nothing in the clear to whoever speaks SRTP, not even before it is answered.
            Some(leg) if leg.dtls.is_none() => self.plan.add(&Command::LegSrtp(LegSrtp::demanded(party))),
            _ => Ok(()),
        }
    }

    /// The receiver is offered an association, or the one that it has.
    pub(super) fn offer_dtls(&mut self, index: usize, towards: &str) -> Result<ToldKeys, ApiError> {
        if self.options.dtls == Some(Wish::Off) {
            let why = format!("{towards} needs DTLS, and the flags turn it off; leave out DTLS=off");
            return Err(ApiError::new(ErrorCode::BadSrtp, why));
        }
        let wish = self.options.dtls;
        let keys = &mut self.media(self.to, index).keys;
        keys.sdes.forget();
        // The choice is the party's; what is wished counts where it leaves it to us.
        keys.dtls = Dtls { said: None, offered: true, wish };
        self.tell_dtls(self.to, index, None, None)
    }

    /// The answerer says who it is, and who begins.
    pub(super) fn take_answered_dtls(&mut self, index: usize, line: &Described) -> Result<(), ApiError> {
        let said = line.dtls.clone().ok_or_else(|| without_fingerprint("the answer", line))?;
        let dtls = &mut self.media(self.from, index).keys.dtls;
        dtls.said = Some(said.clone());
        let wish = dtls.wish;
        self.tell_dtls(self.from, index, wish, Some(said)).map(drop)
    }

    /// The offerer is told the same of us.
    pub(super) fn answer_dtls(&mut self, index: usize) -> Result<ToldKeys, ApiError> {
        let Dtls { said, wish, .. } = self.media(self.to, index).keys.dtls.clone();
        self.tell_dtls(self.to, index, self.options.dtls.or(wish), said)
    }

    fn tell_dtls(
        &mut self,
        party: PartyId,
        index: usize,
        wish: Option<Wish>,
        remote: Option<DtlsRemote>,
    ) -> Result<ToldKeys, ApiError> {
        let offers_choice = remote.as_ref().is_some_and(|remote| remote.setup.as_deref() == Some("actpass"));
        // Where the party has chosen its part, ours is the other one, whatever is wished.
        let setup = wish.filter(|_| offers_choice).and_then(|wish| match wish {
            Wish::Active => Some("active".to_owned()),
            Wish::Passive => Some("passive".to_owned()),
            Wish::Off => None,
        });
        let (party, hash) = (self.name(party, index), self.options.dtls_fingerprint.clone());
        self.plan.add(&Command::LegDtls(LegDtls { party, enabled: true, setup, hash, remote, restart: false }))?;
        let Some(Draft::Dtls(done)) = self.plan.drafts.last() else {
            unreachable!("the draft of DTLS that was planned says so");
        };
        let (setup, fingerprint, tls_id) = (done.setup.clone(), done.fingerprint.clone(), done.tls_id.clone());
        Ok(ToldKeys::Own { crypto: Vec::new(), dtls: Some(patchcord_sdp::Dtls { setup, fingerprint, tls_id }) })
    }
}

fn without_fingerprint(what: &str, line: &Described) -> ApiError {
    let why = format!("{what} has no a=fingerprint for {}: without it nobody knows whose keys they are", line.protocol);
    ApiError::new(ErrorCode::BadSrtp, why)
}
