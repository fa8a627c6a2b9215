//! What every call needs to know about the server.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use patchcord_relay::command::{EgressMode, LatchPolicy, LearnFrom};
use patchcord_relay::ids::CutOverId;

use crate::api::DetectionConfig;
use crate::audio::Library;
use crate::dtls::Handshakes;
use crate::interfaces::Interfaces;
use crate::recording::Recorder;
use crate::tones::Tones;

/// Shared by all calls.
#[derive(Debug)]
pub(crate) struct Env {
    pub(crate) interfaces: Arc<Interfaces>,
    pub(crate) library: Library,
    pub(crate) tones: Tones,
    pub(crate) latch: LatchPolicy,
    pub(crate) egress: EgressMode,
    pub(crate) media_timeout: Option<Duration>,
    /// Suites that leave something unprotected may be used.
    pub(crate) allows_weak_srtp: bool,
    pub(crate) handshakes: Arc<Handshakes>,
    pub(crate) detection: DetectionConfig,
    pub(crate) recorder: Recorder,
    cut_overs: AtomicU64,
}

impl Env {
    #[allow(clippy::too_many_arguments, reason = "it is put together at one place, field by field")]
    pub(crate) fn new(
        interfaces: Arc<Interfaces>,
        library: Library,
        latch: LatchPolicy,
        egress: EgressMode,
        media_timeout: Option<Duration>,
        allows_weak_srtp: bool,
        handshakes: Arc<Handshakes>,
        detection: DetectionConfig,
        recorder: Recorder,
    ) -> Self {
        Self {
            interfaces,
            library,
            tones: Tones::default(),
            latch,
            egress,
            media_timeout,
            allows_weak_srtp,
            handshakes,
            detection,
            recorder,
            cut_overs: AtomicU64::new(1),
        }
    }

    /// Whether packets leave a leg as they came, unless it is to be another way.
    pub(crate) fn is_transparent(&self) -> bool {
        self.egress == EgressMode::Transparent
    }

    /// Whether legs learn their source from any host, unless they are told otherwise.
    pub(crate) fn learns_from_anywhere(&self) -> bool {
        self.latch.learn_from == LearnFrom::Anywhere
    }

    /// A number that no cut-over has had.
    pub(crate) fn next_cut_over(&self) -> CutOverId {
        CutOverId(self.cut_overs.fetch_add(1, Ordering::Relaxed))
    }
}
