//! Requests with commands: at most once by id, in order within a call, all or nothing.

use core::time::Duration;
use std::sync::Arc;

use patchcord_relay::command::{Command as EngineCommand, Refusal, Trigger};
use patchcord_relay::ids::CutOverId;

use crate::api::{CommandAnswer, CommandRequest, check_id};
use crate::call::{Answer, Call, Chore, Plan, Settled};
use crate::control::Control;
use crate::error::{ApiError, ErrorCode};
use crate::idempotency::{Lookup, wait};

/// How long a front waits for a worker. The request goes on after that: asking again with the same id tells its outcome.
const PATIENCE: Duration = Duration::from_secs(10);

impl Control {
    /// Executes commands on a call: as a whole or not at all, once for an id however often it is asked for.
    ///
    /// The future may be dropped: what has been begun is finished.
    ///
    /// # Errors
    /// What docs/http-api.md lists. Nothing was done, except after `worker-unavailable` with a worker that is late.
    pub async fn execute(&self, call: &str, request: CommandRequest) -> Result<Arc<CommandAnswer>, ApiError> {
        check_id(&request.id)?;
        let content = serde_json::to_vec(&request.commands)
            .map_err(|error| ApiError::new(ErrorCode::BadRequest, error.to_string()))?;
        let call = self.find(call)?;
        let lookup = call.inner().answers.look_up(&request.id, &content)?;
        let patience = PATIENCE + Duration::from_millis(request.wait_ms.into());
        let answer = match lookup {
            Lookup::Done(answer) => return unshared(answer),
            Lookup::Running(answer) => answer,
            Lookup::New(sender) => {
                let receiver = sender.subscribe();
                let control = self.clone();
                let id = call.inner().answers.name_of(&request.id);
                self.0.runtime.spawn(async move {
                    let answer = control.execute_once(&call, id, &request).await.map_err(Arc::new);
                    control.count(&request, &answer);
                    let kept = answer.as_ref().err().is_none_or(|error| error.code.status() != 503);
                    call.inner().answers.finish(&request.id, kept.then(|| answer.clone()));
                    sender.send_replace(Some(answer));
                });
                receiver
            }
        };
        match tokio::time::timeout(patience, wait(answer)).await {
            Ok(Some(answer)) => unshared(answer),
            _ => Err(ApiError::new(
                ErrorCode::WorkerUnavailable,
                "the worker has not answered yet; ask again with the same id to learn what became of the request",
            )),
        }
    }

    pub(crate) fn find(&self, call: &str) -> Result<Arc<Call>, ApiError> {
        self.0.calls().by_name.get(call).cloned().ok_or_else(|| unknown_call(call))
    }

    async fn execute_once(
        &self,
        call: &Arc<Call>,
        id: Arc<str>,
        request: &CommandRequest,
    ) -> Result<Arc<CommandAnswer>, ApiError> {
        let settled = {
            let _gate = call.gate.lock().await;
            self.run(call, Some(Arc::clone(&id)), &mut |plan| plan.add_all(&request.commands)).await?
        };
        if request.wait_ms > 0 {
            // The answer is given at the end of the time too: with the receipts that there are.
            let limit = Duration::from_millis(request.wait_ms.into());
            drop(tokio::time::timeout(limit, complete(call, &settled)).await);
        }
        let answer = call.inner().answer(id, &request.commands, settled);
        Ok(Arc::new(answer))
    }

