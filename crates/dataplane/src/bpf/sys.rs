//! The system call bpf(2).

#![allow(unsafe_code, reason = "bpf takes a union, and pointers within it")]

use core::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_attr__bindgen_ty_2, bpf_attr__bindgen_ty_14__bindgen_ty_1,
    bpf_attr__bindgen_ty_14__bindgen_ty_2, bpf_attr__bindgen_ty_15__bindgen_ty_1, bpf_cmd, bpf_insn,
};

/// Longest name of a map or program, the zero at the end included (`BPF_OBJ_NAME_LEN`).
const NAME_BYTES: usize = 16;

/// A map to be made, as linux/bpf.h has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapSpec<'a> {
    pub(super) name: &'a str,
    pub(super) kind: u32,
    pub(super) key_bytes: u32,
    pub(super) value_bytes: u32,
    pub(super) entries_max: u32,
    pub(super) flags: u32,
}

/// A program to be loaded.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgramSpec<'a> {
    pub(super) name: &'a str,
    pub(super) kind: u32,
    /// What it will be attached to, where the kernel wants to know before.
    pub(super) attach_type: u32,
    pub(super) instructions: &'a [bpf_insn],
    pub(super) license: &'a CStr,
}

pub(super) fn create_map(spec: MapSpec<'_>) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: every field of a zeroed union is valid; all are integers.
    let create = unsafe { &mut attr.__bindgen_anon_1 };
    create.map_type = spec.kind;
    create.key_size = spec.key_bytes;
    create.value_size = spec.value_bytes;
    create.max_entries = spec.entries_max;
    create.map_flags = spec.flags;
    create.map_name = name(spec.name);
    // SAFETY: this command reads no pointers.
    unsafe { descriptor(bpf_cmd::BPF_MAP_CREATE, &mut attr) }
}

/// Loads a program; the verifier's log comes with the error.
pub(super) fn load_program(spec: ProgramSpec<'_>) -> Result<OwnedFd, (io::Error, String)> {
    let attempt = |log: &mut [u8]| {
        let mut attr = zeroed();
        // SAFETY: every field of a zeroed union is valid; all are integers.
        let load = unsafe { &mut attr.__bindgen_anon_3 };
        load.prog_type = spec.kind;
        load.expected_attach_type = spec.attach_type;
        load.insns = spec.instructions.as_ptr() as u64;
        load.insn_cnt = spec.instructions.len() as u32;
        load.license = spec.license.as_ptr() as u64;
        load.prog_name = name(spec.name);
        if !log.is_empty() {
            load.log_level = 1;
            load.log_buf = log.as_mut_ptr() as u64;
            load.log_size = log.len() as u32;
        }
        // SAFETY: instructions, licence and log are where the pointers say for the whole call, and as long; the kernel writes to
        // the log only.
        unsafe { descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attr) }
    };
    // The log costs the verifier time: it is asked for when there is something to explain.
    attempt(&mut []).map_err(|error| {
        let mut log = vec![0; 1 << 20];
        match attempt(&mut log) {
            Ok(_) => (error, String::new()),
            Err(error) => {
                let len = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
                (error, String::from_utf8_lossy(&log[..len]).into_owned())
            }
        }
    })
}

/// What a program can be attached to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    Descriptor(BorrowedFd<'a>),
    Interface(u32),
}

pub(super) fn create_link(
    program: BorrowedFd<'_>,
    target: Target<'_>,
    kind: bpf_attach_type,
    flags: u32,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: every field of a zeroed union is valid; all are integers.
    let create = unsafe { &mut attr.link_create };
    create.__bindgen_anon_1 = bpf_attr__bindgen_ty_14__bindgen_ty_1 { prog_fd: program.as_raw_fd() as u32 };
    create.__bindgen_anon_2 = match target {
        Target::Descriptor(fd) => bpf_attr__bindgen_ty_14__bindgen_ty_2 { target_fd: fd.as_raw_fd() as u32 },
        Target::Interface(index) => bpf_attr__bindgen_ty_14__bindgen_ty_2 { target_ifindex: index },
    };
    create.attach_type = kind as u32;
    create.flags = flags;
    // SAFETY: this command reads no pointers.
    unsafe { descriptor(bpf_cmd::BPF_LINK_CREATE, &mut attr) }
}

