//! What the trunk answers to OPTIONS (RFC 3261 11), and what can be known of SRTP without a call.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use patchcord_pivot::message::Transport;
use patchcord_pivot::sip::probe::{Answer, Kind, Outcome, Probe};
use tokio::net::UdpSocket;

use super::Subject;
use super::place::Place;
use super::words::{NOT_TRIED, ms};
use crate::config::pivot::Srtp;
use crate::doctor::Finding;

/// How long a host may take to say that nobody listens at a port.
const REFUSAL: Duration = Duration::from_millis(250);

impl Subject<'_> {
    /// Asks, and judges the answers.
    pub(super) async fn speak(&self, is_reachable: bool, places: &[Place]) -> Vec<Finding> {
        const CHECK: &str = "OPTIONS";
        if !is_reachable {
            let cause = "nothing can be asked of whom nothing can be sent to, and no credentials are sent to whom nobody vouches for";
            let untried = Finding::warn(CHECK, NOT_TRIED, cause, "mend what has failed above, and run this again");
            let elsewhere = if self.config.registrar.is_empty() { None } else { self.registered().await };
            return core::iter::once(untried).chain(elsewhere).collect();
        }
        let probe = Probe {
            kind: Kind::Options,
            uri: format!("sip:{}", self.trunk.trunk.numbers_at).into(),
            proxy: Some(self.uri().into()),
            from: self.aor().into(),
            credentials: self.trunk.credentials.clone(),
            patience: self.patience,
        };
        let mut findings = Vec::new();
        match self.stack.probe(&probe).await {
            Outcome::Unreachable(why) => findings.push(Finding::fail(
                CHECK,
                format!("it cannot be sent to {}: {why}", self.uri()),
                "calls and transfers by the trunk fail with 503",
                "correct the host, port and transport of `proxy`; `pivot.listen` needs an address of the same family",
            )),
            Outcome::Silence => findings.push(self.silent(places).await),
            Outcome::Answer(answer) => {
                findings.push(self.alive(&answer));
                findings.extend(methods(&answer));
                if self.trunk.registration.is_none() {
                    findings.push(self.account(&answer));
                }
            }
        }
        findings.extend(self.registered().await);
        findings
    }

    async fn silent(&self, places: &[Place]) -> Finding {
        let uri = self.uri();
        let mut closed = None;
        for (_, address) in places.iter().filter(|(transport, _)| *transport == Transport::Udp) {
            if is_closed(*address).await {
                closed = Some(address);
            }
        }
        if let Some(address) = closed {
            return Finding::fail(
                "OPTIONS",
                format!("nobody listens at udp {address}: the host says so"),
                "the port is wrong, the trunk takes TCP or TLS alone, or its server is down",
                "correct the port of `proxy`, or add ;transport=tcp or ;transport=tls as the provider says",
            );
        }
        Finding::fail(
            "OPTIONS",
            format!("{uri} has answered nothing for {} s", self.patience.as_secs()),
            "many providers say nothing to addresses that they do not know; or the port is wrong, or a firewall drops requests or answers",
            "have the provider list this host's public address; correct the port of `proxy`; let UDP through both ways; --timeout waits longer",
        )
    }

    fn alive(&self, answer: &Answer) -> Finding {
        const CHECK: &str = "OPTIONS";
        let by = answer.agent.as_deref().map_or_else(String::new, |agent| format!(", by {agent}"));
        let found = format!("{} {} in {}{by}", answer.status.code, answer.status.phrase, ms(answer.took));
        match answer.status.code {
            200..=299 | 401 | 407 => Finding::ok(CHECK, found),
            // It has taken the credentials: what it says is about the account.
            403 if answer.realm.is_some() => Finding::ok(CHECK, found),
            403 => Finding::fail(
                CHECK,
                found,
                "it knows neither this host's address nor an account of ours; a few providers refuse OPTIONS alone",
                "have the provider list this host's public address, or set username and password; if calls work all the same, leave it",
            ),
            300..=399 => Finding::warn(
                CHECK,
                found,
                "it sends callers elsewhere, which the pivot does not follow",
                "write the place that the provider names into `proxy`",
            ),
            500..=699 => Finding::warn(
                CHECK,
                found,
                "the server is there and cannot serve, or takes no OPTIONS",
                "try again; if it stays, ask the provider with this line",
            ),
            _ => Finding::ok(CHECK, format!("{found}: it is there; what it takes does not show")),
        }
    }

    /// SRTP: only an INVITE would show whether it is taken, and that would call somebody.
    pub(super) fn srtp(&self, places: &[Place], is_reachable: bool) -> Finding {
        const CHECK: &str = "SRTP";
        let is_secure = !places.is_empty() && places.iter().all(|(transport, _)| transport.is_secure());
        match (self.config.srtp, is_secure) {
            (Srtp::Off, _) => Finding::ok(CHECK, "off: RTP is offered, which whoever is on the way can hear"),
            (Srtp::Sdes, true) if is_reachable => Finding::ok(
                CHECK,
                "keys are offered in SDP, over TLS. Whether the trunk takes them only a call shows: 488 says no",
            ),
            (Srtp::Sdes, true) => Finding::warn(
                CHECK,
                "keys would go over TLS, which is not up",
                "no call gets through, secure or not",
                "mend what has failed above",
            ),
            (Srtp::Sdes, false) if places.is_empty() => Finding::warn(
                CHECK,
                "keys are offered in SDP; the way there is unknown",
                NOT_TRIED,
                "mend the name first",
            ),
            (Srtp::Sdes, false) => Finding::warn(
                CHECK,
                "keys are offered in SDP, in the clear (srtp_without_tls)",
                "whoever reads the signalling can hear the calls",
                "use a proxy with ;transport=tls, and leave srtp_without_tls out",
            ),
        }
    }
}

