//! One recording, from its beginning to its end.

use core::time::Duration;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::audio_file::{AudioFile, Shape};
use crate::metadata::{FileEntry, MarkEntry, Metadata, PartyEntry, PauseEntry, State};
use crate::names::Stem;
use crate::packet_file::PacketFile;
use crate::report::{Counts, Summary};
use crate::spec::{Format, Layout, RecordingId, Spec, TrackSpec};
use crate::timeline::Timeline;
use crate::track::Track;
use crate::utc::rfc3339;
use crate::writer::Settings;

/// The text of a mark is cut to so many characters.
const MARK_MAX: usize = 500;
/// More parties at a time than this have no track: a call has at most 64 legs.
const TRACKS_MAX: usize = 256;
/// Files are brought to the disk, and changes to the metadata, so often.
const FLUSH_NS: u64 = 1_000_000_000;

/// See the module.
pub(crate) struct Recording {
    id: RecordingId,
    spec: Spec,
    stem: Stem,
    shape: Shape,
    /// Packets wait so long for each other, and files are written so long after.
    hold_ns: u64,
    delay_ns: u64,
    timeline: Timeline,
    tracks: BTreeMap<u16, Track>,
    files: BTreeMap<usize, Output>,
    files_made: usize,
    /// The latest time that it was told of.
    now_ns: u64,
    flushed_ns: u64,
    metadata: Metadata,
    /// Differs from what is in the file.
    is_changed: bool,
}

/// Where packets go.
enum Output {
    Audio(Box<AudioFile>),
    Packets(Box<PacketFile>),
}

impl Recording {
    /// Creates its metadata, and the file that all parties share.
    pub(crate) fn begin(id: RecordingId, spec: Spec, settings: &Settings) -> io::Result<Self> {
        spec.check().map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        let (stem, file) = Stem::take(&settings.directory, &spec.name, spec.format.extension())?;
        let rate = spec.sample_rate();
        let started = rfc3339(spec.started);
        let metadata = Metadata {
            state: State::Recording,
            reason: None,
            producer: settings.producer.clone(),
            call: spec.call.clone(),
            started: started.clone(),
            ended: None,
            format: spec.format,
            layout: spec.layout,
            sample_rate: (spec.format != Format::Pcapng).then_some(rate),
            duration_ms: None,
            files: Vec::new(),
            parties: Vec::new(),
            pauses: Vec::new(),
            marks: Vec::new(),
            left_out: 0,
            counts: Counts::default(),
            values: spec.values.clone(),
        };
        let comments = [("TITLE", &spec.call), ("CALL", &spec.call), ("DATE", &started)];
        let comments = comments.map(|(name, value)| (name.to_owned(), value.clone())).into_iter();
        let shape = Shape {
            format: spec.format,
            rate,
            wav_bytes_max: settings.wav_bytes_max,
            producer: settings.producer.clone(),
            comments: comments.chain(spec.values.clone()).collect(),
        };
        let delay_ns = u64::try_from(settings.delay.as_nanos()).unwrap_or(u64::MAX);
        let mut recording = Self {
            id,
            stem,
            shape,
            hold_ns: delay_ns / 2,
            delay_ns,
            timeline: Timeline::new(rate, spec.at_ns),
            tracks: BTreeMap::new(),
            files: BTreeMap::new(),
            files_made: 0,
            now_ns: spec.at_ns,
            flushed_ns: spec.at_ns,
            metadata,
            is_changed: false,
            spec,
        };
        if recording.spec.layout == Layout::Mixed {
            recording.add_file(None, 0)?;
        }
        recording.list_files();
        recording.metadata.write_first(&file)?;
        Ok(recording)
    }

    pub(crate) fn metadata_path(&self) -> std::path::PathBuf {
        self.stem.metadata()
    }

