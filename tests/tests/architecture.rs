//! Holds the crate arrows and the invariants of ARCHITECTURE.md by reading `cargo metadata` and the sources.

#![allow(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may depend on within the workspace. An arrow that is not here is a decision to be made, not a fix.
const ARROWS: &[(&str, &[&str])] = &[
    ("patchcord-rtp", &[]),
    ("patchcord-codec", &[]),
    ("patchcord-ng", &[]),
    ("patchcord-sdp", &[]),
    ("patchcord-stun", &[]),
    ("patchcord-srtp", &["patchcord-rtp"]),
    ("patchcord-dtls", &["patchcord-srtp"]),
    ("patchcord-relay", &["patchcord-rtp", "patchcord-srtp", "patchcord-stun"]),
    ("patchcord-media", &["patchcord-codec", "patchcord-rtp"]),
    ("patchcord-recording", &["patchcord-codec", "patchcord-rtp"]),
    ("patchcord-records", &[]),
    ("patchcord-dataplane", &["patchcord-media", "patchcord-relay", "patchcord-rtp"]),
    (
        "patchcord-control",
        &[
            "patchcord-relay",
            "patchcord-rtp",
            "patchcord-codec",
            "patchcord-dtls",
            "patchcord-ng",
            "patchcord-recording",
            "patchcord-sdp",
            "patchcord-srtp",
        ],
    ),
    ("patchcord-pivot", &["patchcord-control", "patchcord-recording", "patchcord-sdp"]),
    ("patchcord-lab", &["patchcord-rtp", "patchcord-codec", "patchcord-ng", "patchcord-srtp"]),
    (
        "patchcord",
        &[
            "patchcord-rtp",
            "patchcord-codec",
            "patchcord-relay",
            "patchcord-dataplane",
            "patchcord-control",
            "patchcord-lab",
            "patchcord-pivot",
            "patchcord-records",
            "patchcord-srtp",
        ],
    ),
    (
        "patchcord-benches",
        &["patchcord-rtp", "patchcord-codec", "patchcord-media", "patchcord-relay", "patchcord-control"],
    ),
    ("patchcord-tests", &["patchcord-rtp", "patchcord-codec", "patchcord-relay", "patchcord-lab", "patchcord-ng"]),
];

/// Crates whose sources must not know a socket, a file, a clock or a thread: time and randomness are arguments.
const PURE: &[&str] = &["rtp", "stun", "srtp", "relay", "ng", "media"];

/// What betrays one of these. `core::net` addresses are values and allowed.
const IMPURE_WORDS: &[&str] = &[
    "std::net",
    "std::fs",
    "std::io",
    "std::thread",
    "std::process",
    "std::env",
    "std::time::Instant",
    "SystemTime",
    "UdpSocket",
    "Mutex",
    "tokio",
    "crossbeam",
    "tracing",
    "rand::",
];

/// Where unsafe code may be: the system call layers, and the module of SRTP with the processor's own instructions.
const UNSAFE_ALLOWED: &[&str] = &["dataplane", "lab", "srtp/src/crypto/x86"];

#[test]
fn crates_depend_only_along_the_arrows() {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec().unwrap();
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let allowed =
            arrows.get(name).unwrap_or_else(|| panic!("{name} has no entry in ARROWS: decide what it may use"));
        for dependency in &package.dependencies {
            let of_ours = dependency.path.is_some();
            // Tests may look at a crate from outside; what is shipped may not.
            if of_ours && dependency.kind == DependencyKind::Normal {
                assert!(
                    allowed.contains(&dependency.name.as_str()),
                    "{name} must not depend on {}: ARCHITECTURE.md has no such arrow",
                    dependency.name
                );
            }
        }
    }
}

#[test]
fn the_engine_knows_no_socket_file_clock_or_thread() {
    for krate in PURE {
        // Tests may say on the terminal what they have skipped.
        let shipped = |(path, _): &(PathBuf, String)| !path.iter().any(|part| part == "tests");
        for (path, source) in sources(krate).into_iter().filter(shipped) {
            for (number, line) in source.lines().enumerate() {
                let code = line.split("//").next().unwrap_or("");
                if let Some(word) = IMPURE_WORDS.iter().find(|word| code.contains(**word)) {
                    panic!("{}:{}: {word} in a crate that is pure", path.display(), number + 1);
                }
            }
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_outside_the_system_call_layers() {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    for krate in crates.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let main = ["lib.rs", "main.rs"].map(|file| root().join("crates").join(&krate).join("src").join(file));
        let main = main.iter().find(|path| path.exists()).unwrap();
        let forbids = fs::read_to_string(main).unwrap().contains("#![forbid(unsafe_code)]");
        let allowed = || UNSAFE_ALLOWED.iter().filter(|place| place.split('/').next() == Some(krate.as_str()));
        assert!(forbids || allowed().count() > 0, "{}: must say #![forbid(unsafe_code)]", main.display());
        if forbids {
            continue;
        }
        for (path, source) in sources(&krate) {
            let folder = path.strip_prefix(root().join("crates")).unwrap_or(&path);
            let allowed = allowed().any(|place| folder.starts_with(place));
            let attribute = source.contains("#![allow(unsafe_code") || source.contains("#[allow(unsafe_code");
            assert!(allowed || !attribute, "{}: no unsafe code here", path.display());
            let blocks =
                source.lines().filter(|line| line.contains("unsafe {") && !line.trim_start().starts_with("//"));
            let reasons = source.matches("SAFETY:").count();
            assert!(blocks.count() <= reasons, "{}: an unsafe block without its SAFETY comment", path.display());
        }
    }
}

/// Calls are changed by bridge commands only: who speaks to the engine is the call model.
#[test]
fn the_ng_front_speaks_to_no_engine() {
    let mut found = Vec::new();
    collect(&root().join("crates/control/src/ng"), &mut found);
    assert!(found.len() > 10, "the ng front is where it is looked for");
    for (path, source) in found {
        for word in ["relay::command", "tell_engine", "engine.apply", "exchange::Request"] {
            assert!(!source.contains(word), "{}: {word} goes around the call model", path.display());
        }
    }
}

#[test]
fn every_invariant_in_the_architecture_names_a_test_that_exists() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let all_tests = all_rust_sources();
    let mut invariants = 0;
    for paragraph in text.split("\n\n").filter(|paragraph| paragraph.contains("Architecture Invariant:")) {
        invariants += 1;
        let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
        let held_by = paragraph
            .split_once("Held by ")
            .unwrap_or_else(|| panic!("an invariant does not say what holds it (\"Held by `test`\"): {paragraph}"))
            .1;
        let test = held_by.split('`').nth(1).unwrap_or_else(|| panic!("no test in backticks: {held_by}"));
        assert!(
            all_tests.iter().any(|(_, source)| source.contains(&format!("fn {test}("))),
            "ARCHITECTURE.md says that {test} holds an invariant, but there is no such test"
        );
    }
    assert!(invariants >= 5, "only {invariants} invariants: is the heading still \"Architecture Invariant:\"?");
}

#[test]
fn files_are_one_idea_each() {
    for (path, source) in all_rust_sources() {
        let lines = source.lines().count();
        assert!(lines <= 800, "{} has {lines} lines: over 800 something is wrong", path.display());
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// All Rust files of one crate's `src`.
fn sources(krate: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(&root().join("crates").join(krate).join("src"), &mut found);
    assert!(!found.is_empty(), "no sources in {krate}");
    found
}

fn all_rust_sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in ["crates", "benches", "tests"] {
        collect(&root().join(folder), &mut found);
    }
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            found.push((path, source));
        }
    }
}
