//! `replay`: the RTP streams of captures as calls through a relay, with their original timing.
//!
//! `conversations` finds out which streams belong together, `calls` sets calls up and plays, `report` says what came
//! through, from what was sent and what was received.

mod calls;
mod conversations;
mod report;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;

use patchcord_lab::capture::Capture;
use patchcord_lab::wav;

use self::calls::ReplayedCall;
use self::conversations::Conversation;
use self::report::Report;
use crate::child::RelayChild;
use crate::cli::ReplayArgs;
use crate::client::api::Api;
use crate::failure::Failure;
use crate::media::error;
use crate::output;

/// Reads, plays, reports. It fails if nothing at all came through.
pub(crate) fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let conversations = read(&args.files)?;
    if let Some(folder) = &args.wav {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::failed(format!("cannot create the folder {}: {error}", folder.display())))?;
    }
    let own_relay = if args.own_relay { Some(RelayChild::start(&[])?) } else { None };
    let api = own_relay.as_ref().map_or_else(|| args.relay.api(), |relay| relay.api().clone());
    let bind = match args.bind {
        Some(address) => address,
        None => address_towards(&api)?,
    };
    let calls = args.calls.map_or(conversations.len(), |calls| calls as usize);
    let replayed = calls::play(&api, &conversations, calls, bind)?;
    if let Some(folder) = &args.wav {
        write_wavs(folder, &replayed)?;
    }
    let report = Report::of(&conversations, &replayed);
    if args.json {
        output::print_json(&report);
    } else {
        output::print(&report.text());
    }
    if report.is_empty() {
        return Err(Failure::failed(
            "nothing came through: is the way to the relay's media ports open in both directions? see `patchcord explain`",
        ));
    }
    Ok(())
}

/// All conversations of the files. What is wrong with a file that can be read in part is told on stderr.
fn read(files: &[std::path::PathBuf]) -> Result<Vec<Conversation>, Failure> {
    let mut conversations = Vec::new();
    for file in files {
        let capture = Capture::open(file).map_err(error)?;
        if let Some(damage) = &capture.damage {
            output::tell(&format!("patchcord: {}: {damage}", file.display()));
        }
        let found = conversations::of(file, &capture);
        if found.is_empty() {
            output::tell(&format!(
                "patchcord: {}: no RTP stream among {} UDP datagrams",
                file.display(),
                capture.datagrams.len()
            ));
        }
        conversations.extend(found);
    }
    if conversations.is_empty() {
        return Err(Failure::failed("there is no RTP stream in the files, so there is nothing to replay"));
    }
    Ok(conversations)
}

/// The local address from which packets to the server's host leave.
fn address_towards(api: &Api) -> Result<IpAddr, Failure> {
    let host = api.base().split_once("://").map_or(api.base(), |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let unspecified = |host: &str| -> IpAddr {
        if host.starts_with('[') { std::net::Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
    };
    let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let found = UdpSocket::bind((unspecified(host), 0)).and_then(|socket| {
        // No packet is sent: the kernel only chooses the way.
        socket.connect(with_port.as_str())?;
        socket.local_addr()
    });
    found.map(|address| address.ip()).map_err(|error| {
        Failure::failed(format!("cannot find the local address towards {host}: {error}; give it with --bind"))
    })
}

fn write_wavs(folder: &Path, calls: &[ReplayedCall]) -> Result<(), Failure> {
    for party in calls.iter().flat_map(|call| &call.parties).filter(|party| !party.recording.is_empty()) {
        let path = folder.join(format!("{}-{}.wav", party.call, party.name));
        wav::write(&party.recording, &path)
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_loopback_begins_on_loopback() {
        for base in ["http://127.0.0.1:8223", "127.0.0.1:1", "http://127.0.0.1/", "http://[::1]:8223"] {
            let address = address_towards(&Api::new(base, None)).expect(base);
            assert!(address.is_loopback(), "{base}: {address}");
        }
    }
}
