//! One side of all calls: a thread that sends every call's packets on time and counts what comes back.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use patchcord_rtp::{PayloadType, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::PeerError;
use super::account::{Desk, Entry};
use crate::clock::unix_ns;
use crate::endpoint::Secured;
use crate::sys::{self, Datagram, Outgoing, ReceiveBatch, SendBatch};

/// An RTP packet of 20 ms of G.711.
const PACKET_LEN: usize = 172;
/// In the payload: time of sending, window, call.
const STAMP: std::ops::Range<usize> = 12..20;
const WINDOW: std::ops::Range<usize> = 20..24;
const CALL: std::ops::Range<usize> = 24..28;

/// Of call 0.
const SSRC: u32 = 0x1ab0_0000;

/// Packets become due all the time; they are sent this often.
const TICK: Duration = Duration::from_millis(1);
/// A generator that was held up catches up with so much time of packets and leaves the rest out: a burst of all that it has missed
/// would measure the relay's socket buffers.
const CATCH_UP: Duration = Duration::from_millis(10);
/// Datagrams of one system call.
const BATCH: usize = 64;
/// Calls that share a socket: few enough that a socket's buffer holds 50 ms of them at 1,000 packets/s a call.
const CALLS_PER_SOCKET: usize = 64;
/// What the kernel grants is `net.core.rmem_max`.
const SOCKET_BUFFER_BYTES: usize = 16 << 20;

/// The sockets of one side, in its namespace.
#[derive(Debug)]
pub(super) struct Sockets {
    sockets: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
}

