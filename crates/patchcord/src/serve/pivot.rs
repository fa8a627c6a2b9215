//! The pivot beside the relay: it gives the same commands as every other client, without HTTP between.

use std::sync::Arc;
use std::time::Duration;

use patchcord_control::api::{
    CallEvent, CallState, CommandAnswer, CommandRequest, EventKind, MergeCall, TransferEvent,
};
use patchcord_control::{ApiError, Control, Watch};
use patchcord_pivot::call::billing::Direction;
use patchcord_pivot::call::plan::Timing;
use patchcord_pivot::call::trunk::{CallerId, ReferMode, Trunk};
use patchcord_pivot::driver::{EvidenceSettings, Pivot, Route, RtpLimits, Settings, TraceLimits, TrunkSettings};
use patchcord_pivot::media::{Pending, Relay, Remote, RemoteSettings};
use patchcord_pivot::message::{Credentials, Header};
use patchcord_pivot::{sip, webhook};
use tokio::sync::broadcast;

use super::records::Kept;
use crate::config::{Config, pivot as config};
use crate::failure::Failure;
use crate::serve::accounts;

/// The control plane of this process.
struct Here(Control);

impl Relay for Here {
    fn create<'a>(&'a self, call: &'a str, id: &'a str, beside: Option<&'a str>) -> Pending<'a, Result<(), ApiError>> {
        Box::pin(async move { self.0.create_call_beside(Some(call), Some(id), beside).map(drop) })
    }

    fn execute<'a>(
        &'a self,
        call: &'a str,
        request: CommandRequest,
    ) -> Pending<'a, Result<Arc<CommandAnswer>, ApiError>> {
        Box::pin(self.0.execute(call, request))
    }

    fn merge<'a>(&'a self, call: &'a str, request: MergeCall) -> Pending<'a, Result<(), ApiError>> {
        Box::pin(async move { self.0.merge_calls(call, request).await.map(drop) })
    }

    fn state<'a>(&'a self, call: &'a str) -> Pending<'a, Result<CallState, ApiError>> {
        Box::pin(self.0.snapshot(call))
    }

    fn delete<'a>(&'a self, call: &'a str) -> Pending<'a, Result<Arc<CallState>, ApiError>> {
        Box::pin(self.0.delete_call(call, None))
    }

    fn packets<'a>(&'a self, call: &'a str) -> Pending<'a, Result<Option<Watch>, ApiError>> {
        Box::pin(async move { self.0.watch(call).await.map(Some) })
    }

    fn events(&self) -> broadcast::Receiver<Arc<CallEvent>> {
        self.0.subscribe()
    }

    fn announce(&self, call: &Arc<str>, event: TransferEvent) {
        self.0.announce(Arc::clone(call), None, EventKind::Transfer(Box::new(event)));
    }
}

/// Begins to take calls, where the configuration has somewhere to listen.
pub(super) async fn start(
    config: &Config,
    control: &Control,
    records: Option<&Kept>,
) -> Result<Option<Pivot>, Failure> {
    if config.pivot.listen.is_empty() {
        return Ok(None);
    }
    let mut settings = settings(&config.pivot);
    settings.archive = records.map(|records| Arc::new(records.clone()) as _);
    let failed = |error| Failure::failed(format!("cannot start the pivot: {error}"));
    let relay = relay(&config.pivot, control).await.map_err(failed)?;
    Pivot::start(settings, relay).await.map(Some).map_err(failed)
}

/// What moves the media.
async fn relay(config: &config::Pivot, control: &Control) -> Result<Arc<dyn Relay>, sip::StackError> {
    let here = Here(control.clone());
    // What is no URL was refused when the configuration was read.
    let Ok(place) = config.relay.parse() else { return Ok(Arc::new(here)) };
    let token = (!config.relay_token.is_empty()).then(|| webhook::Secret(config.relay_token.as_str().into()));
    let settings = RemoteSettings { place, token, ca: config::Pivot::path(&config.ca) };
    let remote = Remote::start(settings, Box::new(move |call, event| here.announce(call, event))).await?;
    Ok(Arc::new(remote))
}

