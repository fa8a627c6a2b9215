//! `[pivot]`: where SIP is spoken, with whom, and what becomes of calls and transfers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use patchcord_pivot::driver::Callee;
use patchcord_pivot::message::Transport;
use patchcord_pivot::webhook::Place;
use serde::{Deserialize, Serialize};

/// RTP of more seconds is a matter of `patchcord dump`.
const EVIDENCE_RTP_S_MAX: u32 = 60;
const EVIDENCE_RTP_MIB_MAX: u32 = 4096;

/// `[pivot]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pivot {
    pub(crate) listen: Vec<SipListen>,
    pub(crate) relay: String,
    pub(crate) relay_token: String,
    pub(crate) domains: Vec<String>,
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) ca: String,
    pub(crate) calls_max: u32,
    pub(crate) overload_ms: u32,
    pub(crate) one_worker: bool,
    pub(crate) ring_timeout_s: u32,
    pub(crate) leave_timeout_s: u32,
    pub(crate) ringback: String,
    pub(crate) trace_kib: u32,
    pub(crate) evidence_directory: String,
    pub(crate) evidence_mib: u32,
    pub(crate) evidence_rtp_s: u32,
    pub(crate) evidence_rtp_mib: u32,
    pub(crate) status_webhook: String,
    pub(crate) status_webhook_secret: String,
    pub(crate) status_webhook_timeout_ms: u32,
    pub(crate) status_webhook_states: bool,
    pub(crate) routes: Vec<Route>,
    pub(crate) trunks: BTreeMap<String, Trunk>,
}

/// `[pivot.trunks.NAME]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trunk {
    /// The host that its URIs have.
    pub(crate) domain: String,
    /// Where requests for it are sent, a SIP URI; empty: where its domain is.
    #[serde(default)]
    pub(crate) proxy: String,
    /// Whose requests are its own; empty: its domain's, if that is an address.
    #[serde(default)]
    pub(crate) addresses: Vec<Network>,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) realm: String,
    /// The pivot registers there under `username`.
    #[serde(default)]
    pub(crate) register: bool,
    /// Where, a SIP URI; empty: at the domain, by the proxy.
    #[serde(default)]
    pub(crate) registrar: String,
    /// For how long it asks.
    #[serde(default = "register_expires_s")]
    pub(crate) register_expires_s: u32,
    /// Its callers have to prove who they are.
    #[serde(default)]
    pub(crate) challenge: bool,
    /// Who they can be, with their passwords.
    #[serde(default)]
    pub(crate) users: BTreeMap<String, String>,
    #[serde(default = "yes")]
    pub(crate) transfers: bool,
    #[serde(default = "yes")]
    pub(crate) pstn_transfers: bool,
    /// Domains that its parties may have calls transferred to.
    #[serde(default)]
    pub(crate) foreign_domains: Vec<String>,
    /// Numbers that are refused beside 911, 933, 112 and 999.
    #[serde(default)]
    pub(crate) emergency: Vec<String>,
    #[serde(default)]
    pub(crate) caller_id: CallerId,
    #[serde(default)]
    pub(crate) refer: ReferMode,
    #[serde(default)]
    pub(crate) replaces: bool,
    /// What a transferee hears meanwhile: a named audio; empty: the relay's own hold audio.
    #[serde(default)]
    pub(crate) hold_audio: String,
    /// Header fields of INVITEs to it.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// How often one call may be transferred.
    #[serde(default = "transfers_max")]
    pub(crate) transfers_max: u32,
    #[serde(default)]
    pub(crate) srtp: Srtp,
    /// Keys of SRTP may be told in the clear.
    #[serde(default)]
    pub(crate) srtp_without_tls: bool,
    /// Who decides about REFERs where `refer` is `controller`: an http or https URL.
    #[serde(default)]
    pub(crate) webhook: String,
    /// What its requests are signed with; empty: they are not.
    #[serde(default)]
    pub(crate) webhook_secret: String,
    /// How long one try may take, and all of them together.
    #[serde(default = "webhook_timeout_ms")]
    pub(crate) webhook_timeout_ms: u32,
    #[serde(default = "webhook_deadline_ms")]
    pub(crate) webhook_deadline_ms: u32,
    /// Tries after the first.
    #[serde(default = "webhook_retries")]
    pub(crate) webhook_retries: u32,
    #[serde(default)]
    pub(crate) webhook_on_fail: WebhookOnFail,
}