impl Sockets {
    /// Opens the sockets for so many calls, in the namespace of the calling thread.
    pub(super) fn open(ip: IpAddr, calls: u32) -> Result<Self, PeerError> {
        let open = || {
            let address = SocketAddr::new(ip, 0);
            let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
            socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
            sys::stamp_arrivals(&socket)?;
            socket.bind(&address.into())?;
            let socket = UdpSocket::from(socket);
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let count = (calls as usize).div_ceil(CALLS_PER_SOCKET);
        let opened: std::io::Result<Vec<_>> = (0..count).map(|_| open()).collect();
        let (sockets, addresses) =
            opened.map_err(|source| PeerError::Load { what: "open its sockets", source })?.into_iter().unzip();
        Ok(Self { sockets, addresses })
    }

    /// The address that sends and receives for a call.
    pub(super) fn address(&self, call: u32) -> SocketAddr {
        self.addresses[call as usize / CALLS_PER_SOCKET]
    }
}

/// A running side; it ends when the desk is stopped, and is waited for when dropped.
#[derive(Debug)]
pub(super) struct Side {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Side {
    /// Starts a side that sends call n's packets to `targets[n]`, under the keys `secured[n]` if there are keys; given a CPU, on that one and before everything else there.
    pub(super) fn start(
        sockets: Sockets,
        targets: &[SocketAddr],
        secured: Vec<Secured>,
        cpu: Option<usize>,
        desk: &Arc<Desk>,
    ) -> Result<Self, PeerError> {
        let targets = targets.iter().map(|&target| SockAddr::from(target)).collect();
        let worker = Worker::new(sockets, targets, secured, Arc::clone(desk));
        let spawned = std::thread::Builder::new().name("lab-load".to_owned()).spawn(move || {
            // Where that is not allowed, the load still runs; the results show what it used.
            if let Some(cpu) = cpu {
                let _ = sys::pin_to_cpu(cpu);
                let _ = sys::go_first();
            }
            worker.run();
        });
        let thread = spawned.map_err(|source| PeerError::Load { what: "start its thread", source })?;
        Ok(Self { desk: Arc::clone(desk), thread: Some(thread) })
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.desk.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

struct Worker {
    sockets: Sockets,
    targets: Vec<SockAddr>,
    /// One for each call, or none.
    secured: Vec<Secured>,
    desk: Arc<Desk>,
    packets: Vec<[u8; PACKET_LEN]>,
    /// These packets as they travel.
    wires: Vec<Vec<u8>>,
    /// Packets sent in each call.
    counts: Vec<u32>,
    /// The call whose turn it is.
    next_call: usize,
    entries: Vec<Entry>,
    sending: SendBatch,
    receiving: ReceiveBatch,
}

impl Worker {
    fn new(sockets: Sockets, targets: Vec<SockAddr>, secured: Vec<Secured>, desk: Arc<Desk>) -> Self {
        Self {
            sockets,
            counts: vec![0; targets.len()],
            targets,
            secured,
            desk,
            packets: vec![[0xd5; PACKET_LEN]; BATCH],
            wires: vec![Vec::new(); BATCH],
            next_call: 0,
            entries: Vec::with_capacity(4_096),
            sending: SendBatch::new(),
            receiving: ReceiveBatch::new(BATCH),
        }
    }

    fn run(mut self) {
        let mut last = Instant::now();
        // Packets that are due, with the fraction of the next one.
        let mut owed = 0.0_f64;
        while !self.desk.is_stopped() {
            let now = Instant::now();
            let rate = f64::from(self.desk.packets_per_s()) * self.targets.len() as f64;
            owed += rate * now.duration_since(last).as_secs_f64();
            last = now;
            let owed_max = rate * CATCH_UP.as_secs_f64() + 1.0;
            let window = self.desk.window();
            if owed > owed_max {
                self.entries.push(Entry::Missed { window, packets: (owed - owed_max) as u64 });
                owed = owed_max;
            }
            let due = owed as usize;
            owed -= due as f64;
            self.send(due, window);
            self.receive();
            self.desk.book(&mut self.entries);
            std::thread::sleep(TICK.saturating_sub(now.elapsed()));
        }
    }

    /// Sends the next packets, one of each call in turn.
    fn send(&mut self, mut due: usize, window: u32) {
        while due > 0 {
            // A batch goes out of one socket.
            let socket = self.next_call / CALLS_PER_SOCKET;
            let of_socket = ((socket + 1) * CALLS_PER_SOCKET).min(self.targets.len());
            let calls = self.next_call..of_socket.min(self.next_call + due.min(BATCH));
            let stamp = unix_ns().to_be_bytes();
            for ((packet, wire), call) in self.packets.iter_mut().zip(&mut self.wires).zip(calls.clone()) {
                write_packet(packet, call as u32, self.counts[call], window, stamp);
                wire.clear();
                match self.secured.get_mut(call) {
                    // What cannot be protected does not arrive, and counts as lost.
                    Some(secured) => wire.extend_from_slice(secured.protect(packet).unwrap_or_default()),
                    None => wire.extend_from_slice(packet),
                }
            }
            let outgoing: Vec<Outgoing<'_>> =
                self.wires.iter().zip(&self.targets[calls.clone()]).map(|(bytes, to)| Outgoing { to, bytes }).collect();
            let sent = self.sending.send(&self.sockets.sockets[socket], &outgoing).unwrap_or(0);
            for call in calls.clone().take(sent) {
                self.counts[call] = self.counts[call].wrapping_add(1);
            }
            self.entries.push(Entry::Sent { window, packets: sent as u64 });
            if sent < calls.len() {
                self.entries.push(Entry::Missed { window, packets: (calls.len() - sent) as u64 });
            }
            due -= calls.len();
            self.next_call = if calls.end == self.targets.len() { 0 } else { calls.end };
        }
    }

    fn receive(&mut self) {
        let calls = self.targets.len() as u32;
        for socket in &self.sockets.sockets {
            loop {
                let (entries, desk, secured) = (&mut self.entries, &self.desk, &mut self.secured);
                let received = self.receiving.receive(socket, |datagram| {
                    let entry = if secured.is_empty() {
                        read_packet(&datagram, calls)
                    } else {
                        unprotected(datagram.bytes, secured)
                            .and_then(|plain| read_packet(&Datagram { bytes: &plain, ..datagram }, calls))
                    };
                    match entry {
                        Some(entry) => entries.push(entry),
                        None => desk.stranger(),
                    }
                });
                // An error is that of an earlier send (port unreachable): reading it has cleared it.
                if received.unwrap_or(0) < BATCH {
                    break;
                }
            }
        }
    }
}

/// What a packet of SRTP says, if it is authentic; the SSRC tells its call.
fn unprotected(bytes: &[u8], secured: &mut [Secured]) -> Option<Vec<u8>> {
    let call = RtpHeader::read_srtp(bytes).ok()?.ssrc.0 ^ SSRC;
    secured.get_mut(call as usize)?.unprotect(bytes).ok()
}

fn write_packet(packet: &mut [u8; PACKET_LEN], call: u32, count: u32, window: u32, stamp: [u8; 8]) {
    let header = RtpHeader {
        marker: count == 0,
        payload_type: PayloadType::default(),
        sequence: SequenceNumber(count as u16),
        timestamp: RtpTimestamp(count.wrapping_mul(160)),
        ssrc: Ssrc(SSRC ^ call),
    };
    header.build(packet);
    packet[STAMP].copy_from_slice(&stamp);
    packet[WINDOW].copy_from_slice(&window.to_be_bytes());
    packet[CALL].copy_from_slice(&call.to_be_bytes());
}

fn read_packet(datagram: &Datagram<'_>, calls: u32) -> Option<Entry> {
    let packet: &[u8; PACKET_LEN] = datagram.bytes.try_into().ok()?;
    let stamp = u64::from_be_bytes(packet[STAMP].try_into().ok()?);
    let window = u32::from_be_bytes(packet[WINDOW].try_into().ok()?);
    let call = u32::from_be_bytes(packet[CALL].try_into().ok()?);
    let arrived = datagram.kernel_unix_ns.unwrap_or_else(unix_ns);
    (call < calls).then_some(Entry::Received { window, latency_ns: arrived.saturating_sub(stamp) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_comes_back_as_it_was_written() {
        let mut packet = [0; PACKET_LEN];
        write_packet(&mut packet, 7, 65_537, 3, 1_000_u64.to_be_bytes());
        let header = RtpHeader::read(&packet).expect("it is RTP");
        assert_eq!((header.sequence.0, header.timestamp.0), (1, 65_537 * 160));
        let datagram = Datagram { from: None, kernel_unix_ns: Some(1_250), bytes: &packet };
        let entry = read_packet(&datagram, 8).expect("a packet of the load");
        assert!(matches!(entry, Entry::Received { window: 3, latency_ns: 250 }), "{entry:?}");
        assert!(read_packet(&datagram, 7).is_none(), "no such call");
        assert!(read_packet(&Datagram { bytes: &packet[1..], ..datagram }, 8).is_none());
    }

    /// Two sides without a relay between them lose nothing and count right.
    #[test]
    fn two_sides_send_to_each_other() -> Result<(), PeerError> {
        let ip = IpAddr::from([127, 0, 0, 1]);
        let calls = 70;
        let (left, right) = (Sockets::open(ip, calls)?, Sockets::open(ip, calls)?);
        assert_ne!(left.address(63), left.address(64));
        let to_right: Vec<_> = (0..calls).map(|call| right.address(call)).collect();
        let to_left: Vec<_> = (0..calls).map(|call| left.address(call)).collect();
        let desk = Arc::new(Desk::new());
        let side = |sockets, targets: &[SocketAddr]| Side::start(sockets, targets, Vec::new(), None, &desk);
        let sides = [side(left, &to_right)?, side(right, &to_left)?];
        let window = desk.begin_window();
        desk.set_packets_per_s(50);
        let until = Instant::now() + Duration::from_secs(20);
        while desk.account(window).sent < 1_000 && Instant::now() < until {
            std::thread::yield_now();
        }
        desk.set_packets_per_s(0);
        desk.end_window();
        while desk.account(window).received < desk.account(window).sent && Instant::now() < until {
            std::thread::yield_now();
        }
        drop(sides);
        let account = desk.account(window);
        assert!(account.sent >= 1_000, "only {} packets were sent", account.sent);
        assert_eq!(account.sent, account.received);
        assert_eq!(account.latency_ns.len(), account.received);
        Ok(())
    }
}
