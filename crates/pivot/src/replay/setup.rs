//! The settings of the pivot that a call ran by, as far as they decide what it does: part of a bundle, so that a pivot can be set up like
//! it. Never a secret: of credentials it says that there were some.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::call::billing::Direction;
use crate::call::number::Emergency;
use crate::call::trunk::{CallerId, ReferMode};
use crate::driver::{CallTrace, Settings, TrunkSettings};

/// The settings that mattered for one call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Who wrote it: the version of Patchcord.
    pub version: String,
    /// For how long a target may ring, milliseconds.
    pub ring_timeout_ms: u64,
    /// How long a transferor has for its BYE, milliseconds.
    pub leave_timeout_ms: u64,
    /// The country whose ringing tone a transferee hears, if any.
    pub ringback: Option<String>,
    /// Whether its calls are kept on one worker.
    pub one_worker: bool,
    /// Where calls of these trunks go.
    pub routes: Vec<SetupRoute>,
    /// The trunks that the call had to do with, by their names.
    pub trunks: BTreeMap<String, SetupTrunk>,
}

/// Where a call goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupRoute {
    /// The trunk that it comes by.
    pub from: String,
    /// The user part that it is for.
    pub number: String,
    /// Who answers: a SIP URI; empty where a webhook was asked alone.
    pub to: String,
    /// The trunk that it goes by.
    pub by: String,
    /// `origination` or `termination`; bundles from before there was a choice have none.
    #[serde(default = "origination")]
    pub direction: String,
}

fn origination() -> String {
    Direction::Origination.as_str().to_owned()
}

/// A trunk, without what is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupTrunk {
    /// The host that its URIs have.
    pub domain: String,
    /// Where its requests are sent, a SIP URI without a user; none: where the domain is.
    pub proxy: Option<String>,
    /// The host that numbers are dialled at.
    pub numbers_at: String,
    /// Networks whose requests are its own: `203.0.113.0/24`.
    pub addresses: Vec<String>,
    /// Challenges are answered with credentials.
    pub has_credentials: bool,
    /// Its callers are challenged.
    pub challenges: bool,
    /// The pivot is registered there.
    pub registers: bool,
    /// Its parties may transfer.
    pub transfers: bool,
    /// They may transfer to numbers.
    pub pstn_transfers: bool,
    /// Domains outside that they may transfer to.
    pub foreign_domains: Vec<String>,
    /// Numbers that are refused beside those that always are.
    pub emergency: Vec<String>,
    /// `transferee` or `transferor`.
    pub caller_id: String,
    /// `pivot`, `forward` or `controller`.
    pub refer: String,
    /// An INVITE may replace a dialog.
    pub replaces: bool,
    /// How often one call may be transferred.
    pub transfers_max: u32,
    /// SRTP is offered.
    pub srtp: bool,
}

impl Setup {
    /// What mattered for a call: its trunks, `named` and those whose addresses are in the trace. Other trunks are nobody's business.
    #[must_use]
    pub fn of(settings: &Settings, named: &[Arc<str>], trace: Option<&CallTrace>) -> Self {
        let remotes: BTreeSet<_> =
            trace.iter().flat_map(|trace| &trace.messages).map(|message| message.remote.ip()).collect();
        let matters = |name: &Arc<str>, trunk: &TrunkSettings| {
            let has_address = !trunk.trunk.addresses.is_empty();
            named.contains(name) || (has_address && remotes.iter().any(|ip| trunk.trunk.takes(*ip)))
        };
        let trunks: BTreeMap<String, SetupTrunk> = settings
            .trunks
            .iter()
            .filter(|(name, trunk)| matters(name, trunk))
            .map(|(name, trunk)| (name.to_string(), SetupTrunk::of(trunk)))
            .collect();
        let ms = |time: core::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let routes = settings.routes.iter().map(|route| SetupRoute {
            from: route.from.to_string(),
            number: route.number.to_string(),
            to: route.to.as_ref().map(|to| without_password(&to.to_string())).unwrap_or_default(),
            by: route.by.to_string(),
            direction: route.direction.as_str().to_owned(),
        });
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ring_timeout_ms: ms(settings.timing.ring),
            leave_timeout_ms: ms(settings.timing.grace),
            ringback: settings.ringback.clone(),
            one_worker: settings.one_worker,
            routes: routes.filter(|route| trunks.contains_key(&route.from) && trunks.contains_key(&route.by)).collect(),
            trunks,
        }
    }
}

impl SetupTrunk {
    fn of(settings: &TrunkSettings) -> Self {
        let trunk = &settings.trunk;
        let usual = Emergency::default();
        let texts = |texts: &[Box<str>]| texts.iter().map(ToString::to_string).collect();
        Self {
            domain: trunk.own_domains.first().map(ToString::to_string).unwrap_or_default(),
            proxy: settings.proxy.as_deref().map(without_user),
            numbers_at: trunk.numbers_at.to_string(),
            addresses: trunk.addresses.iter().map(|(address, len)| format!("{address}/{len}")).collect(),
            has_credentials: settings.credentials.is_some(),
            challenges: settings.users.is_some(),
            registers: settings.registration.is_some(),
            transfers: trunk.transfers,
            pstn_transfers: trunk.pstn_transfers,
            foreign_domains: texts(&trunk.foreign_domains),
            emergency: trunk
                .emergency
                .numbers
                .iter()
                .filter(|number| !usual.numbers.contains(number))
                .map(ToString::to_string)
                .collect(),
            caller_id: match trunk.caller_id {
                CallerId::Transferee => "transferee",
                CallerId::Transferor => "transferor",
            }
            .to_owned(),
            refer: match trunk.refer {
                ReferMode::Pivot => "pivot",
                ReferMode::Forward => "forward",
                ReferMode::Controller => "controller",
            }
            .to_owned(),
            replaces: trunk.replaces,
            transfers_max: trunk.transfers_max,
            srtp: settings.is_secure,
        }
    }
}

/// `sip:user:password@host` has a secret (RFC 3261 19.1.1).
fn without_password(uri: &str) -> String {
    let Some((user, host)) = uri.rsplit_once('@') else { return uri.to_owned() };
    let Some((scheme, user)) = user.split_once(':') else { return uri.to_owned() };
    format!("{scheme}:{}@{host}", user.split(':').next().unwrap_or(user))
}

fn without_user(uri: &str) -> String {
    match (uri.split_once(':'), uri.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}:{host}"),
        _ => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_stay_where_they_are() {
        assert_eq!(without_password("sip:a:hush@h.example:5070;x=1"), "sip:a@h.example:5070;x=1");
        assert_eq!(without_password("sip:a@h.example"), "sip:a@h.example");
        assert_eq!(without_password("sip:h.example:5060"), "sip:h.example:5060");
        assert_eq!(without_user("sip:a:hush@h.example:5070"), "sip:h.example:5070");
        assert_eq!(without_user("sip:h.example"), "sip:h.example");
    }
}
