//! What several tests need: ffmpeg as a peer, speech, and packets out of Ogg.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part, and may panic")]

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use patchcord_codec::Law;

/// Whether ffmpeg is missing; says that a test is skipped, and fails it where CI has to have everything.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn is_ffmpeg_missing() -> bool {
    if Command::new("ffmpeg").arg("-version").output().is_ok() {
        return false;
    }
    assert!(std::env::var_os("CI").is_none(), "ffmpeg is missing: apt-get install ffmpeg");
    eprintln!("skipped, ffmpeg is missing: apt-get install ffmpeg");
    true
}

/// What ffmpeg makes of `input`: both go through pipes.
pub(crate) fn ffmpeg(arguments: &str, input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error"]).args(arguments.split_whitespace());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut output = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    });
    assert!(child.wait().unwrap().success(), "ffmpeg {arguments}");
    output
}

/// Samples as little-endian bytes, and back.
pub(crate) fn to_bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

pub(crate) fn to_samples(bytes: &[u8]) -> Vec<i16> {
    bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)).collect()
}

/// The speech of a committed capture at 8000 Hz, as it came.
pub(crate) fn speech(name: &str) -> Vec<i16> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../captures").join(format!("{name}.pcap"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rest = &bytes[24..];
    let mut samples = Vec::new();
    while let Some((header, after)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes(*header[8..].first_chunk().unwrap()) as usize;
        // Ethernet, IPv4, UDP and RTP headers.
        samples.extend(Law::Mu.decode(&after[14 + 20 + 8 + 12..length]));
        rest = &after[length..];
    }
    samples
}

/// Noise that hides a signal, in dB below it: how far `heard` is from `said` where they lie, after the best gain.
pub(crate) fn signal_to_noise_db(said: &[i16], heard: &[i16]) -> f64 {
    let correlation = patchcord_codec::analysis::correlation(said, heard);
    -10.0 * (1.0 - correlation * correlation).max(1e-12).log10()
}

/// The packets of an Ogg file of Opus, without its two headers (RFC 7845 3).
pub(crate) fn packets_of_ogg(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = ogg::PacketReader::new(std::io::Cursor::new(bytes));
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().unwrap() {
        packets.push(packet.data);
    }
    assert!(packets[0].starts_with(b"OpusHead") && packets[1].starts_with(b"OpusTags"));
    packets.split_off(2)
}

/// An Ogg file of mono Opus packets of `samples_each` at 48 kHz.
pub(crate) fn ogg_of_packets(packets: &[Vec<u8>], samples_each: u64) -> Vec<u8> {
    use ogg::PacketWriteEndInfo::{EndPage, EndStream, NormalPacket};
    let mut bytes = Vec::new();
    let mut writer = ogg::PacketWriter::new(&mut bytes);
    let head = [b"OpusHead".as_slice(), &[1, 1, 0, 0], &48_000_u32.to_le_bytes(), &[0, 0, 0]].concat();
    let tags = [b"OpusTags".as_slice(), &[0; 8]].concat();
    writer.write_packet(head, 1, EndPage, 0).unwrap();
    writer.write_packet(tags, 1, EndPage, 0).unwrap();
    for (index, packet) in packets.iter().enumerate() {
        let end = match index + 1 {
            last if last == packets.len() => EndStream,
            fiftieth if fiftieth.is_multiple_of(50) => EndPage,
            _ => NormalPacket,
        };
        writer.write_packet(packet.clone(), 1, end, (index as u64 + 1) * samples_each).unwrap();
    }
    bytes
}