/// The configuration in the words of the pivot.
pub(crate) fn settings(config: &config::Pivot) -> Settings {
    let mut sip = sip::Config::new(config.listen.iter().map(listen).collect());
    sip.certificate = config::Pivot::path(&config.certificate)
        .zip(config::Pivot::path(&config.key))
        .map(|(chain, key)| sip::Certificate { chain, key });
    sip.ca = config::Pivot::path(&config.ca);
    sip.limits.behind = (config.overload_ms > 0).then(|| Duration::from_millis(config.overload_ms.into()));
    let own = ourselves(config);
    let trunks = config.trunks.iter().map(|(name, settings)| (name.as_str().into(), trunk(name, settings, &own)));
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let defaults = Timing::default();
    // A webhook has answered by its own deadline; what is waited for here is a safeguard behind that.
    let slowest = config.trunks.values().map(|trunk| trunk.webhook_deadline_ms).max().unwrap_or_default();
    let timing = Timing {
        ring: seconds(config.ring_timeout_s),
        grace: seconds(config.leave_timeout_s),
        decision: defaults.decision.max(Duration::from_millis(slowest.into()) + Duration::from_secs(1)),
        ..defaults
    };
    Settings {
        sip,
        trunks: trunks.collect(),
        routes: config
            .routes
            .iter()
            .map(|route| Route {
                from: route.from.as_str().into(),
                number: route.number.as_str().into(),
                to: route.to.clone(),
                by: route.by.as_str().into(),
                direction: match route.direction {
                    config::Direction::Origination => Direction::Origination,
                    config::Direction::Termination => Direction::Termination,
                },
                webhook: asked(route),
            })
            .collect(),
        timing,
        calls_max: config.calls_max as usize,
        one_worker: config.one_worker,
        ringback: (!config.ringback.is_empty()).then(|| config.ringback.clone()),
        archive: None,
        evidence: config::Pivot::path(&config.evidence_directory)
            .map(|directory| EvidenceSettings { directory, bytes: u64::from(config.evidence_mib) << 20 }),
        rtp: RtpLimits {
            around: seconds(config.evidence_rtp_s),
            bytes: config.evidence_rtp_mib as usize * 1024 * 1024,
        },
        trace: TraceLimits::of_bytes(config.trace_kib as usize * 1024),
        status_webhook: told(config),
        realm: config.domains.first().map_or("patchcord", String::as_str).into(),
    }
}

fn listen(listen: &config::SipListen) -> sip::Listen {
    sip::Listen {
        transport: listen.transport,
        address: listen.address,
        advertised: listen.advertised.as_ref().map(|(host, port)| (host.as_str().into(), *port)),
    }
}

/// By which hosts the pivot itself is called.
fn ourselves(config: &config::Pivot) -> Vec<Box<str>> {
    let listened = config.listen.iter().flat_map(|listen| {
        let advertised = listen.advertised.as_ref().map(|(host, port)| {
            let port = if *port == 0 { listen.address.port() } else { *port };
            format!("{host}:{port}")
        });
        core::iter::once(listen.address.to_string()).chain(advertised)
    });
    listened.chain(config.domains.iter().cloned()).map(Into::into).collect()
}

