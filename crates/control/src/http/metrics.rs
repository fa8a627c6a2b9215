//! `/metrics`: what Prometheus scrapes.
//!
//! Nothing but the counts of commands and associations is kept between two scrapes: each asks the workers and writes what they say.

use core::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api::{CommandName, Percentiles, WorkerState};
use crate::control::Control;
use crate::dtls::Progress;
use crate::error::{ApiError, ErrorCode};
use crate::ports::PortCounts;

type Labels = Vec<(&'static str, String)>;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Commands by name and result.
#[derive(Debug, Default)]
pub(crate) struct CommandCounts(Family<Labels, Counter>);

impl CommandCounts {
    /// Counts a command that was done, or why it was not.
    pub(crate) fn count(&self, command: CommandName, refused: Option<ErrorCode>) {
        let result = refused.map_or("done", ErrorCode::name);
        let labels = vec![("command", command.as_str().to_owned()), ("result", result.to_owned())];
        self.0.get_or_create(&labels).inc();
    }
}

/// Associations of DTLS by what has become of them.
#[derive(Debug, Default)]
pub(crate) struct AssociationCounts(Family<Labels, Counter>);

impl AssociationCounts {
    pub(crate) fn count(&self, progress: &Progress) {
        self.0.get_or_create(&vec![("result", progress.name().to_owned())]).inc();
    }
}

/// Metrics in the `OpenMetrics` text format.
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses((status = 200, content_type = "application/openmetrics-text", body = String))
)]
pub(super) async fn metrics(
    State(control): State<Control>,
    axum::Extension(More(more)): axum::Extension<More>,
) -> Result<Response, ApiError> {
    let mut registry = Registry::with_prefix("patchcord");
    let mut page = Page { registry: &mut registry };
    page.calls(&control);
    let workers = control.workers().await.workers;
    let answered: Vec<_> =
        workers.iter().filter_map(|entry| Some((entry.worker.to_string(), entry.state.as_ref()?))).collect();
    page.workers(&answered);
    page.recordings(&control);
    let measures: Vec<_> = more.iter().flat_map(|read| read()).collect();
    for family in measures.chunk_by(|one, next| one.name == next.name) {
        let Some(first) = family.first() else { continue };
        let values = family.iter().map(|measure| (measure.labels.clone(), measure.value));
        if first.is_counter {
            page.counter(first.name, first.help, values);
        } else {
            page.gauge(first.name, first.help, values.map(|(labels, value)| (labels, value as f64)));
        }
    }
    page.registry.register("commands", "Bridge commands by name and result", control.0.command_counts.0.clone());
    let associations = control.0.env.handshakes.counts.0.clone();
    page.registry.register("dtls_associations", "Associations of DTLS by what has become of them", associations);
    let mut known = Registry::with_prefix("rtpengine");
    Page { registry: &mut known }.known_names(&control, &answered);
    let mut text = String::new();
    encode_registry(&mut text, &registry)
        .and_then(|()| encode_registry(&mut text, &known))
        .and_then(|()| encode_eof(&mut text))
        .expect("a string takes all that is written to it");
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// What somebody else adds.
#[derive(Clone)]
pub(super) struct More(pub(super) Option<super::Measures>);

struct Page<'a> {
    registry: &'a mut Registry,
}

