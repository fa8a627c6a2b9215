//! A source that changes between a format that its listener has and one that it does not: by real sockets, with the thread beside the
//! worker.

use patchcord_codec::Law;
use patchcord_codec::analysis::tone_dbfs;
use patchcord_codec::tone::sine;
use patchcord_relay::command::{Command, Source};

use crate::support::{LOOPBACKS, Party, Relay, codec, cut_over, over_all, sequence};

const PCMU: u8 = 0;
const PCMA: u8 = 8;
const HZ: f64 = 440.0;
const LEVEL_DBFS: f64 = -15.0;

fn word(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

over_all!(what_the_listener_has_is_relayed_and_the_rest_transcoded_in_one_stream, |config| {
    let mut relay = Relay::start(&config);
    let [listener, talker] = [Party::new(LOOPBACKS[0]), Party::new(LOOPBACKS[0])];
    let (hears, _) = relay.add(LOOPBACKS[0], Some(listener.addr()));
    let (talks, local) = relay.add(LOOPBACKS[0], Some(talker.addr()));
    let commands = vec![
        Command::SetCodecs { leg: hears, codecs: vec![codec(PCMA, "PCMA")] },
        Command::SetCodecs { leg: talks, codecs: vec![codec(PCMU, "PCMU"), codec(PCMA, "PCMA")] },
        cut_over(vec![(hears, Source::Leg(talks))]),
    ];
    relay.apply(commands).expect("they share PCMA");
    let tone = sine(HZ, LEVEL_DBFS, 1000, 8000).samples;
    let mut heard: Vec<Vec<u8>> = Vec::new();
    let mut relayed = 0;
    for number in 0..50_u16 {
        // Five packets of the one, five of the other; at the end each time another.
        let is_shared = if number < 40 { number % 10 < 5 } else { number % 2 == 0 };
        let (payload_type, law) = if is_shared { (PCMA, Law::A) } else { (PCMU, Law::Mu) };
        let from = usize::from(number) * 160 % 8000;
        let mut packet = vec![0x80, payload_type];
        packet.extend((65_520_u16.wrapping_add(number)).to_be_bytes());
        packet.extend((u32::from(number) * 160).to_be_bytes());
        packet.extend(7_u32.to_be_bytes());
        packet.extend(tone[from..from + 160].iter().map(|&sample| law.encode_sample(sample)));
        talker.send(&packet, local);
        // Reports of the relay's own come to the same port.
        let received = loop {
            let (received, _) = listener.receive();
            if received[1] & 0x7f == PCMA {
                break received;
            }
        };
        if is_shared {
            assert_eq!(received[12..], packet[12..], "packet {number} is relayed untouched");
            relayed += 1;
        }
        heard.push(received);
    }
    assert!(listener.receive_all().iter().all(|packet| packet[1] & 0x7f != PCMA), "nothing is heard twice");
    for pair in heard.windows(2) {
        assert_eq!(sequence(&pair[1]), sequence(&pair[0]).wrapping_add(1));
        assert_eq!(word(&pair[1], 8), word(&pair[0], 8), "one SSRC");
        let step = word(&pair[1], 4).wrapping_sub(word(&pair[0], 4));
        assert_eq!(step, 160, "the source's own time, however fast its packets come");
    }
    let samples: Vec<i16> =
        heard.iter().flat_map(|packet| packet[12..].iter().map(|&byte| Law::A.decode_sample(byte))).collect();
    assert!((tone_dbfs(&samples, 8000, HZ) - LEVEL_DBFS).abs() < 1.0, "it is the same tone all the way");
    let made = relay.worker().io.into_iter().find(|(name, _)| *name == "media_made").map(|(_, count)| count);
    assert_eq!((relayed, made), (25, Some(25)));
    let talker = relay.leg(talks).expect("it is there");
    assert_eq!(talker.drops.total(), 0, "{:?}", talker.drops);
});
