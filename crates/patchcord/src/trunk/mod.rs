//! `trunk check`: tries everything about a trunk that needs no call, and says for each finding the cause and the fix.
//!
//! It reads the configuration of `serve` and speaks SIP from ports of its own, so that a relay that runs is not in the way and notices nothing.

mod account;
mod answer;
mod place;
mod reach;
mod target;
mod words;

use std::time::Duration;

use patchcord_pivot::driver::{Settings, TrunkSettings};
use patchcord_pivot::message::Transport;
use patchcord_pivot::sip::{Config as SipConfig, Listen, Stack, StackError};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::sync::mpsc;

use crate::cli::TrunkCheckArgs;
use crate::config::{Config, Layer, pivot as config};
use crate::doctor::{Finding, State, text};
use crate::failure::Failure;
use crate::output;
use crate::serve::pivot::settings;

/// What is known of the trunk that is examined.
struct Subject<'a> {
    name: &'a str,
    config: &'a config::Trunk,
    settings: Settings,
    trunk: TrunkSettings,
    stack: Arc<Stack>,
    patience: Duration,
}

/// Examines a trunk; a finding that keeps calls from working makes the exit code 1.
pub(crate) fn check(args: &TrunkCheckArgs) -> Result<(), Failure> {
    let mut flags = Layer::flags();
    for assignment in &args.set {
        flags.set(assignment)?;
    }
    let config = Config::load(args.config.as_deref(), std::env::vars(), flags)?;
    let trunks = &config.pivot.trunks;
    let Some(trunk) = trunks.get(&args.name) else {
        let known = trunks.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let there_are = match (known.as_str(), &args.config) {
            ("", None) => "there are none: name the file that `serve` is given with --config FILE".to_owned(),
            ("", Some(file)) => format!("{} has none: a trunk is a table [pivot.trunks.NAME]", file.display()),
            (known, _) => format!("there are: {known}"),
        };
        return Err(Failure::Usage(format!("no trunk is named {:?}; {there_are}", args.name)));
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot begin: {error}")))?;
    let findings = runtime.block_on(async {
        let settings = settings(&config.pivot);
        let stack = start(&settings.sip).await.map_err(|error| Failure::failed(error.to_string()))?;
        let found = settings.trunks.get(args.name.as_str()).cloned();
        let found = found.ok_or_else(|| Failure::failed("the trunk is in the file and not in the settings"))?;
        let patience = Duration::from_secs(args.timeout.into());
        let subject = Subject { name: &args.name, config: trunk, settings, trunk: found, stack, patience };
        Ok::<_, Failure>(subject.examine(&config.pivot).await)
    })?;
    let failed = findings.iter().any(|finding| finding.state == State::Fail);
    if args.json {
        output::print_json(&json!({ "ok": !failed, "trunk": args.name, "checks": findings }));
    } else {
        output::print(&text(&findings));
    }
    if failed { Err(Failure::Reported) } else { Ok(()) }
}

/// SIP on ports of our own, at the addresses that `serve` would have, as a peer may know these alone; else at any.
async fn start(config: &SipConfig) -> Result<Arc<Stack>, StackError> {
    let mut places: Vec<IpAddr> = config.listen.iter().map(|listen| listen.address.ip()).collect();
    places.sort_unstable();
    places.dedup();
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if places.is_empty() {
        places.push(any);
    }
    match start_at(config, &places).await {
        Err(StackError::Bind { .. }) if places != [any] => start_at(config, &[any]).await,
        started => started,
    }
}

async fn start_at(config: &SipConfig, places: &[IpAddr]) -> Result<Arc<Stack>, StackError> {
    let listen = places.iter().flat_map(|ip| {
        [Transport::Udp, Transport::Tcp].map(|transport| Listen {
            transport,
            address: SocketAddr::new(*ip, 0),
            advertised: None,
        })
    });
    let mut sip = SipConfig::new(listen.collect());
    sip.ca.clone_from(&config.ca);
    // Nobody has any business here.
    sip.allows = Some(Arc::new(|_| false));
    let (events, _) = mpsc::channel(1);
    Stack::start(sip, events).await
}

impl Subject<'_> {
    async fn examine(&self, pivot: &config::Pivot) -> Vec<Finding> {
        let mut findings = Vec::new();
        if pivot.listen.is_empty() {
            findings.push(Finding::warn(
                "pivot",
                "`pivot.listen` is empty",
                "without a place to listen there is no pivot, and the trunk is not used",
                "set pivot.listen, such as [\"udp:192.0.2.10:5060\"]",
            ));
        }
        let (places, found) = self.places().await;
        findings.extend(found);
        let (is_reachable, found) = self.reach(&places).await;
        findings.extend(found);
        findings.extend(self.speak(is_reachable, &places).await);
        findings.push(self.srtp(&places, is_reachable));
        findings.push(self.whose(&places));
        findings.extend(self.targets());
        findings
    }
}
