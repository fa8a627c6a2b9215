//! The audio of one party, or of all, on its way into files.

use std::io;

use crate::metadata::FileEntry;
use crate::mixer::Mixer;
use crate::names::Stem;
use crate::opus_file::OpusFile;
use crate::spec::Format;
use crate::wav_file::{self, WavFile};

/// What files are like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    pub(crate) rate: u32,
    /// Bytes of samples after which a WAV file is followed by a second one.
    pub(crate) wav_bytes_max: u64,
    pub(crate) producer: String,
    /// What Ogg files say of themselves.
    pub(crate) comments: Vec<(String, String)>,
}

/// A file, and those that follow it once it is full.
pub(crate) struct AudioFile {
    shape: Shape,
    party: Option<String>,
    pub(crate) mixer: Mixer,
    writer: AudioWriter,
    /// The one that is written.
    entry: FileEntry,
    /// Where it begins, where it is written out to, and where it has ended.
    begins: i64,
    flushed: i64,
    pub(crate) ends: Option<i64>,
    samples: Vec<i16>,
}

enum AudioWriter {
    Wav(WavFile),
    Opus(Box<OpusFile>),
}

impl AudioFile {
    /// A file of `party`, or of all, from `begins` on.
    pub(crate) fn new(stem: &Stem, shape: Shape, party: Option<&str>, begins: i64) -> io::Result<Self> {
        let (name, writer) = AudioWriter::new(stem, &shape, party)?;
        Ok(Self {
            mixer: Mixer::new(shape.rate, begins),
            party: party.map(ToOwned::to_owned),
            entry: FileEntry { name, begins_ms: ms(begins, shape.rate), ..FileEntry::default() },
            shape,
            writer,
            begins,
            flushed: begins,
            ends: None,
            samples: Vec::new(),
        })
    }

    /// Writes what lies before `until`. Gives a file that is full.
    pub(crate) fn advance(&mut self, stem: &Stem, until: i64) -> io::Result<Option<FileEntry>> {
        let until = self.ends.map_or(until, |ends| until.min(ends));
        let second = self.shape.rate as usize;
        let mut full = None;
        while self.mixer.base() < until {
            self.samples.clear();
            self.mixer.take(until, second, &mut self.samples);
            self.writer.write(&self.samples)?;
            if self.mixer.base() - self.flushed >= second as i64 {
                self.flush()?;
            }
            if self.is_full() {
                full = Some(self.next(stem)?);
                break;
            }
        }
        Ok(full)
    }

    fn is_full(&self) -> bool {
        let second = u64::from(self.shape.rate) * 2;
        matches!(&self.writer, AudioWriter::Wav(wav) if wav.bytes() + second > self.shape.wav_bytes_max)
    }

    /// The next file takes the place of one that is full.
    fn next(&mut self, stem: &Stem) -> io::Result<FileEntry> {
        let done = self.finish()?;
        let (name, writer) = AudioWriter::new(stem, &self.shape, self.party.as_deref())?;
        self.writer = writer;
        self.begins = self.mixer.base();
        self.entry = FileEntry { name, begins_ms: ms(self.begins, self.shape.rate), ..FileEntry::default() };
        Ok(done)
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.flushed = self.mixer.base();
        Ok(())
    }

    /// Writes the rest, and gives what the metadata are to say of it.
    pub(crate) fn finish(&mut self) -> io::Result<FileEntry> {
        self.writer.finish()?;
        self.flushed = self.mixer.base();
        Ok(self.entry())
    }

    /// What there is of it.
    pub(crate) fn entry(&self) -> FileEntry {
        let duration_ms = ms(self.flushed - self.begins, self.shape.rate);
        FileEntry { duration_ms: Some(duration_ms), bytes: Some(self.writer.bytes()), ..self.entry.clone() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.entry.name
    }

    /// Nothing more comes, and everything is written.
    pub(crate) fn is_over(&self) -> bool {
        self.ends.is_some_and(|ends| self.mixer.base() >= ends)
    }
}

impl AudioWriter {
    fn new(stem: &Stem, shape: &Shape, party: Option<&str>) -> io::Result<(String, Self)> {
        let (name, file) = stem.file(party, shape.format.extension())?;
        let writer = match shape.format {
            Format::OggOpus => {
                let mut comments = shape.comments.clone();
                comments.extend(party.map(|party| ("PARTY".to_owned(), party.to_owned())));
                Self::Opus(Box::new(OpusFile::new(file, shape.rate, &shape.producer, &comments)?))
            }
            Format::Wav | Format::Pcapng => Self::Wav(WavFile::new(file, shape.rate)?),
        };
        Ok((name, writer))
    }

    fn write(&mut self, samples: &[i16]) -> io::Result<()> {
        match self {
            Self::Wav(wav) => wav.write(samples),
            Self::Opus(opus) => opus.write(samples)?,
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Wav(wav) => wav.flush(),
            Self::Opus(opus) => opus.flush(),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Wav(wav) => wav.flush(),
            Self::Opus(opus) => opus.finish(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Wav(wav) => wav.bytes() + wav_file::HEADER_BYTES,
            Self::Opus(opus) => opus.bytes(),
        }
    }
}

fn ms(samples: i64, rate: u32) -> u64 {
    u64::try_from(samples).unwrap_or(0) * 1000 / u64::from(rate.max(1))
}
