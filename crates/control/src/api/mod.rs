//! The words of the API: what clients send and get. Clients written in Rust can use the same types.

mod address;
mod answer;
mod audio;
mod codec;
mod command;
mod defaults;
mod detection;
mod dtls;
mod dtmf;
mod event;
mod ice;
mod latch;
mod recording;
mod request;
mod secret;
mod srtp;
mod state;
mod trigger;

pub use answer::{
    CallCreated, CallMerged, CheckResult, CommandAnswer, CutOverResult, CutOverState, Detail, LegCreated, LegDeleted,
    Outcome, PartyDone, ReceiptView, Verdict,
};
pub use audio::{AudioList, AudioSource, AudioState, AudioUrl};
pub use codec::{CodecParts, CodecSpec, rtpmap};
pub use command::{
    BargeIn, Bridge, Command, CommandName, Conference, Gain, Hold, LegCodecs, LegCreate, LegDirection, LegDoor,
    LegLatch, LegRemote, LegRtcpMux, Monitor, OneOrMore, OneParty, PartyRename, Play, Relatch, Ringback, Rollback,
    Swap, TwoParties, Whisper,
};
pub use detection::{Answered, Detect, DetectionConfig, Sound};
pub use dtls::{DtlsRemote, DtlsState, LegDtls, LegDtlsDone};
pub(crate) use dtmf::{BadKeys, within};
pub use dtmf::{DTMF_DIGITS_MAX, DtmfHowName, DtmfSend};
pub use event::{CallEvent, CutOverEvent, EventKind, PlayEnd, ReceiptFields, TransferEvent};
pub use ice::{IceState, LegIce, LegIceDone};
pub use latch::{Direction, EgressName, GateSpec, LatchModeName, LatchSpec, LearnFromName, RelayingName};
pub use recording::{
    NoFields, RecordStart, RecordStop, RecordingDone, RecordingFormat, RecordingLayout, RecordingState,
};
pub use request::{
    BATCH_LEN_MAX, CommandBody, CommandRequest, ID_LEN_MAX, MergeCall, NAME_LEN_MAX, SingleCommandRequest, WAIT_MS_MAX,
};
pub(crate) use request::{check_id, read};
pub use secret::Secret;
pub use srtp::{LegSrtp, LegSrtpDone, SrtpState, SrtpStreamState};
pub use state::{
    CallList, CallState, CallSummary, CutOverView, LegState, OffloadState, Percentiles, SentState, WorkerEntry,
    WorkerList, WorkerState, by_name,
};
pub use trigger::{Forever, KeepOld, Repeat, Trigger, TriggerName};