/// An entry of `pivot.routes`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// The trunk that a call comes by.
    pub(crate) from: String,
    /// Whom it is for: the user part, `*` at its end stands for any.
    #[serde(default = "any")]
    pub(crate) number: String,
    /// Who answers: a SIP URI; its user part may have `{user}` and `{header:X-NAME}`. Only with a webhook can it be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<Callee>,
    /// The trunk that it goes by.
    pub(crate) by: String,
    /// From the telephone network, or to it.
    #[serde(default)]
    pub(crate) direction: Direction,
    /// Who is asked whom to call: an http or https URL. The other keys are as those of a trunk.
    #[serde(default)]
    pub(crate) webhook: String,
    #[serde(default)]
    pub(crate) webhook_secret: String,
    #[serde(default = "webhook_timeout_ms")]
    pub(crate) webhook_timeout_ms: u32,
    #[serde(default = "webhook_deadline_ms")]
    pub(crate) webhook_deadline_ms: u32,
    #[serde(default = "webhook_retries")]
    pub(crate) webhook_retries: u32,
}

/// `direction`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Direction {
    #[default]
    Origination,
    Termination,
}

/// `caller_id`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CallerId {
    #[default]
    Transferee,
    Transferor,
}

/// `refer`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReferMode {
    #[default]
    Pivot,
    Forward,
    Controller,
}

/// `webhook_on_fail`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WebhookOnFail {
    #[default]
    Refuse,
    Pivot,
}

/// `srtp`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Srtp {
    /// RTP is offered.
    #[default]
    Off,
    /// SRTP is offered, with keys by SDP (RFC 4568).
    Sdes,
}

const fn yes() -> bool {
    true
}

const fn transfers_max() -> u32 {
    16
}

const fn webhook_timeout_ms() -> u32 {
    2000
}

const fn webhook_deadline_ms() -> u32 {
    5000
}

const fn webhook_retries() -> u32 {
    2
}

const fn register_expires_s() -> u32 {
    300
}

fn any() -> String {
    "*".to_owned()
}

/// An entry of `pivot.listen`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SipListen {
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
    /// What others are told; port 0: that of the listener.
    pub(crate) advertised: Option<(String, u16)>,
}

impl FromStr for SipListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |what: &str| {
            format!("pivot.listen `{text}`: {what}; it is written [udp:|tcp:|tls:|ws:|wss:]IP:PORT[!HOST[:PORT]]")
        };
        let (place, advertised) = text.split_once('!').map_or((text, None), |(place, host)| (place, Some(host)));
        let named =
            |transport: Transport| Some((transport, place.strip_prefix(transport.as_str())?.strip_prefix(':')?));
        let (transport, rest) = Transport::ALL.into_iter().find_map(named).unwrap_or((Transport::Udp, place));
        let address = rest.parse().map_err(|_| bad(&format!("`{rest}` is not IP:PORT")))?;
        let advertised = match advertised.map(|told| (told, told.rsplit_once(':'))) {
            Some((_, Some((host, port)))) if !port.ends_with(']') => {
                let port = port.parse().map_err(|_| bad(&format!("`{port}` is no port")))?;
                Some((host.to_owned(), port))
            }
            Some((told, _)) => Some((told.to_owned(), 0)),
            None => None,
        };
        if advertised.as_ref().is_some_and(|(host, _)| host.is_empty()) {
            return Err(bad("there is no host behind `!`"));
        }
        Ok(Self { transport, address, advertised })
    }
}

impl fmt::Display for SipListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.as_str(), self.address)?;
        match &self.advertised {
            None => Ok(()),
            Some((host, 0)) => write!(f, "!{host}"),
            Some((host, port)) => write!(f, "!{host}:{port}"),
        }
    }
}

impl TryFrom<String> for SipListen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SipListen> for String {
    fn from(listen: SipListen) -> Self {
        listen.to_string()
    }
}

/// Addresses: `192.0.2.0/24`, `2001:db8::7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Network {
    pub(crate) address: IpAddr,
    pub(crate) prefix_len: u8,
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad = || format!("`{text}` is no network: it is written 192.0.2.0/24, 192.0.2.7 or 2001:db8::/32");
        let (address, len) = text.split_once('/').map_or((text.as_str(), None), |(address, len)| (address, Some(len)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_len = len.map_or(Ok(most), |len| len.parse().map_err(|_| bad()))?;
        if prefix_len > most { Err(bad()) } else { Ok(Self { address, prefix_len }) }
    }
}

impl From<Network> for String {
    fn from(Network { address, prefix_len }: Network) -> Self {
        format!("{address}/{prefix_len}")
    }
}

