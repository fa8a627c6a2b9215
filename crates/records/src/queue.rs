//! The queue on disk: lines in files that follow each other. Records go in at the end, and out at the front once the database has them.
//!
//! A process begins a file of its own, so that nobody writes behind a line that a crash has torn.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::line::{self, Item};

/// A file that is as long as this is followed by another.
const FILE_LEN: u64 = 1 << 20;

const EXTENSION: &str = "queue";

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    folder: PathBuf,
    /// The oldest first; the last one is written to if `out` is there.
    files: VecDeque<Segment>,
    out: Option<File>,
    next: u64,
    limit: u64,
    /// Lines that were there and could not be read.
    damaged: u64,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    /// As far as it is written, and as far as it is read.
    len: u64,
    read: u64,
    /// Lines from there on.
    lines: u64,
}

/// What is at the front.
#[derive(Debug, Default)]
pub(crate) struct Front {
    pub(crate) items: Vec<Item>,
    number: u64,
    end: u64,
    lines: u64,
    damaged: u64,
}

impl Queue {
    /// Opens what a former process has left, and takes records from then on, as long as the files together have no more than `limit` octets.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub(crate) fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                numbers.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok()));
            }
        }
        numbers.sort_unstable();
        let next = numbers.last().map_or(1, |last| last + 1);
        let mut queue = Self { folder: folder.to_owned(), files: VecDeque::new(), out: None, next, limit, damaged: 0 };
        for number in numbers {
            let (mut lines, mut len) = (0, 0);
            let mut file = BufReader::new(File::open(queue.path(number))?);
            let mut line = Vec::new();
            while file.read_until(b'\n', &mut line)? > 0 {
                len += line.len() as u64;
                lines += 1;
                line.clear();
            }
            if len == 0 {
                fs::remove_file(queue.path(number))?;
                continue;
            }
            queue.files.push_back(Segment { number, len, read: 0, lines });
        }
        Ok(queue)
    }

    /// Records that wait. What is damaged counts until it was come to.
    pub(crate) fn len(&self) -> u64 {
        self.files.iter().map(|file| file.lines).sum()
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets on disk.
    pub(crate) fn octets(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// Lines that were come to and could not be read.
    pub(crate) const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Appends, in this order, until something does not fit; gives back what did not, and why. What was taken is on the disk.
    pub(crate) fn append(&mut self, items: Vec<Item>) -> (Vec<Item>, Option<io::Error>) {
        let mut items = items.into_iter();
        let (mut kept, mut lines, mut taken, mut why) = (Vec::new(), Vec::new(), Vec::new(), None);
        let mut room = self.limit.saturating_sub(self.octets());
        for item in items.by_ref() {
            match line::write(&item) {
                Some(line) if line.len() as u64 <= room => {
                    room -= line.len() as u64;
                    lines.extend_from_slice(&line);
                    taken.push(item);
                }
                Some(_) => {
                    let text = format!("the queue is full: it has {} of {} octets", self.octets(), self.limit);
                    why = Some(io::Error::other(text));
                    kept.push(item);
                    break;
                }
                None => {
                    why = Some(io::Error::other("a record cannot be written as JSON"));
                    kept.push(item);
                }
            }
        }
        kept.extend(items);
        if !taken.is_empty()
            && let Err(error) = self.write(&lines, taken.len() as u64)
        {
            taken.append(&mut kept);
            return (taken, Some(error));
        }
        (kept, why)
    }

    fn write(&mut self, lines: &[u8], count: u64) -> io::Result<()> {
        if self.out.is_none() || self.files.back().is_none_or(|file| file.len >= FILE_LEN) {
            let number = self.next;
            self.out = None;
            let file = OpenOptions::new().create_new(true).append(true).open(self.path(number))?;
            self.next += 1;
            // Its name is to outlive a power failure as well.
            File::open(&self.folder)?.sync_all()?;
            self.out = Some(file);
            self.files.push_back(Segment { number, len: 0, read: 0, lines: 0 });
        }
        let (Some(out), Some(file)) = (&mut self.out, self.files.back_mut()) else {
            return Err(io::Error::other("there is no file"));
        };
        let written = out.write_all(lines).and_then(|()| out.sync_data());
        if let Err(error) = written {
            // Half of it may be there. What follows goes to another file if it cannot be taken back.
            if out.set_len(file.len).is_err() {
                self.out = None;
            }
            return Err(error);
        }
        file.len += lines.len() as u64;
        file.lines += count;
        Ok(())
    }

    /// What is at the front, `max` records at most. Nothing is taken away.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn front(&self, max: usize) -> io::Result<Front> {
        let Some(file) = self.files.front() else { return Ok(Front::default()) };
        let mut front = Front { number: file.number, end: file.read, ..Front::default() };
        let mut reader = File::open(self.path(file.number))?;
        reader.seek(SeekFrom::Start(file.read))?;
        let mut reader = BufReader::new(reader.take(file.len - file.read));
        let mut line = Vec::new();
        while front.items.len() < max && reader.read_until(b'\n', &mut line)? > 0 {
            front.end += line.len() as u64;
            front.lines += 1;
            match line::read(line.strip_suffix(b"\n").unwrap_or(&line)) {
                Some(item) => front.items.push(item),
                None => front.damaged += 1,
            }
            line.clear();
        }
        if front.lines == 0 {
            // It is shorter than it was.
            front.end = file.len;
            front.damaged = file.lines;
            front.lines = file.lines;
        }
        Ok(front)
    }

    /// Takes away what [`Queue::front`] has given.
    pub(crate) fn done(&mut self, front: &Front) {
        let is_out = self.out.is_some();
        let is_last = self.files.len() == 1;
        let Some(file) = self.files.front_mut().filter(|file| file.number == front.number) else { return };
        self.damaged += front.damaged;
        file.read = front.end;
        file.lines = file.lines.saturating_sub(front.lines);
        if file.read < file.len {
            return;
        }
        // A file that is still there after a crash is written once more, which changes nothing.
        if is_last && is_out && self.out.as_ref().is_some_and(|out| out.set_len(0).is_ok()) {
            (file.read, file.len, file.lines) = (0, 0, 0);
            return;
        }
        let number = file.number;
        if is_last {
            self.out = None;
        }
        self.files.pop_front();
        let _ = fs::remove_file(self.path(number));
    }

    /// Puts a front that cannot be read out of the way, and says where it is.
    pub(crate) fn set_front_aside(&mut self) -> Option<PathBuf> {
        if self.files.len() == 1 {
            self.out = None;
        }
        let file = self.files.pop_front()?;
        self.damaged += file.lines;
        let aside = self.path(file.number).with_extension("unreadable");
        let _ = fs::rename(self.path(file.number), &aside);
        Some(aside)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:010}.{EXTENSION}"))
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
