//! The configuration of `patchcord serve`: a flag beats the environment beats the file beats `default.toml`.

mod accounts;
mod interface;
mod layers;
mod ng;
pub(crate) mod pivot;
mod ports;
pub(crate) mod records;
mod webhooks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use self::interface::Interface;
pub(crate) use self::layers::{Layer, ignored_variables};
pub(crate) use self::ng::{Listen, Ng};
pub(crate) use self::ports::PortRange;

/// The defaults, and the list of keys that exist.
pub(crate) const DEFAULT_TOML: &str = include_str!("../../../../default.toml");

/// Everything that `serve` can be told. The keys are described in `default.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) interfaces: Vec<Interface>,
    pub(crate) ports: PortRange,
    pub(crate) dscp: u8,
    pub(crate) http: Http,
    pub(crate) ng: Ng,
    pub(crate) workers: Workers,
    pub(crate) media: Media,
    pub(crate) srtp: Srtp,
    pub(crate) dtls: Dtls,
    pub(crate) audio: Audio,
    pub(crate) detection: Detection,
    pub(crate) recording: Recording,
    pub(crate) pivot: pivot::Pivot,
    pub(crate) records: records::Records,
    pub(crate) drain: Drain,
    pub(crate) log: Log,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) listen: SocketAddr,
    pub(crate) token: String,
}

/// `[workers]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workers {
    pub(crate) count: usize,
    pub(crate) cpus: Vec<usize>,
    pub(crate) backend: Backend,
    pub(crate) offload: Offload,
    pub(crate) xdp_mode: XdpMode,
    pub(crate) xdp_pin: String,
    pub(crate) xdp_adopt: bool,
    pub(crate) af_xdp_frames: u16,
    pub(crate) wait: Wait,
    pub(crate) tick_us: u32,
    pub(crate) realtime_priority: u8,
    pub(crate) legs_max: u32,
}

/// `workers.backend`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Backend {
    Auto,
    AfXdp,
    Steered,
    IoUring,
    Mmsg,
}

/// `workers.offload`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Offload {
    Auto,
    Xdp,
    Off,
}

/// `workers.xdp_mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum XdpMode {
    Auto,
    Native,
    Generic,
}

/// `workers.wait`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wait {
    Spin,
    Tick,
    Sleep,
    Adaptive,
}

/// `[media]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Media {
    pub(crate) latch: Latch,
    pub(crate) learn_from: LearnFrom,
    pub(crate) strict: bool,
    pub(crate) window_ms: u32,
    pub(crate) egress: Egress,
    pub(crate) media_timeout_s: u32,
}

/// `[srtp]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Srtp {
    pub(crate) allow_weak: bool,
}

/// `[dtls]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dtls {
    pub(crate) library: DtlsLibrary,
}

/// `dtls.library`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DtlsLibrary {
    Rust,
    Openssl,
}

/// `media.latch`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Latch {
    Off,
    Signalled,
    FirstPacket,
    Heuristic,
    Delayed,
}

/// `media.learn_from`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LearnFrom {
    Party,
    Anywhere,
}

/// `media.egress`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Egress {
    Continuity,
    NewSsrc,
    Transparent,
}

/// `[audio]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Audio {
    pub(crate) hold: Vec<String>,
    pub(crate) fade_ms: u16,
    pub(crate) uploads_mib: u32,
    pub(crate) fetch_from: Vec<String>,
    pub(crate) ca: String,
    pub(crate) files: BTreeMap<String, PathBuf>,
}

/// `[detection]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Detection {
    pub(crate) answer_timeout_ms: u32,
    pub(crate) audible_dbfs: i32,
    pub(crate) hang_over_ms: u32,
    pub(crate) silence_ms: u32,
    pub(crate) greeting_max_ms: u32,
    pub(crate) listening_ms: u32,
}

/// `[recording]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    pub(crate) directory: String,
    pub(crate) format: RecordingFormat,
    pub(crate) layout: RecordingLayout,
    pub(crate) rate: u32,
}

/// `recording.format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RecordingFormat {
    Wav,
    OggOpus,
    Pcapng,
}

/// `recording.layout`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RecordingLayout {
    Mixed,
    PerParty,
}

/// `[drain]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drain {
    pub(crate) deadline_s: u32,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    pub(crate) level: String,
}

/// `log.format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Why there is no configuration. Each names the place and the key.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    #[error("cannot read the configuration file {}: {reason}", file.display())]
    Unreadable { file: PathBuf, reason: std::io::Error },
    #[error("{place} is not TOML: {reason}")]
    NotToml { place: String, reason: String },
    #[error("{place}: unknown key `{key}`; {section} knows: {known}")]
    UnknownKey { place: String, key: String, section: String, known: String },
    #[error("{place}: `{key}` must be {wanted}, not {found}")]
    WrongType { place: String, key: String, wanted: &'static str, found: String },
    #[error("{0}")]
    BadValue(String),
}