impl Pivot {
    /// What no single value shows to be wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let known = || self.trunks.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        for (index, route) in self.routes.iter().enumerate() {
            for (key, name) in [("from", &route.from), ("by", &route.by)] {
                if !self.trunks.contains_key(name) {
                    let known = known();
                    return Err(format!(
                        "`pivot.routes` entry {index}: `{key}` is {name:?}; there are the trunks: {known}"
                    ));
                }
            }
        }
        for (name, trunk) in &self.trunks {
            if trunk.domain.is_empty() {
                return Err(format!("`pivot.trunks.{name}.domain` is empty: give the host that its URIs have"));
            }
            if !trunk.proxy.is_empty() && !trunk.proxy.starts_with("sip:") && !trunk.proxy.starts_with("sips:") {
                let proxy = &trunk.proxy;
                return Err(format!(
                    "`pivot.trunks.{name}.proxy` is {proxy:?}: it is a SIP URI such as sip:192.0.2.7:5060"
                ));
            }
            let tls = trunk.proxy.starts_with("sips:") || trunk.proxy.contains("transport=tls");
            if trunk.srtp == Srtp::Sdes && !tls && !trunk.srtp_without_tls {
                return Err(format!(
                    "`pivot.trunks.{name}.srtp` is \"sdes\" and its `proxy` is not reached by TLS: whoever reads the signalling reads the \
                     keys. Use a proxy with ;transport=tls, or set srtp_without_tls = true"
                ));
            }
        }
        self.check_relay()?;
        if self.overload_ms > 10_000 {
            return Err(format!("`pivot.overload_ms` is {}: 10000 at most, 0 for never", self.overload_ms));
        }
        if !self.evidence_directory.is_empty() && self.evidence_mib == 0 {
            return Err(
                "`pivot.evidence_directory` is set and `pivot.evidence_mib` is 0: give room for a bundle".to_owned()
            );
        }
        self.check_rtp()?;
        self.check_webhooks()?;
        self.check_accounts()?;
        let secure = self.listen.iter().find(|listen| listen.transport.is_secure());
        if let Some(listen) = secure.filter(|_| self.certificate.is_empty() || self.key.is_empty()) {
            return Err(format!("`pivot.listen` has {listen}: set `pivot.certificate` and `pivot.key`, PEM files"));
        }
        Ok(())
    }

    fn check_rtp(&self) -> Result<(), String> {
        if self.evidence_rtp_s > EVIDENCE_RTP_S_MAX {
            let given = self.evidence_rtp_s;
            return Err(format!("`pivot.evidence_rtp_s` is {given}: {EVIDENCE_RTP_S_MAX} at most"));
        }
        if self.evidence_rtp_s > 0 && !(1..=EVIDENCE_RTP_MIB_MAX).contains(&self.evidence_rtp_mib) {
            let given = self.evidence_rtp_mib;
            return Err(format!("`pivot.evidence_rtp_mib` is {given}: give 1 to {EVIDENCE_RTP_MIB_MAX}"));
        }
        Ok(())
    }

    fn check_relay(&self) -> Result<(), String> {
        if self.relay.is_empty() {
            return if self.relay_token.is_empty() {
                Ok(())
            } else {
                Err("`pivot.relay_token` has no effect without `pivot.relay`".to_owned())
            };
        }
        let place: Place = self.relay.parse().map_err(|error| format!("`pivot.relay`: {error}"))?;
        if place.has_query() {
            return Err(format!("`pivot.relay` is {place}: leave out what begins with `?`"));
        }
        if !self.relay_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("`pivot.relay_token` has characters that no header field can carry".to_owned());
        }
        Ok(())
    }

    /// A path, if there is one.
    pub(crate) fn path(text: &str) -> Option<PathBuf> {
        (!text.is_empty()).then(|| PathBuf::from(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_and_written() {
        for (text, written) in [
            ("192.0.2.1:5060", "udp:192.0.2.1:5060"),
            ("tls:[2001:db8::1]:5061!sip.example.com", "tls:[2001:db8::1]:5061!sip.example.com"),
            ("wss:0.0.0.0:443!sip.example.com:8443", "wss:0.0.0.0:443!sip.example.com:8443"),
            ("tcp:0.0.0.0:5060![2001:db8::2]", "tcp:0.0.0.0:5060![2001:db8::2]"),
        ] {
            assert_eq!(text.parse::<SipListen>().expect(text).to_string(), written);
        }
        for text in ["sctp:192.0.2.1:5060", "192.0.2.1", "192.0.2.1:5060!", "192.0.2.1:5060!host:port"] {
            let error = text.parse::<SipListen>().expect_err(text);
            assert!(error.contains("it is written"), "{error}");
        }
    }

    #[test]
    fn networks_have_as_many_bits_as_their_family() {
        let network = |text: &str| Network::try_from(text.to_owned());
        assert_eq!(String::from(network("192.0.2.7").expect("an address")), "192.0.2.7/32");
        assert_eq!(String::from(network("2001:db8::/32").expect("a network")), "2001:db8::/32");
        assert!(network("192.0.2.0/33").is_err() && network("x/3").is_err());
    }
}
