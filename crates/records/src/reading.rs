//! The thread that answers questions, with a connection of its own.

use core::time::Duration;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use serde_json::Value;

use crate::database::{Database, Problem, Target};
use crate::question::Question;

/// So long a database that could not be opened is not tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// What is done with the answer.
pub(crate) type Tell = Box<dyn FnOnce(Result<Vec<Value>, Problem>) + Send>;

pub(crate) fn run(target: &Target, inbox: &Receiver<(Question, Tell)>) {
    let mut open: Option<Box<dyn Database>> = None;
    let mut failed: Option<(Instant, Problem)> = None;
    while let Ok((question, tell)) = inbox.recv() {
        if let Some((at, problem)) = &failed
            && at.elapsed() < PAUSE
        {
            tell(Err(problem.clone()));
            continue;
        }
        failed = None;
        let had_one = open.is_some();
        let mut answer = ask(target, &mut open, &question);
        if answer.is_err() && had_one {
            // It may have been away since the last question.
            answer = ask(target, &mut open, &question);
        }
        if let Err(problem) = &answer {
            failed = Some((Instant::now(), problem.clone()));
        }
        tell(answer);
    }
}

fn ask(target: &Target, open: &mut Option<Box<dyn Database>>, question: &Question) -> Result<Vec<Value>, Problem> {
    let mut database = match open.take() {
        Some(database) => database,
        None => target.open()?,
    };
    let answer = database.find(question)?;
    *open = Some(database);
    Ok(answer)
}
