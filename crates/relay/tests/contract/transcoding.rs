//! Listeners without a format in common with their source: what is handed out to be transcoded, and what becomes of what is made of it.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, EgressMode, Refusal, Trigger};
use patchcord_relay::ids::{LegId, MadeId};
use patchcord_relay::media::Codec;
use patchcord_relay::transcoding::Transcoding;
use patchcord_relay::verdict::DropReason;
use patchcord_rtp::{Protocol, RtcpView, classify};
use patchcord_srtp::Suite;

use crate::support::rtcp::sender_report;
use crate::support::wire::{Stream, assert_continuous, numbers, origins};
use crate::support::{Given, World, add, codec, dropped, leg, on_first_packet_of, set_codecs, spec};

/// Legs 1 and 3 have PCMU, leg 2 has nothing but Opus.
fn world() -> World {
    let mut world = World::new();
    world.shard.set_transcoder(|codec| ["opus", "PCMU"].contains(&&*codec.encoding));
    for id in [1, 2, 3] {
        let mut spec = spec(id);
        if id == 2 {
            spec.codecs = opus();
        }
        world.must(&[add(spec)]);
    }
    world
}

fn opus() -> Vec<Codec> {
    let opus = Codec { channels: 2, ..codec(96, "opus", 48_000) };
    vec![opus, codec(97, "telephone-event", 48_000)]
}

fn opus_of(leg: u64) -> Stream {
    Stream { payload_type: 96, frame_ts_units: 960, ..Stream::of(leg) }
}

/// The stream that somebody makes of a leg's, for one with PCMU.
fn made_of(leg: u64) -> Stream {
    Stream::of(leg).under(0x7ea5_0000 | leg as u32).numbered(40_000, 900_000)
}

/// Packets that were handed out, and for what.
type Packets = Vec<(MadeId, Vec<u8>)>;

