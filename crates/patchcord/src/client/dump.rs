//! `patchcord dump`: a call's packets into a file.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};
use std::time::Duration;

use super::args::DumpArgs;
use crate::failure::Failure;
use crate::output;

/// A block is longer than any packet by some options.
const BLOCK_LEN_MAX: usize = 1 << 20;
/// `Enhanced Packet Block`.
const PACKET: u32 = 6;

/// Writes until the call ends, the time is over, or nobody reads any more.
pub(super) fn run(arguments: &DumpArgs) -> Result<(), Failure> {
    let to_stdout = arguments.file.as_deref() == Some("-");
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a dump is no text: name a file, or pipe it (`patchcord dump CALL - | tshark -r -`)".to_owned(),
        ));
    }
    let pieces = arguments.relay.api().dump(&arguments.call, arguments.seconds.map(Duration::from_secs))?;
    let file = arguments.file.clone().unwrap_or_else(|| format!("{}.pcapng", arguments.call.replace('/', "_")));
    let packets = if to_stdout {
        copy(pieces, io::stdout().lock())
    } else {
        let failed = |error: io::Error| Failure::failed(format!("cannot write {file}: {error}"));
        let written = File::create(&file).map_err(failed)?;
        output::tell(&format!("writing {file} until the call ends (Ctrl-C ends it too)"));
        copy(pieces, written)
    };
    let packets = packets.map_err(|error| Failure::failed(format!("cannot write {file}: {error}")))?;
    output::tell(&format!("{packets} packets"));
    Ok(())
}

/// Copies whole blocks, so that what is written is a file at any moment; how many packets it were. The end of what there is to read,
/// whatever brings it, is the end.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<u64> {
    let (mut buffer, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    let mut packets = 0;
    loop {
        let Ok(len @ 1..) = from.read(&mut piece) else { return Ok(packets) };
        buffer.extend(&piece[..len]);
        let mut whole = 0;
        while let Some(&[k0, k1, k2, k3, l0, l1, l2, l3]) = buffer[whole..].first_chunk() {
            let block_len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
            if !(12..=BLOCK_LEN_MAX).contains(&block_len) {
                return Err(io::Error::other("what the relay sends is no pcapng"));
            }
            if buffer.len() - whole < block_len {
                break;
            }
            whole += block_len;
            packets += u64::from(u32::from_le_bytes([k0, k1, k2, k3]) == PACKET);
        }
        match to.write_all(&buffer[..whole]).and_then(|()| to.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(packets),
            written => written?,
        }
        buffer.drain(..whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, len: u32) -> Vec<u8> {
        let mut block = [kind.to_le_bytes(), len.to_le_bytes()].concat();
        block.resize(len as usize, 7);
        block
    }

    /// Gives so many bytes at a time.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let Self(from, step) = self;
            from.read(&mut to[..*step])
        }
    }

    #[test]
    fn only_whole_blocks_are_written_and_packets_are_counted() {
        let whole = [block(0x0a0d_0d0a, 28), block(1, 20), block(PACKET, 260), block(PACKET, 48)].concat();
        let cut = [&whole[..], &block(PACKET, 100)[..60]].concat();
        for step in [1, 7, 64, 4096] {
            let mut written = Vec::new();
            assert_eq!(copy(Slowly(&cut, step), &mut written).expect("memory"), 2, "{step}");
            assert_eq!(written, whole, "{step}");
        }
    }

    #[test]
    fn what_is_no_pcapng_is_refused() {
        for garbage in [&block(PACKET, 12)[..4], b"HTTP/1.1 500 no"] {
            let mut written = Vec::new();
            let copied = copy(garbage, &mut written);
            assert!(copied.is_err() || written.is_empty());
        }
        assert!(copy(&b"HTTP/1.1 500 no"[..], Vec::new()).is_err());
    }
}
