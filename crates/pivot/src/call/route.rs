//! Where a target is dialled, and what forbids it.

use std::sync::Arc;

use super::number::Number;
use super::sipfrag::status;
use super::trunk::Trunk;
use super::uri::{Scheme, Uri};
use crate::message::Status;

/// By which way an INVITE goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// By this trunk, with its proxy, credentials and transport.
    Trunk(Arc<str>),
    /// Straight to the host of the request URI.
    Direct,
}

/// What kind of target, for whoever bills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A number of the telephone network.
    Pstn,
    /// A SIP destination.
    Sip,
}

/// Where a target is dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// By which way.
    pub via: Via,
    /// A SIP or SIPS URI.
    pub request_uri: Box<str>,
    /// Number or SIP.
    pub kind: TargetKind,
}

/// Why a transfer is refused by the pivot itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// Not of one of the trunk's addresses.
    Unauthorised,
    /// The trunk's parties may not transfer.
    TransfersOff,
    /// Not to the telephone network.
    PstnOff,
    /// A number for emergencies.
    Emergency,
    /// A domain that the trunk does not list.
    ForeignDomain,
    /// The pivot itself.
    Loop,
    /// The call has been transferred as often as is allowed.
    TooManyTransfers,
    /// A transfer is going on.
    InTransfer,
    /// There is nobody to be transferred.
    NotConnected,
    /// The request cannot be understood.
    Malformed,
    /// The other side takes no REFER.
    NoRefer,
    /// The controller refused.
    Controller,
    /// The controller did not answer in time.
    ControllerSlow,
    /// The dialog of `Replaces` is not to be had.
    Replaces,
}

impl Rule {
    /// Its name on records and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorised => "unauthorised",
            Self::TransfersOff => "transfers-off",
            Self::PstnOff => "pstn-transfers-off",
            Self::Emergency => "emergency-number",
            Self::ForeignDomain => "foreign-domain",
            Self::Loop => "loop",
            Self::TooManyTransfers => "too-many-transfers",
            Self::InTransfer => "in-transfer",
            Self::NotConnected => "not-connected",
            Self::Malformed => "malformed",
            Self::NoRefer => "no-refer",
            Self::Controller => "controller",
            Self::ControllerSlow => "controller-slow",
            Self::Replaces => "replaces",
        }
    }

    /// What a REFER is refused with.
    #[must_use]
    pub fn status(self) -> Status {
        status(match self {
            Self::Unauthorised | Self::PstnOff | Self::Emergency | Self::ForeignDomain => 403,
            Self::Loop => 482,
            Self::TooManyTransfers => 483,
            Self::InTransfer => 491,
            Self::NotConnected | Self::ControllerSlow => 480,
            Self::Malformed => 400,
            Self::Replaces => 481,
            Self::TransfersOff | Self::NoRefer | Self::Controller => 603,
        })
    }
}

/// Where a target is dialled that a party of the trunk `by` asks for; numbers go by the trunk `numbers`.
///
/// # Errors
/// The rule that forbids it.
pub fn route(target: &Uri, by: &Trunk, numbers: &Trunk) -> Result<Routed, Rule> {
    let user = target.user.as_deref().unwrap_or_default();
    if [by, numbers].iter().any(|trunk| trunk.emergency.is_reached_by(user)) {
        return Err(Rule::Emergency);
    }
    let is_own = target.scheme != Scheme::Tel && (by.owns(&target.host) || numbers.owns(&target.host));
    if let Some(number) = Number::of(user).filter(|_| is_own || target.scheme == Scheme::Tel) {
        if !by.pstn_transfers || !numbers.pstn_transfers {
            return Err(Rule::PstnOff);
        }
        let scheme = if target.scheme == Scheme::Sips { Scheme::Sips } else { Scheme::Sip };
        // RFC 3261 19.1.6: parameters of a tel URI become part of the user. A global number needs none.
        let context = context(target).filter(|_| !number.as_str().starts_with('+'));
        let context = context.map(|context| format!(";phone-context={context}")).unwrap_or_default();
        let number = number.as_str().replace('#', "%23");
        let request_uri = format!("{}:{number}{context}@{};user=phone", scheme.as_str(), numbers.numbers_at);
        return Ok(Routed {
            via: Via::Trunk(Arc::clone(&numbers.name)),
            request_uri: request_uri.into(),
            kind: TargetKind::Pstn,
        });
    }
    if target.scheme == Scheme::Tel {
        // Hexadecimal digits: a number that no telephone network has.
        return Err(Rule::Malformed);
    }
    if by.is_ourselves(&target.host, target.port) || numbers.is_ourselves(&target.host, target.port) {
        return Err(Rule::Loop);
    }
    // The request would go to another host than the one that was judged.
    if target.param("maddr").is_some() {
        return Err(Rule::ForeignDomain);
    }
    let via = match (is_own, by.allows(&target.host)) {
        (true, _) => Via::Trunk(Arc::clone(&by.name)),
        (false, true) => Via::Direct,
        (false, false) => return Err(Rule::ForeignDomain),
    };
    let mut uri = target.clone();
    uri.headers.clear();
    uri.params.retain(|(name, _)| !["lr", "ttl"].iter().any(|param| name.eq_ignore_ascii_case(param)));
    Ok(Routed { via, request_uri: uri.to_string().into(), kind: TargetKind::Sip })
}