/// Takes what was handed out: what begins, packets of it, what ends.
fn handed_out(world: &mut World) -> (Vec<Transcoding>, Packets, Vec<MadeId>) {
    let (mut begun, mut packets, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for one in world.given.drain(..) {
        match one {
            Given::Transcode(transcoding) => begun.push(transcoding),
            Given::Packet(id, bytes) => packets.push((id, bytes)),
            Given::End(id) => ended.push(id),
            other => panic!("{other:?}"),
        }
    }
    (begun, packets, ended)
}

/// Who hears whom from the bridge on, by its transcodings: that of the listener with PCMU first.
fn bridged(world: &mut World) -> [Transcoding; 2] {
    world.bridge(1, 2);
    let (begun, packets, ended) = handed_out(world);
    assert_eq!((packets.len(), ended.len()), (0, 0));
    begun.try_into().expect("one for each direction")
}

#[test]
fn what_the_source_sends_is_handed_out_and_what_is_made_of_it_is_heard() {
    let mut world = world();
    let [to_pcmu, to_opus] = bridged(&mut world);
    assert_eq!((&to_pcmu.from, &to_pcmu.to), (&opus(), &spec(1).codecs));
    assert_eq!((&to_opus.from, &to_opus.to), (&spec(1).codecs, &opus()));
    assert_ne!((to_pcmu.id, to_pcmu.seed), (to_opus.id, to_opus.seed));

    let (mut sent, mut made) = (opus_of(2), made_of(2));
    for _ in 0..5 {
        let packet = sent.packet();
        assert_eq!(world.send(2, &packet), Verdict::Consumed);
        assert_eq!(handed_out(&mut world).1, [(to_pcmu.id, packet)]);
        world.pass(3);
        world.made(to_pcmu.id, &made.packet());
        world.pass(17);
    }
    let heard = world.rtp(1);
    assert_eq!(numbers(&heard), [0, 1, 2, 3, 4]);
    assert_continuous(&heard);
    assert!(heard.iter().all(|packet| packet.payload_type == 0 && packet.to == crate::support::party(1)));
    assert!(world.rtp(2).is_empty() && world.rtp(3).is_empty());
    let leg = world.leg(1);
    assert!(leg.transcoded && !world.leg(3).transcoded);
    assert_eq!((leg.egress.packets, world.leg(2).ingress.packets), (5, 5));
}

#[test]
fn the_way_to_a_transcoded_source_and_back_is_without_a_gap() {
    let mut world = world();
    world.bridge(1, 3);
    world.talk(3, &mut Stream::of(3), 3);
    world.receipts();
    world.cut(Trigger::Immediate, &[(1, leg(2)), (2, leg(1)), (3, patchcord_relay::command::Source::Silence)]);
    let (begun, ..) = handed_out(&mut world);
    let (mut sent, mut made) = (opus_of(2), made_of(2));
    for _ in 0..3 {
        world.send(2, &sent.packet());
        world.made(begun[0].id, &made.packet());
        world.pass(20);
    }
    let receipt = world.receipt(1);
    assert_eq!((receipt.seq_step, receipt.ts_step, receipt.gap_us), (Some(1), Some(160), Some(20_000)));
    world.bridge(1, 3);
    assert_eq!(handed_out(&mut world).2, [begun[0].id], "leg 2 goes on hearing leg 1");
    let mut old = Stream::of(3);
    old.skip(6);
    // What was under way when the source changed is not heard.
    world.made(begun[0].id, &made.packet());
    world.talk(3, &mut old, 3);
    assert_eq!(world.send(2, &sent.packet()), dropped(DropReason::StaleAfterCutover));
    let heard = world.rtp(1);
    assert_eq!((heard.len(), origins(&heard)), (9, vec![3, 2, 3]));
    assert_continuous(&heard);
    assert!(!world.leg(1).transcoded);
}

#[test]
fn nobody_is_heard_by_way_of_what_has_ended() {
    let mut world = world();
    let [to_pcmu, to_opus] = bridged(&mut world);
    world.must(&[Command::RemoveLeg { leg: LegId(2) }]);
    let mut ended = handed_out(&mut world).2;
    ended.sort();
    let mut expected = vec![to_pcmu.id, to_opus.id];
    expected.sort();
    assert_eq!(ended, expected);
    // The slot has another leg now.
    let mut another = spec(4);
    another.codecs = opus();
    world.must(&[add(another)]);
    world.cut(Trigger::Immediate, &[(4, leg(1))]);
    for id in [to_pcmu.id, to_opus.id] {
        world.made(id, &made_of(2).packet());
    }
    assert!(world.take_all().values().all(Vec::is_empty));
}

#[test]
fn a_cut_over_waits_for_a_first_packet_that_can_be_transcoded() {
    let mut world = world();
    world.bridge(1, 3);
    let mut old = Stream::of(3);
    world.talk(3, &mut old, 2);
    world.cut(on_first_packet_of(2), &[(1, leg(2))]);
    assert!(handed_out(&mut world).0.is_empty(), "nothing yet");
    // A payload type of which nobody knows what it is.
    let mut unknown = Stream { payload_type: 77, ..opus_of(2) };
    world.send(2, &unknown.packet());
    world.talk(3, &mut old, 1);
    let mut sent = opus_of(2);
    sent.skip(1);
    let packet = sent.packet();
    assert_eq!(world.send(2, &packet), Verdict::Consumed);
    let (begun, packets, _) = handed_out(&mut world);
    assert_eq!(packets, [(begun[0].id, packet)], "the packet that was waited for is the first");
    world.pass(5);
    world.made(begun[0].id, &made_of(2).packet());
    assert_eq!(origins(&world.rtp(1)), [3, 2]);
}

#[test]
fn other_formats_begin_it_anew_or_end_it() {
    let mut world = world();
    let [to_pcmu, _] = bridged(&mut world);
    let mut made = made_of(2);
    world.made(to_pcmu.id, &made.packet());
    world.pass(20);
    world.must(&[set_codecs(1, &[(0, "PCMU")])]);
    let (begun, _, ended) = handed_out(&mut world);
    assert_eq!((begun.len(), ended.len()), (2, 2));
    assert!(ended.contains(&to_pcmu.id));
    let anew = begun.into_iter().find(|one| one.from == opus()).expect("that of leg 1");
    world.made(to_pcmu.id, &made.packet());
    world.made(anew.id, &made_of(5).packet());
    world.pass(20);
    assert_eq!(origins(&world.rtp(1)), [2, 5]);
    assert!(world.events().iter().all(|event| !format!("{event:?}").contains("SsrcChanged")), "it is the relay's");

    // They have a format in common after all: its packets pass as they are.
    world.must(&[Command::SetCodecs { leg: LegId(1), codecs: [&spec(1).codecs[..1], &opus()[..1]].concat() }]);
    assert_eq!(handed_out(&mut world).2.len(), 2);
    world.send(2, &opus_of(2).packet());
    let heard = world.rtp(1);
    assert_eq!((heard.len(), heard[0].payload_type), (1, 96));
}

#[test]
fn one_listener_is_transcoded_for_and_another_is_not() {
    let mut world = world();
    world.cut(Trigger::Immediate, &[(2, leg(1)), (3, leg(1))]);
    let (begun, ..) = handed_out(&mut world);
    assert_eq!(begun.len(), 1);
    let packet = Stream::of(1).packet();
    world.send(1, &packet);
    assert_eq!(handed_out(&mut world).1, [(begun[0].id, packet)]);
    assert_eq!(origins(&world.rtp(3)), [1]);
    let mut made = Stream { payload_type: 96, ..made_of(1) };
    world.made(begun[0].id, &made.packet());
    assert_eq!(origins(&world.rtp(2)), [1]);
}

#[test]
fn nothing_is_handed_out_for_a_listener_that_can_be_sent_nothing() {
    let mut world = world();
    bridged(&mut world);
    let direction = patchcord_relay::media::Direction::SendOnly;
    world.must(&[Command::SetDirection { leg: LegId(1), direction }]);
    assert_eq!(world.send(2, &opus_of(2).packet()), dropped(DropReason::SinkDirection));
    world.must(&[Command::SetMuted { leg: LegId(2), muted: true }]);
    assert_eq!(world.send(2, &opus_of(2).packet()), dropped(DropReason::Muted));
    assert!(handed_out(&mut world).1.is_empty());
}

#[test]
fn what_is_made_leaves_under_the_listeners_keys() {
    let mut world = world();
    let [to_pcmu, to_opus] = bridged(&mut world);
    world.secure(1, Suite::AesCm128HmacSha1_80);
    world.made(to_pcmu.id, &made_of(2).packet());
    // The party of this world decrypts what it hears.
    assert_eq!(origins(&world.rtp(1)), [2]);
    // What is handed out is not encrypted.
    let packet = Stream::of(1).packet();
    world.send(1, &packet);
    assert_eq!(handed_out(&mut world).1, [(to_opus.id, packet)]);
}

#[test]
fn a_listener_gets_reports_of_the_relay_and_none_in_the_sources_numbers() {
    let mut world = world();
    let [to_pcmu, _] = bridged(&mut world);
    let (mut sent, mut made) = (opus_of(2), made_of(2));
    let ssrc = made.ssrc;
    for _ in 0..400 {
        world.send(2, &sent.packet());
        world.made(to_pcmu.id, &made.packet());
        world.pass(20);
    }
    world.send(2, &sender_report(&sent, 1_767_225_608_000_000_000, 400, b"party"));
    let heard = world.take(1);
    let mut reports = 0;
    for heard in heard.iter().filter(|heard| classify(&heard.bytes) == Protocol::Rtcp) {
        for packet in patchcord_rtp::Compound::parse(&heard.bytes).expect("a compound").packets() {
            if let Ok(RtcpView::SenderReport(report)) = packet.view() {
                assert_eq!(report.ssrc.0, ssrc);
                reports += 1;
            }
        }
    }
    assert!(reports >= 1, "8 s without a sender report");
}

#[test]
fn who_cannot_be_transcoded_is_refused_as_ever() {
    let mut world = world();
    let mut other = spec(4);
    other.codecs = vec![codec(18, "G729", 8000)];
    let mut translator = spec(5);
    translator.egress_mode = EgressMode::Transparent;
    world.must(&[add(other), add(translator)]);
    for (sink, source) in [(1, 4), (4, 1), (5, 2)] {
        let (_, refusal) = world.refused(&[crate::support::cut_over(7, Trigger::Immediate, &[(sink, leg(source))])]);
        assert!(matches!(refusal, Refusal::Incompatible { .. }), "{refusal}");
    }
}
