//! The relay's own recording of the call: where it is written, and whom it has.

use std::fs;
use std::path::{Path, PathBuf};

use patchcord_codec::{Audio, TELEPHONE_RATE, wav};

use super::script::{Step, StepName};
use super::voices::Presence;
use crate::demo::checks::Check;
use crate::demo::references;
use crate::demo::stage::{AGENT, TARGET, TRANSFEREE};
use crate::failure::Failure;
use crate::media::error;

/// What is kept of it.
const FILE: &str = "recording.wav";

/// Whose voices the recording has, all of them at the beginning and at the end. Between these all three speak at once.
const HAS: [(StepName, [&str; 2], &str); 2] =
    [(StepName::Talk, [TRANSFEREE, AGENT], TARGET), (StepName::Dropped, [TRANSFEREE, TARGET], AGENT)];

/// A folder that the relay records into, removed at the end.
pub(in crate::demo) struct Folder {
    path: PathBuf,
    output: PathBuf,
}

/// The recording as the relay told of it.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// On the laboratory's clock.
    pub(super) from_ns: u64,
    /// Below the folder.
    pub(super) files: Vec<String>,
}

impl Folder {
    /// Makes one of this process's own in the folder that the demo's files go to.
    pub(in crate::demo) fn create(output: &Path) -> Result<Self, Failure> {
        let path = output.join(format!(".recording-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| {
            let advice = "remove it if it is there, or choose another folder with --output";
            Failure::failed(format!("cannot create the folder {}: {error}; {advice}", path.display()))
        })?;
        Ok(Self { path, output: output.to_owned() })
    }

    /// What the relay is to be told of it, by `--set`.
    pub(in crate::demo) fn setting(&self) -> String {
        format!("recording.directory={}", self.path.display())
    }

    /// Keeps a file beside the parties' own, and says where.
    fn keep(&self, file: &str) -> Result<PathBuf, Failure> {
        let (from, to) = (self.path.join(file), self.output.join(FILE));
        fs::copy(&from, &to)
            .map_err(|error| Failure::failed(format!("cannot copy {} to {}: {error}", from.display(), to.display())))?;
        Ok(to)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is harmless, and the next process has another.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// One file of the whole call, in which the agent's voice ends and the target's begins.
pub(super) fn check(folder: &Folder, recorded: &Recorded, steps: &[Step]) -> Result<Check, Failure> {
    let [file] = &recorded.files[..] else {
        return Err(Failure::failed(format!("the recording has the files {:?}, not one", recorded.files)));
    };
    let audio = wav::read_file(&folder.keep(file)?).map_err(error)?.to_telephone().map_err(error)?;
    let mut ok = true;
    let mut course = Vec::new();
    for (name, voices, absent) in HAS {
        let step = steps.iter().find(|step| step.name == name);
        let piece = step.map_or(&[][..], |step| within(&audio, recorded, step));
        let presence = |voice| Ok::<_, Failure>(Presence::of(piece, &references::speech(voice)?.samples));
        let mut heard = Vec::new();
        for voice in voices {
            let presence = presence(voice)?;
            ok &= presence.is_heard();
            heard.push(format!("{voice} {:.2}", presence.typical));
        }
        let presence = presence(absent)?;
        ok &= presence.is_absent();
        course.push(format!("{} {}, {absent} {:.2} at most", name.id(), heard.join(" + "), presence.most));
    }
    Ok(Check {
        name: format!(
            "the relay's recording, {FILE}, has the {TRANSFEREE} and the {AGENT}, at the end the {TRANSFEREE} and the {TARGET}"
        ),
        ok,
        detail: format!("{:.1} s; correlation: {}", audio.duration().as_secs_f64(), course.join("; ")),
    })
}

/// The samples of a step; as many of them as there are.
fn within<'a>(audio: &'a Audio, recorded: &Recorded, step: &Step) -> &'a [i16] {
    let sample = |at_ns: u64| {
        let since_ns = at_ns.saturating_sub(recorded.from_ns);
        let samples = u128::from(since_ns) * u128::from(TELEPHONE_RATE) / 1_000_000_000;
        usize::try_from(samples).unwrap_or(usize::MAX).min(audio.samples.len())
    };
    &audio.samples[sample(step.from_ns)..sample(step.until_ns.max(step.from_ns))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_in_the_file_and_cut_where_that_ends() {
        let audio = Audio::telephone((0..8000).collect());
        let recorded = Recorded { from_ns: 1_000_000_000, files: Vec::new() };
        for (from_ms, until_ms, range) in
            [(1500, 1750, 4000..6000), (1900, 9000, 7200..8000), (500, 1100, 0..800), (3000, 2000, 8000..8000)]
        {
            let step = Step { name: StepName::Talk, from_ns: from_ms * 1_000_000, until_ns: until_ms * 1_000_000 };
            assert_eq!(within(&audio, &recorded, &step), &audio.samples[range]);
        }
    }

    #[test]
    fn the_folder_is_removed_and_what_was_kept_is_not() {
        let output = std::env::temp_dir().join(format!("patchcord-demo-{}", std::process::id()));
        fs::create_dir_all(&output).expect("a folder");
        let folder = Folder::create(&output).expect("a folder");
        fs::write(folder.path.join("x.wav"), b"x").expect("a file");
        assert_eq!(fs::read(folder.keep("x.wav").expect("it is there")).expect("a file"), b"x");
        assert!(folder.keep("y.wav").is_err() && Folder::create(&output).is_err());
        let path = folder.path.clone();
        drop(folder);
        assert!(!path.exists());
        fs::remove_dir_all(&output).expect("nothing holds it");
    }
}
