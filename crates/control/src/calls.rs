//! Calls as a whole: create, list, show, delete.

use core::sync::atomic::Ordering;
use std::sync::Arc;

use patchcord_relay::command::Command;
use patchcord_relay::ids::LegId;
use patchcord_relay::snapshot::LegSnapshot;
use patchcord_relay::time::MonoTime;

use crate::api::{CallCreated, CallList, CallState, EventKind, NAME_LEN_MAX, WorkerEntry, WorkerList, check_id};
use crate::call::{Call, CallName, Leg};
use crate::control::{CallAnswer, Control, Load};
use crate::error::{ApiError, ErrorCode};
use crate::execute::unknown_call;
use crate::idempotency::{Lookup, wait};

/// Legs that a new call needs room for.
const LEGS_OF_A_CALL: u32 = 2;

impl Control {
    /// Creates a call on the worker with the fewest legs. Without a `name` one is chosen; with an `id` it is created once,
    /// however often it is asked for.
    ///
    /// # Errors
    /// The name is taken or does not fit, no worker has room, or the server is draining.
    pub fn create_call(&self, name: Option<&str>, id: Option<&str>) -> Result<CallCreated, ApiError> {
        self.create_call_beside(name, id, None)
    }

    /// [`Control::create_call`] on the worker that the call `beside` lives on, so that the two can be [merged](Control::merge_calls).
    ///
    /// # Errors
    /// As for [`Control::create_call`], and there is no call `beside`.
    pub fn create_call_beside(
        &self,
        name: Option<&str>,
        id: Option<&str>,
        beside: Option<&str>,
    ) -> Result<CallCreated, ApiError> {
        let Some(id) = id else { return self.create(name, beside) };
        check_id(id)?;
        let content = beside.map_or_else(|| format!("create {name:?}"), |beside| format!("create {name:?} {beside:?}"));
        // Creating never waits: while it is done nobody else can ask for it.
        let mut answers = self.call_answers();
        match answers.look_up(id, content.as_bytes())? {
            Lookup::Done(CallAnswer::Created(answer)) => answer,
            Lookup::New(_) => {
                let answer = self.create(name, beside);
                let kept = answer.as_ref().err().is_none_or(|error| error.code.status() != 503);
                answers.finish(id, kept.then(|| CallAnswer::Created(answer.clone())));
                answer
            }
            Lookup::Running(_) | Lookup::Done(_) => Err(ApiError::new(
                ErrorCode::IdReused,
                format!("id {id:?} was used to delete or merge a call; choose a new one"),
            )),
        }
    }

    /// All calls.
    #[must_use]
    pub fn list(&self) -> CallList {
        let now = self.0.now();
        // One that others were merged into has several names.
        let own = |(name, call): (&Arc<str>, &Arc<Call>)| (*name == call.name.name).then(|| Arc::clone(call));
        let calls: Vec<_> = self.0.calls().by_name.iter().filter_map(own).collect();
        CallList { calls: calls.iter().map(|call| call.summary(now)).collect() }
    }

    /// A call with the statistics of its legs.
    ///
    /// # Errors
    /// There is no such call, or its worker does not answer.
    pub async fn snapshot(&self, call: &str) -> Result<CallState, ApiError> {
        let call = self.find(call)?;
        self.state(&call).await
    }

    /// Ends a call, frees its ports, and gives its final state. With an `id` it may be repeated.
    ///
    /// The future may be dropped: what has been begun is finished.
    ///
    /// # Errors
    /// There is no such call, or its worker takes no requests.
    pub async fn delete_call(&self, name: &str, id: Option<&str>) -> Result<Arc<CallState>, ApiError> {
        let sender = match id {
            None => None,
            Some(id) => {
                check_id(id)?;
                let content = format!("delete {name:?}");
                let lookup = self.call_answers().look_up(id, content.as_bytes())?;
                match lookup {
                    Lookup::New(sender) => Some((id.to_owned(), sender)),
                    Lookup::Done(answer) => return deleted(Some(answer)),
                    Lookup::Running(answer) => return deleted(wait(answer).await),
                }
            }
        };
        let (control, name) = (self.clone(), name.to_owned());
        let task = self.0.runtime.spawn(async move {
            let answer = control.delete(&name).await;
            if let Some((id, sender)) = sender {
                let kept = answer.as_ref().err().is_none_or(|error| error.code.status() != 503);
                control.call_answers().finish(&id, kept.then(|| CallAnswer::Deleted(answer.clone())));
                sender.send_replace(Some(CallAnswer::Deleted(answer.clone())));
            }
            answer
        });
        task.await.unwrap_or_else(|_| Err(ApiError::new(ErrorCode::WorkerUnavailable, "the server is stopping")))
    }

