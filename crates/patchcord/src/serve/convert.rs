//! The configuration in the words of the data plane and of the control plane.

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

use patchcord_control::api::DetectionConfig;
use patchcord_control::ng::NgConfig;
use patchcord_relay::command::{self, EgressMode, LatchMode, LatchPolicy};
use patchcord_relay::scope::AddressScope;

use crate::config::{
    Backend, Config, DtlsLibrary, Egress, Latch, LearnFrom, Offload, Recording, RecordingFormat, RecordingLayout, Wait,
    XdpMode,
};
use crate::sys;

/// What the workers need to know.
pub(super) fn dataplane(config: &Config) -> patchcord_dataplane::Config {
    let workers = &config.workers;
    patchcord_dataplane::Config {
        workers: match (workers.count, workers.cpus.as_slice()) {
            (0, []) => patchcord_dataplane::Workers::Count(sys::cpus_allowed().len().max(1)),
            (count, []) => patchcord_dataplane::Workers::Count(count),
            (_, cpus) => patchcord_dataplane::Workers::Cpus(cpus.to_vec()),
        },
        realtime_priority: (workers.realtime_priority > 0).then_some(workers.realtime_priority),
        backend: match workers.backend {
            Backend::Auto => patchcord_dataplane::BackendChoice::Auto,
            Backend::AfXdp => patchcord_dataplane::BackendChoice::AfXdp,
            Backend::Steered => patchcord_dataplane::BackendChoice::Steered,
            Backend::IoUring => patchcord_dataplane::BackendChoice::IoUring,
            Backend::Mmsg => patchcord_dataplane::BackendChoice::Mmsg,
        },
        offload: match workers.offload {
            Offload::Auto => patchcord_dataplane::OffloadChoice::Auto,
            Offload::Xdp => patchcord_dataplane::OffloadChoice::Xdp,
            Offload::Off => patchcord_dataplane::OffloadChoice::Off,
        },
        xdp_mode: match workers.xdp_mode {
            XdpMode::Auto => patchcord_dataplane::XdpMode::Auto,
            XdpMode::Native => patchcord_dataplane::XdpMode::Native,
            XdpMode::Generic => patchcord_dataplane::XdpMode::Generic,
        },
        pins: (!workers.xdp_pin.is_empty()).then(|| patchcord_dataplane::PinConfig {
            folder: PathBuf::from(&workers.xdp_pin),
            adopt: workers.xdp_adopt,
        }),
        af_xdp_frames: workers.af_xdp_frames,
        wait: match workers.wait {
            Wait::Spin => patchcord_dataplane::Wait::Spin,
            Wait::Tick => patchcord_dataplane::Wait::Tick { period: Duration::from_micros(workers.tick_us.into()) },
            Wait::Sleep => patchcord_dataplane::Wait::Sleep,
            Wait::Adaptive => patchcord_dataplane::Wait::Adaptive,
        },
        legs_max_per_worker: workers.legs_max,
        media: config
            .interfaces
            .iter()
            .map(|interface| patchcord_dataplane::MediaPorts {
                address: interface.address,
                first: config.ports.first,
                last: config.ports.last,
            })
            .collect(),
        dscp: (config.dscp > 0).then_some(config.dscp),
        // SSRCs and sequence numbers must not be guessable (RFC 3550 5.1); the standard library seeds its hashers from
        // the system's randomness.
        seed: RandomState::new().hash_one("engine"),
        ..patchcord_dataplane::Config::default()
    }
}

