//! The speeds that can be tried.

use std::fmt;
use std::fs;
use std::str::FromStr;

use patchcord_srtp::Suite;
use serde::Serialize;

use crate::peer::{Patchcord, PeerError, Relay, Rtpengine};

/// Patchcord's own speeds and the arguments that select them. One that a build or a machine does not have refuses to start.
const OWN: &[(&str, &[&str])] = &[
    ("mmsg", &["--backend", "mmsg", "--offload", "off"]),
    ("io-uring", &["--backend", "io-uring", "--offload", "off"]),
    ("steered", &["--backend", "steered", "--offload", "off"]),
    // The lab's interfaces are of software, and their other ends have programs too.
    ("af-xdp", &["--backend", "af-xdp", "--offload", "off", "--set", "workers.xdp_mode=native"]),
    ("xdp", &["--backend", "steered", "--offload", "xdp", "--set", "workers.xdp_mode=native"]),
];

/// A relay with certain arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speed {
    /// What the results call it.
    pub name: String,
    /// Arguments after the usual ones.
    pub arguments: Vec<String>,
    /// Whether it is `patchcord`, not `rtpengine`.
    pub is_own: bool,
    /// The executable.
    pub program: String,
}

/// What is wrong with the text of a [`Speed`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no speed: rtpengine, {own}, or NAME=ARGUMENT,ARGUMENT... for other arguments of `patchcord serve`", own = own())]
pub struct NotASpeed(String);

fn own() -> String {
    OWN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

impl Speed {
    /// Rtpengine and all of Patchcord's own.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let names = std::iter::once("rtpengine").chain(OWN.iter().map(|(name, _)| *name));
        names.filter_map(|name| name.parse().ok()).collect()
    }

    /// The relay, with room for so many calls whose callees speak SRTP or not.
    pub(super) fn relay(&self, calls: u32, callee_suite: Option<Suite>) -> Box<dyn Relay> {
        /// For which Patchcord has room by default.
        const LEGS: u32 = 4_096;
        let (name, program, mut arguments) = (self.name.clone(), self.program.clone(), self.arguments.clone());
        if self.is_own {
            let legs = calls.saturating_mul(2);
            if legs > LEGS {
                // What is said later counts more: the speed's own arguments.
                arguments.splice(0..0, ["--set".to_owned(), format!("workers.legs_max={legs}")]);
            }
            Box::new(Patchcord { name, program, arguments, callee_suite })
        } else {
            Box::new(Rtpengine { program, arguments, callee_suite })
        }
    }
}

impl FromStr for Speed {
    type Err = NotASpeed;

    fn from_str(text: &str) -> Result<Self, NotASpeed> {
        let patchcord = |name: &str, arguments: Vec<String>| Self {
            name: name.to_owned(),
            arguments,
            is_own: true,
            program: "patchcord".to_owned(),
        };
        if text == "rtpengine" {
            return Ok(Self { is_own: false, program: text.to_owned(), ..patchcord(text, Vec::new()) });
        }
        if let Some((name, arguments)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) {
            let arguments = arguments.split(',').filter(|argument| !argument.is_empty());
            return Ok(patchcord(name, arguments.map(str::to_owned).collect()));
        }
        let own = OWN.iter().find(|(name, _)| *name == text);
        own.map(|(name, arguments)| patchcord(name, arguments.iter().map(|&argument| argument.to_owned()).collect()))
            .ok_or_else(|| NotASpeed(text.to_owned()))
    }
}

/// A speed that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unavailable {
    /// Its name.
    pub speed: String,
    /// With so many calls; `None`: at all.
    pub calls: Option<u32>,
    /// Why, in the relay's own words, where it left any.
    pub reason: String,
}

impl Unavailable {
    /// If that is what the error says.
    pub(super) fn of(speed: &Speed, calls: u32, error: &PeerError) -> Option<Self> {
        let (calls, reason) = match error {
            PeerError::Start { .. } => (None, error.to_string()),
            PeerError::Control { .. } => (Some(calls), error.to_string()),
            PeerError::Relay { what, log, .. } if what.starts_with("ended") => {
                let output = fs::read_to_string(log).unwrap_or_default();
                // It is told here; a file of it would only lie about.
                let _ = fs::remove_file(log);
                (None, last_words(&output).unwrap_or(what).to_owned())
            }
            _ => return None,
        };
        Some(Self { speed: speed.name.clone(), calls, reason })
    }

    pub(super) fn is_of(&self, speed: &str, calls: u32) -> bool {
        self.speed == speed && self.calls.is_none_or(|own| own == calls)
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { speed, calls, reason } = self;
        match calls {
            Some(calls) => write!(f, "{speed} with {calls} calls: not available: {reason}"),
            None => write!(f, "{speed}: not available: {reason}"),
        }
    }
}

/// The line that says what was wrong.
fn last_words(output: &str) -> Option<&str> {
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
    lines().find(|line| line.to_lowercase().contains("error")).or_else(|| lines().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read() {
        assert_eq!(Speed::all().len(), OWN.len() + 1);
        let own: Speed = "io-uring".parse().expect("a speed");
        assert!(own.is_own);
        assert_eq!(own.arguments, ["--backend", "io-uring", "--offload", "off"]);
        let other: Speed = "tick=--backend=io-uring,--set=media.tick=1".parse().expect("a speed");
        assert_eq!(other.arguments, ["--backend=io-uring", "--set=media.tick=1"]);
        assert!(!"rtpengine".parse::<Speed>().expect("a speed").is_own);
        let error = "warp".parse::<Speed>().expect_err("no such speed").to_string();
        assert!(error.contains("mmsg, io-uring") && error.contains("NAME=ARGUMENT"), "{error}");
        assert!("=x".parse::<Speed>().is_err());
    }

    #[test]
    fn a_relay_that_refuses_is_quoted() {
        let clap = "error: invalid value 'af-xdp' for '--backend <BACKEND>'\n\nFor more information, try '--help'.\n";
        assert_eq!(last_words(clap), Some("error: invalid value 'af-xdp' for '--backend <BACKEND>'"));
        assert_eq!(last_words("starting\nno such device\n\n"), Some("no such device"));
        assert_eq!(last_words("\n"), None);
    }
}
