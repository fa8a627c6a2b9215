//! Who does what when in the warm transfer. As in the other script everything is timed by media: a step begins when all whose
//! sources it changes have the first packet of the new one, and ends when the transferee has spoken for so long.

use patchcord_lab::clock;
use patchcord_lab::endpoint::Endpoint;
use patchcord_rtp::PayloadType;
use serde_json::{Value, json};

use super::agent::{self, VOICE_AGENT};
use super::recording::Recorded;
use crate::demo::script::{PACKETS_PER_SECOND, speak_on};
use crate::demo::stage::{AGENT, Played, Stage, TARGET, TRANSFEREE};
use crate::demo::timeline::Timeline;
use crate::failure::Failure;

/// What the telephones speak: their key presses too.
const TELEPHONE: &[&str] = &["PCMU", "101 telephone-event/8000"];
/// The payload type of these.
pub(super) const EVENTS: PayloadType = PayloadType::new(101).expect("it has seven bits");
/// The target's extension.
pub(super) const EXTENSION: &str = "42#";
/// Packets for which the transferee and the target talk alone at the end.
pub(super) const DROPPED_PACKETS: u64 = 3 * PACKETS_PER_SECOND;
/// How long the receipts of a step are waited for. Nothing here takes that long, on any machine.
const RECEIPTS_MS: u64 = 10_000;

/// A part of the call in which nobody's source changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) name: StepName,
    /// On the laboratory's clock.
    pub(super) from_ns: u64,
    pub(super) until_ns: u64,
}

/// The steps in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepName {
    Talk,
    Hold,
    Consultation,
    Whisper,
    Conference,
    Dropped,
}

/// A call that is over.
pub(super) struct Performance {
    pub(super) played: Played,
    pub(super) steps: Vec<Step>,
    pub(super) recorded: Recorded,
}

/// The call in the making.
struct Script<'a> {
    stage: Stage,
    timeline: &'a Timeline,
    transferee: Endpoint,
    steps: Vec<Step>,
}

/// The transfer: talk, hold with music, consultation, whisper, conference, the agent leaves, talk.
pub(super) fn transfer(mut stage: Stage, timeline: &Timeline) -> Result<Performance, Failure> {
    let transferee = stage.enter(TRANSFEREE, TELEPHONE)?;
    let agent = stage.enter(AGENT, VOICE_AGENT)?;
    stage.speak(&transferee)?;
    stage.play(&agent, agent::speech()?)?;

    let mut script = Script { stage, timeline, transferee, steps: Vec::new() };
    script.note("the call is recorded from here on");
    let recorded_from_ns = script.record()?;
    script.note("the transferee and the agent talk, transcoded between PCMU and Opus");
    script.step(StepName::Talk, 2, json!({ "command": "bridge", "a": TRANSFEREE, "b": AGENT }))?;

    script.note("hold: the transferee hears music");
    script.step(StepName::Hold, 2, json!({ "command": "hold", "party": TRANSFEREE }))?;

    script.note("the target answers");
    let target = script.stage.enter(TARGET, TELEPHONE)?;
    script.stage.speak(&target)?;
    script.change(StepName::Consultation, json!({ "command": "bridge", "a": AGENT, "b": TARGET }))?;
    script.note(&format!("the target's extension is dialled: {EXTENSION}"));
    script.dial()?;
    script.note("the agent and the target consult");
    script.goes_on(StepName::Consultation, 3 * PACKETS_PER_SECOND)?;

    script.note("whisper: the target talks with the transferee, the agent listens and tells the target who is calling");
    let whisper = json!({ "commands": [
        { "command": "bridge", "a": TRANSFEREE, "b": TARGET },
        { "command": "whisper", "party": TARGET, "by": AGENT },
        { "command": "monitor", "party": AGENT, "of": [TRANSFEREE, TARGET] },
    ]});
    script.step(StepName::Whisper, 3, whisper)?;

    script.note("conference: everybody hears the two others");
    let conference = json!({ "command": "conference", "parties": [TRANSFEREE, AGENT, TARGET] });
    script.step(StepName::Conference, 3, conference)?;

    script.note("the agent drops: the transferee and the target talk, not mixed any more");
    agent.stop();
    script.drop_agent()?;
    script.goes_on(StepName::Dropped, DROPPED_PACKETS)?;

    script.note("everybody hangs up");
    let recorded = Recorded { from_ns: recorded_from_ns, files: script.end_recording()? };
    Ok(Performance { played: script.stage.strike()?, steps: script.steps, recorded })
}

