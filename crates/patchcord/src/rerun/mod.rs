//! `transfers replay`: a stored transfer, once more. The script is the pivot's (`patchcord_pivot::replay`); sockets, clock, the pivot that is
//! played against and the report are here.

mod config;
mod outcome;
mod report;
mod stage;
mod voice;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use patchcord_pivot::replay::{Difference, Pace, Player, Recording, Script, Stage};

use self::report::Report;
use self::stage::Sockets;
use crate::child::RelayChild;
use crate::client::args::ReplayTransferArgs;
use crate::failure::Failure;
use crate::output;

/// Octets of a file that are read: no bundle is longer.
const FILE_LEN_MAX: u64 = (64 << 20) + 1;

/// How much longer than then a message may take: a machine that is busy is no other pivot.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often other ports are tried if somebody else has taken them meanwhile, or has them without holding a socket on each.
const STARTS: u16 = 5;

/// Media ports of a pivot that is started: two a party.
const PORTS: u16 = 128;

/// So many lines of the pivot's log are shown with a difference.
const LOG_LINES: usize = 20;

/// Reads, plays, compares, reports.
pub(crate) fn run(arguments: &ReplayTransferArgs) -> Result<(), Failure> {
    let speed = speed(arguments)?;
    let (recording, script) = read(&arguments.bundle)?;
    let seed = arguments.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Short enough for every reader of JSON.
        (now.as_nanos() as u64 ^ u64::from(std::process::id())) >> 11
    });
    for note in &script.notes {
        output::tell(&format!("patchcord: {note}"));
    }
    let sockets = Sockets::bind(&script, &arguments.peers)?;
    let (stage, mut child) = match arguments.against {
        Some(pivot) => (sockets.stage(pivot), None),
        None => {
            let (stage, child) = start(&recording, &script, &sockets)?;
            (stage, Some(child))
        }
    };
    let api = child.as_ref().map_or_else(|| arguments.to.relay.api(), |child| child.api().clone());
    let pivot = stage.pivot;
    let mut player = Player::new(script.clone(), stage, seed, Pace { speed, patience: PATIENCE });
    let played = sockets.play(&mut player, pivot, |player| outcome::is_connected(&api, &recording, player))?;
    let (outcome, found) = match &played.difference {
        None => outcome::compare(&api, &recording, &player)?,
        Some(_) => (None, None),
    };
    let found = played.difference.clone().or(found).or_else(|| misheard(&recording, &played));
    let report = Report::new(&recording, &script, &player, seed, speed, played, outcome, found);
    let log = child.as_mut().map(RelayChild::kill).unwrap_or_default();
    if arguments.to.json {
        output::print_json(&report);
    } else {
        output::print(&report.text());
    }
    if report.same {
        return Ok(());
    }
    let lines: Vec<&str> = log.lines().collect();
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        output::tell(line);
    }
    Err(Failure::Reported)
}

fn speed(arguments: &ReplayTransferArgs) -> Result<Option<f64>, Failure> {
    match arguments.speed {
        _ if arguments.no_wait => Ok(None),
        0.0 => Ok(None),
        speed if (0.001..=1000.0).contains(&speed) => Ok(Some(speed)),
        speed => Err(Failure::Usage(format!("--speed {speed}: it is 0, or 0.001 to 1000"))),
    }
}

fn read(file: &Path) -> Result<(Recording, Script), Failure> {
    let bad = |why: String| Failure::Usage(format!("{}: {why}", file.display()));
    let mut bundle = Vec::new();
    File::open(file)
        .and_then(|open| open.take(FILE_LEN_MAX).read_to_end(&mut bundle))
        .map_err(|error| bad(format!("cannot read it: {error}")))?;
    let recording = Recording::read(&bundle).map_err(|error| bad(error.to_string()))?;
    let script = Script::of(&recording).map_err(|error| bad(error.to_string()))?;
    Ok((recording, script))
}

/// Starts a pivot that is set up like the recorded one.
fn start(recording: &Recording, script: &Script, sockets: &Sockets) -> Result<(Stage, RelayChild), Failure> {
    let mut tried = 0;
    loop {
        let ports = ports(tried)?;
        let pivot = free_port()?;
        let stage = sockets.stage(pivot);
        let text = config::toml(&recording.setup, script, &stage)?;
        let file = std::env::temp_dir().join(format!("patchcord-replay-{}-{}.toml", std::process::id(), pivot.port()));
        let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
        written
            .and_then(|mut open| open.write_all(text.as_bytes()))
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", file.display())))?;
        let name = file.to_string_lossy();
        // The plainest way everywhere: what decides is the same, and nothing stays behind.
        let plain = ["--workers", "1", "--backend", "mmsg", "--offload", "off"];
        let child = RelayChild::start(&[&["--config", &name, "--ports", &ports], &plain[..]].concat());
        // It has read it; nobody can do anything about a failure.
        let _ = std::fs::remove_file(&file);
        tried += 1;
        match child {
            // Somebody else may have taken the ports in between; a relay that steers its own has them all, and they look free.
            Err(_) if tried < STARTS => {}
            child => return Ok((stage, child?)),
        }
    }
}

fn free_port() -> Result<SocketAddr, Failure> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| socket.local_addr())
        .map_err(|error| Failure::failed(format!("no UDP port of 127.0.0.1 is free: {error}")))
}

/// Ports in a row for media that nobody has now; others after so many tries. Below those that the system gives to whoever asks for any.
fn ports(tried: u16) -> Result<String, Failure> {
    const FIRST: u16 = 10_000;
    const PLACES: u16 = 160;
    // Far from the place of the last try: a relay's range is longer than one place.
    let begin = (std::process::id() % u32::from(PLACES)) as u16 + tried * (PLACES / STARTS);
    let mut firsts = (0..PLACES).map(|place| FIRST + (begin + place) % PLACES * PORTS);
    let is_free = |first: &u16| {
        let sockets: Result<Vec<_>, _> =
            (*first..first + PORTS).map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port))).collect();
        sockets.is_ok()
    };
    let first = firsts.find(is_free);
    let first = first.ok_or_else(|| Failure::failed(format!("no {PORTS} UDP ports in a row are free on 127.0.0.1")))?;
    Ok(format!("{first}-{}", first + PORTS - 1))
}

/// Nobody has heard whom they did not hear then. Of a warm transfer the recording does not tell who whispered.
fn misheard(recording: &Recording, played: &stage::Played) -> Option<Difference> {
    if recording.transfer.method == "warm" {
        return None;
    }
    played.heard.iter().find_map(|(listener, speakers)| {
        let lane = recording.heard.iter().find(|lane| lane.party == *listener)?;
        let may_hear =
            |speaker: &str| lane.heard.iter().any(|piece| piece.what.split([' ', '+']).any(|word| word == speaker));
        let (speaker, packets) = speakers.iter().find(|(speaker, _)| !may_hear(speaker))?;
        Some(Difference {
            message: None,
            peer: None,
            party: Some(listener.clone()),
            part: "whom a party heard".to_owned(),
            expected: lane.heard.iter().map(|piece| piece.what.as_str()).collect::<Vec<_>>().join(", then "),
            got: format!("{packets} packets of {speaker}"),
            look_at: "the bridge commands of the call, and its receipts".to_owned(),
        })
    })
}
