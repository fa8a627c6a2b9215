//! The other ways to the ng front: TCP, UNIX sockets, HTTP and WebSocket.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;

use patchcord_ng::{Dict, bencode};
use patchcord_tests::ng::descriptions::{audio, audio_with};
use patchcord_tests::ng::{Front, NgClient, Stage};
use patchcord_tests::{Folder, Relay, free_ports};

use crate::{again, at_once, call, listeners};

/// A relay that listens on everything.
pub(crate) struct Fronts {
    pub(crate) relay: Relay,
    pub(crate) udp: SocketAddr,
    tcp: SocketAddr,
    http: SocketAddr,
    folder: Folder,
}

impl Fronts {
    pub(crate) fn start(name: &str) -> Self {
        // The path of a socket must be short.
        let folder = Folder::create(&std::env::temp_dir().to_string_lossy(), &format!("patchcord-{name}"));
        let udp = SocketAddr::from(([127, 0, 0, 1], free_ports(2).first));
        let [tcp, http] = free_tcp();
        let listen = [
            udp.to_string(),
            format!("tcp:{tcp}"),
            format!("http:{http}"),
            format!("unix:{}", folder.path().join("ng").display()),
        ];
        let mut arguments = vec!["--workers", "1"];
        arguments.extend(listen.iter().flat_map(|listen| ["--ng", listen]));
        Self { relay: Relay::start(&arguments), udp, tcp, http, folder }
    }

    /// A new connection to each, but for UDP.
    pub(crate) fn connect(&self) -> Vec<(&'static str, Front)> {
        let own = format!("http://{}", self.http);
        vec![
            ("TCP", self.tcp()),
            ("UNIX", Front::unix(&self.folder.path().join("ng"))),
            ("HTTP", Front::http(&own, true)),
            ("HTTP without cookies", Front::http(&own, false)),
            ("HTTP beside the API", Front::http(self.relay.client().base(), true)),
            ("WebSocket", Front::websocket(self.http, true)),
            ("WebSocket without cookies", Front::websocket(self.http, false)),
        ]
    }

    pub(crate) fn tcp(&self) -> Front {
        Front::tcp(self.tcp)
    }
}

fn free_tcp<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

#[test]
fn calls_are_made_changed_and_ended_over_every_front() {
    let fronts = Fronts::start("calls");
    for (name, front) in fronts.connect() {
        let mut stage = Stage::new(fronts.udp, &[]);
        stage.over(front);
        stage.parties(["a", "b"]);
        let ports = call(&mut stage);
        let [towards_b, towards_a] = &ports;
        let heard = |stage: &mut Stage| [listeners(stage, "a", towards_a), listeners(stage, "b", towards_b)];
        assert_eq!(heard(&mut stage), [1, 1], "{name}");
        again(&mut stage, &audio_with("a", &["a=inactive"]), &audio_with("b", &["a=inactive"]));
        assert_eq!(heard(&mut stage), [0, 0], "{name}: on hold");
        assert_eq!(again(&mut stage, &audio("a"), &audio("b")), ports, "{name}");
        assert_eq!(heard(&mut stage), [1, 1], "{name}: off hold");
        let tags = stage.command("query", "", Dict::new());
        assert_eq!(tags.dict.dict("tags").map(|tags| tags.0.len()), Some(2), "{name}: {tags:?}");
        assert_eq!(stage.command("delete", "a", at_once()).result(), "ok", "{name}");
        assert_eq!(stage.command("query", "", Dict::new()).reason(), "Unknown call-id", "{name}");
        assert_eq!(heard(&mut stage), [0, 0], "{name}: ended");
    }
}

