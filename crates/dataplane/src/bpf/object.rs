//! What clang made of a C file: maps are created, programs pointed to them and loaded.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use aya_obj::generated::{bpf_attach_type, bpf_prog_type};
use aya_obj::{Object as File, ProgramSection};

use super::map::{Map, Plain};
use super::pins::{self, Pins};
use super::sys::{MapSpec, ProgramSpec, create_map, load_program};
use crate::mapping::Mapping;

/// How many entries a map is to have room for.
type Size<'a> = (&'a str, usize);

/// Maps of other objects, by the names that they have in this one too.
pub(crate) type Shared = BTreeMap<&'static str, OwnedFd>;

/// Programs and maps in the kernel.
#[derive(Debug)]
pub(crate) struct Object {
    maps: BTreeMap<String, (Arc<OwnedFd>, Sizes)>,
    programs: BTreeMap<String, OwnedFd>,
}

/// Bytes of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sizes {
    key: usize,
    value: usize,
}

/// Why the kernel takes something not. In one line: of the verifier's log, which takes pages, what it objects to in the end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("the object cannot be read: {0}")]
    Unreadable(String),
    #[error("the map `{name}`: {error}")]
    Map { name: String, error: io::Error },
    #[error("the program `{name}`: {error}{objection}")]
    Program { name: String, error: io::Error, objection: String },
}

impl LoadError {
    /// What the kernel said.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Self::Unreadable(_) => None,
            Self::Map { error, .. } | Self::Program { error, .. } => error.raw_os_error(),
        }
    }
}

