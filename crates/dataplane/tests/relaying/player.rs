//! Packets that time brings about.

use patchcord_relay::command::{Command, Source};
use patchcord_relay::event::Event;
use patchcord_relay::media::{Frames, Repeat};

use crate::support::{LOOPBACKS, Party, Relay, codec, cut_over, over_all, sequence};

const FRAMES: u32 = 20;
const FRAME_LEN: usize = 80;

over_all!(a_prompt_is_played_whole_and_then_ends, |config| {
    let mut relay = Relay::start(&config);
    let party = Party::new(LOOPBACKS[0]);
    let (leg, _) = relay.add(LOOPBACKS[0], Some(party.addr()));
    let audio: Vec<u8> = (0..FRAMES as usize * FRAME_LEN).map(|index| (index / FRAME_LEN) as u8).collect();
    let frames = Frames::new("PCMU", 8000, 10, FRAME_LEN, &audio).expect("whole frames");
    let play = cut_over(vec![(leg, Source::Player { frames, repeat: Repeat::Times(1) })]);
    let applied = relay
        .apply(vec![Command::SetCodecs { leg, codecs: vec![codec(0, "PCMU")] }, play])
        .expect("the codec is listed");
    let mut packets: Vec<Vec<u8>> = Vec::new();
    while packets.len() < FRAMES as usize {
        let (packet, _) = party.receive();
        // A player sends reports too (RFC 3550 6.4.1); those are not counted here.
        if packet[1] & 0x7f == 0 {
            packets.push(packet);
        }
    }
    for (index, pair) in packets.windows(2).enumerate() {
        assert_eq!(sequence(&pair[1]), sequence(&pair[0]).wrapping_add(1), "after frame {index}");
        assert_eq!(pair[1][12..], [index as u8 + 1; FRAME_LEN], "the audio of frame {}", index + 1);
    }
    relay.event(|event| matches!(event, Event::PlayFinished { .. }));
    // 20 frames of 10 ms cannot be over before the last is due, 190 ms after the first.
    let took_ms = relay.dataplane.clock().now().nanos_since(applied.at) / 1_000_000;
    assert!(took_ms >= 189, "played {FRAMES} frames of 10 ms in {took_ms} ms");
    let egress = relay.leg(leg).expect("it is there").egress;
    assert_eq!(egress.packets, u64::from(FRAMES));
});
