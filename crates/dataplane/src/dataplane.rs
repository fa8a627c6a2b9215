//! Starting, reaching and stopping the workers.

use std::fmt;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam::channel::{self, Receiver, Sender};
use patchcord_relay::exchange::{Reply, Request};
use patchcord_relay::{Shard, ShardConfig};
use thiserror::Error;

use crate::af_xdp::{AfXdp, SocketNews};
use crate::affinity;
use crate::backend::{Backend, Unavailable};
use crate::choice::{Choice, Kind, Speed, choose};
use crate::claims::Claims;
use crate::clock::Clock;
use crate::config::{Config, Workers};
use crate::io_uring::IoUring;
use crate::mmsg::Mmsg;
use crate::socket::{self, SocketOptions};
use crate::steered::{Doors, Steered, Steering};
use crate::wake::Wake;
use crate::worker::{Assignment, Replies, Told, Worker, can_transcode};
use crate::xdp::{Table, Xdp};

/// Running workers. Dropping it stops them, as [`Dataplane::shutdown`] does.
#[derive(Debug)]
pub struct Dataplane {
    workers: Vec<Running>,
    /// After the workers: it is detached when they have ended.
    steering: Option<Steering>,
    xdp: Option<Xdp>,
    _claims: Option<Claims>,
    backend: &'static str,
    speeds: Vec<Speed>,
    offload: Speed,
}

/// Why the workers did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// No worker was asked for.
    #[error("a relay needs at least one worker: give a number above 0 or a list of CPUs")]
    NoWorkers,
    /// A worker cannot run where it was told to.
    #[error("worker {worker} cannot be pinned to CPU {cpu}: {error}; this process may use the CPUs {allowed:?}")]
    Cpu {
        /// Counted from 0.
        worker: usize,
        /// The CPU asked for.
        cpu: usize,
        /// The system's words.
        error: std::io::Error,
        /// Those that are possible.
        allowed: Vec<usize>,
    },
    /// The backend that was asked for does not work here.
    #[error("the backend {name} is not available: {reason}")]
    Backend {
        /// Which one.
        name: &'static str,
        /// What was refused, why, what to do.
        reason: String,
    },
    /// Another process steers ports that this one is to use: whatever is sent to them is the other's.
    #[error(
        "process {process} steers the ports {first}-{last} of {address} in this network namespace, and would get what is \
         sent to this one: choose other ports (--ports) or another address, or end that process"
    )]
    Taken {
        /// The other process.
        process: u32,
        /// The address.
        address: core::net::IpAddr,
        /// Its lowest port.
        first: u16,
        /// Its highest port.
        last: u16,
    },
    /// The system has no threads or descriptors left.
    #[error("cannot start worker {worker}: {error}; raise the limits of processes and open files")]
    Resources {
        /// Counted from 0.
        worker: usize,
        /// The system's words.
        error: std::io::Error,
    },
    /// A worker's thread ended before it was ready.
    #[error("worker {worker} ended while it was starting; its panic is on standard error")]
    Died {
        /// Counted from 0.
        worker: usize,
    },
}

impl Dataplane {
    /// Starts the workers and waits until all are ready. What they have to say goes to `replies`, with the worker's number;
    /// that queue should have no limit, for a worker does not wait for room in it. When its receiver is gone the workers go
    /// on relaying.
    ///
    /// Lifts this process's soft limit of open files to the hard one: every leg needs one or two sockets.
    ///
    /// # Errors
    /// See [`StartError`]. Workers that were started already are stopped.
    pub fn start(config: &Config, replies: Sender<(usize, Reply)>) -> Result<Self, StartError> {
        Self::start_telling(config, replies, || {})
    }

    /// As [`Dataplane::start`]. `told` is called by a worker when there is something in the queue, once for all that one turn of
    /// its loop has brought: whoever is woken by it, and not by the queue, is woken seldom. It must not wait.
    ///
    /// # Errors
    /// As [`Dataplane::start`].
    pub fn start_telling(
        config: &Config,
        replies: Sender<(usize, Reply)>,
        told: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let told: Told = Arc::new(told);
        let cpus = placement(&config.workers)?;
        socket::raise_file_limit();
        socket::grow_file_table();
        let wakes: Vec<Arc<Wake>> = (0..cpus.len())
            .map(|worker| Wake::new().map(Arc::new).map_err(|error| StartError::Resources { worker, error }))
            .collect::<Result<_, _>>()?;
        let Choice { kind, speeds, steering, offload, xdp } = choose(config, &wakes)?;
        let claims = Claims::make(&config.media, matches!(kind, Kind::Steered | Kind::AfXdp));
        if let Err(error) = &claims {
            tracing::warn!(%error, "other relays on this host cannot be told which ports this one has");
        }
        let claims = claims.ok();
        let workers = Vec::new();
        let mut dataplane = Self { workers, steering, xdp, _claims: claims, backend: kind.name(), speeds, offload };
        tracing::info!(backend = kind.name(), workers = cpus.len(), "{}", dataplane.backend().1);
        let mut starting = Vec::new();
        let helper_cpus = helper_cpus(&cpus);
        let senders = std::iter::repeat_n(replies, cpus.len());
        for (index, ((&cpu, replies), wake)) in cpus.iter().zip(senders).zip(wakes).enumerate() {
            let replies = Replies::new(index, replies, Arc::clone(&told));
            let ways = dataplane.ways(kind, index, config)?;
            let table = dataplane.xdp.as_mut().and_then(|xdp| xdp.table(index));
            let (running, ready) =
                spawn(index, cpu, Own { ways, table, wake, helper_cpus: helper_cpus.clone() }, config, replies)?;
            dataplane.workers.push(running);
            starting.push(ready);
        }
        for (worker, ready) in starting.into_iter().enumerate() {
            ready.recv().map_err(|_| StartError::Died { worker })??;
        }
        Ok(dataplane)
    }

