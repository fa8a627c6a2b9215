//! From bytes to what happens on an ng port.
//!
//! Steps lie between bytes 0xff, so that a fuzzer can move and repeat them whole. One that begins with a printable byte is a
//! datagram as it is; any other is a choice of what to ask, each byte from a small pool, and what is missing is the first of
//! its pool. The single byte 0 is a plain offer, the byte 1 its answer.

use patchcord_ng::{Command, Dict, Value, bencode, json};

/// More steps than this are left out: they would show nothing new.
const STEPS_MAX: usize = 64;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A datagram arrives.
    Datagram(Vec<u8>),
    /// Time goes by: so many ticks of the engine, then a long time in one go.
    Later {
        /// Of 20 ms each.
        ticks: u8,
        /// What follows.
        seconds: u8,
    },
    /// A packet arrives at an open port.
    Packet {
        /// Which one, modulo how many there are.
        port: u8,
        /// The last byte of where it comes from.
        from: u8,
        /// Of RTP; above 127: garbage.
        payload_type: u8,
    },
}

/// What is asked, by the first byte of a step.
const COMMANDS: [&str; 16] = [
    "offer",
    "answer",
    "delete",
    "query",
    "connect",
    "play media",
    "stop media",
    "block media",
    "unblock media",
    "block DTMF",
    "unblock DTMF",
    "silence media",
    "unsilence media",
    "list",
    "statistics",
    "ping",
];

const CALLS: [Option<&str>; 6] = [Some("c"), Some("d/e@f"), Some("e"), Some("\u{e9} \n"), Some(""), None];
const TAGS: [Option<&str>; 8] =
    [Some("a"), Some("b"), Some("c"), Some("a/1"), Some("callee"), Some(LONG), Some(""), None];
const BRANCHES: [Option<&str>; 4] = [None, Some("z1"), Some("z2"), Some("")];
/// More than a name may have.
const LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

/// What stands in front of the m= lines; lines end with a bar.
const HEADS: [&str; 6] = [
    "v=0|o=- 1 1 IN IP4 10.0.0.9|s=-|c=IN IP4 10.0.0.9|t=0 0|",
    "v=0|o=- 1 1 IN IP6 fd00::9|s=-|c=IN IP6 fd00::9|t=0 0|",
    "v=0|o=- 1 1 IN IP4 10.0.0.9|s=-|c=IN IP4 10.0.0.9|t=0 0|a=sendonly|a=group:BUNDLE 0|a=rtpengine:x|",
    "v=0|o=- 1 1 IN IP4 10.0.0.9|s=-|t=0 0|",
    "v=1|",
    "",
];

/// Media sections; `{p}` is a port.
const SECTIONS: [&str; 16] = [
    "m=audio {p} RTP/AVP 0|",
    "m=audio {p} RTP/AVP 8 0 101|a=rtpmap:101 telephone-event/8000|a=fmtp:101 0-15|a=ptime:20|",
    "m=audio 0 RTP/AVP 0|",
    "m=video {p} RTP/AVP 96|a=rtpmap:96 VP8/90000|",
    "m=audio {p} RTP/AVP 96 101|a=rtpmap:96 iLBC/8000|a=rtpmap:101 x/8000|",
    "m=audio {p} RTP/AVP 0|a=sendonly|",
    "m=audio {p} RTP/AVP 0|c=IN IP4 0.0.0.0|",
    "m=audio {p} RTP/AVP 0|c=IN IP6 fd00::9|",
    "m=audio {p} RTP/SAVP 0|a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|",
    "m=image {p} udptl t38|a=T38FaxVersion:0|",
    "m=audio {p} RTP/AVP 0|a=rtcp-mux|a=mid:0|a=rtcp:4001 IN IP4 10.0.0.8|",
    "m=audio {p} RTP/AVP 8|a=inactive|",
    "m=audio {p} UDP/TLS/RTP/SAVPF 111|a=rtpmap:111 opus/48000/2|a=mid:0|a=rtcp-mux|a=ice-ufrag:abcd|\
     a=ice-pwd:abcdefghijklmnopqrstuv|a=candidate:1 1 UDP 2130706431 10.0.0.9 4000 typ host|a=setup:actpass|",
    "m=audio {p} RTP/AVP 300 x|",
    "m=application 9 TCP/BFCP *|",
    // Many of them.
    "m=audio {p} RTP/AVP 0|m=audio {p} RTP/AVP 0|m=audio {p} RTP/AVP 0|m=audio {p} RTP/AVP 0|m=audio {p} RTP/AVP 0|\
     m=audio {p} RTP/AVP 0|m=audio {p} RTP/AVP 0|m=audio {p} RTP/AVP 0|m=audio {p} RTP/AVP 0|m=audio {p} RTP/AVP 0|",
];