    /// All workers; one that does not answer within a second has only an error.
    pub async fn workers(&self) -> WorkerList {
        let mut workers = Vec::new();
        for worker in 0..self.0.engine.workers() {
            workers.push(match self.0.engine.worker(worker).await {
                Ok(snapshot) => WorkerEntry { worker, error: None, state: Some(snapshot.into()) },
                Err(error) => WorkerEntry { worker, error: Some(error.message), state: None },
            });
        }
        WorkerList { workers }
    }

    pub(crate) fn call_answers(&self) -> std::sync::MutexGuard<'_, crate::idempotency::Answers<CallAnswer>> {
        self.0.call_answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Creates a call that signalling names: a Call-ID may have a slash, which in a path has to be written `%2F`.
    pub(crate) fn create_named(&self, name: &str) -> Result<CallCreated, ApiError> {
        check_name(name, true)?;
        self.make(Some(name), None)
    }

    /// Both names mean `call` from now on, whose model has the legs of `other` already ([`Call::lend`]). The caller holds the
    /// gates of both, which live on one worker.
    pub(crate) fn merge(&self, call: &Arc<Call>, other: &Arc<Call>) {
        {
            let mut calls = self.0.calls_mut();
            for entry in calls.by_name.values_mut() {
                if Arc::ptr_eq(entry, other) {
                    *entry = Arc::clone(call);
                }
            }
            for entry in calls.by_serial.values_mut() {
                if Arc::ptr_eq(entry, other) {
                    *entry = Arc::clone(call);
                }
            }
            let load = &mut calls.load[call.worker];
            load.calls = load.calls.saturating_sub(1);
            call.has_aliases.store(true, Ordering::Relaxed);
        }
        // What was recorded of it goes on with the call, unless that is recorded itself.
        self.0.env.recorder.end_of_call(other.name.serial, self.now());
        let into = Arc::clone(&call.name.name);
        self.tell(other.event(self.now(), None, EventKind::CallMerged { into }));
        let put_off = other.inner().hand_over();
        // Whoever dumps it or waits for it has come to the end of that.
        *other.tap() = None;
        other.changed.notify_waiters();
        for (at, event) in put_off {
            let chores = call.inner().happened(call, at, event, &|event| self.tell(event));
            self.begin_chores(call, chores);
        }
    }

    /// A call that was lent to another one is by itself again.
    pub(crate) fn take_back(&self, call: &Arc<Call>) {
        let chores = call.inner().give_up(call, &|event| self.tell(event));
        self.begin_chores(call, chores);
    }

    /// The names of so many calls.
    pub(crate) fn names(&self, limit: usize) -> Vec<String> {
        self.0.calls().by_name.keys().take(limit).map(|name| name.as_ref().to_owned()).collect()
    }

    /// Copies of the state of these legs.
    pub(crate) async fn leg_snapshots(&self, worker: usize, legs: Vec<LegId>) -> Result<Vec<LegSnapshot>, ApiError> {
        if legs.is_empty() {
            return Ok(Vec::new());
        }
        self.0.engine.legs(worker, legs).await
    }

    /// How many calls there are, whatever number of names they have.
    pub(crate) fn call_count(&self) -> usize {
        self.0.calls().load.iter().map(|load| load.calls as usize).sum()
    }