impl Page<'_> {
    fn calls(&mut self, control: &Control) {
        let calls = control.list().calls;
        let mut per_worker = vec![0_u32; control.0.engine.workers()];
        for call in &calls {
            per_worker[call.worker] += 1;
        }
        let of_worker = |(worker, count): (usize, u32)| (vec![("worker", worker.to_string())], f64::from(count));
        self.gauge("calls", "Calls", per_worker.into_iter().enumerate().map(of_worker));
        let ports = control.ports();
        let by_state = ports.iter().flat_map(|(interface, counts)| {
            [("leased", counts.leased), ("busy", counts.busy), ("free", counts.free)].map(|(state, count)| {
                (vec![("interface", interface.clone()), ("state", state.to_owned())], count.into())
            })
        });
        self.gauge("ports", "Media ports: leased, busy (held by other programs) and free", by_state);
    }

    fn recordings(&mut self, control: &Control) {
        let recorder = &control.0.env.recorder;
        let running = recorder.running() as f64;
        self.gauge("recordings_running", "Recordings that go on", [(Labels::new(), running)].into_iter());
        let counts = &recorder.counts;
        let labelled = |label: &'static str, counters: &[(&str, &AtomicU64)]| {
            let counted = |(value, count): &(&str, &AtomicU64)| {
                (vec![(label, (*value).to_owned())], count.load(Ordering::Relaxed))
            };
            counters.iter().map(counted).collect::<Vec<_>>()
        };
        let results = [("finished", &counts.finished), ("failed", &counts.failed), ("discarded", &counts.discarded)];
        let ended = labelled("result", &results);
        self.counter("recordings", "Recordings that are over, by result", ended.into_iter());
        let recorded = counts.recorded.load(Ordering::Relaxed);
        self.counter(
            "recorded_packets",
            "Packets of recordings that are over",
            [(Labels::new(), recorded)].into_iter(),
        );
        let lost = labelled("reason", &[("late", &counts.late), ("dropped", &counts.dropped)]);
        let help = "Packets missing in recordings that are over: they came late, or the recorder was too slow";
        self.counter("recording_packets_lost", help, lost.into_iter());
    }

    /// The same under the names that operators' dashboards have from rtpengine. Gauges all of them, because some of these names
    /// are a gauge and, with `_total`, a counter of one family, which the format forbids.
    fn known_names(&mut self, control: &Control, workers: &[(String, &WorkerState)]) {
        let sum = |read: fn(&WorkerState) -> u64| workers.iter().map(|(_, worker)| read(worker)).sum::<u64>() as f64;
        let (begun, alive) = (control.calls_begun() as f64, control.call_count() as f64);
        let ports = control.ports();
        let ports = |read: fn(&PortCounts) -> u32| ports.iter().map(|(_, counts)| f64::from(read(counts))).sum::<f64>();
        for (name, help, value) in [
            ("sessions", "Calls", alive),
            ("sessions_total", "Calls so far", begun),
            ("closed_sessions_total", "Calls that have ended", begun - alive),
            ("packets_total", "Datagrams relayed", sum(|worker| worker.forwarded)),
            ("bytes_total", "UDP payload sent", sum(|worker| worker.sent_bytes)),
            ("errors_total", "Datagrams not relayed", sum(|worker| worker.drops.values().map(|&n| u64::from(n)).sum())),
            ("ports", "Media ports", ports(|counts| counts.leased + counts.busy + counts.free)),
            ("ports_used", "Media ports in use", ports(|counts| counts.leased + counts.busy)),
            ("ports_free", "Media ports to be had", ports(|counts| counts.free)),
            ("uptime_seconds", "Seconds since the start", control.uptime().as_secs_f64()),
        ] {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(value);
            self.registry.register(name, help, gauge);
        }
    }

    fn workers(&mut self, workers: &[(String, &WorkerState)]) {
        self.worker_gauge("legs", "Legs in use", workers, |worker| worker.legs);
        self.worker_gauge("legs_max", "Legs that there is room for", workers, |worker| worker.legs_max);
        self.worker_counter("datagrams_received", "Datagrams received", workers, |worker| worker.datagrams);
        self.worker_counter("packets_forwarded", "Datagrams relayed", workers, |worker| worker.forwarded);
        self.worker_gauge("flows_offloaded", "Flows that the kernel forwards", workers, |worker| worker.flows);
        self.worker_counter("packets_offloaded", "Datagrams relayed by the kernel", workers, |worker| worker.offloaded);
        self.worker_counter("packets_consumed", "Datagrams that the relay used up itself", workers, |worker| {
            worker.consumed
        });
        self.worker_counter("packets_sent", "Packets sent, players and reports included", workers, |worker| {
            worker.sent
        });
        self.worker_counter("bytes_sent", "UDP payload sent", workers, |worker| worker.sent_bytes);
        self.worker_counter("events_lost", "Events that found no room", workers, |worker| worker.events_lost);
        let drops = workers.iter().flat_map(|(number, worker)| {
            let labels = |reason: &String| vec![("worker", number.clone()), ("reason", reason.clone())];
            worker.drops.iter().map(move |(reason, &count)| (labels(reason), u64::from(count)))
        });
        self.counter("packets_dropped", "Datagrams not relayed, by reason", drops);
        let io = workers.iter().flat_map(|(number, worker)| {
            let labels = |what: &String| vec![("worker", number.clone()), ("what", what.clone())];
            worker.io.iter().map(move |(what, &count)| (labels(what), count))
        });
        self.counter("io", "What the sockets did", io);
        const MICROSECOND: f64 = 1e-6;
        let relay = |worker: &WorkerState| worker.relay_latency_us;
        self.quantiles("relay_latency_seconds", "Kernel arrival to send", workers, MICROSECOND, relay);
        let gap = |worker: &WorkerState| worker.cut_over_gap_us;
        self.quantiles(
            "cut_over_gap_seconds",
            "Last packet of the old source to first of the new",
            workers,
            MICROSECOND,
            gap,
        );
        let batch = |worker: &WorkerState| worker.batch_datagrams;
        self.quantiles("batch_datagrams", "Datagrams in a batch", workers, 1.0, batch);
        self.worker_counter("cut_overs", "Cut-over directions that took effect with a gap", workers, |worker| {
            worker.cut_over_gap_us.count
        });
        self.worker_counter("batches", "Batches of datagrams", workers, |worker| worker.batch_datagrams.count);
    }

    fn quantiles(
        &mut self,
        name: &str,
        help: &str,
        workers: &[(String, &WorkerState)],
        unit: f64,
        read: impl Fn(&WorkerState) -> Percentiles,
    ) {
        let values = workers.iter().flat_map(|(number, worker)| {
            let Percentiles { p50, p99, p999, .. } = read(worker);
            [("0.5", p50), ("0.99", p99), ("0.999", p999)].map(|(quantile, value)| {
                (vec![("worker", number.clone()), ("quantile", quantile.to_owned())], value as f64 * unit)
            })
        });
        self.gauge(name, help, values);
    }

    fn worker_gauge(
        &mut self,
        name: &str,
        help: &str,
        workers: &[(String, &WorkerState)],
        read: impl Fn(&WorkerState) -> u32,
    ) {
        let value = |(number, worker): &(String, &WorkerState)| (vec![("worker", number.clone())], read(worker).into());
        self.gauge(name, help, workers.iter().map(value));
    }

    fn worker_counter(
        &mut self,
        name: &str,
        help: &str,
        workers: &[(String, &WorkerState)],
        read: impl Fn(&WorkerState) -> u64,
    ) {
        let value = |(number, worker): &(String, &WorkerState)| (vec![("worker", number.clone())], read(worker));
        self.counter(name, help, workers.iter().map(value));
    }

    fn gauge(&mut self, name: &str, help: &str, values: impl Iterator<Item = (Labels, f64)>) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.registry.register(name, help, family);
    }

    fn counter(&mut self, name: &str, help: &str, values: impl Iterator<Item = (Labels, u64)>) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.registry.register(name, help, family);
    }
}
