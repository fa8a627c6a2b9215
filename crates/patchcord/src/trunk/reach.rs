//! Connections: TCP, and TLS with what the certificate says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use patchcord_pivot::message::Transport;
use patchcord_pivot::sip::certificate::{Flaw, NotShown, Shown, connect, examine};

use super::Subject;
use super::place::Place;
use super::words::{day, days, ms};
use crate::doctor::{Finding, State};

/// A certificate that ends so soon is told of.
const SOON_DAYS: u64 = 21;

impl Subject<'_> {
    /// Whether one of the places can be spoken to, as far as connections tell: UDP has none.
    pub(super) async fn reach(&self, places: &[Place]) -> (bool, Vec<Finding>) {
        let (mut is_reachable, mut findings) = (false, Vec::new());
        for &(transport, address) in places {
            let mut found = match transport {
                Transport::Udp => Vec::new(),
                Transport::Tcp | Transport::Ws => vec![self.tcp(address).await],
                Transport::Tls | Transport::Wss => self.tls(address).await,
            };
            is_reachable |= found.iter().all(|finding| finding.state != State::Fail);
            findings.append(&mut found);
        }
        (is_reachable, findings)
    }

    async fn tcp(&self, to: SocketAddr) -> Finding {
        match connect(to, self.patience).await {
            Ok((_, took)) => Finding::ok("TCP", format!("{to} accepts a connection in {}", ms(took))),
            Err(why) => self.unreachable("TCP", to, &why),
        }
    }

    fn unreachable(&self, check: &'static str, to: SocketAddr, why: &str) -> Finding {
        Finding::fail(
            check,
            format!("{to} accepts no connection: {why}"),
            "nobody listens at that port, or a firewall on the way drops it",
            format!(
                "correct port and transport of {}, and let this host through the provider's firewall and yours",
                self.uri()
            ),
        )
    }

    async fn tls(&self, to: SocketAddr) -> Vec<Finding> {
        const CHECK: &str = "TLS";
        let ca = self.settings.sip.ca.as_ref();
        match examine(to, &self.host(), ca, self.patience).await {
            Ok(shown) => {
                let known = format!("{to} speaks {}", shown.protocol.replace('_', "."));
                core::iter::once(Finding::ok(CHECK, known)).chain(certificate(&self.host(), ca, &shown)).collect()
            }
            Err(NotShown::Unreachable(why)) => vec![self.unreachable("TCP", to, &why)],
            Err(NotShown::Handshake(why)) => vec![Finding::fail(
                CHECK,
                format!("{to} accepts a connection and does not get through the handshake: {why}"),
                "it speaks no TLS at that port, only a version or ciphers that are too old, or it wants a certificate of its client",
                "use the provider's port for TLS (often 5061), or ;transport=tcp or udp in `proxy`; ask it for TLS 1.2 or newer",
            )],
            Err(NotShown::Here(why)) => {
                vec![Finding::fail(
                    CHECK,
                    why,
                    "no server can be trusted",
                    "correct `pivot.ca` and the host in `proxy`",
                )]
            }
        }
    }
}

/// What a certificate is worth to a call.
fn certificate(host: &str, ca: Option<&PathBuf>, shown: &Shown) -> Vec<Finding> {
    const CHECK: &str = "certificate";
    let (from, to) = shown.validity;
    let who = format!("{} by {}", shown.subject, shown.issuer);
    if shown.flaws.is_empty() {
        let left = days(SystemTime::now(), to);
        let found = format!("{who}, {} sent, good for {host} until {} ({left} days)", shown.chain, day(to));
        if left < SOON_DAYS {
            let cause = "when it has ended, calls by TLS fail with 503";
            return vec![Finding::warn(CHECK, found, cause, "have it renewed: whoever runs the server does that")];
        }
        return vec![Finding::ok(CHECK, found)];
    }
    let trusted = ca.map_or_else(|| "the system".to_owned(), |path| path.display().to_string());
    let found = |flaw: &Flaw| match flaw {
        Flaw::Expired => Finding::fail(
            CHECK,
            format!("{who} has expired on {}", day(to)),
            "the server's certificate was not renewed, or this host's clock is wrong",
            "have the provider renew it; look at `date` here",
        ),
        Flaw::NotYet => Finding::fail(
            CHECK,
            format!("{who} is good from {} only", day(from)),
            "this host's clock is wrong, or the certificate was put there too early",
            "look at `date` here",
        ),
        Flaw::OtherName(names) => Finding::fail(
            CHECK,
            format!(
                "{who} is for another name than {host}: {}",
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            ),
            "`proxy`, or `domain` if there is none, must have a host that the certificate has",
            "write that host into `proxy`, such as sip:NAME:5061;transport=tls; the certificate's names are the provider's",
        ),
        Flaw::SelfSigned => Finding::fail(
            CHECK,
            format!("{who} vouches for itself, and {trusted} does not know it"),
            "anybody can make such a certificate",
            "set pivot.ca to a PEM file with it, taken from the provider by a way that is safe; or have one made by an authority",
        ),
        Flaw::UnknownIssuer => Finding::fail(
            CHECK,
            format!("{who}: {trusted} does not know this authority; {} sent", shown.chain),
            "the authority is the provider's own, or the server leaves out the certificates between its own and a known authority",
            "set pivot.ca to a PEM file with the authority's certificate, or have the server send its whole chain",
        ),
        Flaw::Other(why) => Finding::fail(
            CHECK,
            format!("{who}: {why}"),
            "calls by TLS fail by this",
            "tell the provider, with this line",
        ),
    };
    shown.flaws.iter().map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_flaw_is_named_with_what_to_do() {
        let now = SystemTime::now();
        let mut shown = Shown {
            subject: "CN=a".into(),
            issuer: "CN=b".into(),
            validity: (now - Duration::from_secs(86_400), now + Duration::from_secs(86_400 * 60)),
            chain: 1,
            protocol: "TLSv1_3".into(),
            flaws: Vec::new(),
        };
        let states = |shown: &Shown| certificate("h", None, shown).iter().map(|found| found.state).collect::<Vec<_>>();
        assert_eq!(states(&shown), [State::Ok]);
        shown.validity.1 = now + Duration::from_secs(86_400 * 3);
        assert_eq!(states(&shown), [State::Warn]);
        shown.flaws = vec![
            Flaw::Expired,
            Flaw::NotYet,
            Flaw::OtherName(vec!["x".into()]),
            Flaw::SelfSigned,
            Flaw::UnknownIssuer,
            Flaw::Other("y".into()),
        ];
        assert_eq!(states(&shown), [State::Fail; 6]);
        let mut texts: Vec<_> = certificate("h", None, &shown).into_iter().map(|found| found.found).collect();
        texts.dedup();
        assert_eq!(texts.len(), 6, "{texts:?}");
    }
}