/// What the control plane needs to know.
pub(super) fn control(config: &Config) -> patchcord_control::Config {
    let media = &config.media;
    patchcord_control::Config {
        interfaces: config
            .interfaces
            .iter()
            .map(|interface| patchcord_control::Interface {
                name: interface.name.clone(),
                address: interface.address,
                advertised: interface.advertised,
            })
            .collect(),
        ports: config.ports.first..=config.ports.last,
        legs_max_per_worker: config.workers.legs_max,
        latch: LatchPolicy {
            mode: match media.latch {
                Latch::Off => LatchMode::Off,
                Latch::Signalled => LatchMode::Signalled,
                Latch::FirstPacket => LatchMode::FirstPacket,
                Latch::Heuristic => LatchMode::Heuristic,
                Latch::Delayed => LatchMode::Delayed,
            },
            strict: media.strict,
            window_ms: media.window_ms,
            learn_from: match media.learn_from {
                // Each leg has its own vantage.
                LearnFrom::Party => command::LearnFrom::Party { vantage: AddressScope::Global, received_from: None },
                LearnFrom::Anywhere => command::LearnFrom::Anywhere,
            },
            ..LatchPolicy::default()
        },
        egress: match media.egress {
            Egress::Continuity => EgressMode::Continuity,
            Egress::NewSsrc => EgressMode::NewSsrc,
            Egress::Transparent => EgressMode::Transparent,
        },
        media_timeout: (media.media_timeout_s > 0).then(|| Duration::from_secs(media.media_timeout_s.into())),
        allows_weak_srtp: config.srtp.allow_weak,
        dtls: match config.dtls.library {
            DtlsLibrary::Rust => patchcord_control::DtlsLibrary::Rust,
            #[cfg(feature = "openssl")]
            DtlsLibrary::Openssl => patchcord_control::DtlsLibrary::OpenSsl,
            // The configuration was checked.
            #[cfg(not(feature = "openssl"))]
            DtlsLibrary::Openssl => patchcord_control::DtlsLibrary::Rust,
        },
        audio: patchcord_control::AudioConfig {
            // An empty name is what there was once for the built-in melody.
            hold: config.audio.hold.iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect(),
            files: config.audio.files.clone(),
            fade_ms: config.audio.fade_ms,
            uploads_mib: config.audio.uploads_mib,
            fetch_from: config.audio.fetch_from.clone(),
            ca: (!config.audio.ca.is_empty()).then(|| PathBuf::from(&config.audio.ca)),
        },
        detection: DetectionConfig {
            answer_timeout_ms: config.detection.answer_timeout_ms,
            audible_dbfs: config.detection.audible_dbfs,
            hang_over_ms: config.detection.hang_over_ms,
            silence_ms: config.detection.silence_ms,
            greeting_max_ms: config.detection.greeting_max_ms,
            listening_ms: config.detection.listening_ms,
        },
        recording: recording(&config.recording),
        token: (!config.http.token.is_empty()).then(|| config.http.token.clone()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn recording(recording: &Recording) -> patchcord_control::RecordingConfig {
    use patchcord_control::api::{RecordingFormat as Format, RecordingLayout as Layout};
    patchcord_control::RecordingConfig {
        directory: (!recording.directory.is_empty()).then(|| PathBuf::from(&recording.directory)),
        format: match recording.format {
            RecordingFormat::Wav => Format::Wav,
            RecordingFormat::OggOpus => Format::OggOpus,
            RecordingFormat::Pcapng => Format::Pcapng,
        },
        layout: match recording.layout {
            RecordingLayout::Mixed => Layout::Mixed,
            RecordingLayout::PerParty => Layout::PerParty,
        },
        rate: (recording.rate > 0).then_some(recording.rate),
    }
}

/// What the ng front needs to know.
pub(super) fn ng(config: &Config) -> NgConfig {
    let ng = &config.ng;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    NgConfig {
        delete_delay: seconds(ng.delete_delay_s),
        timeout: seconds(ng.timeout_s),
        silent_timeout: seconds(ng.silent_timeout_s),
        final_timeout: seconds(ng.final_timeout_s),
        sessions_max: ng.max_sessions,
        enforce_direction: ng.enforce_direction,
        drop_bundle: ng.drop_bundle,
        relay_unread: ng.relay_unread,
        ports_follow_remote: ng.ports_follow_remote,
    }
}