    fn add_file(&mut self, party: Option<&str>, place: i64) -> io::Result<usize> {
        let output = if self.spec.format == Format::Pcapng {
            let (name, file) = self.stem.file(party, self.spec.format.extension())?;
            let begins_ms = self.timeline.ms(place);
            Output::Packets(Box::new(PacketFile::new(name, file, begins_ms, &self.spec.call, &self.shape.producer)))
        } else {
            Output::Audio(Box::new(AudioFile::new(&self.stem, self.shape.clone(), party, place)?))
        };
        let index = self.files_made;
        self.files_made += 1;
        self.files.insert(index, output);
        Ok(index)
    }

    /// A party joins, or its formats have changed.
    pub(crate) fn track(&mut self, at_ns: u64, spec: &TrackSpec) -> io::Result<()> {
        let formats: Vec<String> = spec.formats.iter().map(ToString::to_string).collect();
        self.is_changed = true;
        if let Some(track) = self.tracks.get_mut(&spec.number)
            && track.party == spec.party
        {
            track.set_formats(&spec.formats);
            if let Some(entry) = track.entry.and_then(|entry| self.metadata.parties.get_mut(entry)) {
                entry.formats = formats;
            }
            return Ok(());
        }
        self.end_track(at_ns, spec.number)?;
        if self.tracks.len() >= TRACKS_MAX {
            self.metadata.left_out += 1;
            return Ok(());
        }
        let place = self.timeline.reach(at_ns);
        let own = self.spec.layout == Layout::PerParty;
        let file = if own { self.add_file(Some(&spec.party), place)? } else { 0 };
        let name = match self.files.get_mut(&file) {
            Some(Output::Packets(packets)) => {
                packets.describe(&spec.party, &formats.join(", "));
                Some(packets.name().to_owned())
            }
            Some(Output::Audio(audio)) => Some(audio.name().to_owned()),
            None => None,
        };
        let rate = self.shape.rate;
        let mut track = Track::new(Arc::clone(&spec.party), &spec.formats, rate, self.hold_ns, file);
        track.entry = self.metadata.add_party(PartyEntry {
            party: spec.party.to_string(),
            track: spec.number,
            file: name.filter(|_| own),
            formats,
            joined_ms: self.timeline.ms(place),
            left_ms: None,
            counts: Counts::default(),
        });
        self.tracks.insert(spec.number, track);
        Ok(())
    }

    /// A party leaves.
    pub(crate) fn end_track(&mut self, at_ns: u64, number: u16) -> io::Result<()> {
        self.now_ns = self.now_ns.max(at_ns);
        let Some(mut track) = self.tracks.remove(&number) else { return Ok(()) };
        let place = self.timeline.reach(at_ns);
        if let Some(Output::Audio(audio)) = self.files.get_mut(&track.file) {
            track.finish(&self.timeline, &mut audio.mixer);
            if self.spec.layout == Layout::PerParty {
                audio.ends = Some(place.max(audio.mixer.base()));
            }
        } else if self.spec.layout == Layout::PerParty
            && let Some(Output::Packets(mut packets)) = self.files.remove(&track.file)
        {
            packets.flush()?;
            self.metadata.list_file(packets.entry(self.timeline.ms(place)));
        }
        self.leave(&track, place);
        Ok(())
    }

    /// Notes what became of a party.
    fn leave(&mut self, track: &Track, place: i64) {
        self.metadata.counts.add(&track.counts);
        if let Some(entry) = track.entry.and_then(|entry| self.metadata.parties.get_mut(entry)) {
            entry.left_ms = Some(self.timeline.ms(place));
            entry.counts = track.counts;
        }
        self.is_changed = true;
    }

