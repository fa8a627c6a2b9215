//! What runs where and why, told once at start.

use std::net::SocketAddr;

use patchcord_dataplane::{Dataplane, probe};

use crate::config::{Config, Listen, Log, LogFormat};
use crate::output;
use crate::sys;
use crate::table::Table;

/// Tells it as a table on stderr, or as one log event where logs are JSON.
pub(super) fn tell(config: &Config, dataplane: &Dataplane, http: SocketAddr, ng: &[Listen]) {
    let rows = rows(config, dataplane, http, ng);
    match config.log.format {
        LogFormat::Text => {
            let mut table = Table::new(&["patchcord", env!("CARGO_PKG_VERSION")]);
            for (name, value) in rows {
                table.row([name.to_owned(), value]);
            }
            output::tell(table.render(0).trim_end());
        }
        LogFormat::Json => {
            let rows: serde_json::Map<_, _> =
                rows.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            let version = env!("CARGO_PKG_VERSION");
            tracing::info!(version, machine = %serde_json::Value::Object(rows), "started");
        }
    }
}

/// Says one thing, whatever the log's level.
pub(super) fn say(text: &str, log: &Log) {
    match log.format {
        LogFormat::Text => output::tell(text),
        LogFormat::Json => tracing::info!("{text}"),
    }
}

fn rows(config: &Config, dataplane: &Dataplane, http: SocketAddr, ng: &[Listen]) -> Vec<(&'static str, String)> {
    let (backend, why) = dataplane.backend();
    let workers = dataplane.handles().len();
    let cpus = if config.workers.cpus.is_empty() { sys::cpus_allowed() } else { config.workers.cpus.clone() };
    let cpus: Vec<String> = cpus.iter().map(usize::to_string).collect();
    let interfaces: Vec<String> = config.interfaces.iter().map(ToString::to_string).collect();
    let legs = config.workers.legs_max as usize * workers;
    let files = sys::file_limit();
    let limit = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    let token = if config.http.token.is_empty() { "no token, loopback only" } else { "token required" };
    let priority = match config.workers.realtime_priority {
        0 => String::new(),
        priority => format!(", SCHED_FIFO {priority}"),
    };
    let mut rows = vec![("backend", format!("{backend}: {why}"))];
    for speed in dataplane.speeds().iter().filter(|speed| !speed.available) {
        rows.push(("not faster", format!("{}: {}", speed.name, speed.reason)));
    }
    let offload = dataplane.offload();
    let name = if offload.available { offload.name } else { "off" };
    rows.push(("offload", format!("{name}: {}", offload.reason)));
    rows.extend([
        ("kernel", probe::kernel()),
        ("workers", format!("{workers} on CPUs {}, wait {}{priority}", cpus.join(","), word(&config.workers.wait))),
        ("interfaces", interfaces.join(", ")),
        ("ports", format!("{}: {} an interface", config.ports, config.ports.count())),
        ("capacity", format!("{legs} legs, {} open files", limit(files.soft))),
        ("latch", format!("{}, strict {}", word(&config.media.latch), config.media.strict)),
        (
            "ng",
            if ng.is_empty() {
                "off".to_owned()
            } else {
                ng.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            },
        ),
        ("HTTP", format!("http://{http} ({token})")),
        ("privileges", sys::privileges()),
    ]);
    rows
}

/// A setting as it is written in the configuration.
fn word(setting: &impl serde::Serialize) -> String {
    serde_json::to_value(setting).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