fn trunk(name: &str, config: &config::Trunk, own: &[Box<str>]) -> TrunkSettings {
    let proxy = config.proxy.as_str();
    let mut trunk = Trunk::new(name, &config.domain);
    trunk.ourselves = own.to_vec();
    if let Some(place) = proxy.split_once(':').map(|(_, rest)| rest) {
        let host = place.rsplit('@').next().unwrap_or(place);
        trunk.numbers_at = host.split([';', '?']).next().unwrap_or(host).into();
    }
    trunk.addresses = config.addresses.iter().map(|network| (network.address, network.prefix_len)).collect();
    if trunk.addresses.is_empty()
        && let Some(address) = config.address()
    {
        trunk.addresses.push((address, if address.is_ipv4() { 32 } else { 128 }));
    }
    trunk.transfers = config.transfers;
    trunk.pstn_transfers = config.pstn_transfers;
    trunk.foreign_domains = config.foreign_domains.iter().map(|domain| domain.as_str().into()).collect();
    trunk.emergency.numbers.extend(config.emergency.iter().map(|number| Box::from(number.as_str())));
    trunk.caller_id = match config.caller_id {
        config::CallerId::Transferee => CallerId::Transferee,
        config::CallerId::Transferor => CallerId::Transferor,
    };
    trunk.refer = match config.refer {
        config::ReferMode::Pivot => ReferMode::Pivot,
        config::ReferMode::Forward => ReferMode::Forward,
        config::ReferMode::Controller => ReferMode::Controller,
    };
    trunk.replaces = config.replaces;
    trunk.hold_audio = (!config.hold_audio.is_empty()).then(|| config.hold_audio.as_str().into());
    trunk.transfers_max = config.transfers_max;
    trunk.headers = config
        .headers
        .iter()
        .map(|(name, value)| Header { name: name.as_str().into(), value: value.as_str().into() })
        .collect();
    let account = (!config.username.is_empty()).then(|| Credentials {
        username: config.username.as_str().into(),
        password: config.password.as_str().into(),
        realm: (!config.realm.is_empty()).then(|| config.realm.as_str().into()),
    });
    TrunkSettings {
        trunk: Arc::new(trunk),
        proxy: (!proxy.is_empty()).then(|| proxy.into()),
        registration: accounts::registration(config, account.clone()),
        users: accounts::users(config),
        standing: Arc::default(),
        credentials: account,
        is_secure: config.srtp == config::Srtp::Sdes,
        allows_srtp_without_tls: config.srtp_without_tls,
        webhook: webhook(config),
    }
}

/// Who says where the calls of a route go.
fn asked(config: &config::Route) -> Option<webhook::Settings> {
    let config::Route { webhook, webhook_secret, webhook_timeout_ms, webhook_deadline_ms, webhook_retries, .. } =
        config;
    questions(webhook, webhook_secret, [*webhook_timeout_ms, *webhook_deadline_ms], *webhook_retries)
}

/// Who is told how transfers end.
fn told(config: &config::Pivot) -> Option<webhook::ReportSettings> {
    Some(webhook::ReportSettings {
        place: config.status_webhook.parse().ok()?,
        secret: secret(&config.status_webhook_secret),
        timeout: Duration::from_millis(config.status_webhook_timeout_ms.into()),
        states: config.status_webhook_states,
    })
}

fn secret(text: &str) -> Option<webhook::Secret> {
    (!text.is_empty()).then(|| webhook::Secret(text.into()))
}

/// Who decides about the REFERs of a trunk.
fn webhook(config: &config::Trunk) -> Option<webhook::Settings> {
    let config::Trunk { webhook, webhook_secret, webhook_timeout_ms, webhook_deadline_ms, webhook_retries, .. } =
        config;
    let on_fail = match config.webhook_on_fail {
        config::WebhookOnFail::Refuse => webhook::OnFail::Refuse,
        config::WebhookOnFail::Pivot => webhook::OnFail::Pivot,
    };
    let asked = questions(webhook, webhook_secret, [*webhook_timeout_ms, *webhook_deadline_ms], *webhook_retries)?;
    Some(webhook::Settings { on_fail, ..asked })
}

/// How a webhook is asked, with milliseconds of one try and of all. What is not there, or no URL, was refused when the configuration was read.
fn questions(url: &str, key: &str, [timeout_ms, deadline_ms]: [u32; 2], retries: u32) -> Option<webhook::Settings> {
    Some(webhook::Settings {
        place: url.parse().ok()?,
        secret: secret(key),
        timeout: Duration::from_millis(timeout_ms.into()),
        deadline: Duration::from_millis(deadline_ms.into()),
        retries,
        on_fail: webhook::OnFail::default(),
    })
}
