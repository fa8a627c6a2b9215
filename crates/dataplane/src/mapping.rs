//! Memory that the kernel writes to.

#![allow(unsafe_code, reason = "mmap has no safe wrapper in std")]

use core::ptr::NonNull;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Page-aligned memory.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping is the process's, not a thread's. Whoever reads or writes there has to see to it who else does.
unsafe impl Send for Mapping {}
// SAFETY: likewise; sharing it gives out addresses, no more.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Anonymous memory, zeroed, and taken from the system only where it is touched.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe { libc::mmap(core::ptr::null_mut(), len, protection, flags, -1, 0) };
        Self::made(start, len)
    }

    /// Memory that is shared with whoever else has this descriptor, be it the kernel, from `offset` on.
    pub(crate) fn of(fd: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (fd, offset) = (fd.as_raw_fd(), offset as libc::off_t);
        // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe { libc::mmap(core::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd, offset) };
        Self::made(start, len)
    }

    fn made(start: *mut core::ffi::c_void, len: usize) -> io::Result<Self> {
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("mmap does not map page zero");
        Ok(Self { start, len })
    }

    /// Bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Where `offset` is; valid for reads and writes up to the mapping's end, as long as the mapping lives.
    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len, "offset {offset} of {}", self.len);
        // SAFETY: the offset lies within the mapping.
        unsafe { self.start.add(offset) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made; nobody refers to it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
