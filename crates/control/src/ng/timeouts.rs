//! Calls that nobody ends: a proxy that lost a BYE must not keep ports busy for ever.

use core::time::Duration;
use std::sync::{Arc, Weak};

use super::{Ng, Shared};
use crate::api::{Direction, EventKind};
use crate::call::{Call, Leg};

/// The longest time between two looks.
const LOOK_MAX: Duration = Duration::from_secs(15);
/// Legs that are looked at in one request to a worker.
const CALLS_AT_ONCE: usize = 64;

impl Ng {
    /// Looks after calls until the front is gone.
    pub(super) fn look_after_calls(&self) {
        let config = &self.0.config;
        let limits = [config.timeout, config.silent_timeout, config.final_timeout];
        let Some(shortest) = limits.into_iter().filter(|limit| !limit.is_zero()).min() else { return };
        let period = (shortest / 4).clamp(Duration::from_millis(100), LOOK_MAX);
        let weak = Arc::downgrade(&self.0);
        self.0.control.spawn(look(weak, period));
    }

    async fn end_the_silent(&self) {
        let calls = self.0.control.signalled_calls();
        for calls in calls.chunks(CALLS_AT_ONCE) {
            for call in calls {
                if let Some((idle, limit)) = self.overdue(call).await {
                    self.end_silent(call, idle, limit).await;
                }
            }
            tokio::task::yield_now().await;
        }
    }

    /// How long the call has been silent, or has lasted, and what it may; `None`: it is within its limits.
    async fn overdue(&self, call: &Call) -> Option<(Duration, &'static str)> {
        let config = &self.0.config;
        let age = Duration::from_millis(call.age_ms(self.0.control.now()));
        let passed = |limit: Duration, time: Duration| !limit.is_zero() && time >= limit;
        if passed(config.final_timeout, age) {
            return Some((age, "final_timeout"));
        }
        let shortest = [config.timeout, config.silent_timeout].into_iter().filter(|limit| !limit.is_zero()).min()?;
        if age < shortest {
            return None;
        }
        // Whoever only listens says nothing about the call.
        let speaks = |leg: &&Leg| leg.hearing.company().monitor.is_none();
        let legs: Vec<_> =
            call.inner().model.legs.0.iter().filter(speaks).map(|leg| (leg.id, leg.hearing.hold.is_some())).collect();
        let on_hold = legs.iter().any(|(_, held)| *held);
        let snapshots =
            self.0.control.leg_snapshots(call.worker, legs.iter().map(|(id, _)| *id).collect()).await.ok()?;
        // On hold one of them is expected to be silent; rtpengine's users know the longer limit for that.
        let muted = snapshots.iter().any(|leg| Direction::from(leg.direction) != Direction::SendRecv || leg.muted);
        let (limit, name) = match on_hold || muted {
            true => (config.silent_timeout, "silent_timeout"),
            false => (config.timeout, "timeout"),
        };
        let idle = snapshots.iter().map(|leg| leg.ingress.idle_ms.map_or(age, Duration::from_millis)).min();
        idle.filter(|idle| passed(limit, *idle)).map(|idle| (idle, name))
    }

    async fn end_silent(&self, call: &Arc<Call>, idle: Duration, limit: &'static str) {
        let idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(call = %call.name.name, idle_ms, "no media and no BYE: the call is deleted by ng.{limit}_s");
        self.0.control.tell(call.event(self.0.control.now(), None, EventKind::CallTimeout { silent_ms: idle_ms }));
        if let Err(error) = self.0.control.delete_call(&call.name.name, None).await {
            tracing::debug!(call = %call.name.name, %error, "it has ended by itself");
        }
    }
}

async fn look(shared: Weak<Shared>, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        let Some(shared) = shared.upgrade() else { return };
        Ng(shared).end_the_silent().await;
    }
}
