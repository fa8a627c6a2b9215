//! What the writer tells.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::spec::RecordingId;

/// What has become of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report {
    /// Its files are there.
    Started {
        /// Which one.
        id: RecordingId,
        /// Its metadata, `NAME.json`.
        metadata: PathBuf,
    },
    /// It has ended as it should.
    Finished(Summary),
    /// It has ended, and its files are deleted: only its metadata are left, which say so.
    Discarded(Summary),
    /// It has ended because something could not be written. What was written stays.
    Failed {
        /// What there is.
        summary: Summary,
        /// What went wrong.
        reason: String,
    },
}

/// A recording that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which one.
    pub id: RecordingId,
    /// Its metadata, if it had got so far.
    pub metadata: Option<PathBuf>,
    /// Its files.
    pub files: Vec<PathBuf>,
    /// How long it plays, in milliseconds: its time without pauses.
    pub duration_ms: u64,
    /// What became of the packets.
    pub counts: Counts,
}

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// That were taken.
    pub packets: u64,
    /// That never came, by their sequence numbers.
    pub lost: u64,
    /// That came when their place had been written.
    pub late: u64,
    /// That came more than once.
    pub duplicates: u64,
    /// That could not be decoded.
    pub malformed: u64,
    /// Of formats that cannot be decoded, or that nobody has told of.
    pub unknown: u64,
    /// For which there was no room in the writer's queue.
    pub dropped: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.lost += other.lost;
        self.late += other.late;
        self.duplicates += other.duplicates;
        self.malformed += other.malformed;
        self.unknown += other.unknown;
        self.dropped += other.dropped;
    }
}