    /// What a worker's backend is made of.
    fn ways(&mut self, kind: Kind, worker: usize, config: &Config) -> Result<Ways, StartError> {
        let Some(steering) = &mut self.steering else {
            return Ok(if kind == Kind::Mmsg { Ways::Mmsg } else { Ways::IoUring });
        };
        let doors = steering.doors(worker, &Steered::options(&socket_options(config)));
        let doors = doors.map_err(|unavailable| kind.refuses(unavailable))?;
        let news = self.xdp.as_mut().filter(|_| kind == Kind::AfXdp).and_then(|xdp| xdp.socket_news(worker));
        Ok(match news {
            Some(news) => Ways::AfXdp(doors, news),
            None => Ways::Steered(doors),
        })
    }

    /// A handle for each worker, in order.
    #[must_use]
    pub fn handles(&self) -> Vec<WorkerHandle> {
        self.workers.iter().map(|worker| worker.handle.clone()).collect()
    }

    /// The clock of all times in replies and commands.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        Clock
    }

    /// The backend in use, and why this one.
    #[must_use]
    pub fn backend(&self) -> (&'static str, &str) {
        let chosen = self.speeds.iter().find(|speed| speed.name == self.backend);
        (self.backend, chosen.map_or("", |speed| &speed.reason))
    }

    /// The backends that were looked at, from the fastest on, with what was found: those before the one in use are not available.
    #[must_use]
    pub fn speeds(&self) -> &[Speed] {
        &self.speeds
    }

    /// Whether flows that need no decision are forwarded past the workers, and how, or why not.
    #[must_use]
    pub const fn offload(&self) -> &Speed {
        &self.offload
    }

    /// Stops the workers after their current batch, closes their sockets, and waits for it.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Dataplane {
    fn drop(&mut self) {
        for worker in &self.workers {
            // A worker that is gone already needs not be told.
            let _ = worker.handle.send(Request::Shutdown);
        }
        for worker in self.workers.drain(..) {
            if worker.thread.join().is_err() {
                tracing::error!("a worker had panicked; its calls were lost when it did");
            }
        }
    }
}

/// The way to one worker.
#[derive(Clone)]
pub struct WorkerHandle {
    requests: Sender<Request>,
    wake: Arc<Wake>,
}

impl WorkerHandle {
    /// Queues a request and wakes the worker if it sleeps; never waits.
    ///
    /// # Errors
    /// The worker has stopped; the request comes back.
    pub fn send(&self, request: Request) -> Result<(), Request> {
        self.queue(request)?;
        self.wake();
        Ok(())
    }

    /// Queues a request. A worker that sleeps goes on sleeping, until [`WorkerHandle::wake`] or something else wakes it.
    ///
    /// # Errors
    /// As [`WorkerHandle::send`].
    pub fn queue(&self, request: Request) -> Result<(), Request> {
        self.requests.send(request).map_err(channel::SendError::into_inner)
    }

    /// Wakes the worker if it sleeps.
    pub fn wake(&self) {
        self.wake.wake();
    }
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle").field("queued", &self.requests.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Running {
    handle: WorkerHandle,
    thread: JoinHandle<()>,
}

/// Where a worker is to run.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// On this CPU, or not at all.
    Must(usize),
    /// On this CPU if possible.
    May(usize),
    Anywhere,
}

/// What a worker has to itself.
struct Own {
    ways: Ways,
    table: Option<Table>,
    wake: Arc<Wake>,
    helper_cpus: Vec<usize>,
}

/// What a worker's backend is made of.
enum Ways {
    IoUring,
    Mmsg,
    Steered(Doors),
    AfXdp(Doors, Receiver<SocketNews>),
}

fn placement(workers: &Workers) -> Result<Vec<Place>, StartError> {
    let places: Vec<Place> = match workers {
        Workers::Cpus(cpus) => cpus.iter().copied().map(Place::Must).collect(),
        Workers::Count(count) => {
            let allowed = affinity::allowed();
            // Two pinned workers on one CPU would be worse than two that the scheduler places.
            let pin = *count <= allowed.len();
            (0..*count).map(|index| if pin { Place::May(allowed[index]) } else { Place::Anywhere }).collect()
        }
    };
    if places.is_empty() { Err(StartError::NoWorkers) } else { Ok(places) }
}

