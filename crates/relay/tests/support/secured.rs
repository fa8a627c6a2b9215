//! Parties with SRTP: what they send is protected on its way to the relay, and what they receive must be authentic, under an
//! index that was never used before.

use std::collections::{HashMap, HashSet};

use patchcord_relay::command::{Command, SrtpKey, SrtpKeys};
use patchcord_relay::ids::LegId;
use patchcord_rtp::{Protocol, RtpHeader, classify};
use patchcord_srtp::{
    MasterKey, OVERHEAD_MAX, Protections, Receiver, Sender, SessionKeys, Suite, protect_rtcp, protect_rtp, rtcp_index,
    unprotect_rtcp, unprotect_rtp,
};

/// A key that is this number's alone.
pub(crate) fn key(suite: Suite, number: u32) -> SrtpKey {
    let len = suite.key_len() + suite.salt_len();
    let bytes: Vec<u8> =
        (0..len as u32).map(|at| (number.wrapping_mul(0x9e37_79b9) >> (at % 24)) as u8 ^ at as u8).collect();
    SrtpKey::new(MasterKey::new(suite, &bytes).expect("as long as the suite says"))
}

/// Both keys of a leg.
pub(crate) fn keys(suite: Suite, number: u32) -> SrtpKeys {
    SrtpKeys { receive: Some(key(suite, 2 * number)), send: Some(key(suite, 2 * number + 1)), restart: false }
}

pub(crate) fn set_srtp(leg: u64, keys: Option<SrtpKeys>) -> Command {
    Command::SetSrtp { leg: LegId(leg), srtp: keys.map(Box::new) }
}

fn session(key: &SrtpKey) -> SessionKeys {
    SessionKeys::derive(&key.master, key.mki.clone(), Protections::ALL).expect("every protection")
}

/// The party's end.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) suite: Suite,
    sender: Sender,
    receiver: Receiver,
    /// A packet that the network has doubled is the same packet, and not another one with the same number.
    protected: HashMap<Vec<u8>, Vec<u8>>,
    /// SSRCs and indices under the present key, RTP and RTCP.
    received: HashSet<(bool, u32, u64)>,
}

impl Peer {
    pub(crate) fn new(suite: Suite, keys: &SrtpKeys) -> Self {
        let (sends, hears) = (keys.receive.as_ref().expect("a key"), keys.send.as_ref().expect("a key"));
        Self {
            suite,
            sender: Sender::new(session(sends)),
            receiver: Receiver::new(session(hears)),
            protected: HashMap::new(),
            received: HashSet::new(),
        }
    }

    /// Other keys, under which everything is counted on.
    pub(crate) fn rekey(&mut self, suite: Suite, keys: &SrtpKeys) {
        let (sends, hears) = (keys.receive.as_ref().expect("a key"), keys.send.as_ref().expect("a key"));
        self.suite = suite;
        self.sender.rekey(session(sends));
        self.receiver.rekey(session(hears));
        self.receiver.settle();
    }

    /// What travels in place of a plain packet; `None` if the party has begun to count anew, for which it needs another key.
    pub(crate) fn protect(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        if let Some(known) = self.protected.get(plain) {
            return Some(known.clone());
        }
        self.sender.provide();
        let mut buffer = [plain, &[0; OVERHEAD_MAX]].concat();
        let len = match classify(plain) {
            Protocol::Rtp => {
                let header = RtpHeader::read(plain).expect("parties send RTP");
                let index = self.sender.claim(&header).ok()?;
                protect_rtp(self.sender.keys(), index, &mut buffer, plain.len())
            }
            Protocol::Rtcp => {
                let index = self.sender.claim_rtcp().expect("few reports");
                protect_rtcp(self.sender.keys(), index, &mut buffer, plain.len())
            }
            _ => return Some(plain.to_vec()),
        };
        buffer.truncate(len.expect("there is room"));
        self.protected.insert(plain.to_vec(), buffer.clone());
        Some(buffer)
    }

    /// What the party makes of a packet that it received.
    pub(crate) fn unprotect(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut plain = packet.to_vec();
        self.receiver.provide();
        let len = match classify(packet) {
            Protocol::Rtp => {
                let header = RtpHeader::read_srtp(packet).expect("a packet of RTP");
                let index = self.receiver.expect(&header).unwrap_or_else(|error| panic!("{header:?}: {error}"));
                assert!(self.received.insert((true, header.ssrc.0, index.get())), "{index:?} was used twice");
                let len = unprotect_rtp(self.receiver.keys(), index, &mut plain);
                let len = len.unwrap_or_else(|error| panic!("{} {header:?}: {error}", self.suite));
                self.receiver.accept(header.ssrc, index).expect("no other packet had this index");
                len
            }
            Protocol::Rtcp => {
                let (ssrc, index) = rtcp_index(self.receiver.keys(), packet).expect("a compound");
                assert!(self.received.insert((false, ssrc.0, u64::from(index))), "{index} was used twice");
                let len = unprotect_rtcp(self.receiver.keys(), &mut plain).expect("a compound that is authentic");
                self.receiver.accept_rtcp(ssrc, index).expect("no other compound had this index");
                len
            }
            _ => plain.len(),
        };
        plain.truncate(len);
        plain
    }
}
