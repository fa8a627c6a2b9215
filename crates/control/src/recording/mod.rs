//! Recordings of calls: what the call model wants recorded, told to the thread that writes it.
//!
//! A call's model says whether it is recorded ([`CallRecording`]), and each of its legs whether the recorder hears it. When a batch is in
//! force, the [`Recorder`] compares that with what the writer was told, and tells it the difference: so a recording follows its call
//! through transfers, renames and merges, and what was refused was never recorded. Packets come from the workers by leg.

mod active;

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::SystemTime;

use patchcord_recording::{RecordingId, Report, Settings, Spec, Summary, Writer};
use patchcord_relay::exchange::Overheard;
use patchcord_relay::time::MonoTime;

use crate::api::{CallEvent, EventKind, RecordingFormat, RecordingLayout};
use crate::call::{CallModel, CallName, Chore};
use crate::control::{ConfigError, Control, Shared};
use active::{Active, State, Step};

/// What of a call is recorded, and how.
#[derive(Clone, Debug)]
pub(crate) struct CallRecording {
    pub(crate) id: RecordingId,
    pub(crate) wish: Arc<Wish>,
    pub(crate) paused: bool,
}

/// How somebody wants a call recorded.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) name: Arc<str>,
    pub(crate) format: RecordingFormat,
    pub(crate) layout: RecordingLayout,
    pub(crate) rate: Option<u32>,
    /// None: all.
    pub(crate) parties: Option<Vec<String>>,
    pub(crate) values: BTreeMap<String, String>,
}

/// How calls are recorded unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingConfig {
    /// Where recordings lie; `None`: nothing is recorded.
    pub directory: Option<PathBuf>,
    /// The kind of their files.
    pub format: RecordingFormat,
    /// What goes into which file.
    pub layout: RecordingLayout,
    /// Samples a second of audio; `None`: 16000 for WAV, 48000 for Opus.
    pub rate: Option<u32>,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        Self { directory: None, format: RecordingFormat::Wav, layout: RecordingLayout::Mixed, rate: None }
    }
}

/// What has been recorded, for metrics.
#[derive(Debug, Default)]
pub(crate) struct RecordingCounts {
    pub(crate) finished: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) discarded: AtomicU64,
    /// Packets of recordings that are over, by what became of them.
    pub(crate) recorded: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

/// Whom reports are told to: known once the control plane is there.
type Relay = Arc<OnceLock<Weak<Shared>>>;

/// Has calls recorded.
pub(crate) struct Recorder {
    config: RecordingConfig,
    relay: Relay,
    next: AtomicU64,
    state: Mutex<State>,
    pub(crate) counts: RecordingCounts,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Starts the writer if there is a directory, once recordings that were interrupted are marked as such.
    pub(crate) fn start(
        config: RecordingConfig,
        version: &str,
        now: impl Fn() -> MonoTime + Send + 'static,
    ) -> Result<Self, ConfigError> {
        let format = patchcord_recording::Format::from(config.format);
        format.check_rate(config.rate).map_err(ConfigError::RecordingRate)?;
        let relay = Relay::default();
        let told = Arc::clone(&relay);
        let report = move |report| {
            if let Some(shared) = told.get().and_then(Weak::upgrade) {
                Control(shared).recording_reported(report);
            }
        };
        let mut state = State::default();
        if let Some(directory) = &config.directory {
            let settings = Settings::new(directory, format!("patchcord {version}"));
            let writer = Writer::start(settings, move || now().as_nanos(), report)?;
            for found in writer.recovered() {
                let (call, path) = (&found.call, found.metadata.display());
                tracing::warn!(call, %path, "a recording was interrupted: what there is of it can be heard");
            }
            state.writer = Some(writer);
        }
        let (next, state) = (AtomicU64::new(1), Mutex::new(state));
        Ok(Self { config, relay, next, state, counts: RecordingCounts::default() })
    }

    /// Whom reports are told to.
    pub(crate) fn attach(&self, relay: Weak<Shared>) {
        // It is called once.
        drop(self.relay.set(relay));
    }

    pub(crate) const fn config(&self) -> &RecordingConfig {
        &self.config
    }