#[test]
fn a_repetition_gets_the_first_reply_on_whatever_front_it_comes() {
    let fronts = Fronts::start("repetitions");
    let udp = NgClient::new(fronts.udp);
    let sdp = audio("a").replace("{a}", "4000");
    let legs = |call: &str| fronts.relay.client().call(call)["legs"].as_array().unwrap().len();
    for (name, mut front) in fronts.connect() {
        let call = format!("again-{}", name.replace(' ', "-"));
        let offer = Dict::new().with("command", "offer").with("call-id", call.as_str()).with("from-tag", "a");
        let mut body = Vec::new();
        bencode::encode_dict(&offer.with("sdp", sdp.as_str()), &mut body);
        if !front.cookies() {
            // Each is a request of its own. It is the same offer, so that it opens nothing new.
            assert!(front.exact(&body).is_some() && front.exact(&body).is_some(), "{name}");
            assert_eq!(legs(&call), 2, "{name}");
            continue;
        }
        let message = [format!("{call} ").as_bytes(), &body].concat();
        let first = front.exact(&message).unwrap();
        assert!(first.starts_with(format!("{call} d6:result2:ok").as_bytes()), "{name}: {}", first.escape_ascii());
        assert_eq!(front.exact(&message).as_ref(), Some(&first), "{name}: on the same connection");
        for (other, mut front) in fronts.connect().into_iter().filter(|(_, front)| front.cookies()) {
            assert_eq!(front.exact(&message).as_ref(), Some(&first), "{name}, then {other}");
        }
        assert_eq!(udp.exact(&message), first, "{name}, then UDP");
        assert_eq!(legs(&call), 2, "{name}");
        // The same cookie with another content is another request.
        let delete = format!("{call} d7:command6:delete7:call-id{}:{call}12:delete-delayi0ee", call.len());
        assert!(
            front.exact(delete.as_bytes()).unwrap().starts_with(format!("{call} d6:result2:ok").as_bytes()),
            "{name}"
        );
        assert_eq!(front.exact(&message), Some(first), "{name}: though the call has ended since");
        assert_eq!(
            udp.exact(b"gone d7:command5:query7:call-id3:xxxe"),
            b"gone d6:result5:error12:error-reason15:Unknown call-ide"
        );
    }
}

/// A file that is read as long as the test wants makes a request that takes its time.
#[test]
fn a_repetition_of_what_still_runs_waits_for_it_on_whatever_front_it_comes() {
    let fronts = Fronts::start("waiting");
    let mut stage = Stage::new(fronts.udp, &[]);
    stage.parties(["a", "b"]);
    call(&mut stage);
    let file = fronts.folder.path().join("sound.wav");
    let audio = patchcord_codec::tone::sine(440.0, -20.0, 200, 8000);
    patchcord_codec::wav::write_file(&file, &audio).unwrap();
    let content = fs::read(&file).unwrap();

    let names: Vec<_> =
        fronts.connect().into_iter().filter(|(_, front)| front.cookies()).map(|(name, _)| name).collect();
    for (index, name) in names.into_iter().enumerate() {
        let pipe = fronts.folder.path().join(format!("pipe-{index}"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let play = Dict::new().with("command", "play media").with("call-id", stage.call()).with("from-tag", "a");
        let mut body = Vec::new();
        bencode::encode_dict(&play.with("file", pipe.to_str().unwrap()), &mut body);
        let message = [format!("slow-{index} ").as_bytes(), &body].concat();

        let asked = |mut front: Front| {
            let message = message.clone();
            thread::spawn(move || front.exact(&message))
        };
        let connection = |name: &str| fronts.connect().into_iter().find(|(other, _)| *other == name).unwrap().1;
        let first = asked(connection(name));
        // Opening waits until the relay has begun to read.
        let mut writer = File::options().write(true).open(&pipe).unwrap();
        let mut second = fronts.tcp();
        second.send(&message);
        assert!(second.exact(b"ping d7:command4:pinge").unwrap().starts_with(b"ping "), "what came later is answered");
        let others: Vec<_> =
            fronts.connect().into_iter().filter(|(_, front)| front.cookies()).map(|(_, front)| asked(front)).collect();
        writer.write_all(&content).unwrap();
        drop(writer);

        let reply = first.join().unwrap().unwrap();
        let begin = format!("slow-{index} d6:result2:ok8:durationi200ee");
        assert_eq!(String::from_utf8_lossy(&reply), begin, "{name}");
        assert_eq!(second.next(&[]).as_ref(), Some(&reply), "{name}, then TCP");
        for other in others {
            // Had one of them been done, it would wait for another writer for ever.
            assert_eq!(other.join().unwrap().as_ref(), Some(&reply), "{name}");
        }
        assert_eq!(connection(name).exact(&message), Some(reply), "{name}: afterwards");
    }
}