/// `phone-context` of a local number, if it can stand in a user part.
fn context(target: &Uri) -> Option<&str> {
    let in_user = || {
        let params = target.user.as_deref().unwrap_or_default().split(';').skip(1);
        params.filter_map(|param| param.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("phone-context"))
    };
    let context = target.param("phone-context").or_else(|| in_user().map(|(_, value)| value))?;
    let is_plain = context.chars().all(|char| char.is_ascii_alphanumeric() || "+-.".contains(char));
    (is_plain && !context.is_empty()).then_some(context)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trunk() -> Trunk {
        let mut trunk = Trunk::new("carrier", "carrier.example");
        trunk.numbers_at = "gw.carrier.example:5070".into();
        trunk.ourselves = ["pivot.example".into()].into();
        trunk.foreign_domains = ["desk.example".into()].into();
        trunk
    }

    fn routed(target: &str, trunk: &Trunk) -> Result<(Via, String), Rule> {
        let routed = route(&target.parse().expect("a URI"), trunk, trunk)?;
        Ok((routed.via, routed.request_uri.into()))
    }

    #[test]
    fn numbers_go_by_the_trunk_and_tel_is_never_put_behind_sip() {
        let trunk = trunk();
        for (target, uri) in [
            ("tel:+1-555-010", "sip:+1555010@gw.carrier.example:5070;user=phone"),
            ("sip:+1555010@Carrier.example", "sip:+1555010@gw.carrier.example:5070;user=phone"),
            ("sips:%2B1555@carrier.example", "sips:+1555@gw.carrier.example:5070;user=phone"),
            ("tel:7042;phone-context=+1-555", "sip:7042;phone-context=+1-555@gw.carrier.example:5070;user=phone"),
            ("tel:*21#", "sip:*21%23@gw.carrier.example:5070;user=phone"),
        ] {
            assert_eq!(routed(target, &trunk), Ok((Via::Trunk("carrier".into()), uri.into())), "{target}");
        }
        let desk = "sip:alice@desk.example:5080;transport=tcp".to_owned();
        assert_eq!(routed("sip:alice@DESK.example:5080;transport=tcp;lr", &trunk), Ok((Via::Direct, desk)));
        let own = (Via::Trunk("carrier".into()), "sip:alice@carrier.example".into());
        assert_eq!(routed("sip:alice@carrier.example", &trunk), Ok(own));
    }

    #[test]
    fn what_is_forbidden_is_forbidden_by_name() {
        let trunk = trunk();
        for (target, rule) in [
            ("tel:9-1-1", Rule::Emergency),
            ("tel:911;phone-context=+1", Rule::Emergency),
            ("sip:911@carrier.example", Rule::Emergency),
            ("sip:%39%31%31@desk.example", Rule::Emergency),
            ("sip:9911;x=y@evil.example", Rule::Emergency),
            ("sip:+1555@evil.example", Rule::ForeignDomain),
            ("sip:alice@desk.example;maddr=evil.example", Rule::ForeignDomain),
            ("sip:agent@pivot.example", Rule::Loop),
            ("tel:123abc", Rule::Malformed),
        ] {
            assert_eq!(routed(target, &trunk), Err(rule), "{target}");
        }
        let no_pstn = Trunk { pstn_transfers: false, ..trunk };
        assert_eq!(routed("tel:+1555", &no_pstn), Err(Rule::PstnOff));
        assert!(routed("sip:alice@desk.example", &no_pstn).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_routed_can_be_dialled_and_is_no_emergency(
            target in "(sips?:|tel:)[+0-9a-c%;#*()-]{0,12}(@(carrier|desk|pivot|evil)[.]example)?(;[a-z=.]{0,8})?"
        ) {
            let (Ok(target), trunk) = (target.parse::<Uri>(), trunk()) else { return Ok(()) };
            let Ok(routed) = route(&target, &trunk, &trunk) else { return Ok(()) };
            let uri: Uri = routed.request_uri.parse().expect("a URI that can be dialled");
            prop_assert!(uri.scheme != Scheme::Tel);
            prop_assert!(!trunk.emergency.is_reached_by(uri.user.as_deref().unwrap_or_default()));
            prop_assert!(!routed.request_uri.contains("tel:"));
            prop_assert!(["gw.carrier.example", "carrier.example", "desk.example"].contains(&&*uri.host));
        }
    }
}
