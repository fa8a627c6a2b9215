//! Who is at the door of a server that has no client yet.
//!
//! Until a client has proved by a cookie that it gets what is sent to it, it may be a stranger that forges its address. So one client's
//! cookie is awaited at a time, and for a while only.

use std::time::{Duration, Instant};

use crate::records::{Hello, hello};

/// So long a client is given to bring its cookie before another one's hello is listened to: a round trip, and less than after which
/// a hello is sent again. It also bounds what a flood of hellos can cost.
const COOKIE_WAIT: Duration = Duration::from_millis(300);

/// The client whose cookie is awaited.
#[derive(Debug, Default)]
pub(super) struct Visitors {
    /// The random of its hello, and when that came.
    awaited: Option<([u8; 32], Instant)>,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visitor {
    /// Nobody that is listened to.
    Stranger,
    /// The client that is awaited, once more or with its cookie.
    Known,
    /// Another client: a server that knows nothing of those before is to answer it.
    New,
}

impl Visitors {
    pub(super) fn judge(&mut self, record: &[u8], now: Instant) -> Visitor {
        match (hello(record), self.awaited) {
            (None, _) | (Some(Hello::Next), None) => Visitor::Stranger,
            (Some(Hello::Next), Some(_)) => Visitor::Known,
            // Once more: the answer got lost.
            (Some(Hello::First(random)), Some((known, _))) if random == known => Visitor::Known,
            (Some(Hello::First(_)), Some((_, at))) if now < at + COOKIE_WAIT => Visitor::Stranger,
            (Some(Hello::First(random)), _) => {
                self.awaited = Some((random, now));
                Visitor::New
            }
        }
    }

    /// It was none that can be talked with.
    pub(super) fn forget(&mut self) {
        self.awaited = None;
    }
}
