//! `start recording`, `pause recording`, `stop recording`, and what offers and answers say about it.

use std::path::Path;
use std::time::SystemTime;

use patchcord_ng::{Dict, Options};
use patchcord_recording::{Subject, name_by_pattern};

use super::Ng;
use super::control::ok;
use super::refuse::Refused;
use super::session::{PartyId, Role, Session};
use crate::api::{Command, NoFields, RecordStart, RecordStop, RecordingLayout};
use crate::call::Plan;
use crate::error::{ApiError, ErrorCode};

/// What is to become of a call's recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recording {
    /// It begins, or goes on after a pause.
    Start,
    Pause,
    Stop,
}

impl Ng {
    /// Begins, interrupts or ends the recording of a call. What is so already is no error, as with rtpengine.
    pub(super) async fn record(&self, options: &Options, what: Recording) -> Result<Dict, Refused> {
        let call = self.find(options)?;
        let discard = options.flags.discard_recording;
        let pauses = what == Recording::Pause || what == Recording::Stop && options.flags.pause;
        if discard && (pauses || what == Recording::Start) {
            return Err("\"discard-recording\" is for \"stop recording\", without \"pause\"".into());
        }
        let _gate = call.gate.lock().await;
        let unread = self.0.config.relay_unread;
        let mut next = None;
        let mut add = |plan: &mut Plan<'_>| {
            let is_recorded = plan.model.recording.is_some();
            match what {
                Recording::Start => {
                    let mut session = call.session().clone();
                    session.record(options, unread, plan)?;
                    next = Some(session);
                    Ok(())
                }
                _ if !is_recorded => Ok(()),
                _ if pauses => plan.add(&Command::RecordPause(NoFields {})),
                _ => plan.add(&Command::RecordStop(RecordStop { discard })),
            }
        };
        self.0.control.run(&call, None, &mut add).await?;
        if let Some(session) = next {
            *call.session() = session;
        }
        Ok(ok())
    }
}

impl Session {
    /// Plans the recording of the call, or that it goes on. What passes unread only because everything does is read from now on.
    fn record(&mut self, options: &Options, unread: bool, plan: &mut Plan<'_>) -> Result<(), ApiError> {
        if plan.model.recording.is_some() {
            plan.add(&Command::RecordResume(NoFields {}))?;
        } else {
            let config = plan.env.recorder.config();
            let directory = config.directory.clone().unwrap_or_default();
            let name = name_of(options, &directory, config.layout, plan.call_name())?;
            let values = options.metadata.iter().map(|text| ("metadata".to_owned(), text.clone())).collect();
            plan.add(&Command::RecordStart(RecordStart { name, values, ..RecordStart::default() }))?;
        }
        if unread {
            self.read_all(plan)?;
        }
        self.leave_out_of_recording(plan);
        Ok(())
    }

    /// What an offer or answer of a party says about the recording of the call, once its legs are planned.
    pub(super) fn note_recording(
        &mut self,
        from: PartyId,
        options: &Options,
        unread: bool,
        plan: &mut Plan<'_>,
    ) -> Result<(), ApiError> {
        if let Some(party) = self.party_mut(from) {
            party.unrecorded |= options.flags.exclude_recording;
        }
        if options.record_call == Some(true) && plan.model.recording.is_none() {
            if plan.env.recorder.config().directory.is_some() {
                return self.record(options, unread, plan);
            }
            // A call is worth more than its recording.
            tracing::warn!("`record-call` has no effect: there is no `recording.directory`");
        }
        if plan.model.recording.is_some() {
            if unread {
                self.read_all(plan)?;
            }
            self.leave_out_of_recording(plan);
        }
        Ok(())
    }

    /// Audio that cannot be heard unread is read from now on.
    fn read_all(&mut self, plan: &mut Plan<'_>) -> Result<(), ApiError> {
        let mut legs = Vec::new();
        for party in &self.parties {
            let audio =
                party.media.iter().enumerate().filter(|(_, media)| media.kind == "audio" && media.leg.is_some());
            legs.extend(audio.map(|(index, _)| (party.id, index, party.leg_name(index))));
        }
        for (party, index, leg) in legs {
            if plan.model.legs.named(&leg).is_some() {
                self.read_from_now_on(party, index, &leg, plan)?;
            }
        }
        Ok(())
    }

