//! A thread that looks after interfaces: again whenever they have changed.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, poll};

use super::netlink::Netlink;
use crate::backend::Unavailable;
use crate::background::Background;

/// The kernel's news of interfaces, from this moment on: to be had before they are read, so that none can come in between.
pub(crate) struct Links(Netlink);

impl Links {
    pub(crate) fn listen() -> Result<Self, Unavailable> {
        let news = Netlink::listening_for_links();
        news.map(Self).map_err(|error| Unavailable::io("listening for changes of interfaces", &error))
    }

    /// Starts a thread that calls `look` whenever there is news, and after `period_ms` at the latest, for the kernel may have more news than
    /// it can keep.
    pub(crate) fn watch(
        self,
        thread: &str,
        period_ms: u16,
        mut look: impl FnMut() + Send + 'static,
    ) -> Result<Background, Unavailable> {
        let Self(mut news) = self;
        Background::start(thread, move |stop| {
            loop {
                let mut fds = [news.as_fd(), stop.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
                let _ = poll(&mut fds, period_ms);
                if stop.is_due() {
                    return;
                }
                // What the news are does not matter.
                news.news(|_| ());
                look();
            }
        })
    }
}
