//! Prompts that are fetched by https, from servers with good and bad certificates and with redirections.

use std::fs;
use std::net::{SocketAddr, TcpListener};

use patchcord_tests::{Authority, Client, Folder, Pair, Relay, run};
use serde_json::json;

const FROM: &str = "20200101000000Z";
const UNTIL: &str = "20991231235959Z";
/// PCMU of 200 ms.
const MENU: [u8; 1600] = [0xd5; 1600];

fn ok() -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1600\r\n\r\n", &MENU[..]].concat()
}

fn moved(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

/// Has a relay fetch from a server, as a user would: what the command line says of it.
fn fetch(client: &Client, place: SocketAddr, path: &str) -> Result<String, String> {
    let url = format!("https://{place}/{path}");
    let output = run(&["audio", "put", &url, "--name", "menu", "--server", client.base()]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn must_fail(client: &Client, place: SocketAddr, path: &str, code: &str, says: &str) {
    let told = fetch(client, place, path).expect_err("it cannot be fetched");
    assert!(told.contains(code) && told.contains(says), "{path}: {told}");
}

#[test]
fn prompts_are_fetched_by_https_from_whom_somebody_vouches_for() {
    let authority = Authority::new("fetch");
    let files = Folder::create(env!("CARGO_TARGET_TMPDIR"), "fetch");
    // Allowed, and never asked: by http.
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    plain.set_nonblocking(true).unwrap();
    let plain_place = plain.local_addr().unwrap();
    // Each file is a whole answer.
    for (name, answer) in [
        ("menu.ulaw", ok()),
        ("moved", moved("/menu.ulaw")),
        ("away", moved("https://127.0.0.1:1/menu.ulaw")),
        ("down", moved(&format!("http://{plain_place}/menu.ulaw"))),
    ] {
        fs::write(files.path().join(name), answer).unwrap();
    }
    let serve = |pair: &Pair| pair.serve(files.path(), &["-HTTP"]);
    let (good, _good) = serve(&authority.certify("good", "IP:127.0.0.1", FROM, UNTIL));
    let (old, _old) = serve(&authority.certify("old", "IP:127.0.0.1", FROM, "20200201000000Z"));
    let (other, _other) = serve(&authority.certify("other", "DNS:other.example", FROM, UNTIL));
    let (alone, _alone) = serve(&authority.alone("alone", "IP:127.0.0.1"));
    let from: Vec<String> = [good, old, other, alone, plain_place].iter().map(ToString::to_string).collect();
    let fetch_from = format!("audio.fetch_from={}", from.join(","));
    let ca = format!("audio.ca={}", authority.ca().display());
    let relay = Relay::start(&["--workers", "1", "--set", &fetch_from, "--set", &ca]);
    let client = relay.client();

    fetch(client, good, "moved").expect("it is where it has moved to");
    let listed = client.get("/v1/audio");
    let menu = listed["audio"].as_array().unwrap().iter().find(|audio| audio["name"] == "menu").unwrap();
    assert_eq!((&menu["source"], &menu["duration_ms"]), (&json!("url"), &json!(200)));

    must_fail(client, good, "away", "fetch-refused", "127.0.0.1:1");
    must_fail(client, good, "down", "fetch-refused", "down to http");
    must_fail(client, old, "menu.ulaw", "fetch-failed", "expired");
    must_fail(client, other, "menu.ulaw", "fetch-failed", "not valid for name");
    must_fail(client, alone, "menu.ulaw", "fetch-failed", "UnknownIssuer");
    let asked = plain.accept().map(|(_, from)| from).map_err(|error| error.kind());
    assert_eq!(asked, Err(std::io::ErrorKind::WouldBlock));

    // Without the authority the same server is nobody's.
    let relay = Relay::start(&["--workers", "1", "--set", &fetch_from]);
    must_fail(relay.client(), good, "menu.ulaw", "fetch-failed", "UnknownIssuer");
    // A file without a certificate vouches for nobody, which is told at once.
    let none = format!("audio.ca={}", files.path().join("moved").display());
    let ended = Relay::try_start(&["--workers", "1", "--set", &none]).expect_err("nothing is in it");
    assert!(ended.stderr.contains("audio.ca") && ended.stderr.contains("no certificate"), "{}", ended.stderr);
}