    /// Plans, has the engine apply, and puts in force. The caller holds the call's gate.
    pub(crate) async fn run(
        &self,
        call: &Arc<Call>,
        request: Option<Arc<str>>,
        add: &mut (dyn FnMut(&mut Plan<'_>) -> Result<(), ApiError> + Send),
    ) -> Result<Settled, ApiError> {
        let shared = &self.0;
        let tell = |event| shared.tell(event);
        let mut has_ended = false;
        loop {
            let model = {
                let mut inner = call.inner();
                if inner.closed {
                    return Err(unknown_call(&call.name.name));
                }
                inner.take_off();
                inner.model.clone()
            };
            let mut plan = Plan::new(&shared.env, &call.name, call.worker, request.clone(), model, shared.now());
            if let Err(error) = add(&mut plan) {
                let chores = call.inner().give_up(call, &tell);
                self.begin_chores(call, chores);
                return Err(error);
            }
            let commands = plan.take_engine_commands();
            let legs_change = legs_change(&commands);
            let result = if commands.is_empty() {
                Ok(Ok(shared.now()))
            } else {
                let waiting = self.expect(call, &commands);
                let result = shared.engine.apply(call.worker, commands).await;
                if !matches!(result, Ok(Ok(_))) {
                    self.forget(&waiting);
                }
                result.map(|result| result.map(|applied| applied.at))
            };
            // What happens to the call from here on finds a model without a batch on its way.
            let refusal = match result {
                Ok(Ok(at)) => {
                    let (settled, chores) = call.inner().commit(call, plan, at, &tell);
                    shared.legs_changed(call.worker, legs_change);
                    self.begin_chores(call, chores);
                    return Ok(settled);
                }
                Ok(Err(refusal)) => Ok(refusal),
                Err(error) => Err(error),
            };
            let chores = call.inner().give_up(call, &tell);
            self.begin_chores(call, chores);
            match refusal? {
                (_, Refusal::PortUnavailable { addr, busy: true, .. }) if plan.leases.busy(addr, shared.now()) => {
                    tracing::debug!(call = %call.name.name, %addr, "port is in use by another program, trying another");
                }
                // What was to be followed has just come to its end, which the model knows by now.
                (_, Refusal::NotPlaying { .. }) if !has_ended => has_ended = true,
                (at, refusal) => return Err(plan.refused(at, &refusal)),
            }
        }
    }

    pub(crate) fn begin_chores(&self, call: &Arc<Call>, chores: Vec<Chore>) {
        for chore in chores {
            self.begin_chore(call, chore);
        }
    }

    /// Begins something that an event has left to be done.
    pub(crate) fn begin_chore(&self, call: &Arc<Call>, chore: Chore) {
        // A call that ends meanwhile must not be kept by what was to be done about it.
        let (control, call) = (self.clone(), Arc::downgrade(call));
        self.0.runtime.spawn(async move {
            if let Chore::DropLeg { after, .. } = chore {
                tokio::time::sleep(after).await;
            }
            let Some(call) = call.upgrade() else { return };
            let _gate = call.gate.lock().await;
            let mut add = |plan: &mut Plan<'_>| match chore {
                Chore::Fire { cut_over } => plan.fire(cut_over),
                Chore::FinishPlay { leg, serial } => plan.finish_play(leg, serial),
                Chore::BargeIn { leg, serial } => {
                    plan.barge_in(leg, serial);
                    Ok(())
                }
                Chore::EndListening => Ok(()),
                Chore::EndRecording { id } => plan.end_recording(id),
                Chore::DropLeg { leg, cut_over, .. } => plan.drop_leg(leg, cut_over),
            };
            if let Err(error) = control.run(&call, None, &mut add).await {
                tracing::debug!(call = %call.name.name, ?chore, %error, "nothing left to be done");
            }
        });
    }

    /// Notes which call the waiting cut-overs of a batch belong to, before the engine can tell of one.
    fn expect(&self, call: &Call, commands: &[EngineCommand]) -> Vec<CutOverId> {
        let waits = commands.iter().filter_map(|command| match command {
            EngineCommand::CutOver(cut_over) if cut_over.trigger != Trigger::Immediate => Some(cut_over.id),
            _ => None,
        });
        let ids: Vec<_> = waits.collect();
        self.0.waiting().extend(ids.iter().map(|&id| (id, call.name.serial)));
        ids
    }

    pub(crate) fn forget(&self, ids: &[CutOverId]) {
        let mut waiting = self.0.waiting();
        for id in ids {
            waiting.remove(id);
        }
    }

    fn count(&self, request: &CommandRequest, answer: &Answer) {
        let failed = answer.as_ref().err();
        for command in &request.commands {
            self.0.command_counts.count(command.name(), failed.map(|error| error.code));
        }
    }
}

impl crate::control::Shared {
    fn legs_changed(&self, worker: usize, change: i64) {
        if change != 0 {
            let load = &mut self.calls_mut().load[worker];
            load.legs = u32::try_from(i64::from(load.legs) + change).unwrap_or(0);
        }
    }
}

/// How many legs a batch adds, less those that it removes.
fn legs_change(commands: &[EngineCommand]) -> i64 {
    let change = |command: &EngineCommand| match command {
        EngineCommand::AddLeg(_) => 1,
        EngineCommand::RemoveLeg { .. } => -1,
        _ => 0,
    };
    commands.iter().map(change).sum()
}

pub(crate) fn unknown_call(call: &str) -> ApiError {
    ApiError::new(ErrorCode::UnknownCall, format!("there is no call {call}; GET /v1/calls lists them"))
}

fn unshared(answer: Answer) -> Result<Arc<CommandAnswer>, ApiError> {
    answer.map_err(|error| ApiError::clone(&error))
}

/// Waits until everything that the request will have receipts for has them.
async fn complete(call: &Call, settled: &Settled) {
    loop {
        let changed = call.changed.notified();
        if call.inner().is_complete(settled) {
            return;
        }
        changed.await;
    }
}
