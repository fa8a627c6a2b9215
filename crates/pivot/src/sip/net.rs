//! Sockets below rsipstack's transactions: what is received is vetted and traced, and where a request goes is found here.
//!
//! rsipstack's own listeners neither say that they could not bind nor which port they got, and take what a hostile peer
//! sends too lightly. So the sockets are ours, and a channel feeds the transaction layer.

use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use rsipstack::platform::CancellationToken;
use rsipstack::platform::net::UdpSocket;
use rsipstack::resolver::SipResolver;
use rsipstack::sip::{self, Domain, HasHeaders as _, SipMessage};
use rsipstack::transaction::endpoint::EndpointInnerRef;
use rsipstack::transport::connection::{TransportReceiver, TransportSender};
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, SipConnection, TransportEvent};
use socket2::{Domain as Family, Protocol, Socket, Type};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::backlog::{Backlog, TURN, next_turn};
use super::config::{Config, Listen, StackError};
use super::stack::{Door, Inner};
use super::trace::{Between, Trace, trace};
use super::uri::{self, Target};
use super::vet::{Verdict, vet};
use super::{stream, text, tls};
use crate::message::{Origin, Transport};

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Octets that the system keeps for a UDP socket: a burst of calls.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Where a request goes.
#[derive(Clone)]
pub(super) struct Hop {
    pub connection: SipConnection,
    pub destination: SipAddr,
    pub transport: Transport,
    /// What Via and Contact say.
    pub local: Box<str>,
}

/// A listener as others know it.
struct Local {
    transport: Transport,
    bound: SocketAddr,
    name: Box<str>,
    /// That of UDP sends too.
    udp: Option<SipConnection>,
}

/// Connections that we have opened: by transport, address, and whom the certificate names.
type Dialled = BTreeMap<(u8, SocketAddr, Box<str>), SipConnection>;

/// The sockets.
pub(super) struct Net {
    pub config: Config,
    pub token: CancellationToken,
    locals: Vec<Local>,
    connector: TlsConnector,
    resolver: SipResolver,
    dialled: Mutex<Dialled>,
    feed: TransportSender,
    endpoint: OnceLock<EndpointInnerRef>,
    inner: OnceLock<Weak<Inner>>,
    open: AtomicUsize,
}

impl Net {
    /// Binds everything. What comes in waits until [`Net::serve`]. The receiver is for rsipstack.
    pub(super) async fn bind(config: Config) -> Result<(Arc<Self>, Vec<Bound>, TransportReceiver), StackError> {
        if config.listen.is_empty() {
            return Err(StackError::NoListener);
        }
        let connector = tls::connector(config.ca.as_ref())?;
        let (feed, fed) = tokio::sync::mpsc::unbounded_channel();
        let token = CancellationToken::new();
        let (mut locals, mut bound) = (Vec::new(), Vec::new());
        for listen in &config.listen {
            let failed = |error| StackError::Bind { transport: listen.transport, address: listen.address, error };
            if listen.transport == Transport::Udp {
                let socket = udp(listen.address).map_err(failed)?;
                let address = socket.local_addr().map_err(failed)?;
                let local = SocketAddr::new(reachable(address.ip()), address.port());
                let socket = Arc::new(Tap { socket, local, trace: config.trace.clone() });
                let connection = UdpConnection::from_socket(Arc::clone(&socket) as _, None, Some(token.clone()))
                    .await
                    .map_err(|error| StackError::Stack(error.to_string()))?;
                let connection = SipConnection::Udp(connection);
                locals.push(Local::new(listen, address, Some(connection.clone())));
                bound.push(Bound::Udp(socket, connection));
            } else {
                let needs_tls = listen.transport.is_secure();
                let acceptor = match (&config.certificate, needs_tls) {
                    (_, false) => None,
                    (Some(certificate), true) => Some(tls::acceptor(certificate)?),
                    (None, true) => {
                        let (transport, address) = (listen.transport, listen.address);
                        return Err(StackError::NoCertificate { transport, address });
                    }
                };
                let listener = stream_listener(listen.address).map_err(failed)?;
                let address = listener.local_addr().map_err(failed)?;
                locals.push(Local::new(listen, address, None));
                bound.push(Bound::Stream(listener, listen.transport, acceptor));
            }
        }
        let net = Self {
            config,
            token,
            locals,
            connector,
            resolver: SipResolver::new(),
            dialled: Mutex::default(),
            feed,
            endpoint: OnceLock::new(),
            inner: OnceLock::new(),
            open: AtomicUsize::new(0),
        };
        Ok((Arc::new(net), bound, fed))
    }