    fn create(&self, name: Option<&str>, beside: Option<&str>) -> Result<CallCreated, ApiError> {
        if let Some(name) = name {
            check_name(name, false)?;
        }
        self.make(name, beside)
    }

    fn make(&self, name: Option<&str>, beside: Option<&str>) -> Result<CallCreated, ApiError> {
        if self.0.draining.load(Ordering::Relaxed) {
            return Err(ApiError::new(
                ErrorCode::Draining,
                "the server is shutting down and takes no new calls; use another one",
            ));
        }
        let now = self.0.now();
        let mut calls = self.0.calls_mut();
        if let Some(name) = name
            && calls.by_name.contains_key(name)
        {
            return Err(ApiError::new(
                ErrorCode::CallExists,
                format!("there is a call {name} already; delete it or choose another name"),
            ));
        }
        let least = calls.load.iter().enumerate().min_by_key(|(_, load)| **load);
        let (mut worker, &Load { mut legs, .. }) = least.expect("a control plane has a worker");
        if let Some(beside) = beside {
            worker = calls.by_name.get(beside).ok_or_else(|| unknown_call(beside))?.worker;
            legs = calls.load[worker].legs;
        }
        if legs.saturating_add(LEGS_OF_A_CALL) > self.0.legs_max_per_worker {
            let max = self.0.legs_max_per_worker;
            let which =
                if beside.is_some() { format!("worker {worker} has") } else { "every worker has at least".into() };
            return Err(ApiError::new(
                ErrorCode::NoRoom,
                format!("{which} {legs} of {max} legs; delete calls or raise `legs_max`"),
            ));
        }
        let (serial, name) = loop {
            let serial = self.0.next_serial();
            let name: Arc<str> = name.map_or_else(|| format!("call-{serial}").into(), Into::into);
            if !calls.by_name.contains_key(&name) {
                break (serial, name);
            }
        };
        let call = Arc::new(Call::new(CallName { name: Arc::clone(&name), serial }, worker, now));
        calls.by_name.insert(Arc::clone(&name), Arc::clone(&call));
        calls.by_serial.insert(serial, Arc::clone(&call));
        calls.load[worker].calls += 1;
        self.0.tell(call.event(now, None, EventKind::CallCreated));
        drop(calls);
        tracing::info!(call = %name, worker, "call created");
        Ok(CallCreated { call: name, worker })
    }

    /// Copies of the state of a call's legs.
    pub(crate) async fn snapshots_of(&self, call: &Call) -> Result<Vec<LegSnapshot>, ApiError> {
        let legs = call.inner().model.legs.0.iter().map(|leg| leg.id).collect::<Vec<_>>();
        self.leg_snapshots(call.worker, legs).await
    }

    async fn state(&self, call: &Call) -> Result<CallState, ApiError> {
        let snapshots = self.snapshots_of(call).await?;
        let now = self.0.now();
        Ok(call.state(&call.inner().model, &snapshots, &self.0.env, now))
    }

    async fn delete(&self, name: &str) -> Result<Arc<CallState>, ApiError> {
        let call = self.find(name)?;
        let _gate = call.gate.lock().await;
        // As it was until then: a cut-over that waits is cancelled by the end.
        let model = call.inner().model.clone();
        let snapshots = self.delete_locked(&call).await?;
        Ok(Arc::new(call.state(&model, &snapshots, &self.0.env, self.0.now())))
    }

