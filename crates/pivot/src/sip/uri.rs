//! Where a SIP URI leads (RFC 3261 19.1, RFC 3263 4).

use core::net::IpAddr;

use crate::message::Transport;

/// Host, port and transport of a SIP or SIPS URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// `maddr` if there is one. IPv6 without brackets.
    pub host: Box<str>,
    pub port: Option<u16>,
    /// What the URI demands.
    pub transport: Option<Transport>,
    /// It says `lr`.
    pub is_loose: bool,
}

impl Target {
    /// None for what is no SIP or SIPS URI.
    pub(super) fn of(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        let is_secure = scheme.eq_ignore_ascii_case("sips");
        if !is_secure && !scheme.eq_ignore_ascii_case("sip") {
            return None;
        }
        // The user part may have semicolons and question marks (RFC 3261 25.1).
        let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
        let (place, parameters) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = host_and_port(place)?;
        let mut target = Self { host: host.into(), port, transport: None, is_loose: false };
        for parameter in parameters.split(';') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name.to_ascii_lowercase().as_str() {
                "transport" => target.transport = transport(value),
                "maddr" if !value.is_empty() => target.host = value.trim_matches(['[', ']']).into(),
                "lr" => target.is_loose = true,
                _ => {}
            }
        }
        if is_secure {
            target.transport = Some(match target.transport {
                Some(Transport::Ws | Transport::Wss) => Transport::Wss,
                _ => Transport::Tls,
            });
        }
        Some(target)
    }

    /// The host as an address.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

fn host_and_port(place: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']')?;
        (host, rest.strip_prefix(':'))
    } else {
        place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port)))
    };
    let port = match port {
        Some(port) => Some(port.trim().parse().ok().filter(|port| *port != 0)?),
        None => None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// The transport of a name, as in Via and in the URI parameter.
pub(super) fn transport(name: &str) -> Option<Transport> {
    Transport::ALL.into_iter().find(|transport| name.eq_ignore_ascii_case(transport.as_str()))
}

/// A transport's name in Via.
pub(super) const fn token(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
        Transport::Ws => "WS",
        Transport::Wss => "WSS",
    }
}

/// The port that a transport has if nobody says another (RFC 3261 19.1.2, RFC 7118 8.1).
pub(super) const fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
        Transport::Ws => 80,
        Transport::Wss => 443,
    }
}

/// What a URI of ours says about a transport; nothing for UDP.
pub(super) const fn parameter(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
        Transport::Ws | Transport::Wss => ";transport=ws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_behind_any_user() {
        let target = Target::of("sip:+1555;npdi;x=@1?y@[2001:db8::1]:5070;transport=TCP;lr").expect("a target");
        assert_eq!(target.ip(), "2001:db8::1".parse().ok());
        assert_eq!((target.port, target.transport, target.is_loose), (Some(5070), Some(Transport::Tcp), true));
        let target = Target::of("sips:host?Replaces=1").expect("a target");
        assert_eq!((&*target.host, target.port, target.transport), ("host", None, Some(Transport::Tls)));
        let target = Target::of("sip:a@host;maddr=192.0.2.1").expect("a target");
        assert_eq!(target.ip(), "192.0.2.1".parse().ok());
        for wrong in ["tel:+1555", "sip:", "sip:a@", "sip:a@h:0", "sip:a@h:99999", "sip:[::1", "h"] {
            assert_eq!(Target::of(wrong), None, "{wrong}");
        }
    }
}