    /// Begins to receive.
    pub(super) fn serve(self: &Arc<Self>, bound: Vec<Bound>, endpoint: EndpointInnerRef, inner: Weak<Inner>) {
        let _ = self.endpoint.set(endpoint);
        let _ = self.inner.set(inner);
        for socket in bound {
            let net = Arc::clone(self);
            match socket {
                Bound::Udp(tap, connection) => tokio::spawn(async move {
                    let token = net.token.clone();
                    tokio::select! {
                        () = token.cancelled() => {}
                        () = net.receive(&tap, &connection) => {}
                    }
                }),
                Bound::Stream(listener, transport, acceptor) => tokio::spawn(async move {
                    let token = net.token.clone();
                    tokio::select! {
                        () = token.cancelled() => {}
                        () = net.accept(&listener, transport, acceptor) => {}
                    }
                }),
            };
        }
    }

    /// Where it really listens, in the order of the configuration.
    pub(super) fn addresses(&self) -> Vec<(Transport, SocketAddr)> {
        self.locals.iter().map(|local| (local.transport, local.bound)).collect()
    }

    pub(super) fn endpoint(&self) -> Option<EndpointInnerRef> {
        self.endpoint.get().cloned()
    }

    async fn receive(&self, tap: &Tap, connection: &SipConnection) {
        let mut buffer = vec![0; 65_535];
        let mut backlog = Backlog::new(self.config.limits.behind);
        loop {
            let mut taken = 0;
            let failed = loop {
                match tap.socket.try_recv_from(&mut buffer) {
                    Ok((length, from)) => {
                        self.received(&buffer[..length], from, tap, connection, backlog.refuses()).await;
                        taken += 1;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if let Some(after) = backlog.is_gone(Instant::now()) {
                            tracing::warn!(local = %tap.local, after_ms = after.as_millis(), "SIP has caught up: calls are accepted again");
                        }
                        break tap.socket.readable().await.err();
                    }
                    Err(error) => break Some(error),
                }
                if taken == TURN {
                    if let Some(behind) = backlog.goes_on(Instant::now()) {
                        tracing::warn!(local = %tap.local, behind_ms = behind.as_millis(),
                            "more SIP comes than can be answered: new calls are refused with 503 until it has caught up");
                    }
                    taken = 0;
                    next_turn().await;
                }
            };
            // The system is out of memory, say: it must not spin.
            if let Some(error) = failed {
                tracing::warn!(%error, "cannot receive SIP");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// A datagram has come. `refuses`: calls that would begin by it are refused.
    async fn received(&self, bytes: &[u8], from: SocketAddr, tap: &Tap, connection: &SipConnection, refuses: bool) {
        // Keep-alives (RFC 5626 4.4, and what telephones send).
        if bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
            return;
        }
        let Some(answer) = self.take(bytes, tap.between(from), connection, refuses) else { return };
        // Where its Via says, at the address it came from (RFC 3261 18.2.2, RFC 3581 4).
        let to = SipMessage::try_from(&*answer).and_then(|answer| {
            SipConnection::get_destination(&answer).map_err(|e| sip::Error::ParseError(e.to_string()))
        });
        let _ = tap.send_to(&answer, to.unwrap_or(from)).await;
    }

    async fn accept(self: &Arc<Self>, listener: &tokio::net::TcpListener, of: Transport, tls: Option<TlsAcceptor>) {
        loop {
            match listener.accept().await {
                Ok((socket, from)) => {
                    if self.open.fetch_add(1, Ordering::Relaxed) >= self.config.limits.connections {
                        self.open.fetch_sub(1, Ordering::Relaxed);
                        tracing::warn!(%from, "too many SIP connections: one more is closed");
                        continue;
                    }
                    let (net, tls) = (Arc::clone(self), tls.clone());
                    tokio::spawn(async move {
                        stream::serve(&net, socket, Origin { address: from, transport: of }, tls).await;
                        net.open.fetch_sub(1, Ordering::Relaxed);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a SIP connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Takes what has come off the wire. What is given back is the answer that needs no transaction. `refuses`: no call can begin now.
    pub(super) fn take(
        &self,
        bytes: &[u8],
        between: Between,
        connection: &SipConnection,
        refuses: bool,
    ) -> Option<Vec<u8>> {
        trace(self.config.trace.as_ref(), false, between, bytes);
        let from = between.peer;
        let is_datagram = from.transport == Transport::Udp;
        match vet(bytes, from.address, is_datagram, &self.config.agent, self.config.limits.message) {
            Verdict::Take(message) => self.feed(*message, from, connection, refuses),
            Verdict::Answer(answer) => (!self.config.is_silent || self.allows(&from)).then_some(answer),
            Verdict::Drop(why) => {
                tracing::debug!(from = %from.address, why, "what came is no SIP");
                None
            }
        }
    }

    fn feed(
        &self,
        mut message: SipMessage,
        from: Origin,
        connection: &SipConnection,
        refuses: bool,
    ) -> Option<Vec<u8>> {
        let inner = self.inner.get().and_then(Weak::upgrade)?;
        match &mut message {
            SipMessage::Request(request) => {
                note_source(request, from);
                match inner.door(request, &from, refuses) {
                    Door::In(user) => note_origin(request, from, user.as_deref()),
                    Door::Answer(response) => return Some(response.to_bytes()),
                    Door::Silence => return None,
                }
            }
            SipMessage::Response(response) => {
                let is_invite = text::cseq(response.headers()).is_some_and(|(_, method)| method == "INVITE");
                if is_invite && (200..300).contains(&response.status_code.code()) {
                    // What a 2xx needs is the dialog's (RFC 3261 13.2.2.4), however often and from however many it comes.
                    inner.success(response.clone(), connection.clone());
                    return None;
                }
            }
        }
        let source = sip_address(from.transport, from.address);
        // It is gone at the end only.
        let _ = self.feed.send(TransportEvent::Incoming(message, connection.clone(), source));
        None
    }

    /// Whether a request outside of a dialog is accepted.
    pub(super) fn allows(&self, from: &Origin) -> bool {
        self.config.allows.as_ref().is_none_or(|allows| allows(from))
    }

    /// Where a request to a URI goes. A connection that is still there is preferred (RFC 5923, RFC 7118 5).
    pub(super) async fn hop(self: &Arc<Self>, uri: &str, flow: Option<&Flow>) -> Result<Hop, String> {
        if let Some(flow) = flow
            && flow.is_alive()
        {
            return Ok(flow.hop.clone());
        }
        let target = Target::of(uri).ok_or_else(|| format!("{uri} is no SIP URI"))?;
        let mut failure = format!("{} has no address", target.host);
        for (transport, address) in self.resolve(&target).await? {
            let tried = match transport {
                Transport::Udp => self.udp_hop(address),
                // Opening a connection takes much room: every task that sends a datagram would have it too.
                _ => Box::pin(self.stream_hop(transport, address, &target.host)).await,
            };
            match tried {
                Ok(hop) => return Ok(hop),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    pub(super) async fn resolve(&self, target: &Target) -> Result<Vec<(Transport, SocketAddr)>, String> {
        if let Some(ip) = target.ip() {
            let transport = target.transport.unwrap_or_else(|| self.usual(ip));
            let port = target.port.unwrap_or_else(|| uri::default_port(transport));
            return Ok(vec![(transport, SocketAddr::new(ip, port))]);
        }
        let secure = target.transport.is_some_and(Transport::is_secure);
        let wanted = target.transport.map(to_sip);
        let port = target.port.map(Into::into);
        let domain = Domain(target.host.to_string());
        let found = tokio::time::timeout(CONNECT, self.resolver.lookup(&domain, port, wanted, secure)).await;
        let found = found.map_err(|_| format!("no name server says where {} is", target.host))?;
        let found = found.map_err(|error| format!("{} has no address: {error}", target.host))?;
        let transport = |found| target.transport.or_else(|| of_sip(found)).unwrap_or(Transport::Udp);
        Ok(found.into_iter().map(|found| (transport(found.transport), found.addr)).collect())
    }

    /// UDP, unless we have none.
    fn usual(&self, to: IpAddr) -> Transport {
        let has_udp = self.locals.iter().any(|local| local.udp.is_some() && local.bound.is_ipv4() == to.is_ipv4());
        if has_udp { Transport::Udp } else { Transport::Tcp }
    }

    fn udp_hop(&self, to: SocketAddr) -> Result<Hop, String> {
        let local = self
            .locals
            .iter()
            .find(|local| local.udp.is_some() && local.bound.is_ipv4() == to.is_ipv4())
            .ok_or_else(|| format!("no UDP listener can reach {to}: add one of its address family"))?;
        let Some(connection) = local.udp.clone() else { return Err("no UDP listener".to_owned()) };
        let destination = sip_address(Transport::Udp, to);
        Ok(Hop { connection, destination, transport: Transport::Udp, local: local.name.clone() })
    }

    async fn stream_hop(self: &Arc<Self>, transport: Transport, to: SocketAddr, host: &str) -> Result<Hop, String> {
        let key = (transport as u8, to, Box::from(host));
        let known = self.dialled().get(&key).cloned();
        if let Some(known) = known.filter(is_open) {
            return Ok(self.hop_by(known, transport, to));
        }
        let opened = tokio::time::timeout(CONNECT, stream::dial(self, transport, to, host, &self.connector)).await;
        let connection = opened
            .map_err(|_| format!("{to} accepts no connection"))?
            .map_err(|error| format!("cannot connect to {to}: {error}"))?;
        let mut dialled = self.dialled();
        dialled.retain(|_, connection| is_open(connection));
        dialled.insert(key, connection.clone());
        drop(dialled);
        Ok(self.hop_by(connection, transport, to))
    }

    fn dialled(&self) -> std::sync::MutexGuard<'_, Dialled> {
        self.dialled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hop_by(&self, connection: SipConnection, transport: Transport, to: SocketAddr) -> Hop {
        Hop { connection, destination: sip_address(transport, to), transport, local: self.local(transport, to.ip()) }
    }

    /// How a request that came over a connection is answered by requests of ours.
    pub(super) fn flow(&self, connection: &SipConnection, from: Origin) -> Option<Flow> {
        (from.transport != Transport::Udp)
            .then(|| Flow { hop: self.hop_by(connection.clone(), from.transport, from.address) })
    }

    /// What Via and Contact say: the listener of the transport, else one of the address family, else any.
    pub(super) fn local(&self, transport: Transport, to: IpAddr) -> Box<str> {
        let is_like = |local: &&Local| local.bound.is_ipv4() == to.is_ipv4();
        let of = |local: &&Local| local.transport == transport;
        let found = self.locals.iter().find(|local| is_like(local) && of(local));
        let found = found.or_else(|| self.locals.iter().find(of)).or_else(|| self.locals.iter().find(is_like));
        found.or_else(|| self.locals.first()).map(|local| local.name.clone()).unwrap_or_default()
    }
}

/// The connection by which a peer is reached.
#[derive(Clone)]
pub(super) struct Flow {
    hop: Hop,
}

impl Flow {
    fn is_alive(&self) -> bool {
        is_open(&self.hop.connection)
    }
}

pub(super) fn is_open(connection: &SipConnection) -> bool {
    connection.cancel_token().is_none_or(|token| !token.is_cancelled())
}

/// A socket that nobody reads yet.
pub(super) enum Bound {
    Udp(Arc<Tap>, SipConnection),
    Stream(tokio::net::TcpListener, Transport, Option<TlsAcceptor>),
}

impl Local {
    fn new(listen: &Listen, bound: SocketAddr, udp: Option<SipConnection>) -> Self {
        let name = match &listen.advertised {
            Some((host, 0)) => format!("{host}:{}", bound.port()),
            Some((host, port)) => format!("{host}:{port}"),
            None => SocketAddr::new(reachable(bound.ip()), bound.port()).to_string(),
        };
        Self { transport: listen.transport, bound, name: name.into(), udp }
    }
}

/// An address that others can send to, instead of the unspecified one.
fn reachable(ip: IpAddr) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    let found = SipConnection::resolve_bind_address(SocketAddr::new(ip, 1)).ip();
    if found.is_ipv4() == ip.is_ipv4() { found } else { ip }
}

/// A UDP socket whose messages are traced.
pub(super) struct Tap {
    socket: tokio::net::UdpSocket,
    local: SocketAddr,
    trace: Option<Trace>,
}

impl Tap {
    const fn between(&self, other: SocketAddr) -> Between {
        Between { local: self.local, peer: Origin { address: other, transport: Transport::Udp } }
    }
}

#[async_trait::async_trait]
impl UdpSocket for Tap {
    async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), rsipstack::Error> {
        Ok(self.socket.recv_from(buffer).await?)
    }

    async fn send_to(&self, bytes: &[u8], to: SocketAddr) -> Result<usize, rsipstack::Error> {
        trace(self.trace.as_ref(), true, self.between(to), bytes);
        Ok(self.socket.send_to(bytes, to).await?)
    }

    fn local_addr(&self) -> Result<SocketAddr, rsipstack::Error> {
        Ok(self.socket.local_addr()?)
    }
}

fn udp(address: SocketAddr) -> std::io::Result<tokio::net::UdpSocket> {
    let socket = Socket::new(Family::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // As much as the system allows.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    tokio::net::UdpSocket::from_std(socket.into())
}

fn stream_listener(address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    let socket = Socket::new(Family::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    tokio::net::TcpListener::from_std(socket.into())
}

/// Notes in the top Via where a request came from (RFC 3261 18.2.1, RFC 3581 4).
fn note_source(request: &mut sip::Request, source: Origin) {
    let from = source.address;
    for field in request.headers.iter_mut() {
        if let sip::Header::Via(via) = field {
            let rest = text::split(via.value(), b',');
            let (Some(top), others) = (rest.first(), rest.get(1..).unwrap_or_default()) else { return };
            let mut parts = text::split(top, b';').into_iter();
            let sent_by = parts.next().unwrap_or_default();
            let wants_port =
                |part: &&str| part.split('=').next().is_some_and(|n| n.trim().eq_ignore_ascii_case("rport"));
            let is_ours = |part: &&str| {
                let name = part.split('=').next().unwrap_or_default().trim();
                name.eq_ignore_ascii_case("rport") || name.eq_ignore_ascii_case("received")
            };
            let parts: Vec<_> = parts.collect();
            let mut value = sent_by.to_owned();
            for part in parts.iter().filter(|part| !is_ours(part)) {
                value.push(';');
                value.push_str(part);
            }
            value.push_str(&format!(";received={}", from.ip()));
            if parts.iter().any(wants_port) {
                value.push_str(&format!(";rport={}", from.port()));
            }
            for other in others {
                value.push_str(", ");
                value.push_str(other);
            }
            via.replace(value);
            return;
        }
    }
}

pub(super) fn sip_address(transport: Transport, address: SocketAddr) -> SipAddr {
    SipAddr { r#type: Some(to_sip(transport)), addr: address.into() }
}

/// Where a request came from, and whose it is: of a datagram rsipstack keeps it nowhere.
pub(super) const SOURCE: &str = "X-Patchcord-Source";

pub(super) fn read_source(value: &str) -> Option<(Origin, Option<Box<str>>)> {
    let (transport, address) = value.split_once(' ')?;
    let (address, user) = address.split_once(' ').map_or((address, None), |(address, user)| (address, Some(user)));
    let origin = Origin { address: address.parse().ok()?, transport: uri::transport(transport)? };
    Some((origin, user.map(Into::into)))
}

/// Notes for ourselves where a request came from, and which user has proven to have sent it.
fn note_origin(request: &mut sip::Request, source: Origin, user: Option<&str>) {
    request.headers.retain(|field| !field.name().eq_ignore_ascii_case(SOURCE));
    let user = user.map(|user| format!(" {user}")).unwrap_or_default();
    request.headers.push(text::field(SOURCE, &format!("{} {}{user}", uri::token(source.transport), source.address)));
}

const fn to_sip(transport: Transport) -> sip::Transport {
    match transport {
        Transport::Udp => sip::Transport::Udp,
        Transport::Tcp => sip::Transport::Tcp,
        Transport::Tls => sip::Transport::Tls,
        Transport::Ws => sip::Transport::Ws,
        Transport::Wss => sip::Transport::Wss,
    }
}

const fn of_sip(transport: sip::Transport) -> Option<Transport> {
    match transport {
        sip::Transport::Udp => Some(Transport::Udp),
        sip::Transport::Tcp => Some(Transport::Tcp),
        sip::Transport::Tls => Some(Transport::Tls),
        sip::Transport::Ws => Some(Transport::Ws),
        sip::Transport::Wss => Some(Transport::Wss),
        _ => None,
    }
}