    pub(crate) fn next_id(&self) -> RecordingId {
        RecordingId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Recordings that go on.
    pub(crate) fn running(&self) -> usize {
        self.state().active.values().filter(|active| active.step == Step::Runs).count()
    }

    /// The name under which a recording lies, once its files are there.
    pub(crate) fn name_of(&self, id: RecordingId) -> Option<Arc<str>> {
        self.state().active.get(&id).map(|active| Arc::clone(&active.name))
    }

    /// A worker has overheard a party.
    pub(crate) fn overheard(&self, overheard: Overheard) {
        self.state().packet(overheard);
    }

    /// The model of a call is in force since `at`: the writer is told what differs from before. A recording that is over with it may be
    /// one that is thrown away.
    pub(crate) fn follow(&self, call: &CallName, model: &CallModel, discards: Option<RecordingId>, at: MonoTime) {
        let mut state = self.state();
        let wanted = model.recording.as_deref();
        state.end_others(call.serial, wanted.map(|wanted| wanted.id), discards, at);
        let Some(wanted) = wanted else { return };
        if !state.active.contains_key(&wanted.id) {
            let active = Active::new(call, Arc::clone(&wanted.wish.name));
            state.begin(wanted.id, active, spec(call, &wanted.wish, at));
        }
        state.follow(wanted.id, call, model, wanted.paused, at);
    }

    /// The call is over, or part of another one.
    pub(crate) fn end_of_call(&self, serial: u64, at: MonoTime) {
        self.state().end_others(serial, None, None, at);
    }

    /// Has the metadata of a call's recording say that something has happened.
    pub(crate) fn mark(&self, call: &str, at: MonoTime, text: impl FnOnce() -> String) {
        self.state().mark(call, at, text);
    }

    /// Finishes all recordings, and begins none any more.
    pub(crate) fn finish(&self) {
        // Its end waits for the thread, which may have something to report.
        let writer = self.state().writer.take();
        drop(writer);
    }

    /// What a report of the writer means for its call.
    fn judge(&self, report: Report) -> Option<Judged> {
        let mut state = self.state();
        match report {
            Report::Started { id, metadata } => {
                let name = self.relative(&metadata.with_extension(""));
                let active = state.active.get_mut(&id)?;
                active.name = name.as_str().into();
                Some(Judged::of(active, EventKind::RecordingStarted { recording: name }, None))
            }
            Report::Finished(summary) => {
                self.count(&summary, &self.counts.finished);
                let active = state.active.remove(&summary.id)?;
                let kind = EventKind::RecordingFinished {
                    recording: active.name.as_ref().to_owned(),
                    files: summary.files.iter().map(|path| self.relative(path)).collect(),
                    duration_ms: summary.duration_ms,
                    packets: summary.counts.packets,
                    lost: summary.counts.lost,
                    late: summary.counts.late,
                    dropped: summary.counts.dropped,
                };
                Some(Judged::of(&active, kind, None))
            }
            Report::Discarded(summary) => {
                self.count(&summary, &self.counts.discarded);
                let active = state.active.remove(&summary.id)?;
                let recording = active.name.as_ref().to_owned();
                Some(Judged::of(&active, EventKind::RecordingDiscarded { recording }, None))
            }
            Report::Failed { summary, reason } => {
                self.count(&summary, &self.counts.failed);
                let active = state.fail(summary.id)?;
                let recording = active.name.as_ref().to_owned();
                Some(Judged::of(active, EventKind::RecordingFailed { recording, reason }, Some(summary.id)))
            }
            _ => None,
        }
    }

    fn count(&self, summary: &Summary, recordings: &AtomicU64) {
        recordings.fetch_add(1, Ordering::Relaxed);
        let counts = &summary.counts;
        for (counter, packets) in [
            (&self.counts.recorded, counts.packets),
            (&self.counts.late, counts.late),
            (&self.counts.dropped, counts.dropped),
        ] {
            counter.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// A path below the directory of recordings.
    fn relative(&self, path: &Path) -> String {
        let directory = self.config.directory.as_deref().unwrap_or(Path::new(""));
        path.strip_prefix(directory).unwrap_or(path).to_string_lossy().into_owned()
    }
}

/// What is to be told, of which call, and the recording that has failed.
struct Judged {
    serial: u64,
    call: Arc<str>,
    kind: EventKind,
    failed: Option<RecordingId>,
}

impl Judged {
    fn of(active: &Active, kind: EventKind, failed: Option<RecordingId>) -> Self {
        Self { serial: active.serial, call: Arc::clone(&active.call), kind, failed }
    }
}

impl Control {
    /// The writer has something to tell: on its thread.
    fn recording_reported(&self, report: Report) {
        let Some(Judged { serial, call, kind, failed }) = self.0.env.recorder.judge(report) else { return };
        match &kind {
            EventKind::RecordingFailed { recording, reason } => {
                tracing::error!(%call, recording, reason, "a recording has failed: what was written stays");
            }
            EventKind::RecordingDiscarded { recording } => {
                tracing::info!(%call, recording, "a recording is deleted, as it was asked for");
            }
            EventKind::RecordingFinished { recording, duration_ms, .. } => {
                tracing::info!(%call, recording, duration_ms, "call recorded");
            }
            _ => {}
        }
        self.tell(CallEvent { at_us: self.now().as_nanos() / 1000, call, party: None, kind });
        let Some(id) = failed else { return };
        let call = self.0.calls().by_serial.get(&serial).cloned();
        if let Some(call) = call {
            self.begin_chore(&call, Chore::EndRecording { id });
        }
    }

    /// Finishes all recordings: their files are whole when this returns. For the end of the process.
    pub fn finish_recordings(&self) {
        self.0.env.recorder.finish();
    }
}

fn spec(call: &CallName, wish: &Wish, at: MonoTime) -> Spec {
    Spec {
        name: wish.name.as_ref().to_owned(),
        format: wish.format.into(),
        layout: wish.layout.into(),
        rate: wish.rate,
        call: call.name.as_ref().to_owned(),
        at_ns: at.as_nanos(),
        started: SystemTime::now(),
        values: wish.values.clone(),
    }
}
