//! Maps, by the types of their keys and values.

#![allow(unsafe_code, reason = "keys and values are passed as bytes")]

use core::marker::PhantomData;
use core::mem::MaybeUninit;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use aya_obj::generated::bpf_cmd;

use super::sys;

/// What can be a key or a value.
///
/// # Safety
/// All bytes are initialised (no padding) and all values of them are valid.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: an integer.
unsafe impl Plain for u64 {}

/// A map. Copies are the same map.
#[derive(Debug)]
pub(crate) struct Map<K, V> {
    fd: Arc<OwnedFd>,
    of: PhantomData<(K, V)>,
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self { fd: Arc::clone(&self.fd), of: PhantomData }
    }
}

impl<K: Plain, V: Plain> Map<K, V> {
    /// `BPF_NOEXIST`: insert, do not replace.
    pub(crate) const NEW: u64 = 1;
    /// `BPF_ANY`: insert or replace.
    pub(crate) const ANY: u64 = 0;

    /// `fd` must be a map with keys and values of these sizes.
    pub(super) const fn new(fd: Arc<OwnedFd>) -> Self {
        Self { fd, of: PhantomData }
    }

    /// The map for another object.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    /// Puts an entry; `flags` is [`Map::ANY`] or [`Map::NEW`].
    ///
    /// # Errors
    /// `EEXIST`: it is there and was to be new; `E2BIG`: the map is full.
    pub(crate) fn insert(&self, key: &K, value: &V, flags: u64) -> io::Result<()> {
        let (key, value) = ((&raw const *key).cast(), (&raw const *value).cast_mut().cast());
        // SAFETY: both have the map's sizes, and this command reads them only.
        unsafe { sys::element(bpf_cmd::BPF_MAP_UPDATE_ELEM, self.fd.as_fd(), key, value, flags) }
    }

    /// The value of a key, if it is there.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut value = MaybeUninit::<V>::uninit();
        let (key, at) = ((&raw const *key).cast(), value.as_mut_ptr().cast());
        // SAFETY: both have the map's sizes; the value is written only.
        unsafe { sys::element(bpf_cmd::BPF_MAP_LOOKUP_ELEM, self.fd.as_fd(), key, at, 0) }.ok()?;
        // SAFETY: the kernel has written all of it, and all bytes are valid.
        Some(unsafe { value.assume_init() })
    }

    /// All keys, as far as nobody changes them meanwhile.
    pub(crate) fn keys(&self) -> Vec<K> {
        let mut keys: Vec<K> = Vec::new();
        loop {
            let mut next = MaybeUninit::<K>::uninit();
            let last = keys.last().map_or(core::ptr::null(), |last| (&raw const *last).cast());
            // SAFETY: the last key has the map's size, or there is none, which means the first; the next one is written only.
            let found = unsafe {
                sys::element(bpf_cmd::BPF_MAP_GET_NEXT_KEY, self.fd.as_fd(), last, next.as_mut_ptr().cast(), 0)
            };
            if found.is_err() {
                return keys;
            }
            // SAFETY: the kernel has written all of it, and all bytes are valid.
            keys.push(unsafe { next.assume_init() });
        }
    }

    /// Removes an entry.
    ///
    /// # Errors
    /// `ENOENT`: it was not there.
    pub(crate) fn remove(&self, key: &K) -> io::Result<()> {
        let key = (&raw const *key).cast();
        // SAFETY: the key has the map's size, and this command touches no value.
        unsafe { sys::element(bpf_cmd::BPF_MAP_DELETE_ELEM, self.fd.as_fd(), key, core::ptr::null_mut(), 0) }
    }
}