impl Config {
    /// Joins the defaults, `file`, the environment and the flags, in rising order of precedence, and checks the whole.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: Layer,
    ) -> Result<Self, ConfigError> {
        let mut merged = Layer::defaults();
        if let Some(path) = file {
            merged.overlay(Layer::file(path)?)?;
        }
        merged.overlay(Layer::environment(environment)?)?;
        merged.overlay(flags)?;
        let config: Self = merged.into_typed()?;
        config.check()?;
        Ok(config)
    }

    /// What no single value shows to be wrong.
    fn check(&self) -> Result<(), ConfigError> {
        let bad = |text: String| Err(ConfigError::BadValue(text));
        if self.interfaces.is_empty() {
            return bad(
                "`interfaces` is empty: give at least one address to receive media on, such as 127.0.0.1".into()
            );
        }
        for (index, interface) in self.interfaces.iter().enumerate() {
            let same = |other: &&Interface| (&other.name, other.address) == (&interface.name, interface.address);
            if self.interfaces[..index].iter().any(|other| same(&other)) {
                return bad(format!("interface {}/{} is given twice", interface.name, interface.address));
            }
        }
        if self.dscp > 63 {
            return bad(format!("`dscp` is {}: it has six bits, 0 to 63", self.dscp));
        }
        if self.workers.realtime_priority > 99 {
            return bad(format!("`workers.realtime_priority` is {}: 1 to 99, or 0", self.workers.realtime_priority));
        }
        if self.workers.legs_max == 0 {
            return bad("`workers.legs_max` is 0: a worker needs room for at least one leg".into());
        }
        if self.dtls.library == DtlsLibrary::Openssl && !cfg!(feature = "openssl") {
            return bad("`dtls.library` is \"openssl\", which is not in this executable: build it with `cargo build --release --features \
                        openssl` (Debian: libssl-dev and pkg-config), or use \"rust\""
                .into());
        }
        if self.workers.tick_us == 0 {
            return bad("`workers.tick_us` is 0: use workers.wait = \"spin\" to never wait".into());
        }
        self.pivot.check().map_err(ConfigError::BadValue)?;
        self.records.check().map_err(ConfigError::BadValue)?;
        let mut cpus = self.workers.cpus.clone();
        cpus.sort_unstable();
        if let Some(twice) = cpus.windows(2).find(|pair| pair[0] == pair[1]) {
            return bad(format!("`workers.cpus` names CPU {} twice: one worker a CPU", twice[0]));
        }
        if !self.http.listen.ip().is_loopback() && self.http.token.is_empty() {
            return bad(format!(
                "the HTTP API would be open to the network on {} without a token: set http.token (or \
                 PATCHCORD_HTTP_TOKEN), or listen on loopback with --http 127.0.0.1:{}",
                self.http.listen,
                self.http.listen.port()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: Option<&Path>, environment: &[(&str, &str)], flags: Layer) -> Result<Config, ConfigError> {
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Config::load(file, environment, flags)
    }

    fn refused(environment: &[(&str, &str)]) -> String {
        load(None, environment, Layer::flags()).expect_err("must be refused").to_string()
    }

    #[test]
    fn the_defaults_are_what_the_interface_contract_says() {
        let config = load(None, &[], Layer::flags()).expect("the defaults are valid");
        assert_eq!(config.http.listen, SocketAddr::from(([127, 0, 0, 1], 8223)));
        assert_eq!(config.ports.to_string(), "30000-40000");
        assert_eq!(config.interfaces.len(), 1);
        assert!(config.interfaces[0].address.is_loopback());
    }

    #[test]
    fn a_library_that_is_not_built_in_is_refused_with_what_to_do() {
        let chosen = load(None, &[("PATCHCORD_DTLS_LIBRARY", "openssl")], Layer::flags());
        match chosen {
            Ok(config) => assert!(cfg!(feature = "openssl") && config.dtls.library == DtlsLibrary::Openssl),
            Err(error) => {
                let text = error.to_string();
                assert!(!cfg!(feature = "openssl") && text.contains("--features openssl"), "{text}");
            }
        }
    }

    #[test]
    fn an_open_listener_without_token_is_refused_with_what_to_do() {
        let text = refused(&[("PATCHCORD_HTTP_LISTEN", "0.0.0.0:8223")]);
        assert!(text.contains("http.token") && text.contains("--http 127.0.0.1:8223"), "{text}");
        load(None, &[("PATCHCORD_HTTP_LISTEN", "0.0.0.0:8223"), ("PATCHCORD_HTTP_TOKEN", "secret")], Layer::flags())
            .expect("with a token it may listen anywhere");
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(refused(&[("PATCHCORD_INTERFACES", "10.0.0.1,10.0.0.1")]).contains("given twice"));
        assert!(refused(&[("PATCHCORD_WORKERS_CPUS", "1,2,1")]).contains("CPU 1 twice"));
        assert!(refused(&[("PATCHCORD_DSCP", "64")]).contains("six bits"));
        assert!(refused(&[("PATCHCORD_INTERFACES", "")]).contains("empty"));
    }
}
