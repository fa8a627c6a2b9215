//! The peers' sockets, and the loop that plays.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use patchcord_pivot::replay::{Difference, Player, Script, Stage, Turn};

use super::voice::Voice;
use crate::failure::Failure;

/// How often a thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(20);

/// How often it is asked whether the target has the place.
const ASK: Duration = Duration::from_millis(5);

/// The last part of the first peer's address.
const FIRST_HOST: u8 = 11;

/// The sockets of all peers.
pub(super) struct Sockets {
    peers: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
    voices: BTreeMap<String, Voice>,
}

/// How it went.
pub(super) struct Played {
    /// The first thing that was not as recorded.
    pub difference: Option<Difference>,
    /// Which party heard whom, in packets.
    pub heard: BTreeMap<String, BTreeMap<String, u64>>,
    /// How long it took.
    pub took: Duration,
}

/// What came to a peer.
struct Came {
    peer: usize,
    datagram: Vec<u8>,
    at: Instant,
}

impl Sockets {
    /// A socket for each peer, where `placed` says, and one for each party's media beside it.
    pub(super) fn bind(script: &Script, placed: &[String]) -> Result<Self, Failure> {
        let placed = placed.iter().map(|text| place(text, script)).collect::<Result<BTreeMap<_, _>, _>>()?;
        let mut hosts: Vec<IpAddr> = Vec::new();
        let (mut peers, mut addresses) = (Vec::new(), Vec::new());
        for recorded in &script.peers {
            let host = hosts.iter().position(|ip| *ip == recorded.ip()).unwrap_or_else(|| {
                hosts.push(recorded.ip());
                hosts.len() - 1
            });
            // There are 64 peers at most.
            let own = SocketAddr::from((Ipv4Addr::new(127, 0, 0, FIRST_HOST.saturating_add(host as u8)), 0));
            let at = placed.get(recorded).copied().unwrap_or(own);
            let socket = UdpSocket::bind(at).and_then(|socket| Ok((socket.local_addr()?, socket)));
            let (address, socket) = socket.map_err(|error| {
                Failure::failed(format!(
                    "cannot play {recorded} at {at}: {error}; name another place with --peer {recorded}=IP:PORT"
                ))
            })?;
            peers.push(socket);
            addresses.push(address);
        }
        let mut voices = BTreeMap::new();
        for (party, peer) in &script.parties {
            let ip = addresses.get(*peer).map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), SocketAddr::ip);
            let voice = Voice::bind(ip, voices.len())
                .map_err(|error| Failure::failed(format!("cannot play the media of {party} at {ip}: {error}")))?;
            voices.insert(party.clone(), voice);
        }
        Ok(Self { peers, addresses, voices })
    }

    /// Where everybody is, with the pivot there.
    pub(super) fn stage(&self, pivot: SocketAddr) -> Stage {
        let media = self.voices.iter().map(|(party, voice)| (party.clone(), voice.address())).collect();
        Stage { pivot, peers: self.addresses.clone(), media }
    }

    /// Plays to the end, or to the first difference.
    /// `is_connected` finds out whether the target has the place.
    pub(super) fn play(
        self,
        player: &mut Player,
        pivot: SocketAddr,
        is_connected: impl Fn(&Player) -> Result<bool, Failure>,
    ) -> Result<Played, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let (sender, came) = mpsc::channel();
        let mut listening = Vec::new();
        for (peer, socket) in self.peers.iter().enumerate() {
            let socket =
                socket.try_clone().map_err(|error| Failure::failed(format!("a socket cannot be shared: {error}")))?;
            let (sender, over) = (sender.clone(), Arc::clone(&over));
            listening.push(std::thread::spawn(move || listen(&socket, peer, &sender, &over)));
        }
        let began = Instant::now();
        let played = self.turns(player, &came, began, pivot, is_connected);
        over.store(true, Ordering::Relaxed);
        for thread in listening {
            // A panic of it was printed already.
            let _ = thread.join();
        }
        let names: Vec<String> = self.voices.keys().cloned().collect();
        let heard = self.voices.into_iter().map(|(party, voice)| {
            let heard =
                voice.end().into_iter().filter_map(|(speaker, packets)| Some((names.get(speaker)?.clone(), packets)));
            (party, heard.collect())
        });
        let heard = heard.collect();
        Ok(Played { difference: played?, heard, took: began.elapsed() })
    }

    fn turns(
        &self,
        player: &mut Player,
        came: &Receiver<Came>,
        began: Instant,
        pivot: SocketAddr,
        is_connected: impl Fn(&Player) -> Result<bool, Failure>,
    ) -> Result<Option<Difference>, Failure> {
        let take = |player: &mut Player, came: Came| {
            player.received(came.peer, &came.datagram, came.at.saturating_duration_since(began));
        };
        loop {
            while let Ok(came) = came.try_recv() {
                take(player, came);
            }
            match player.turn(began.elapsed()) {
                Turn::Send { peer, datagram } => {
                    let Some(socket) = self.peers.get(peer) else { continue };
                    socket.send_to(&datagram, pivot).map_err(|error| {
                        Failure::failed(format!(
                            "cannot send to the pivot at {pivot}: {error}; is it where --against and --peer say?"
                        ))
                    })?;
                }
                Turn::Media { party, to } => self.voices.get(&party).into_iter().for_each(|voice| voice.towards(to)),
                Turn::Speak { party, stream } => {
                    self.voices.get(&party).into_iter().for_each(|voice| voice.speak(stream));
                }
                Turn::Wait(until) => match came.recv_timeout(until.saturating_sub(began.elapsed())) {
                    Ok(came) => take(player, came),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        return Err(Failure::failed("the peers' sockets cannot be read any more"));
                    }
                },
                Turn::Connect if is_connected(player)? => player.connected(began.elapsed()),
                Turn::Connect => std::thread::sleep(ASK),
                Turn::Same => return Ok(None),
                Turn::Different(difference) => return Ok(Some(*difference)),
            }
        }
    }
}

/// `RECORDED=IP:PORT`
fn place(text: &str, script: &Script) -> Result<(SocketAddr, SocketAddr), Failure> {
    let bad = |why: String| Failure::Usage(format!("--peer {text}: {why}"));
    let read = |text: &str| text.parse::<SocketAddr>().map_err(|_| bad(format!("`{text}` is not IP:PORT")));
    let (recorded, now) = text.split_once('=').ok_or_else(|| bad("it is written RECORDED=IP:PORT".to_owned()))?;
    let (recorded, now) = (read(recorded)?, read(now)?);
    if !script.peers.contains(&recorded) {
        let known: Vec<_> = script.peers.iter().map(ToString::to_string).collect();
        return Err(bad(format!("the recording has no peer {recorded}; it has {}", known.join(", "))));
    }
    Ok((recorded, now))
}

fn listen(socket: &UdpSocket, peer: usize, sender: &mpsc::Sender<Came>, over: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    if socket.set_read_timeout(Some(LOOK)).is_err() {
        return;
    }
    while !over.load(Ordering::Relaxed) {
        let Ok((len, _)) = socket.recv_from(&mut buffer) else { continue };
        let came = Came { peer, datagram: buffer[..len].to_vec(), at: Instant::now() };
        if sender.send(came).is_err() {
            return;
        }
    }
}
