//! What the sockets and the worker's loop did: counted by the owner alone, copied out when somebody asks.

use std::io;

/// Something counted. The name is what metrics, logs and tests call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Io {
    /// Datagrams taken from sockets.
    Received,
    /// Those of them that came by AF_XDP.
    ReceivedAfXdp,
    /// Datagrams that the kernel dropped because a socket's queue was full.
    KernelDropped,
    /// Datagrams dropped in the kernel because their port had received more than any party sends.
    FloodDropped,
    /// Datagrams dropped by the worker because they had waited too long while it was overloaded.
    OverloadDropped,
    /// Overloads that began.
    Overloads,
    /// Datagrams that arrived before their port was closed and were found after it.
    ReceivedAfterClose,
    /// Datagrams whose sender could not be read.
    ReceiveMalformed,
    /// A multishot receive ended and was started again.
    RecvRearmed,
    /// A multishot receive ended because all receive buffers were in use.
    RecvEnobufs,
    /// A pending socket error (for instance from ICMP) was reported in place of a datagram.
    RecvEconnrefused,
    /// Receiving failed otherwise.
    RecvOther,
    /// Sent as whole frames by packet sockets, past the kernel's UDP.
    SentFrames,
    /// Sent by AF_XDP.
    SentAfXdp,
    /// Not sent: no memory for it, or the device queue was full.
    SendEnobufs,
    /// Not sent: the socket's send buffer was full.
    SendEagain,
    /// Not sent: the peer's host had answered with ICMP port unreachable.
    SendEconnrefused,
    /// Not sent: no route.
    SendEnetunreach,
    /// Not sent: a firewall rule forbids it.
    SendEperm,
    /// Not sent: larger than the path allows.
    SendEmsgsize,
    /// Not sent: the port was closed meanwhile.
    SendNoPort,
    /// Not sent for another reason.
    SendOther,
    /// The kernel took no submissions for lack of memory, and was asked again.
    SubmitRetried,
    /// Waits that ended with the first datagram, deadline or request.
    Sleeps,
    /// Waits for a tick.
    Ticks,
    /// Events or answers that a bounded reply queue had no room for.
    RepliesLost,
    /// Copies of packets that were not made for a dump because the control plane had fallen behind.
    TapsLost,
    /// Packets that a recorder was not given because the control plane had fallen behind.
    RecordingLost,
    /// Packets that were made for listeners: transcoded, or mixed.
    MediaMade,
    /// Packets that were not transcoded or mixed, or not sent then, because a thread had fallen behind.
    MediaLost,
}

impl Io {
    const ALL: [(Self, &'static str); 30] = [
        (Self::Received, "received"),
        (Self::ReceivedAfXdp, "received_af_xdp"),
        (Self::KernelDropped, "kernel_dropped"),
        (Self::FloodDropped, "flood_dropped"),
        (Self::OverloadDropped, "overload_dropped"),
        (Self::Overloads, "overloads"),
        (Self::ReceivedAfterClose, "received_after_close"),
        (Self::ReceiveMalformed, "receive_malformed"),
        (Self::RecvRearmed, "recv_rearmed"),
        (Self::RecvEnobufs, "recv_enobufs"),
        (Self::RecvEconnrefused, "recv_econnrefused"),
        (Self::RecvOther, "recv_other"),
        (Self::SentFrames, "sent_frames"),
        (Self::SentAfXdp, "sent_af_xdp"),
        (Self::SendEnobufs, "send_enobufs"),
        (Self::SendEagain, "send_eagain"),
        (Self::SendEconnrefused, "send_econnrefused"),
        (Self::SendEnetunreach, "send_enetunreach"),
        (Self::SendEperm, "send_eperm"),
        (Self::SendEmsgsize, "send_emsgsize"),
        (Self::SendNoPort, "send_no_port"),
        (Self::SendOther, "send_other"),
        (Self::SubmitRetried, "submit_retried"),
        (Self::Sleeps, "sleeps"),
        (Self::Ticks, "ticks"),
        (Self::RepliesLost, "replies_lost"),
        (Self::TapsLost, "taps_lost"),
        (Self::RecordingLost, "recording_lost"),
        (Self::MediaMade, "media_made"),
        (Self::MediaLost, "media_lost"),
    ];
}

/// One worker's counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters([u64; Io::ALL.len()]);

impl Counters {
    pub(crate) const fn count(&mut self, what: Io) {
        self.add(what, 1);
    }

    pub(crate) const fn add(&mut self, what: Io, how_many: u64) {
        self.0[what as usize] += how_many;
    }

    /// Counts a failed send under its errno's name.
    pub(crate) fn send_failed(&mut self, errno: i32) {
        self.count(match errno {
            libc::ENOBUFS | libc::ENOMEM | libc::EBUSY => Io::SendEnobufs,
            libc::EAGAIN => Io::SendEagain,
            libc::ECONNREFUSED => Io::SendEconnrefused,
            libc::ENETUNREACH | libc::EHOSTUNREACH => Io::SendEnetunreach,
            libc::EPERM => Io::SendEperm,
            libc::EMSGSIZE => Io::SendEmsgsize,
            _ => Io::SendOther,
        });
    }

    /// Counts a failed receive under its errno's name.
    pub(crate) fn receive_failed(&mut self, errno: i32) {
        self.count(match errno {
            libc::ENOBUFS => Io::RecvEnobufs,
            libc::ECONNREFUSED => Io::RecvEconnrefused,
            _ => Io::RecvOther,
        });
    }

    /// All counts with their names, zeroes included: a metric that is there from the start can be graphed.
    pub(crate) fn named(&self) -> Vec<(&'static str, u64)> {
        Io::ALL.iter().map(|&(what, name)| (name, self.0[what as usize])).collect()
    }

    #[cfg(test)]
    pub(crate) const fn get(&self, what: Io) -> u64 {
        self.0[what as usize]
    }
}

/// The last system call's errno.
pub(crate) fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Counters, Io};

    #[test]
    fn names_stand_beside_their_counts() {
        for (index, (what, _)) in Io::ALL.into_iter().enumerate() {
            assert_eq!(what as usize, index, "Io::ALL is not in the order of the discriminants at {what:?}");
        }
        let mut counters = Counters::default();
        counters.send_failed(libc::EPERM);
        counters.receive_failed(libc::ENOBUFS);
        let nonzero: Vec<_> = counters.named().into_iter().filter(|&(_, count)| count > 0).collect();
        assert_eq!(nonzero, [("recv_enobufs", 1), ("send_eperm", 1)]);
    }
}