/// Methods and bodies that it takes, as far as it says.
fn methods(answer: &Answer) -> Option<Finding> {
    const CHECK: &str = "methods";
    if !(200..300).contains(&answer.status.code) {
        return None;
    }
    let Some(allow) = &answer.allow else {
        return Some(Finding::ok(CHECK, "no Allow in the answer: whether it takes REFER shows in a call alone"));
    };
    let has = |method: &str| allow.iter().any(|allowed| allowed.eq_ignore_ascii_case(method));
    let takes_sdp = answer.accept.as_ref().is_none_or(|accept| {
        accept.iter().any(|range| {
            let media = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            ["application/sdp", "application/*", "*/*"].contains(&media.as_str())
        })
    });
    if !takes_sdp {
        let accept = answer.accept.iter().flatten().map(|range| &**range).collect::<Vec<_>>().join(", ");
        return Some(Finding::warn(
            CHECK,
            format!("Accept is {accept}, without application/sdp"),
            "what answers there is no telephone and no gateway: calls would get 415 or 488",
            "look whether `proxy` is the provider's host for calls",
        ));
    }
    let (with, without): (Vec<&str>, Vec<&str>) =
        ["REFER", "UPDATE", "INFO"].into_iter().partition(|method| has(method));
    let mut found = format!("Allow has {}", if with.is_empty() { "none of these".to_owned() } else { with.join(", ") });
    if !without.is_empty() {
        found.push_str(&format!(", not {}", without.join(", ")));
    }
    if has("REFER") {
        return Some(Finding::ok(CHECK, found));
    }
    Some(Finding::warn(
        CHECK,
        found,
        "a REFER to its parties would be refused: refer = \"forward\" and the method `refer`. The pivot's own transfers need none",
        "leave refer = \"pivot\" at the other trunks and the method `invite`; or have the provider switch call transfer (REFER) on",
    ))
}

/// Whether the host says (ICMP) that nobody listens there.
async fn is_closed(address: SocketAddr) -> bool {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let asked = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        // A keep-alive (RFC 5626 4.4), which every SIP server passes over.
        socket.send(b"\r\n\r\n").await?;
        socket.recv(&mut [0; 16]).await
    };
    let refused = tokio::time::timeout(REFUSAL, asked).await;
    matches!(refused, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use patchcord_pivot::message::Status;

    fn answer(allow: Option<&[&str]>, accept: Option<&[&str]>) -> Answer {
        let list = |list: Option<&[&str]>| list.map(|list| list.iter().map(|&item| item.into()).collect());
        Answer {
            status: Status { code: 200, phrase: "OK".into() },
            took: Duration::ZERO,
            agent: None,
            allow: list(allow),
            accept: list(accept),
            contacts: 0,
            realm: None,
            unanswerable: None,
        }
    }

    #[test]
    fn what_it_takes_is_read_from_its_answer() {
        for (allow, accept, state, words) in [
            (None, None, State::Ok, "no Allow"),
            (Some(&["INVITE", "refer", "UPDATE"][..]), None, State::Ok, "has REFER, UPDATE, not INFO"),
            (Some(&["INVITE"][..]), Some(&["application/sdp;level=1"][..]), State::Warn, "none of these"),
            (Some(&["REFER"][..]), Some(&["text/plain"][..]), State::Warn, "text/plain"),
        ] {
            let found = methods(&answer(allow, accept)).expect("it is a success");
            assert!(found.state == state && found.found.contains(words), "{found:?}");
        }
        let mut refused = answer(None, None);
        refused.status.code = 403;
        assert!(methods(&refused).is_none());
    }
}