/// Further keys; a value with bars is a list.
const MORE: [(&str, &str); 52] = [
    ("delete-delay", "0"),
    ("delete delay", "5"),
    ("flags", "all|"),
    ("flags", "fatal|"),
    ("flags", "trust-address|symmetric|"),
    ("flags", "strict-source|"),
    ("flags", "asymmetric|media-handover|"),
    ("flags", "port-latching|"),
    ("flags", "loop-protect|"),
    ("flags", "transparent|"),
    ("flags", "no-rtcp-attribute|generate-mid|"),
    ("flags", "SIP-source-address|inactive|"),
    ("replace", "origin|session-connection|sdp-version|"),
    ("replace", "zero-address|"),
    ("direction", "lan|six|"),
    ("direction", "six|lan|"),
    ("direction", "nowhere|"),
    ("interface", "six"),
    ("address-family", "IP6"),
    ("address-family", "IP4"),
    ("rtcp-mux", "offer|require|"),
    ("rtcp-mux", "demux|"),
    ("rtcp-mux", "accept|"),
    ("rtcp-mux", "reject|"),
    ("ICE", "remove"),
    ("ICE", "force"),
    ("transport-protocol", "RTP/SAVP"),
    ("transport-protocol", "RTP/AVPF"),
    ("received-from", "IP4|10.0.0.77|"),
    ("media-address", "192.0.2.77"),
    ("TOS", "184"),
    ("media-timeout", "7"),
    ("label", "x"),
    ("address", "10.0.0.9"),
    ("file", "hold"),
    ("file", "/nonexistent.wav"),
    ("blob", "RIFF"),
    ("db-id", "7"),
    ("repeat-times", "3"),
    ("to-call-id", "c"),
    ("to-call-id", "d/e@f"),
    ("to-call-id", "e"),
    ("limit", "1"),
    ("supports", "load limit|"),
    ("rtpp-flags", "replace-origin via-branch=z1 rtcp-mux-demux label=x [ ] = flags-all"),
    ("command", "delete"),
    ("via-branch", "z2"),
    ("sdp", "x"),
    ("call-id", "e"),
    ("from-tag", "b|c|"),
    ("all", "all"),
    ("flags", "block-egress|single-codec|early-media|unidirectional|"),
];

/// What the bytes mean.
pub fn steps(bytes: &[u8]) -> impl Iterator<Item = Step> {
    let parts = bytes.split(|byte| *byte == 0xff).filter(|part| !part.is_empty()).take(STEPS_MAX);
    parts.enumerate().map(|(index, part)| match part {
        [0..0x20, choices @ ..] => chosen(index, part[0], &mut Choices(choices)),
        _ => Step::Datagram(part.to_vec()),
    })
}

fn chosen(index: usize, what: u8, choices: &mut Choices<'_>) -> Step {
    let command = match what {
        0..16 => COMMANDS[usize::from(what)],
        16 => choices.of(Command::ALL).name(),
        17 => choices.of(&["frobnicate", "", "OFFER", "block_media"]),
        18 => return Step::Later { ticks: choices.next(), seconds: choices.next() },
        19 => return Step::Packet { port: choices.next(), from: choices.next(), payload_type: choices.next() },
        20..26 => "offer",
        _ => "answer",
    };
    let dict = request(command, choices);
    let mut body = Vec::new();
    if choices.next().is_multiple_of(2) {
        bencode::encode_dict(&dict, &mut body);
    } else {
        body = json::encode(&dict);
    }
    damage(&mut body, choices);
    Step::Datagram([format!("1_{index} ").as_bytes(), &body].concat())
}

/// A request as a proxy could send it, more or less.
fn request(command: &str, choices: &mut Choices<'_>) -> Dict {
    let mut dict = Dict::new().with("command", command);
    let is_answer = command == "answer";
    for (key, value) in [
        ("call-id", choices.of(&CALLS)),
        ("from-tag", choices.of(&TAGS)),
        // An answer has one, an offer mostly not.
        ("to-tag", TAGS[(usize::from(choices.next()) + if is_answer { 1 } else { TAGS.len() - 1 }) % TAGS.len()]),
        ("via-branch", choices.of(&BRANCHES)),
    ] {
        if let Some(value) = value {
            dict.set(key, value);
        }
    }
    if is_answer || command == "offer" {
        dict.set("sdp", description(choices));
    }
    if command == "connect"
        && let Some(other) = choices.of(&[None, Some("d/e@f"), Some("e"), Some("c")])
    {
        dict.set("to-call-id", other);
    }
    for _ in 0..choices.next() % 4 {
        let (key, value) = choices.of(&MORE);
        match value.strip_suffix('|') {
            Some(list) => dict.set(key, list.split('|').collect::<Vec<_>>()),
            None => dict.set(key, value),
        }
    }
    dict
}

/// A session description, or what is left of one.
fn description(choices: &mut Choices<'_>) -> Value {
    let mut text = choices.of(&HEADS).to_owned();
    let port = 4000 + 2 * u16::from(choices.next() % 8);
    for _ in 0..=choices.next() % 4 {
        text += &choices.of(&SECTIONS).replace("{p}", &port.to_string());
    }
    let mut lines: Vec<String> = text.split_terminator('|').map(str::to_owned).collect();
    let (change, at) = (choices.next() % 8, choices.next());
    let line = usize::from(at) % lines.len().max(1);
    let mut end = "\r\n";
    match change {
        1 if line < lines.len() => drop(lines.remove(line)),
        2 if line < lines.len() => lines.push(lines[line].clone()),
        3 if line < lines.len() => lines[line] = lines[line].replacen(' ', &char::from(choices.next()).to_string(), 1),
        4 => lines.truncate(line),
        5 => end = "\n",
        6 => lines.iter_mut().for_each(|line| *line = line.replace(&port.to_string(), "-1")),
        7 => lines.extend(lines.last().cloned().into_iter().cycle().take(8 * usize::from(at))),
        _ => {}
    }
    Value::from(lines.iter().flat_map(|line| [line.as_str(), end]).collect::<String>())
}

/// Bytes get lost, or are others.
fn damage(body: &mut Vec<u8>, choices: &mut Choices<'_>) {
    let (how, at, byte) = (choices.next() % 4, usize::from(choices.next()), choices.next());
    let at = at * body.len() / 256;
    match how {
        1 => body.truncate(at),
        2 => body[at] = byte,
        3 => body.insert(at, byte),
        _ => {}
    }
}

/// Bytes that choose.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    /// The next one; 0 at the end.
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn of<T: Copy>(&mut self, pool: &[T]) -> T {
        pool[usize::from(self.next()) % pool.len()]
    }
}