impl Script<'_> {
    fn note(&self, what: &str) {
        self.timeline.note(&self.stage.call, what);
    }

    /// Changes who hears whom, and lets them speak for so long.
    fn step(&mut self, name: StepName, seconds: u64, body: Value) -> Result<(), Failure> {
        self.change(name, body)?;
        self.goes_on(name, seconds * PACKETS_PER_SECOND)
    }

    /// Returns when those whose sources change have the first packets of the new ones.
    fn change(&self, name: StepName, mut body: Value) -> Result<(), Failure> {
        body["wait_ms"] = json!(RECEIPTS_MS);
        self.stage.command(name.id(), body)?;
        Ok(())
    }

    /// The deletion of a leg is answered at once, whatever it changes for others.
    fn drop_agent(&self) -> Result<(), Failure> {
        self.stage.command(StepName::Dropped.id(), json!({ "command": "leg-delete", "party": AGENT }))?;
        for party in [TRANSFEREE, TARGET] {
            self.timeline.wait_for(&self.stage.call, "the cut-over to whom is left", |event| {
                event["event"] == "cut-over" && event["id"] == StepName::Dropped.id() && event["party"] == party
            })?;
        }
        Ok(())
    }

    /// Begins the recording, and says when.
    fn record(&self) -> Result<u64, Failure> {
        let from_ns = clock::now_ns();
        self.stage.command("record", json!({ "command": "record-start", "format": "wav", "layout": "mixed" }))?;
        self.timeline
            .wait_for(&self.stage.call, "the recording's beginning", |event| event["event"] == "recording-started")?;
        Ok(from_ns)
    }

    /// Ends it, and says which files it has.
    fn end_recording(&self) -> Result<Vec<String>, Failure> {
        self.stage.command("record-end", json!({ "command": "record-stop" }))?;
        let finished = self.timeline.wait_for(&self.stage.call, "the recording's end", |event| {
            event["event"] == "recording-finished" || event["event"] == "recording-failed"
        })?;
        if let Some(reason) = finished["reason"].as_str() {
            return Err(Failure::failed(format!("the relay's recording failed: {reason}")));
        }
        let files = finished["files"].as_array().into_iter().flatten();
        Ok(files.filter_map(|file| Some(file.as_str()?.to_owned())).collect())
    }

    /// Lets them speak.
    fn goes_on(&mut self, name: StepName, packets: u64) -> Result<(), Failure> {
        let from_ns = clock::now_ns();
        speak_on(&self.transferee, packets)?;
        self.steps.push(Step { name, from_ns, until_ns: clock::now_ns() });
        Ok(())
    }

    /// The target hears the keys of its extension.
    fn dial(&self) -> Result<(), Failure> {
        self.stage.command("dial", json!({ "command": "dtmf-send", "party": TARGET, "digits": EXTENSION }))?;
        self.timeline.wait_for(&self.stage.call, "the end of the key presses", |event| {
            event["event"] == "dtmf-finished" && event["party"] == TARGET
        })?;
        Ok(())
    }
}

impl StepName {
    pub(super) const ALL: [Self; 6] =
        [Self::Talk, Self::Hold, Self::Consultation, Self::Whisper, Self::Conference, Self::Dropped];

    /// The id of the command that begins it.
    pub(super) const fn id(self) -> &'static str {
        match self {
            Self::Talk => "talk",
            Self::Hold => "hold",
            Self::Consultation => "consultation",
            Self::Whisper => "whisper",
            Self::Conference => "conference",
            Self::Dropped => "drop",
        }
    }
}
