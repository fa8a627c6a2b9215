//! Random bytes as datagrams: nothing panics, and each is counted once.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, IceCredentials, Trigger};
use patchcord_relay::ids::{Component, LegId};
use patchcord_relay::media::Direction;
use patchcord_stun::{BINDING, Class, Key, Message, MessageWriter, TransactionId};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::config;
use crate::support::wire::Stream;
use crate::support::{Arriving, World, hold, leg, on_first_packet_of, party, rtcp, stranger};

/// A datagram: what it is made from, and what is done to it.
#[derive(Clone, Debug)]
struct Mangled {
    base: Base,
    /// Cut to this many bytes.
    cut: Option<usize>,
    /// (Position, bits to turn).
    turned: Vec<(usize, u8)>,
    leg: u64,
    component: Component,
    foreign: bool,
}

#[derive(Clone, Debug)]
enum Base {
    Noise(Vec<u8>),
    Rtp,
    Rtcp,
    Nack,
    /// A nominating check with the credentials of leg 2, or without.
    Check {
        right: bool,
    },
}

fn mangled() -> impl Strategy<Value = Mangled> {
    let base = prop_oneof![
        vec(any::<u8>(), 0..80).prop_map(Base::Noise),
        // Noise that looks like RTP or RTCP at first sight.
        (prop_oneof![128..=191_u8, Just(0x80)], any::<u8>(), vec(any::<u8>(), 0..80))
            .prop_map(|(first, second, rest)| Base::Noise([&[first, second][..], &rest].concat())),
        (prop_oneof![Just(0x80_u8), 0x80..=0x9f_u8], 192..=223_u8, 0..30_u8, vec(any::<u8>(), 0..80))
            .prop_map(|(first, kind, words, rest)| Base::Noise([&[first, kind, 0, words][..], &rest].concat())),
        Just(Base::Rtp),
        Just(Base::Rtp),
        Just(Base::Rtcp),
        Just(Base::Nack),
        any::<bool>().prop_map(|right| Base::Check { right }),
    ];
    let component = prop_oneof![5 => Just(Component::Rtp), 1 => Just(Component::Rtcp)];
    let cut = proptest::option::weighted(0.3, 0..80_usize);
    let turned = vec((0..80_usize, any::<u8>()), 0..4);
    (base, cut, turned, 1..=4_u64, component, proptest::bool::weighted(0.1))
        .prop_map(|(base, cut, turned, leg, component, foreign)| Mangled { base, cut, turned, leg, component, foreign })
}

impl Mangled {
    fn arriving(self, stream: &mut Stream) -> Arriving {
        let mut bytes = match self.base {
            Base::Noise(bytes) => bytes,
            Base::Rtp => stream.packet(),
            Base::Rtcp => {
                let mut compound =
                    rtcp::sender_report_with(stream, 5, 5, b"party@example", &[rtcp::block(stream.ssrc, 7)]);
                compound.extend_from_slice(&rtcp::bye(stream.ssrc));
                compound
            }
            Base::Check { right } => check(if right { PWD } else { "another password than that" }),
            Base::Nack => rtcp::nack(stream.ssrc, 0x5000_0001, &[(9, 7), (12, 0)]),
        };
        bytes.truncate(self.cut.unwrap_or(usize::MAX));
        for (at, bits) in self.turned {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bits;
            }
        }
        let from = if self.foreign { stranger(1) } else { party(self.leg) };
        Arriving { leg: self.leg, component: self.component, from, bytes }
    }
}

/// The attribute with its header.
const FINGERPRINT_LEN: usize = 8;
const PWD: &str = "0123456789abcdefghijkl";

fn check(pwd: &str) -> Vec<u8> {
    let mut room = [0; 200];
    let transaction = TransactionId([1; 12]);
    let mut writer = MessageWriter::new(&mut room, Class::Request, BINDING, transaction).expect("there is room");
    let mut write = || {
        writer.username("ours:them")?;
        writer.use_candidate()?;
        writer.integrity(&Key::new(pwd.as_bytes()))?;
        writer.fingerprint()
    };
    write().expect("there is room");
    let len = writer.finish();
    room[..len].to_vec()
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn any_bytes_are_counted_once(batches in vec(vec(mangled(), 1..20), 1..6), truncated in any::<bool>()) {
        let mut world = World::with_legs([1, 2, 3]);
        world.bridge(1, 2);
        world.cut(Trigger::Immediate, &[(3, hold())]);
        world.cut(on_first_packet_of(3), &[(1, leg(3)), (3, leg(1))]);
        if truncated {
            world.must(&[Command::SetDirection { leg: LegId(2), direction: Direction::SendOnly }]);
        }
        let ice = IceCredentials { local_ufrag: "ours".into(), local_pwd: PWD.into(), remote_ufrag: None };
        world.must(&[Command::SetIce { leg: LegId(2), ice: Some(ice) }]);
        let right = check(PWD);
        let mut nominated = false;
        let mut streams = [1, 2, 3, 4].map(Stream::of);
        for batch in batches {
            let arriving: Vec<_> = batch
                .into_iter()
                .map(|mangled| {
                    let stream = mangled.leg as usize - 1;
                    mangled.arriving(&mut streams[stream])
                })
                .collect();
            nominated |= arriving.iter().any(|packet| {
                // What stands behind the integrity is not protected by it.
                let protected = packet.bytes.get(..right.len() - FINGERPRINT_LEN);
                let sound = Message::parse(&packet.bytes).is_ok() && protected == right.get(..right.len() - FINGERPRINT_LEN);
                packet.leg == 2 && packet.component == Component::Rtp && sound
            });
            let before = world.shard.worker();
            let verdicts = world.deliver_batch(&arriving);
            let after = world.shard.worker();
            let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| wanted(verdict)).count() as u64;
            prop_assert_eq!(count(|verdict| *verdict == Verdict::Pending), 0);
            prop_assert_eq!(after.datagrams - before.datagrams, arriving.len() as u64);
            prop_assert_eq!(after.forwarded - before.forwarded, count(|verdict| matches!(verdict, Verdict::Forwarded(_))));
            prop_assert_eq!(after.consumed - before.consumed, count(|verdict| *verdict == Verdict::Consumed));
            for (reason, total) in after.drops.nonzero() {
                let now = verdicts.iter().filter(|verdict| **verdict == Verdict::Dropped(reason)).count() as u32;
                prop_assert_eq!(total - before.drops.get(reason), now, "{}", reason);
            }
            world.assert_balanced();
            world.pass(7);
        }
        // However it was damaged, no check but a right one has proved anything.
        prop_assert_eq!(world.leg(2).ice.map(|ice| ice.nominated), Some(nominated));
        // Whatever came, the relay has sent nothing but well-formed packets: reading them panics otherwise.
        for id in 1..=3 {
            world.rtp(id);
            for heard in world.rtcp(id) {
                rtcp::parse(&heard.bytes);
            }
            let leg = world.leg(id);
            // Of STUN no more is counted as received than was answered: keep-alives there are none.
            let answered = leg.ice.map_or(0, |ice| ice.answered + ice.refused);
            let counted = leg.drops.total() + leg.ingress.packets + leg.ingress.rtcp_packets + answered;
            prop_assert!(leg.ingress.datagrams <= counted, "{:?}", leg);
        }
    }
}