    /// Ends a call whose gate the caller holds; gives the last copies of its legs.
    pub(crate) async fn delete_locked(&self, call: &Arc<Call>) -> Result<Vec<LegSnapshot>, ApiError> {
        let name = &*call.name.name;
        if call.inner().closed {
            return Err(unknown_call(name));
        }
        let cut_overs = call.inner().model.records.count;
        let legs = call.inner().model.legs.clone().0;
        let mut snapshots = Vec::new();
        if !legs.is_empty() {
            let removals: Vec<_> = legs.iter().map(|leg| Command::RemoveLeg { leg: leg.id }).collect();
            let ids = legs.iter().map(|leg| leg.id).collect();
            let (last, result) = self.0.engine.legs_and_apply(call.worker, ids, removals.clone()).await?;
            snapshots = last;
            if let Err((_, refusal)) = result {
                // The engine has lost one of them. The ports of that one are free; the others must not stay behind.
                tracing::error!(call = name, %refusal, "the engine had lost legs of a call");
                for removal in removals {
                    let _lost = self.0.engine.apply(call.worker, vec![removal]).await?;
                }
            }
        }
        let now = self.0.now();
        call.inner().closed = true;
        {
            let mut calls = self.0.calls_mut();
            calls.by_name.remove(&call.name.name);
            calls.by_serial.remove(&call.name.serial);
            if call.has_aliases.load(Ordering::Relaxed) {
                calls.by_name.retain(|_, entry| !Arc::ptr_eq(entry, call));
                calls.by_serial.retain(|_, entry| !Arc::ptr_eq(entry, call));
            }
            let load = &mut calls.load[call.worker];
            load.legs = load.legs.saturating_sub(u32::try_from(legs.len()).unwrap_or(u32::MAX));
            load.calls = load.calls.saturating_sub(1);
        }
        let waiting: Vec<_> = call.inner().model.records.pending().map(|record| record.id).collect();
        self.forget(&waiting);
        for leg in &legs {
            self.0.env.interfaces.release(leg.lease);
            if let Some(dtls) = &leg.dtls {
                self.0.env.handshakes.end(dtls.association);
            }
            let (local, _) = self.0.env.interfaces.local(leg.lease);
            self.0.tell(call.event(now, Some(Arc::clone(&leg.party)), EventKind::LegDeleted { local }));
        }
        self.0.tell(call.event(now, None, EventKind::CallDeleted));
        self.0.env.recorder.end_of_call(call.name.serial, now);
        // The end of all dumps.
        *call.tap() = None;
        call.changed.notify_waiters();
        log_end(call, &legs, &snapshots, now, cut_overs);
        Ok(snapshots)
    }
}

/// The line that an operator reads when somebody complains about a call.
fn log_end(call: &Call, legs: &[Leg], snapshots: &[LegSnapshot], now: MonoTime, cut_overs: u64) {
    if !tracing::enabled!(tracing::Level::INFO) {
        return;
    }
    let mut drops = std::collections::BTreeMap::<&str, u64>::new();
    for (reason, count) in snapshots.iter().flat_map(|leg| leg.drops.nonzero()) {
        *drops.entry(reason.name()).or_default() += u64::from(count);
    }
    let drops: Vec<_> = drops.iter().map(|(name, count)| format!("{name}={count}")).collect();
    let received: u64 = snapshots.iter().map(|leg| leg.ingress.packets).sum();
    let sent: u64 = snapshots.iter().map(|leg| leg.egress.packets).sum();
    let lost: u64 = snapshots.iter().map(|leg| leg.ingress.lost).sum();
    let parties: Vec<_> = legs.iter().map(|leg| &*leg.party).collect();
    let (parties, drops) = (parties.join(","), drops.join(","));
    let (name, worker, duration_ms) = (&call.name.name, call.worker, call.age_ms(now));
    tracing::info!(call = %name, worker, duration_ms, parties, cut_overs, received, sent, lost, drops, "call ended");
}

fn deleted(answer: Option<CallAnswer>) -> Result<Arc<CallState>, ApiError> {
    match answer {
        Some(CallAnswer::Deleted(answer)) => answer,
        Some(_) => Err(ApiError::new(ErrorCode::IdReused, "the id was used to create or merge a call")),
        None => Err(ApiError::new(ErrorCode::WorkerUnavailable, "the server is stopping")),
    }
}

fn check_name(name: &str, slash: bool) -> Result<(), ApiError> {
    if name.is_empty() || name.len() > NAME_LEN_MAX || name.chars().any(|c| c.is_control() || (c == '/' && !slash)) {
        return Err(ApiError::new(
            ErrorCode::BadRequest,
            format!("call {name:?}: a name has 1 to {NAME_LEN_MAX} bytes, no control characters and no slash"),
        ));
    }
    Ok(())
}