/// Ports that a worker can have open: RTP and RTCP of each leg.
pub(crate) fn ports_max(config: &Config) -> usize {
    2 * config.legs_max_per_worker.max(1) as usize
}

type Ready = Receiver<Result<(), StartError>>;

fn spawn(
    index: usize,
    place: Place,
    own: Own,
    config: &Config,
    replies: Replies,
) -> Result<(Running, Ready), StartError> {
    let resources = |error| StartError::Resources { worker: index, error };
    let Own { ways, table, wake, helper_cpus } = own;
    let (requests, inbox) = channel::unbounded();
    let (ready, started) = channel::bounded(1);
    let handle = WorkerHandle { requests, wake: Arc::clone(&wake) };
    let config = config.clone();
    let work = move || {
        if let Err(error) = settle(index, place, config.realtime_priority) {
            let _ = ready.send(Err(error));
            return;
        }
        let sockets = socket_options(&config);
        let shard = shard(index, &config, table);
        let wait = config.wait;
        let wakes = Arc::clone(&wake);
        let assignment = Assignment { index, shard, requests: inbox, replies, wake: wakes, wait, sockets, helper_cpus };
        let ports = ports_max(&config);
        let start = |kind: Kind| {
            move |backend: Result<(), Unavailable>| {
                let _ = ready.send(backend.map_err(|unavailable| kind.refuses(unavailable)));
            }
        };
        match ways {
            Ways::IoUring => {
                run(IoUring::new(ports, buffers(config.ring_buffers), wake), assignment, start(Kind::IoUring));
            }
            Ways::Mmsg => run(Mmsg::new(ports, wake), assignment, start(Kind::Mmsg)),
            Ways::Steered(doors) => run(Steered::new(ports, doors, wake), assignment, start(Kind::Steered)),
            Ways::AfXdp(doors, news) => run(AfXdp::new(ports, doors, news, wake), assignment, start(Kind::AfXdp)),
        }
    };
    let thread = Builder::new().name(format!("patchcord-{index}")).spawn(work).map_err(resources)?;
    Ok((Running { handle, thread }, started))
}

/// The thread's life once it is in its place: it says whether its backend is there, and works.
fn run<B: Backend>(
    backend: Result<B, Unavailable>,
    assignment: Assignment,
    ready: impl FnOnce(Result<(), Unavailable>),
) {
    match backend {
        Ok(backend) => {
            ready(Ok(()));
            Worker::new(backend, assignment).run();
        }
        Err(unavailable) => ready(Err(unavailable)),
    }
}

/// Where what works for the workers does not take a CPU from one of them, if there is such a place.
fn helper_cpus(places: &[Place]) -> Vec<usize> {
    let allowed = affinity::allowed();
    let is_pinned = |cpu| places.iter().any(|place| matches!(*place, Place::Must(at) | Place::May(at) if at == cpu));
    let free: Vec<usize> = allowed.iter().copied().filter(|&cpu| !is_pinned(cpu)).collect();
    if free.is_empty() { allowed } else { free }
}

fn shard(index: usize, config: &Config, table: Option<Table>) -> Shard {
    // Distinct streams of randomness from one seed: an odd constant times the index never repeats (SplitMix64's).
    let seed = config.seed.wrapping_add((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut shard = Shard::new(ShardConfig { legs_max: config.legs_max_per_worker.max(1), seed });
    shard.set_transcoder(can_transcode);
    if let Some(table) = table {
        shard.set_offload(Box::new(table));
    }
    shard
}

/// The options of a port's socket.
pub(crate) const fn socket_options(config: &Config) -> SocketOptions {
    SocketOptions {
        receive_buffer_bytes: config.receive_buffer_bytes,
        send_buffer_bytes: config.send_buffer_bytes,
        dscp: config.dscp,
    }
}

/// Puts the calling thread where it belongs.
fn settle(worker: usize, place: Place, realtime: Option<u8>) -> Result<(), StartError> {
    affinity::exact_timers();
    match place {
        Place::Must(cpu) => {
            affinity::pin(cpu).map_err(|error| StartError::Cpu { worker, cpu, error, allowed: affinity::allowed() })?;
        }
        Place::May(cpu) => {
            if let Err(error) = affinity::pin(cpu) {
                tracing::warn!(worker, cpu, %error, "the worker is not pinned: the scheduler may move it");
            }
        }
        Place::Anywhere => {}
    }
    if let Some(priority) = realtime
        && let Err(error) = affinity::realtime(priority)
    {
        tracing::warn!(
            worker,
            priority,
            %error,
            "no real-time priority: give the process CAP_SYS_NICE, or a limit of at least this (systemd: LimitRTPRIO)"
        );
    }
    Ok(())
}

/// What a ring of buffers can have: a power of two up to 32768.
pub(crate) fn buffers(wanted: u16) -> u16 {
    wanted.clamp(1, 1 << 15).next_power_of_two()
}
