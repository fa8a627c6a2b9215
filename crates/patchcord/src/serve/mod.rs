//! `serve`: joins the data plane and the control plane, and runs until it is told to stop.
//!
//! The two never see each other: requests go to the workers through [`Joined`], replies come back over one queue that a
//! task empties into the control plane.

mod accounts;
mod capabilities;
mod convert;
mod drain;
mod logging;
mod ng;
mod notify;
pub(crate) mod pivot;
mod records;
mod startup;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use patchcord_control::{Control, http};
use patchcord_dataplane::{Dataplane, WorkerHandle};
use patchcord_relay::exchange::{Reply, Request};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};

use self::drain::Signals;
use crate::cli::ServeArgs;
use crate::config::{Config, ConfigError, ignored_variables};
use crate::failure::Failure;
use crate::output;

/// How long answers that are being written may take when everything else is over.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Runs the relay.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = Config::load(args.config.as_deref(), std::env::vars(), args.layer()?)?;
    run_config(config, args.until_stdin_ends, args.print_config)
}

/// Runs the relay with this configuration, or prints it.
pub(crate) fn run_config(config: Config, until_stdin_ends: bool, print_config: bool) -> Result<(), Failure> {
    if print_config {
        let text = toml::to_string(&config).map_err(|error| Failure::failed(format!("cannot print it: {error}")))?;
        output::print(&text);
        return Ok(());
    }
    logging::start(&config.log)?;
    for variable in ignored_variables(std::env::vars().map(|(name, _)| name)) {
        tracing::warn!(variable, "this environment variable is no key of default.toml and has no effect");
    }
    capabilities::give_up(&config);
    // The control plane needs little: one thread serves it, and the workers have the CPUs.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the control plane: {error}")))?;
    runtime.block_on(serve(config, until_stdin_ends))
}

async fn serve(config: Config, until_stdin_ends: bool) -> Result<(), Failure> {
    let started = Instant::now();
    // From here on a signal drains instead of killing.
    let signals = Signals::listen(until_stdin_ends)?;
    let listener = TcpListener::bind(config.http.listen).await.map_err(|error| {
        Failure::failed(format!(
            "cannot listen for HTTP on {}: {error}; is another relay running? choose another address with --http",
            config.http.listen
        ))
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::failed(format!("cannot tell the HTTP listener's address: {error}")))?;
    for interface in &config.interfaces {
        std::net::UdpSocket::bind((interface.address, 0)).map_err(|error| {
            Failure::failed(format!(
                "cannot receive media on {interface}: {error}; name an address that `ip addr` shows with --interface"
            ))
        })?;
    }

    let (replies, received) = crossbeam::channel::unbounded();
    let told = Arc::new(Notify::new());
    let teller = Arc::clone(&told);
    let dataplane = Dataplane::start_telling(&convert::dataplane(&config), replies, move || teller.notify_one())
        .map_err(|error| Failure::failed(format!("cannot start the workers: {error}")))?;
    let clock = dataplane.clock();
    let workers = dataplane.handles().into_iter().map(|handle| Arc::new(Joined(handle)) as _).collect();
    let control = Control::new(convert::control(&config), workers, move || clock.now())
        .map_err(|error| Failure::Usage(format!("cannot start the control plane: {error}")))?;
    let pump = tokio::spawn(pump_replies(control.clone(), received.clone(), told));

    let records = records::Kept::start(&config)?;
    let mut listeners = ng::listen(&config, &control).await?;
    let pivot = pivot::start(&config, &control, records.as_ref()).await?.map(Arc::new);
    startup::tell(&config, &dataplane, address, &listeners.places);
    output::print_line(&format!("listening http://{address}"));
    for place in &listeners.places {
        output::print_line(&format!("listening ng {place}"));
    }
    let spoken = pivot.iter().flat_map(|pivot| pivot.addresses());
    for (transport, place) in spoken {
        output::print_line(&format!("listening sip {}:{place}", transport.as_str()));
    }
    notify::notify("READY=1");

    let (stop, stopped) = oneshot::channel::<()>();
    let extension = pivot.clone().map(patchcord_pivot::http::extension).map(|mut extension| {
        let all: Vec<_> =
            extension.measures.take().into_iter().chain(records.as_ref().map(records::Kept::measures)).collect();
        extension.measures = Some(Arc::new(move || all.iter().flat_map(|read| read()).collect()));
        extension
    });
    let router = http::router(control.clone(), Some(Arc::clone(&listeners.server)), extension);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let front = axum::serve(listener, service).with_graceful_shutdown(async move {
        // Either way it is over.
        let _ = stopped.await;
    });
    let front = tokio::spawn(front.into_future());
    // Where it moves their media itself, the pivot's calls are the relay's.
    let elsewhere = pivot.as_deref().filter(|_| !config.pivot.relay.is_empty());
    let calls = drain::Calls { control: &control, elsewhere };
    let end = drain::until_over(&calls, signals, Duration::from_secs(config.drain.deadline_s.into())).await;
    let summary = drain::summary(&calls, started, end).await;
    if let Some(pivot) = &pivot {
        pivot.stop().await;
    }
    if let Some(records) = records {
        records.stop().await;
    }

    // The answer to the request that ended the last call may still be on its way; an event stream would go on for ever.
    let _ = stop.send(());
    let _ = tokio::time::timeout(LAST_ANSWERS, front).await;
    listeners.tasks.shutdown().await;
    pump.abort();
    dataplane.shutdown();
    take_replies(&control, &received);
    control.finish_recordings();
    startup::say(&summary, &config.log);
    Ok(())
}

/// Empties the workers' queue into the control plane whenever a worker says that there is something in it. The control plane does
/// so itself, as it is what most replies are waited for by: another thread would have to be woken first.
async fn pump_replies(control: Control, received: Receiver<(usize, Reply)>, told: Arc<Notify>) {
    loop {
        told.notified().await;
        take_replies(&control, &received);
    }
}

fn take_replies(control: &Control, received: &Receiver<(usize, Reply)>) {
    for (worker, reply) in received.try_iter() {
        control.accept(worker, reply);
    }
}

/// A worker of the data plane as the control plane sees one.
struct Joined(WorkerHandle);

impl patchcord_control::Worker for Joined {
    fn send(&self, request: Request) -> Result<(), Request> {
        self.0.queue(request)
    }

    fn wake(&self) {
        self.0.wake();
    }
}
