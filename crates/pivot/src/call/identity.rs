//! Whom a transfer target is shown as its caller, and which header fields it gets.

use super::number::Number;
use super::refer_to::is_extra;
use super::trunk::{CallerId, Trunk};
use super::uri::Uri;
use crate::message::{Address, Header};

/// An INVITE has no more header fields of the customer's own.
const MOST_EXTRA: usize = 32;
/// None of them is longer.
const LONGEST: usize = 1024;

/// From and `P-Asserted-Identity` (RFC 3325).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// From.
    pub from: Address,
    /// Who the caller is known to be; nothing for whoever wants to stay unknown.
    pub asserted: Option<Address>,
}

impl Identity {
    /// Who calls the target. On a trunk a number is shown as one of the trunk's own domain: carriers refuse foreign hosts.
    #[must_use]
    pub fn of(mode: CallerId, transferee: &Address, transferor: &Address, by: Option<&Trunk>) -> Self {
        Self::given(if mode == CallerId::Transferee { transferee } else { transferor }, by)
    }

    /// The same for an address that somebody has chosen.
    #[must_use]
    pub fn given(address: &Address, by: Option<&Trunk>) -> Self {
        let from = at_home(address, by);
        let is_unknown = from.uri.to_ascii_lowercase().contains("anonymous");
        Self { asserted: (!is_unknown).then(|| from.clone()), from }
    }
}

fn at_home(address: &Address, by: Option<&Trunk>) -> Address {
    let display = address.display.chars().filter(|char| !char.is_control()).take(128).collect::<String>().into();
    let kept = Address { display, uri: address.uri.clone() };
    let Some(domain) = by.and_then(|trunk| trunk.own_domains.first()) else { return kept };
    let Ok(uri) = address.uri.parse::<Uri>() else { return kept };
    let Some(number) = uri.user.as_deref().and_then(Number::of) else { return kept };
    let number = number.as_str().replace('#', "%23");
    Address { uri: format!("sip:{number}@{domain};user=phone").into(), ..kept }
}

/// The header fields of a target's INVITE: the trunk's, then those of the request, which do not replace the trunk's.
#[must_use]
pub fn headers(trunk: &[Header], request: &[Header], referred_by: Option<&str>) -> Vec<Header> {
    let mut headers: Vec<Header> = trunk.to_vec();
    for header in request.iter().filter(|header| is_extra(&header.name) && is_value(&header.value)) {
        let is_there = headers.iter().any(|known| known.name.eq_ignore_ascii_case(&header.name));
        if !is_there && headers.len() < MOST_EXTRA {
            headers.push(header.clone());
        }
    }
    if let Some(value) = referred_by.filter(|value| is_value(value)) {
        headers.push(Header { name: "Referred-By".into(), value: value.into() });
    }
    headers
}

fn is_value(value: &str) -> bool {
    value.len() <= LONGEST && !value.chars().any(|char| char.is_control() && char != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(uri: &str) -> Address {
        Address { display: "Alice".into(), uri: uri.into() }
    }

    fn header(name: &str, value: &str) -> Header {
        Header { name: name.into(), value: value.into() }
    }

    #[test]
    fn the_caller_is_the_transferee_unless_told_otherwise() {
        let (transferee, transferor) = (address("sip:+1555@far.example"), address("sip:agent@platform.example"));
        let trunk = Trunk::new("carrier", "carrier.example");
        let shown = Identity::of(CallerId::Transferee, &transferee, &transferor, Some(&trunk));
        assert_eq!(shown.from, address("sip:+1555@carrier.example;user=phone"));
        assert_eq!(shown.asserted, Some(shown.from));
        let shown = Identity::of(CallerId::Transferor, &transferee, &transferor, Some(&trunk));
        assert_eq!(shown.from, transferor, "a name is not moved to another domain");
        assert_eq!(Identity::of(CallerId::Transferee, &transferee, &transferor, None).from, transferee);
        let unknown = address("sip:anonymous@anonymous.invalid");
        assert_eq!(Identity::given(&unknown, Some(&trunk)), Identity { from: unknown, asserted: None });
    }

    #[test]
    fn only_the_customers_own_fields_pass_and_none_is_doubled() {
        let request = [
            header("x-case", "7"),
            header("Route", "evil"),
            header("X-A", "a\r\nRoute: evil"),
            header("X-Case", "8"),
            header("X-", ""),
        ];
        let made = headers(&[header("X-Trunk", "t")], &request, Some("<sip:agent@platform.example>"));
        assert_eq!(
            made,
            [header("X-Trunk", "t"), header("x-case", "7"), header("Referred-By", "<sip:agent@platform.example>")]
        );
        assert_eq!(headers(&[], &[], Some("a\nb")), []);
    }
}
