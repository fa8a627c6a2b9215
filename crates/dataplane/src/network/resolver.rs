//! Keeps the workers' hops true, in a thread of its own.

use core::time::Duration;
use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Instant;

use crossbeam::channel;
use crossbeam::queue::ArrayQueue;

use super::hops::{ASKS_MAX, Ask, Hops, Tell, Told};
use super::netlink::{Netlink, News, Route};
use super::{Hop, Way};
use crate::backend::Unavailable;
use crate::background::{Background, Stop};
use crate::wake::Wake;

/// How long an answer lasts. Then the workers ask again, and send by the UDP socket until they have the answer: that is what makes
/// the kernel see whether the neighbour is still there, as it would if it had sent all of it.
const LIFE: Duration = Duration::from_secs(30);
/// How soon after other news all ways are looked at again. Routes rarely change alone.
const SETTLE: Duration = Duration::from_millis(20);

/// Starts it for some workers, each of which may know `ways_max` ways. It lives as long as what this gives beside the workers' hops,
/// which are in the order of the workers.
pub(crate) fn start(workers: usize, ways_max: usize) -> Result<(Background, Vec<Hops>), Unavailable> {
    let failed = |error| Unavailable::io("listening for changes of routes and neighbours", &error);
    let news = Netlink::listening().map_err(failed)?;
    let questions = Netlink::new().map_err(failed)?;
    let wake = Arc::new(Wake::new().map_err(|error| Unavailable::io("eventfd", &error))?);
    let asks = Arc::new(ArrayQueue::new(ASKS_MAX));
    let (tells, hops) = (0..workers)
        .map(|worker| {
            let (tell, told) = channel::unbounded();
            (tell, Hops::new(worker, ways_max, Arc::clone(&asks), Arc::clone(&wake), told))
        })
        .unzip();
    let work = Work { questions, ways: BTreeMap::new(), tells, asks, wake, settles_at: None };
    let background = Background::start("patchcord-hops", move |stop| work.run(news, &stop))?;
    Ok((background, hops))
}

/// A way and what was found out about it.
struct Known {
    workers: Vec<usize>,
    route: Option<Route>,
    hop: Option<Hop>,
    since: Instant,
}

struct Work {
    questions: Netlink,
    ways: BTreeMap<Way, Known>,
    tells: Vec<Tell>,
    asks: Arc<ArrayQueue<Ask>>,
    wake: Arc<Wake>,
    settles_at: Option<Instant>,
}

impl Work {
    fn run(mut self, mut news: Netlink, stop: &Stop) {
        loop {
            self.wake.fall_asleep();
            if self.asks.is_empty() {
                let others = [Some(news.as_raw_fd()), Some(stop.as_raw_fd())];
                self.wake.wait(others, Some(self.next()));
            }
            self.wake.awake();
            if stop.is_due() {
                return;
            }
            news.news(|news| self.hear(news));
            while let Some(ask) = self.asks.pop() {
                self.answer(ask);
            }
            let now = Instant::now();
            if self.settles_at.is_some_and(|at| at <= now) {
                self.settles_at = None;
                self.look_again();
            }
            self.expire(now);
        }
    }

    /// When there is something to do even if nobody asks.
    fn next(&self) -> Duration {
        /// How exact the lives of answers are.
        const PERIOD: Duration = Duration::from_secs(1);
        let period = if self.ways.is_empty() { LIFE } else { PERIOD };
        self.settles_at.map_or(period, |at| at.saturating_duration_since(Instant::now()).min(period))
    }

    fn answer(&mut self, Ask { worker, way }: Ask) {
        if !self.ways.contains_key(&way) {
            let (route, hop) = self.resolve(way);
            self.ways.insert(way, Known { workers: Vec::new(), route, hop, since: Instant::now() });
        }
        let Some(known) = self.ways.get_mut(&way) else { return };
        if !known.workers.contains(&worker) {
            known.workers.push(worker);
        }
        let _ = self.tells[worker].send(Told::Hop(way, known.hop));
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Neighbour { interface, ip, address } => {
                let concerned: Vec<Way> = self
                    .ways
                    .iter()
                    .filter(|(_, known)| {
                        known.route.is_some_and(|route| route.interface == interface && route.neighbour == ip)
                            && known.hop.map(|hop| hop.far) != address
                    })
                    .map(|(&way, _)| way)
                    .collect();
                concerned.into_iter().for_each(|way| self.refresh(way));
            }
            News::Down { interface } => {
                let gone = |known: &Known| known.hop.is_some_and(|hop| hop.interface == interface);
                let concerned: Vec<Way> =
                    self.ways.iter().filter(|(_, known)| gone(known)).map(|(&way, _)| way).collect();
                concerned.into_iter().for_each(|way| self.refresh(way));
                self.settles_at.get_or_insert_with(|| Instant::now() + SETTLE);
            }
            News::Other => {
                self.settles_at.get_or_insert_with(|| Instant::now() + SETTLE);
            }
        }
    }

    fn look_again(&mut self) {
        let all: Vec<Way> = self.ways.keys().copied().collect();
        all.into_iter().for_each(|way| self.refresh(way));
    }

    /// Looks at a way again and tells what has changed.
    fn refresh(&mut self, way: Way) {
        let (route, hop) = self.resolve(way);
        let Some(known) = self.ways.get_mut(&way) else { return };
        known.route = route;
        if known.hop != hop {
            known.hop = hop;
            for &worker in &known.workers {
                let _ = self.tells[worker].send(Told::Hop(way, hop));
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        let tells = &self.tells;
        self.ways.retain(|&way, known| {
            let lives = now.duration_since(known.since) < LIFE;
            if !lives {
                for &worker in &known.workers {
                    let _ = tells[worker].send(Told::Forget(way));
                }
            }
            lives
        });
    }

    fn resolve(&mut self, way: Way) -> (Option<Route>, Option<Hop>) {
        let mut ask = || -> std::io::Result<(Option<Route>, Option<Hop>)> {
            let Some(route) = self.questions.route(way.from, way.to)? else { return Ok((None, None)) };
            let Some(link) = self.questions.link(route.interface)? else { return Ok((Some(route), None)) };
            let far = self.questions.neighbour(route.interface, route.neighbour)?;
            let mtu = route.mtu.unwrap_or(link.mtu).min(link.mtu);
            let hop = far.map(|far| Hop { interface: route.interface, mtu, near: link.address, far });
            Ok((Some(route), hop))
        };
        ask().unwrap_or_else(|error| {
            tracing::debug!(%error, from = %way.from, to = %way.to, "the kernel could not be asked for a route");
            (None, None)
        })
    }
}
