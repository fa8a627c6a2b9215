//! The command line and the configuration: what is accepted, what is refused, and with which exit code.

mod support;

use support::{ok, patchcord, run, stderr, stdout};

/// A file of the test's own, removed at the end.
struct TempFile(std::path::PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("patchcord-usage-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_defaults() {
    let file = TempFile::new(
        "precedence.toml",
        "ports = \"20000-20100\"\ndscp = 8\n[workers]\nlegs_max = 100\n[drain]\ndeadline_s = 7\n",
    );
    let config = |variables: &[(&str, &str)], flags: &[&str]| {
        let mut command = patchcord();
        command.args(["serve", "--print-config", "--config", file.path()]).args(flags);
        let output = command.envs(variables.iter().copied()).output().expect("the binary starts");
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let variables = [("PATCHCORD_DSCP", "10"), ("PATCHCORD_WORKERS_LEGS_MAX", "200")];
    let text = config(&variables, &["--set", "workers.legs_max=300", "--interface", "lan/127.0.0.2!192.0.2.1"]);
    for line in [
        "legs_max = 300",              // flag over environment over file
        "dscp = 10",                   // environment over file
        "ports = \"20000-20100\"",     // file over default
        "deadline_s = 7",              // file over default, in a section
        "listen = \"127.0.0.1:8223\"", // default
        "interfaces = [\"lan/127.0.0.2!192.0.2.1\"]",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
    // What is printed is a configuration file again.
    let printed = TempFile::new("printed.toml", &text);
    assert_eq!(ok(&["serve", "--print-config", "--config", printed.path()]), text);
}

#[test]
fn wrong_configurations_are_refused_by_name_with_exit_code_2() {
    let unknown = TempFile::new("unknown.toml", "[workers]\ncuont = 2\n");
    let broken = TempFile::new("broken.toml", "ports = \n");
    for (flags, part) in [
        (vec!["--config", unknown.path()], "`workers.cuont`"),
        (vec!["--config", broken.path()], "is not TOML"),
        (vec!["--config", "/nonexistent/patchcord.toml"], "cannot read"),
        (vec!["--set", "media.lacth=off"], "`media.lacth`"),
        (vec!["--set", "media.latch=sometimes"], "media.latch"),
        (vec!["--interface", "eth0"], "`eth0` is not an IP address"),
        (vec!["--interface", "a/127.0.0.1", "--interface", "a/127.0.0.1"], "interface a/127.0.0.1 is given twice"),
        (vec!["--ports", "40000-30000"], "above the last"),
        (vec!["--http", "0.0.0.0:8223"], "without a token"),
        (vec!["--http", "nowhere"], "http.listen"),
        (vec!["--backend", "dpdk"], "dpdk"),
        (vec!["--set", "audio.hold=/nonexistent.wav", "--http", "127.0.0.1:0"], "/nonexistent.wav"),
        (vec!["--frobnicate"], "--frobnicate"),
    ] {
        let output = run(&[&["serve"], flags.as_slice()].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{flags:?} should say {part}: {}", stderr(&output));
        assert!(stdout(&output).is_empty(), "errors belong on stderr");
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_failure_is_1() {
    for arguments in [
        &[] as &[&str],
        &["nonsense"],
        &["show"],
        &["bridge", "call", "a"],
        &["swap", "call", "--survivor", "a"],
        &["swap", "call", "--survivor", "a", "--old", "b", "--new", "c", "--trigger", "after=soon"],
        &["replay"],
        &["replay", "x.pcap", "--calls", "0"],
        &["top", "--size", "huge"],
        &["command", "call", "not JSON"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    }
    // Port 9 (discard) is closed on every machine that is not from 1985.
    let output = run(&["calls", "--server", "http://127.0.0.1:9"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("patchcord serve"), "it says what to do: {}", stderr(&output));
    let output = run(&["replay", "--self", "/nonexistent.pcap"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent.pcap"), "{}", stderr(&output));
}

#[test]
fn help_and_version_are_there() {
    let help = ok(&["--help"]);
    for command in ["serve", "demo", "replay", "doctor", "top", "swap", "explain"] {
        assert!(help.contains(command), "{command} is missing in\n{help}");
    }
    assert!(ok(&["--version"]).starts_with("patchcord "));
}
