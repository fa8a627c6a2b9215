//! A party's RTP: it says who it is in every packet, and counts who is heard.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use patchcord_pivot::replay::Stream;
use patchcord_rtp::{PayloadType, RTP_HEADER_LEN, RtpHeader, RtpTimestamp, SequenceNumber, Ssrc};

/// From one packet to the next.
const PACKET_TIME: Duration = Duration::from_millis(20);

/// Samples and octets of a packet of G.711.
const SAMPLES: u32 = 160;

/// In front of who speaks: no codec's payload begins so by chance in every packet.
const MARK: &[u8] = b"patchcord replay ";

/// A stream is at least so long: a cut-over waits for a packet, and that of the recording may have come a little later than it tells.
const PACKETS_MIN: u64 = 50;

/// A thread with a socket.
pub(super) struct Voice {
    address: SocketAddr,
    orders: Sender<Order>,
    thread: JoinHandle<BTreeMap<usize, u64>>,
}

enum Order {
    Towards(SocketAddr),
    Speak(Stream),
}

impl Voice {
    /// A voice on a free port; `number` is who it is.
    pub(super) fn bind(ip: IpAddr, number: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        let (address, (orders, taken)) = (socket.local_addr()?, mpsc::channel());
        let thread = std::thread::spawn(move || Mouth::new(socket, number).run(&taken));
        Ok(Self { address, orders, thread })
    }

    /// Where it hears.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// It speaks there from now on.
    pub(super) fn towards(&self, to: SocketAddr) {
        // It has ended if its socket is broken; that is told by who hears nothing.
        let _ = self.orders.send(Order::Towards(to));
    }

    /// It begins to speak.
    pub(super) fn speak(&self, stream: Stream) {
        let _ = self.orders.send(Order::Speak(stream));
    }

    /// Ends it; whom it has heard, in packets.
    pub(super) fn end(self) -> BTreeMap<usize, u64> {
        drop(self.orders);
        self.thread.join().unwrap_or_default()
    }
}

struct Mouth {
    socket: UdpSocket,
    number: usize,
    to: Option<SocketAddr>,
    stream: Option<Stream>,
    sent: u64,
    next: Instant,
    heard: BTreeMap<usize, u64>,
}

impl Mouth {
    fn new(socket: UdpSocket, number: usize) -> Self {
        Self { socket, number, to: None, stream: None, sent: 0, next: Instant::now(), heard: BTreeMap::new() }
    }

    fn run(mut self, orders: &Receiver<Order>) -> BTreeMap<usize, u64> {
        let mut buffer = [0; 2048];
        loop {
            match orders.try_recv() {
                Ok(Order::Towards(to)) => self.to = Some(to),
                Ok(Order::Speak(stream)) => (self.stream, self.next) = (Some(stream), Instant::now()),
                Err(TryRecvError::Disconnected) => return self.heard,
                Err(TryRecvError::Empty) => {
                    self.say();
                    // An order must not wait for long.
                    let pause = self
                        .next
                        .saturating_duration_since(Instant::now())
                        .clamp(Duration::from_millis(1), PACKET_TIME / 4);
                    if self.socket.set_read_timeout(Some(pause)).is_err() {
                        return self.heard;
                    }
                    if let Ok((len, _)) = self.socket.recv_from(&mut buffer) {
                        self.hear(&buffer[..len]);
                    }
                }
            }
        }
    }

    fn say(&mut self) {
        let (Some(to), Some(stream)) = (self.to, self.stream) else { return };
        if self.sent >= stream.packets.max(PACKETS_MIN) || Instant::now() < self.next {
            return;
        }
        let mut packet = [0xff; RTP_HEADER_LEN + SAMPLES as usize];
        let header = RtpHeader {
            marker: self.sent == 0,
            payload_type: PayloadType::new(stream.payload_type & 0x7f).unwrap_or_default(),
            sequence: SequenceNumber(self.sent as u16),
            timestamp: RtpTimestamp((self.sent as u32).wrapping_mul(SAMPLES)),
            ssrc: Ssrc(0x5243_0000 | self.number as u32),
        };
        header.build(&mut packet);
        let payload = &mut packet[RTP_HEADER_LEN..];
        payload[..MARK.len()].copy_from_slice(MARK);
        payload[MARK.len()] = self.number as u8;
        // Who does not listen any more is gone.
        let _ = self.socket.send_to(&packet, to);
        self.sent += 1;
        self.next += PACKET_TIME;
    }

    fn hear(&mut self, packet: &[u8]) {
        let Some(payload) = packet.get(RTP_HEADER_LEN..) else { return };
        let speaker = payload.strip_prefix(MARK).and_then(|rest| rest.first());
        if let Some(speaker) = speaker {
            *self.heard.entry(usize::from(*speaker)).or_default() += 1;
        }
    }
}
