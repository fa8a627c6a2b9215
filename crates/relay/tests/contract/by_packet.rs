//! Listeners that have some of their source's formats: packets of those are relayed, packets of others are transcoded, in one stream.

use patchcord_relay::Verdict;
use patchcord_relay::command::{Command, EgressMode, Trigger};
use patchcord_relay::event::Event;
use patchcord_relay::ids::{LegId, MadeId};
use patchcord_relay::media::{Codec, Sending};
use patchcord_relay::transcoding::Transcoding;
use patchcord_relay::verdict::DropReason;

use crate::support::wire::{HeardRtp, Stream, assert_continuous, event, numbers};
use crate::support::{FRAME, Given, World, add, codec, dropped, leg, on_first_packet_of, set_codecs, spec};

const PCMU: u8 = 0;
/// As the source calls it, and as the listener does.
const PCMA: u8 = 96;
const HEARD_PCMA: u8 = 8;
const HEARD_EVENT: u8 = 100;

fn source_codecs() -> Vec<Codec> {
    vec![
        codec(PCMU, "PCMU", 8000),
        codec(PCMA, "PCMA", 8000),
        codec(18, "G729", 8000),
        codec(101, "telephone-event", 8000),
    ]
}

/// Leg 1 has PCMA and events, leg 2 PCMU besides, and G.729. Leg 1 hears leg 2.
fn world_in(mode: EgressMode) -> World {
    let mut world = World::new();
    world.shard.set_transcoder(|codec| codec.encoding.starts_with("PCM"));
    for (id, codecs) in
        [(1, vec![codec(HEARD_PCMA, "PCMA", 8000), codec(HEARD_EVENT, "telephone-event", 8000)]), (2, source_codecs())]
    {
        let mut spec = spec(id);
        spec.codecs = codecs;
        if id == 1 {
            spec.egress_mode = mode;
        }
        world.must(&[add(spec)]);
    }
    world.cut(Trigger::Immediate, &[(1, leg(2))]);
    world
}

fn world() -> World {
    let world = world_in(EgressMode::Continuity);
    assert!(world.given.is_empty(), "nobody transcodes for a source that never needs it");
    world
}

/// A source of both, and what is made of it, which has its timestamps as if both had one clock.
struct Source {
    sent: Stream,
    made: Stream,
    begun: Vec<Transcoding>,
    name: Option<MadeId>,
}

impl Source {
    fn new() -> Self {
        let made = Stream { payload_type: HEARD_PCMA, ..Stream::of(2).under(0x7ea5_0002) };
        Self { sent: Stream::of(2), made: Stream { sequence: 40_000, ..made }, begun: Vec::new(), name: None }
    }

    fn next(&mut self, payload_type: u8) -> Vec<u8> {
        self.sent.payload_type = payload_type;
        self.sent.packet()
    }

    /// Takes what was handed out; the packets.
    fn handed_out(&mut self, world: &mut World) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for one in world.given.drain(..) {
            match one {
                Given::Transcode(transcoding) => self.begun.push(transcoding),
                Given::Packet(id, bytes) => {
                    self.name = Some(id);
                    packets.push(bytes);
                }
                other => panic!("{other:?}"),
            }
        }
        packets
    }

    /// The packet that is made of the latest one.
    fn made(&mut self) -> Vec<u8> {
        let sequence = self.made.sequence;
        self.made.number = self.sent.number - 1;
        self.made.timestamp = self.sent.timestamp.wrapping_sub(FRAME);
        let packet = self.made.packet();
        self.made.sequence = sequence.wrapping_add(1);
        packet
    }

    /// Sends a packet, has it made if it was handed out, and lets its time pass.
    fn send(&mut self, world: &mut World, payload_type: u8) {
        let packet = self.next(payload_type);
        world.send(2, &packet);
        let handed_out = self.handed_out(world);
        if !handed_out.is_empty() {
            assert_eq!(handed_out, [packet]);
            world.pass(4);
            let made = self.made();
            world.made(self.name.expect("it has a name"), &made);
            world.pass(16);
        } else {
            world.pass(20);
        }
    }
}

/// A stream without a break, in steps of a packet, marked where it changes between relayed and made.
fn assert_one_stream(heard: &[HeardRtp], marked: &[usize]) {
    assert_continuous(heard);
    for pair in heard.windows(2) {
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), FRAME, "{pair:?}");
    }
    let marks: Vec<_> = (0..heard.len()).filter(|&at| heard[at].marker).collect();
    assert_eq!(marks, marked);
    assert!(heard.iter().all(|packet| packet.payload_type == HEARD_PCMA));
}

