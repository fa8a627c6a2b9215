//! What docs/kamailio.md prints is what these tests run.

use std::fs;
use std::path::Path;

#[test]
fn the_documented_lines_are_those_of_the_tested_configuration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(root.join("docs/kamailio.md")).unwrap();
    let configuration = fs::read_to_string(root.join("examples/kamailio/kamailio.cfg")).unwrap();
    // The tests give the relay's address on the command line: there the name of a definition stands for it.
    let configuration =
        configuration.replace("\"rtpengine_sock\", RELAY", "\"rtpengine_sock\", \"udp:127.0.0.1:2223\"");
    let blocks: Vec<_> = document.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 4, "the document shows the configuration");
    for block in blocks {
        assert!(configuration.contains(block.trim_end()), "examples/kamailio/kamailio.cfg does not have:\n{block}");
    }
}
