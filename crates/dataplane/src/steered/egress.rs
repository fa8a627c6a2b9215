//! The program `egress` on all interfaces, those that come later too.

use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use nix::net::if_::if_nameindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket};

use super::steering::refused;
use crate::backend::Unavailable;
use crate::bpf::{Link, Object};

/// Attached until this is dropped.
#[derive(Debug)]
pub(super) struct Egress {
    /// Closed to end the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Egress {
    /// Attaches the program to the interfaces that are there, all of them or none, and starts a thread that looks after others.
    pub(super) fn start(object: Object) -> Result<Self, Unavailable> {
        // Before the interfaces are read, so that none can come in between.
        let news = subscribe().map_err(|error| Unavailable::io("listening for changes of interfaces", &error))?;
        let mut attached = Attached { object, links: BTreeMap::new() };
        attached.update(|name, error| Err(refused(&format!("attaching `egress` to {name}"), &error)))?;
        let (stop, stopped) = UnixStream::pair().map_err(|error| Unavailable::io("a pair of sockets", &error))?;
        let thread = std::thread::Builder::new()
            .name("patchcord-links".to_owned())
            .spawn(move || attached.watch(&news, &stopped))
            .map_err(|error| Unavailable::io("starting a thread", &error))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Egress {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic; if it did, its message is on standard error.
            let _ = thread.join();
        }
    }
}

/// The program and the interfaces that have it, by their indices.
struct Attached {
    object: Object,
    links: BTreeMap<u32, Link>,
}

impl Attached {
    /// Attaches the program to interfaces that do not have it, and forgets those that are gone.
    fn update<E>(&mut self, mut failed: impl FnMut(&str, io::Error) -> Result<(), E>) -> Result<(), E> {
        let interfaces = match if_nameindex() {
            Ok(interfaces) => interfaces,
            Err(errno) => return failed("any interface", errno.into()),
        };
        let present: Vec<u32> = interfaces.iter().map(nix::net::if_::Interface::index).collect();
        for interface in &interfaces {
            let (index, name) = (interface.index(), interface.name().to_string_lossy());
            if self.links.contains_key(&index) {
                continue;
            }
            match Link::egress(self.object.program("egress"), index) {
                Ok(link) => {
                    self.links.insert(index, link);
                }
                // It was gone again before the program was there.
                Err(_) if nix::net::if_::if_nametoindex(&*name).is_err() => {}
                Err(error) => failed(&name, error)?,
            }
        }
        self.links.retain(|index, _| present.contains(index));
        Ok(())
    }

    fn watch(mut self, news: &OwnedFd, stopped: &UnixStream) {
        /// If the kernel has more news than it can keep, the next look is at this time at the latest.
        const PERIOD: Duration = Duration::from_secs(10);
        let mut fds = [PollFd::new(news.as_fd(), PollFlags::POLLIN), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
        loop {
            let timeout = PollTimeout::try_from(PERIOD).unwrap_or(PollTimeout::MAX);
            let _ = poll(&mut fds, timeout);
            if fds[1].revents().is_some_and(|events| !events.is_empty()) {
                return;
            }
            // What the news are does not matter.
            while recv(news.as_raw_fd(), &mut [0; 4096], MsgFlags::MSG_DONTWAIT).is_ok() {}
            let _ = self.update(|interface, error| {
                tracing::error!(
                    interface,
                    %error,
                    "media that leaves by this interface comes from a wrong port: use --backend io-uring"
                );
                Ok::<(), ()>(())
            });
        }
    }
}

/// A socket that hears of interfaces that come, go and change (rtnetlink(7)).
fn subscribe() -> io::Result<OwnedFd> {
    let news = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkRoute,
    )?;
    bind(news.as_raw_fd(), &NetlinkAddr::new(0, libc::RTMGRP_LINK as u32))?;
    Ok(news)
}