/// Gives what a link is attached with another program, in one step.
pub(super) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: every field of a zeroed union is valid; all are integers.
    let update = unsafe { &mut attr.link_update };
    update.link_fd = link.as_raw_fd() as u32;
    update.__bindgen_anon_1 = bpf_attr__bindgen_ty_15__bindgen_ty_1 { new_prog_fd: program.as_raw_fd() as u32 };
    // SAFETY: this command reads no pointers.
    unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr) }.map(|_| ())
}

/// Lets a map, program or link live on under a name in a BPF filesystem.
pub(super) fn pin(object: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: every field of a zeroed union is valid; all are integers.
    let pin = unsafe { &mut attr.__bindgen_anon_4 };
    pin.pathname = path.as_ptr() as u64;
    pin.bpf_fd = object.as_raw_fd() as u32;
    // SAFETY: the path ends with a zero and lives until the call returns.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr) }.map(|_| ())
}

/// What lives on under such a name.
pub(super) fn pinned(path: &CStr) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    // SAFETY: every field of a zeroed union is valid; all are integers.
    unsafe { &mut attr.__bindgen_anon_4 }.pathname = path.as_ptr() as u64;
    // SAFETY: the path ends with a zero and lives until the call returns.
    unsafe { descriptor(bpf_cmd::BPF_OBJ_GET, &mut attr) }
}

/// Inserts, replaces, looks up or deletes an entry.
///
/// # Safety
/// `key` and `value` must point to as many bytes as the map's keys and values have; those of `value` are written by a look-up and
/// not touched by a deletion.
pub(super) unsafe fn element(
    command: bpf_cmd,
    map: BorrowedFd<'_>,
    key: *const u8,
    value: *mut u8,
    flags: u64,
) -> io::Result<()> {
    let mut attr = zeroed();
    // SAFETY: every field of a zeroed union is valid; all are integers.
    let element: &mut bpf_attr__bindgen_ty_2 = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = map.as_raw_fd() as u32;
    element.key = key as u64;
    element.__bindgen_anon_1.value = value as u64;
    element.flags = flags;
    // SAFETY: as the caller promised.
    unsafe { bpf(command, &mut attr) }.map(|_| ())
}

/// Runs a program once on a frame (`Documentation/bpf/bpf_prog_run.rst`): what it returns, and how long the frame is then, which is
/// left in `frame`.
#[cfg(test)]
pub(super) fn test_run(program: BorrowedFd<'_>, frame: &mut [u8], len: usize) -> io::Result<(u32, usize)> {
    assert!(len <= frame.len(), "a frame of {len} bytes in {}", frame.len());
    let mut attr = zeroed();
    // SAFETY: every field of a zeroed union is valid; all are integers.
    let test = unsafe { &mut attr.test };
    test.prog_fd = program.as_raw_fd() as u32;
    test.data_in = frame.as_ptr() as u64;
    test.data_size_in = len as u32;
    test.data_out = frame.as_mut_ptr() as u64;
    test.data_size_out = frame.len() as u32;
    test.repeat = 1;
    // SAFETY: the frame is as long as it says for the whole call, and it is read before it is written.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    // SAFETY: the kernel has filled in this member.
    let test = unsafe { attr.test };
    Ok((test.retval, test.data_size_out as usize))
}

fn zeroed() -> bpf_attr {
    // SAFETY: all members of the union consist of integers, and the kernel wants what is not used to be zero.
    unsafe { core::mem::zeroed() }
}

fn name(text: &str) -> [core::ffi::c_char; NAME_BYTES] {
    let mut name = [0; NAME_BYTES];
    for (to, from) in name[..NAME_BYTES - 1].iter_mut().zip(text.bytes()) {
        *to = from as core::ffi::c_char;
    }
    name
}

/// # Safety
/// As for [`bpf`]; the command must return a descriptor.
unsafe fn descriptor(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: as the caller promised.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the kernel made this descriptor just now, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// What the attributes point to must be as the command expects it.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    // SAFETY: the kernel reads and writes `attr` up to this size, and what it points to as the caller promised.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as libc::c_int, &raw mut *attr, size_of::<bpf_attr>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