    /// A party has sent something.
    pub(crate) fn packet(&mut self, number: u16, at_ns: u64, rtp: Box<[u8]>) -> io::Result<()> {
        self.now_ns = self.now_ns.max(at_ns);
        if self.timeline.place(at_ns).is_none() {
            return Ok(());
        }
        let Some(track) = self.tracks.get_mut(&number) else { return Ok(()) };
        match self.files.get_mut(&track.file) {
            Some(Output::Audio(audio)) => {
                track.take(at_ns, rtp);
                track.advance(self.now_ns, &self.timeline, &mut audio.mixer);
            }
            Some(Output::Packets(packets)) => {
                track.counts.packets += 1;
                let since = Duration::from_nanos(at_ns.saturating_sub(self.spec.at_ns));
                let began = self.spec.started.duration_since(UNIX_EPOCH).unwrap_or_default();
                packets.add(number, &track.party, began.saturating_add(since), &rtp)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Nothing is recorded from now on. What has come is.
    pub(crate) fn pause(&mut self, at_ns: u64) {
        if self.timeline.is_paused() {
            return;
        }
        self.now_ns = self.now_ns.max(at_ns);
        self.finish_tracks();
        self.timeline.pause(at_ns);
        let place = self.timeline.reach(at_ns);
        for output in self.files.values_mut() {
            if let Output::Audio(audio) = output {
                audio.mixer.cut(place);
            }
        }
        self.metadata.add_pause(PauseEntry { at_ms: self.timeline.ms(place), length_ms: None });
        self.is_changed = true;
    }

    pub(crate) fn resume(&mut self, at_ns: u64) {
        self.now_ns = self.now_ns.max(at_ns);
        let Some(length_ns) = self.timeline.resume(at_ns) else { return };
        if let Some(pause) = self.metadata.pauses.last_mut() {
            pause.length_ms.get_or_insert(length_ns / 1_000_000);
        }
        self.is_changed = true;
    }

    /// Has something remembered.
    pub(crate) fn mark(&mut self, at_ns: u64, text: &str) {
        let at_ms = self.timeline.ms(self.timeline.reach(at_ns));
        self.metadata.add_mark(MarkEntry { at_ms, text: text.chars().take(MARK_MAX).collect() });
        self.is_changed = true;
    }

    /// Packets for which the queue had no room.
    pub(crate) const fn dropped(&mut self, packets: u64) {
        self.metadata.counts.dropped += packets;
        self.is_changed = true;
    }

    fn finish_tracks(&mut self) {
        for track in self.tracks.values_mut() {
            if let Some(Output::Audio(audio)) = self.files.get_mut(&track.file) {
                track.finish(&self.timeline, &mut audio.mixer);
            }
        }
    }

    /// Writes what is old enough at `now_ns`.
    pub(crate) fn advance(&mut self, now_ns: u64) -> io::Result<()> {
        self.now_ns = self.now_ns.max(now_ns);
        for track in self.tracks.values_mut() {
            if let Some(Output::Audio(audio)) = self.files.get_mut(&track.file) {
                track.advance(self.now_ns, &self.timeline, &mut audio.mixer);
            }
        }
        let horizon_ns = self.now_ns.saturating_sub(self.delay_ns);
        self.write(self.timeline.reach(horizon_ns))?;
        // Packets that wait are younger.
        self.timeline.forget(horizon_ns);
        if self.now_ns.saturating_sub(self.flushed_ns) < FLUSH_NS {
            return Ok(());
        }
        self.flushed_ns = self.now_ns;
        for output in self.files.values_mut() {
            match output {
                Output::Audio(audio) => audio.flush()?,
                Output::Packets(packets) => packets.flush()?,
            }
        }
        if self.is_changed {
            self.list_files();
            self.metadata.replace(&self.stem.metadata())?;
            self.is_changed = false;
        }
        Ok(())
    }

    /// Writes what lies before `until`, and closes the files that are over.
    fn write(&mut self, until: i64) -> io::Result<()> {
        let mut over = Vec::new();
        for (&index, output) in &mut self.files {
            let Output::Audio(audio) = output else { continue };
            while let Some(full) = audio.advance(&self.stem, until)? {
                self.metadata.list_file(full);
                self.is_changed = true;
            }
            if audio.is_over() {
                over.push(index);
            }
        }
        for index in over {
            if let Some(Output::Audio(mut audio)) = self.files.remove(&index) {
                let entry = audio.finish()?;
                self.close(entry);
            }
        }
        Ok(())
    }

    fn close(&mut self, entry: FileEntry) {
        self.metadata.list_file(entry);
        self.is_changed = true;
    }

    /// Brings the metadata up to date with the files that are open.
    fn list_files(&mut self) {
        let at_ms = self.timeline.ms(self.timeline.reach(self.now_ns));
        for output in self.files.values() {
            let entry = match output {
                Output::Audio(audio) => audio.entry(),
                Output::Packets(packets) => packets.entry(at_ms),
            };
            self.metadata.list_file(entry);
        }
    }

    /// Ends it.
    pub(crate) fn finish(&mut self, at_ns: u64) -> io::Result<()> {
        self.now_ns = self.now_ns.max(at_ns);
        self.finish_tracks();
        self.end_pause(at_ns);
        let place = self.timeline.reach(at_ns);
        let tracks = core::mem::take(&mut self.tracks);
        tracks.values().for_each(|track| self.leave(track, place));
        self.write(place)?;
        for (_, output) in core::mem::take(&mut self.files) {
            let entry = match output {
                Output::Audio(mut audio) => audio.finish()?,
                Output::Packets(mut packets) => {
                    packets.flush()?;
                    packets.entry(self.timeline.ms(place))
                }
            };
            self.close(entry);
        }
        self.settle(State::Finished, None, self.timeline.ms(place));
        self.metadata.replace(&self.stem.metadata())
    }

    /// Ends it, and deletes its files. Those that cannot be deleted stay listed.
    pub(crate) fn discard(&mut self, at_ns: u64) -> io::Result<()> {
        self.now_ns = self.now_ns.max(at_ns);
        self.end_pause(at_ns);
        let place = self.timeline.reach(at_ns);
        let tracks = core::mem::take(&mut self.tracks);
        tracks.values().for_each(|track| self.leave(track, place));
        self.list_files();
        // Nothing more is written, whatever waits.
        self.files.clear();
        let mut failed = None;
        let folder = self.stem.folder().to_owned();
        self.metadata.files.retain(|file| match std::fs::remove_file(folder.join(&file.name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                failed = Some(io::Error::new(error.kind(), format!("{} cannot be deleted: {error}", file.name)));
                true
            }
            _ => false,
        });
        for party in &mut self.metadata.parties {
            party.file = None;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        self.settle(State::Discarded, None, self.timeline.ms(place));
        let path = self.stem.metadata();
        self.metadata.replace(&path).or_else(|_| self.metadata.overwrite(&path))
    }

    fn end_pause(&mut self, at_ns: u64) {
        if self.timeline.is_paused() {
            self.resume(at_ns);
        }
    }

    /// Something could not be written: what is there stays.
    pub(crate) fn fail(&mut self, reason: &str) {
        self.end_pause(self.now_ns);
        let place = self.timeline.reach(self.now_ns);
        let tracks = core::mem::take(&mut self.tracks);
        tracks.values().for_each(|track| self.leave(track, place));
        self.list_files();
        // The files say themselves how much is in them.
        self.files.clear();
        let duration_ms = self.metadata.files.iter().map(|file| file.begins_ms + file.duration_ms.unwrap_or(0)).max();
        self.settle(State::Failed, Some(reason.to_owned()), duration_ms.unwrap_or(0));
        let path = self.stem.metadata();
        if let Err(error) = self.metadata.replace(&path).or_else(|_| self.metadata.overwrite(&path)) {
            tracing::warn!(path = %path.display(), %error, "the metadata of a recording that has failed do not say so");
        }
    }

    fn settle(&mut self, state: State, reason: Option<String>, duration_ms: u64) {
        self.metadata.state = state;
        self.metadata.reason = reason;
        self.metadata.duration_ms = Some(duration_ms);
        let since = Duration::from_nanos(self.now_ns.saturating_sub(self.spec.at_ns));
        let ended: SystemTime = self.spec.started.checked_add(since).unwrap_or(self.spec.started);
        self.metadata.ended = Some(rfc3339(ended));
    }

    /// What there is of it.
    pub(crate) fn summary(&self) -> Summary {
        let folder: &Path = self.stem.folder();
        Summary {
            id: self.id,
            metadata: Some(self.stem.metadata()),
            files: self.metadata.files.iter().map(|file| folder.join(&file.name)).collect(),
            duration_ms: self.metadata.duration_ms.unwrap_or(0),
            counts: self.metadata.counts,
        }
    }
}