impl Object {
    /// Loads an object. `sizes`: of the maps whose size is not known when they are compiled.
    pub(crate) fn load(bytes: &[u8], sizes: &[Size<'_>]) -> Result<Self, LoadError> {
        Self::load_sharing(bytes, sizes, Shared::new())
    }

    /// As [`Object::load_sharing`]. Of the maps those with the names `lasting` live on in `pins`: they are those that are there already if they
    /// are of these sizes, and then it says so.
    pub(crate) fn load_pinned(
        bytes: &[u8],
        sizes: &[Size<'_>],
        shared: Shared,
        lasting: &[&'static str],
        pins: &Pins,
    ) -> Result<(Self, bool), LoadError> {
        let pinned = |name: &str, error| LoadError::Map { name: name.to_owned(), error };
        let mut present = Shared::new();
        for &name in lasting {
            let entries = sizes.iter().find(|(of, _)| *of == name).map(|&(_, entries)| entries);
            if let Some(map) = pins.get(name).map_err(|error| pinned(name, error))?
                && pins::entries_max(&map) == entries
            {
                present.insert(name, map);
            }
        }
        let is_adopted = present.len() == lasting.len();
        if !is_adopted {
            pins.clear();
            present.clear();
        }
        present.extend(shared);
        let object = Self::load_sharing(bytes, sizes, present)?;
        if !is_adopted {
            for &name in lasting {
                let (fd, _) = &object.maps[name];
                pins.put(name, fd.as_fd()).map_err(|error| pinned(name, error))?;
            }
        }
        Ok((object, is_adopted))
    }

    /// As [`Object::load`], with maps that are there already.
    pub(crate) fn load_sharing(bytes: &[u8], sizes: &[Size<'_>], mut present: Shared) -> Result<Self, LoadError> {
        let unreadable = |error: &dyn core::fmt::Display| LoadError::Unreadable(error.to_string());
        let mut file = File::parse(bytes).map_err(|error| unreadable(&error))?;
        let mut maps = BTreeMap::new();
        for (name, map) in &file.maps {
            let size = sizes.iter().find(|(of, _)| of == name);
            let entries = size.map_or(map.max_entries(), |&(_, entries)| u32::try_from(entries).unwrap_or(u32::MAX));
            let spec = MapSpec {
                name,
                kind: map.map_type(),
                key_bytes: map.key_size(),
                value_bytes: map.value_size(),
                entries_max: entries,
                flags: map.map_flags(),
            };
            let made = present.remove(name.as_str()).map_or_else(|| create_map(spec), Ok);
            let fd = made.map_err(|error| LoadError::Map { name: name.clone(), error })?;
            let sizes = Sizes { key: map.key_size() as usize, value: map.value_size() as usize };
            maps.insert(name.clone(), (Arc::new(fd), sizes));
        }
        let text: HashSet<usize> = file.functions.keys().map(|(section, _)| *section).collect();
        let definitions: BTreeMap<_, _> = file.maps.clone().into_iter().collect();
        let relocations = definitions.iter().map(|(name, map)| (name.as_str(), maps[name].0.as_raw_fd(), map));
        file.relocate_maps(relocations, &text).map_err(|error| unreadable(&error))?;
        file.relocate_calls(&text).map_err(|error| unreadable(&error))?;
        let mut programs = BTreeMap::new();
        for (name, program) in &file.programs {
            let (kind, attach_type) = kind(&program.section)
                .ok_or_else(|| LoadError::Unreadable(format!("`{name}` is of a kind that nobody attaches")))?;
            let spec = ProgramSpec {
                name,
                kind: kind as u32,
                attach_type,
                instructions: &file.functions[&program.function_key()].instructions,
                license: &program.license,
            };
            let fd = load_program(spec).map_err(|(error, log)| LoadError::Program {
                name: name.clone(),
                error,
                objection: objection(&log),
            })?;
            programs.insert(name.clone(), fd);
        }
        Ok(Self { maps, programs })
    }

    /// A program that the C file has.
    pub(crate) fn program(&self, name: &str) -> BorrowedFd<'_> {
        self.programs.get(name).unwrap_or_else(|| panic!("no program `{name}` in the object")).as_fd()
    }

    /// Runs a program once on a frame: what it returns, and how long the frame is then.
    #[cfg(test)]
    pub(crate) fn test_run(&self, program: &str, frame: &mut [u8], len: usize) -> io::Result<(u32, usize)> {
        super::sys::test_run(self.program(program), frame, len)
    }

    /// A map that the C file has, with these types.
    pub(crate) fn map<K: Plain, V: Plain>(&self, name: &str) -> Map<K, V> {
        let (fd, sizes) = self.maps.get(name).unwrap_or_else(|| panic!("no map `{name}` in the object"));
        assert_eq!(*sizes, Sizes { key: size_of::<K>(), value: size_of::<V>() }, "sizes of the map `{name}`");
        Map::new(Arc::clone(fd))
    }

    /// A map of an array with `BPF_F_MMAPABLE`, in this process's memory.
    pub(crate) fn memory(&self, name: &str, entries: usize) -> io::Result<Mapping> {
        let (fd, sizes) = self.maps.get(name).unwrap_or_else(|| panic!("no map `{name}` in the object"));
        Mapping::of(fd.as_fd(), 0, sizes.value * entries)
    }
}

fn kind(section: &ProgramSection) -> Option<(bpf_prog_type, u32)> {
    match section {
        ProgramSection::SkLookup => {
            Some((bpf_prog_type::BPF_PROG_TYPE_SK_LOOKUP, bpf_attach_type::BPF_SK_LOOKUP as u32))
        }
        ProgramSection::Xdp { .. } => Some((bpf_prog_type::BPF_PROG_TYPE_XDP, bpf_attach_type::BPF_XDP as u32)),
        ProgramSection::SchedClassifier => Some((bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS, 0)),
        _ => None,
    }
}

/// What the verifier says last, but for the figures of what it has done.
fn objection(log: &str) -> String {
    const FIGURES: [&str; 3] = ["verification time", "stack depth", "processed"];
    let last = log
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !FIGURES.iter().any(|figure| line.starts_with(figure)));
    last.map_or_else(String::new, |line| format!("; the verifier: {line}"))
}

#[cfg(test)]
mod tests {
    use super::objection;

    #[test]
    fn the_objection_is_what_the_verifier_says_last() {
        let log = "0: R1=ctx() R10=fp0\n24: (61) r1 = *(u32 *)(r1 +0)\ndereference of modified ctx ptr R1 off=40 disallowed\n\
                   verification time 230 usec\nstack depth 24\nprocessed 17 insns (limit 1000000)\n";
        assert_eq!(objection(log), "; the verifier: dereference of modified ctx ptr R1 off=40 disallowed");
        assert_eq!(objection(""), "");
    }
}