#[test]
fn a_format_that_the_listener_has_is_relayed_and_another_is_transcoded_in_one_stream() {
    for mode in [EgressMode::Continuity, EgressMode::NewSsrc] {
        let (mut world, mut source) = (world_in(mode), Source::new());
        world.events();
        for payload_type in [PCMA, PCMA, PCMU, PCMU, PCMA, PCMU, PCMA, PCMA] {
            source.send(&mut world, payload_type);
        }
        let heard = world.rtp(1);
        assert_eq!(numbers(&heard), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_one_stream(&heard, &[2, 4, 5, 6]);
        let begun = &source.begun[..];
        assert_eq!((begun.len(), &begun[0].from, begun[0].to.len()), (1, &source_codecs(), 2), "once for both times");
        assert!(source.name.expect("a name").is_later_than(begun[0].id));
        assert_eq!(world.receipts().len(), 1, "of the cut-over itself");
        assert!(!world.events().iter().any(|event| matches!(event, Event::SsrcChanged { .. })));
        assert_eq!((world.drops(1, DropReason::PayloadType), world.drops(2, DropReason::PayloadType)), (0, 0));
    }
}

#[test]
fn what_comes_back_after_the_source_is_relayed_again_is_not_heard() {
    let (mut world, mut source) = (world(), Source::new());
    source.send(&mut world, PCMA);
    let first = source.next(PCMU);
    world.send(2, &first);
    assert_eq!(source.handed_out(&mut world), [first]);
    let (former, late) = (source.name.expect("a name"), source.made());
    world.pass(20);
    source.send(&mut world, PCMA);
    assert!(!world.leg(1).transcoded);
    world.made(former, &late);
    let again = source.next(PCMU);
    world.send(2, &again);
    assert!(world.leg(1).transcoded);
    assert_eq!(source.handed_out(&mut world), [again]);
    assert!(source.name.expect("a name").is_later_than(former));
    world.made(former, &late);
    let made = source.made();
    world.made(source.name.expect("a name"), &made);
    let heard = world.rtp(1);
    assert_eq!(numbers(&heard), [0, 2, 3]);
    assert_continuous(&heard);
}

#[test]
fn a_late_packet_changes_nothing() {
    let (mut world, mut source) = (world(), Source::new());
    let late = source.next(PCMU);
    source.send(&mut world, PCMA);
    assert_eq!(world.send(2, &late), dropped(DropReason::StaleAfterCutover));
    assert!(world.given.is_empty());
    let late = source.next(PCMA);
    source.send(&mut world, PCMU);
    // Whoever transcodes knows whether it is still of use.
    assert_eq!(world.send(2, &late), Verdict::Consumed);
    assert_eq!(source.handed_out(&mut world), [late]);
    assert!(world.leg(1).transcoded);
    assert_eq!(numbers(&world.rtp(1)), [1, 3]);
}

#[test]
fn an_event_that_is_relayed_is_not_torn() {
    let (mut world, mut source) = (world(), Source::new());
    source.send(&mut world, PCMA);
    let began_at = source.sent.timestamp;
    for frames in 1..=2 {
        let packet = event(&mut source.sent, frames, false);
        assert!(matches!(world.send(2, &packet), Verdict::Forwarded(_)));
        world.pass(20);
    }
    let audio = source.next(PCMU);
    assert_eq!(world.send(2, &audio), dropped(DropReason::MidEvent));
    let at = core::mem::replace(&mut source.sent.timestamp, began_at);
    let end = event(&mut source.sent, 3, true);
    assert!(matches!(world.send(2, &end), Verdict::Forwarded(_)));
    source.sent.timestamp = at;
    source.send(&mut world, PCMU);
    assert_eq!(source.begun.len(), 1);
    // The end comes once more, behind the audio that is transcoded.
    source.sent.timestamp = began_at;
    let again = event(&mut source.sent, 3, true);
    assert_eq!(world.send(2, &again), dropped(DropReason::MidEvent));
    assert!(source.handed_out(&mut world).is_empty());
    let heard = world.rtp(1);
    assert!(heard.iter().all(|packet| packet.ssrc == heard[0].ssrc));
    let events: Vec<_> = heard.iter().filter(|packet| packet.payload_type == HEARD_EVENT).collect();
    assert_eq!((events.len(), heard.len()), (3, 5));
    assert!(events.iter().all(|event| event.timestamp == events[0].timestamp));
}

#[test]
fn an_event_that_is_handed_out_ends_so() {
    let (mut world, mut source) = (world(), Source::new());
    source.send(&mut world, PCMU);
    let began_at = source.sent.timestamp;
    for (frames, end) in [(1, false), (2, true)] {
        let packet = event(&mut source.sent, frames, end);
        assert_eq!(world.send(2, &packet), Verdict::Consumed);
        assert_eq!(source.handed_out(&mut world), [packet]);
    }
    source.sent.timestamp = began_at.wrapping_add(2 * FRAME);
    source.send(&mut world, PCMA);
    assert!(!world.leg(1).transcoded);
    source.sent.timestamp = began_at;
    let again = event(&mut source.sent, 2, true);
    assert_eq!(world.send(2, &again), dropped(DropReason::MidEvent));
}

#[test]
fn comfort_noise_and_what_nobody_knows_go_the_way_of_the_audio() {
    let (mut world, mut source) = (world(), Source::new());
    source.send(&mut world, PCMA);
    let noise = source.next(13);
    assert!(matches!(world.send(2, &noise), Verdict::Forwarded(_)));
    source.send(&mut world, PCMU);
    for number in [13, 77] {
        let noise = source.next(number);
        assert_eq!(world.send(2, &noise), Verdict::Consumed);
        assert_eq!(source.handed_out(&mut world), [noise]);
    }
    source.send(&mut world, PCMA);
    // It can be neither relayed nor transcoded.
    let g729 = source.next(18);
    assert_eq!(world.send(2, &g729), dropped(DropReason::PayloadType));
}

#[test]
fn a_cut_over_fires_with_a_first_packet_of_either_kind() {
    for (payload_type, expected) in [(PCMA, 0), (PCMU, 1)] {
        let (mut world, mut source) = (world(), Source::new());
        world.cut(Trigger::Immediate, &[(1, patchcord_relay::command::Source::Silence)]);
        world.cut(on_first_packet_of(2), &[(1, leg(2))]);
        let packet = source.next(payload_type);
        world.send(2, &packet);
        assert_eq!(source.handed_out(&mut world).len(), expected);
        assert_eq!(world.rtp(1).len(), 1 - expected);
    }
}

#[test]
fn it_ends_with_the_bridge_and_with_its_codecs() {
    let (mut world, mut source) = (world(), Source::new());
    source.send(&mut world, PCMU);
    world.must(&[set_codecs(2, &[(PCMU, "PCMU"), (PCMA, "PCMA"), (101, "telephone-event")])]);
    assert!(matches!(&world.given[..], [Given::End(id)] if Some(*id) == source.name));
    world.given.clear();
    source.send(&mut world, PCMA);
    source.send(&mut world, PCMU);
    assert_eq!(source.begun.len(), 2);
    world.cut(Trigger::Immediate, &[(1, patchcord_relay::command::Source::Silence)]);
    assert!(matches!(&world.given[..], [Given::End(id)] if Some(*id) == source.name));
    world.given.clear();
    let made = source.made();
    world.made(source.name.expect("a name"), &made);
    world.must(&[Command::RemoveLeg { leg: LegId(1) }]);
    assert!(world.given.is_empty());
    let heard = world.rtp(1);
    assert_eq!(numbers(&heard), [0, 1, 2]);
    assert_continuous(&heard);
}

#[test]
fn all_is_transcoded_where_packet_times_are_asked_for_and_nothing_for_a_translator() {
    let (mut world, mut source) = (world(), Source::new());
    let codecs =
        vec![Codec { sending: Sending::default().with_ptime(40).exactly(), ..codec(HEARD_PCMA, "PCMA", 8000) }];
    let source_of = vec![codec(PCMU, "PCMU", 8000), codec(PCMA, "PCMA", 8000)];
    world.must(&[Command::SetCodecs { leg: LegId(2), codecs: source_of }]);
    world.must(&[Command::SetCodecs { leg: LegId(1), codecs }]);
    assert_eq!((source.handed_out(&mut world).len(), source.begun.len()), (0, 1));
    for payload_type in [PCMA, PCMU, PCMA] {
        let packet = source.next(payload_type);
        assert_eq!(world.send(2, &packet), Verdict::Consumed);
        assert_eq!(source.handed_out(&mut world), [packet]);
    }
    let (mut world, mut source) = (world_in(EgressMode::Transparent), Source::new());
    let packet = source.next(PCMU);
    assert_eq!(world.send(2, &packet), dropped(DropReason::PayloadType));
}