    /// Who is not to be recorded, and who only listens, is not.
    pub(super) fn leave_out_of_recording(&self, plan: &mut Plan<'_>) {
        for party in self.parties.iter().filter(|party| party.unrecorded || party.role == Role::Subscriber) {
            plan.leave_out_of_recording(&party.name);
        }
    }
}

/// The name that a request gives a recording: `recording-path`, or `recording-file`, or else what `recording-pattern` makes, in
/// `recording-dir`. A path that lies in the directory of recordings may be given as a whole.
fn name_of(
    options: &Options,
    directory: &Path,
    layout: RecordingLayout,
    call: &str,
) -> Result<Option<String>, ApiError> {
    let below = |text: &String| {
        let path = Path::new(text);
        let below = path.strip_prefix(directory).unwrap_or(path);
        below.to_string_lossy().trim_end_matches('/').to_owned()
    };
    let path = options.recording_path.as_ref().map(below);
    let (folder, file) = (options.recording_dir.as_ref().map(below), options.recording_file.as_ref().map(below));
    let made = match (&path, &file, options.recording_pattern.as_ref().map(below)) {
        (None, None, Some(pattern)) => {
            let label = options.label.as_deref().unwrap_or_default();
            let subject = Subject { call, label, layout: layout.into(), at: SystemTime::now() };
            let bad = |why| ApiError::new(ErrorCode::BadRequest, format!("\"recording-pattern\": {why}"));
            Some(name_by_pattern(&pattern, &subject).map_err(bad)?)
        }
        _ => None,
    };
    let file = file.or(made);
    let name = match (path, folder, file) {
        (Some(path), _, _) => path,
        (None, Some(folder), file) => {
            let file = file.unwrap_or_else(|| crate::call::recording_name(call));
            if folder.is_empty() { file } else { format!("{folder}/{file}") }
        }
        (None, None, Some(file)) => file,
        (None, None, None) => return Ok(None),
    };
    // The format says what its files are.
    let extensions = [".wav", ".opus", ".pcapng"];
    let stem = extensions.iter().find_map(|extension| name.strip_suffix(extension)).unwrap_or(&name);
    Ok(Some(stem.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_together_below_the_directory() {
        let name = |dir: Option<&str>, file: Option<&str>, path: Option<&str>| {
            let owned = |text: Option<&str>| text.map(ToOwned::to_owned);
            let options = Options {
                recording_dir: owned(dir),
                recording_file: owned(file),
                recording_path: owned(path),
                ..Options::default()
            };
            name_of(&options, Path::new("/var/rec"), RecordingLayout::Mixed, "c/1").expect("no pattern")
        };
        assert_eq!(name(None, None, None), None);
        assert_eq!(name(None, Some("x.wav"), None).as_deref(), Some("x"));
        assert_eq!(name(Some("/var/rec/2026/"), Some("x"), None).as_deref(), Some("2026/x"));
        assert_eq!(name(Some("/var/rec"), None, None).as_deref(), Some("c_1"));
        assert_eq!(name(Some("a"), Some("x"), Some("/var/rec/b/y.opus")).as_deref(), Some("b/y"));
        assert_eq!(name(None, None, Some("/etc/y")).as_deref(), Some("/etc/y"), "which is refused");
    }

    #[test]
    fn a_pattern_makes_a_name_where_none_is_given() {
        let name = |pattern: &str, dir: Option<&str>, file: Option<&str>| {
            let options = Options {
                recording_pattern: Some(pattern.to_owned()),
                recording_dir: dir.map(ToOwned::to_owned),
                recording_file: file.map(ToOwned::to_owned),
                label: Some("agent".to_owned()),
                ..Options::default()
            };
            name_of(&options, Path::new("/var/rec"), RecordingLayout::PerParty, "c/1")
        };
        assert_eq!(name("%1/%c-%t-%l.wav", None, None), Ok(Some("c/c_1-single-agent".to_owned())));
        assert_eq!(name("/var/rec/%c", Some("/var/rec/2026"), None), Ok(Some("2026/c_1".to_owned())));
        assert_eq!(name("%q", None, Some("x")), Ok(Some("x".to_owned())), "it is not asked for");
        for (pattern, says) in [("%q", "%q"), ("../%c", "begins with a dot"), ("/etc/%c", "whole path")] {
            let error = name(pattern, None, None).expect_err("no name");
            assert!(error.message.contains("recording-pattern") && error.message.contains(says), "{error}");
        }
    }
}
