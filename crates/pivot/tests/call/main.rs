//! What a call does, held against a model of its dialogs, subscriptions, timers and of what each party hears.

use std::fs;
use std::path::Path;

mod attended;
mod blind;
mod commanded;
mod ears;
mod outbound;
mod random;
mod world;

#[test]
fn what_decides_knows_no_socket_file_clock_thread_or_sdp() {
    const IMPURE: [&str; 9] =
        ["std::net", "std::fs", "std::time", "std::thread", "std::env", "tokio", "rsipstack", "Sdp", "crate::sip"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/call");
    let files = fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").path());
    let mut seen = 0;
    for file in files {
        let source = fs::read_to_string(&file).expect("a source");
        for line in source.lines().map(|line| line.split("//").next().unwrap_or_default()) {
            let word = IMPURE.iter().find(|word| line.contains(**word));
            assert_eq!(word, None, "{}: {line}", file.display());
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen} files");
}
