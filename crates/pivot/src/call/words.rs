//! What a call is told, and what it says is to be done.

use core::time::Duration;
use std::sync::Arc;

use super::record::{CallRecord, TransferRecord};
use super::replaces::Replaces;
use super::route::Via;
use crate::message::{Address, DialogId, Header, Reason, Refer, Rejection, RequestId, Status};

/// Names a party of a call. The driver knows its dialog and its leg in the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartyId(pub u32);

/// Names a transfer of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u32);

/// Names a request of the call's own until [`Input::Answered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnId(pub u32);

/// Names a timer. Starting one that runs sets it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerId {
    /// How long a party may ring.
    Ring(PartyId),
    /// How long a human is waited for.
    Detection(PartyId),
    /// How long a party's first packet is waited for.
    FirstPacket(PartyId),
    /// A party was ended and something is awaited before its BYE, or the end of its INVITE.
    Settle(PartyId),
    /// A party that has transferred may end its dialog itself.
    Grace(PartyId),
    /// The controller has to decide, or the driver to find a dialog.
    Decision(TransferId),
    /// A REFER of ours has to lead somewhere.
    Refer(TransferId),
}

/// Something that has happened. What is about a party or a request that is over does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A provisional response of a party that is dialled.
    Progress {
        /// Whose.
        party: PartyId,
        /// 101 to 199.
        status: Status,
        /// Its leg has early media.
        early_media: bool,
    },
    /// A party that is dialled has answered, and its answer fits.
    Accepted {
        /// Who.
        party: PartyId,
        /// Methods of its `Allow`, if it says.
        allow: Option<Vec<Box<str>>>,
    },
    /// A party that is dialled will not answer. If its answer did not fit, the driver ends the dialog and says 488 here.
    Rejected(PartyId, Box<Rejection>),
    /// The ACK of [`Act::Accept`].
    Acknowledged(PartyId),
    /// A caller has given up before it was answered.
    Cancelled(PartyId, Option<Reason>),
    /// A party has hung up, or is gone.
    Ended(PartyId, Option<Reason>),
    /// A REFER in a party's dialog. [`Act::Respond`] answers it.
    Refer {
        /// Whose.
        party: PartyId,
        /// Its name.
        request: RequestId,
        /// What it says.
        refer: Box<Refer>,
    },
    /// A NOTIFY of a REFER of ours. [`Act::Respond`] answers it.
    Notify {
        /// Whose.
        party: PartyId,
        /// Its name.
        request: RequestId,
        /// `Subscription-State`.
        state: Box<str>,
        /// The sipfrag.
        body: Box<str>,
    },
    /// The final response to [`Act::Notify`] or [`Act::SendRefer`].
    Answered {
        /// Which.
        request: OwnId,
        /// What they say.
        status: Status,
    },
    /// A timer has run down.
    Timer(TimerId),
    /// Something that the relay says.
    Media(MediaInput),
    /// The answer to [`Act::AskWebhook`].
    Decision(TransferId, Decision),
    /// The answer to [`Act::Resolve`], unless it was [`Call::merge`](super::Call::merge).
    Resolved(TransferId, Resolution),
}

/// Something that the relay says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaInput {
    /// A [`MediaAct::Swap`] has taken place.
    CutOver {
        /// Who stayed.
        survivor: PartyId,
        /// Who took the place.
        new: PartyId,
        /// One for each direction that has one.
        receipts: Vec<Receipt>,
    },
    /// A human was heard; a swap that waited for that takes place.
    Human(PartyId),
    /// A machine was heard.
    Machine(PartyId),
    /// Neither was heard in the detector's own time.
    Undecided(PartyId),
    /// What was to be done with a party's media could not be done.
    Failed(PartyId),
}

/// What the relay says of one direction of a cut-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who hears it.
    pub party: Arc<str>,
    /// From the last packet of the old source to the first of the new.
    pub gap_us: Option<u64>,
    /// 1 is seamless.
    pub sequence_step: Option<i64>,
    /// In units of the clock rate.
    pub timestamp_step: Option<i64>,
    /// Packets of the old source that came too late.
    pub stale: u64,
    /// From the command to the first packet of the new source.
    pub command_to_effect_us: u64,
}

/// What a controller says about a REFER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// These are to be called instead, in order: numbers or URIs.
    Dial {
        /// Numbers, or sip:, sips: and tel: URIs.
        targets: Vec<Box<str>>,
        /// Who is shown as the caller, if not as the trunk has it.
        caller_id: Option<Address>,
        /// `X-` header fields.
        headers: Vec<Header>,
        /// How long each may ring.
        ring: Option<Duration>,
    },
    /// The target as the REFER has it.
    Proceed,
    /// The REFER is refused with this.
    Refuse(Status),
    /// There was no answer that can be used.
    Failed,
}

/// Whose dialog a `Replaces` means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// That of a party of this call.
    Here(PartyId),
    /// None of ours: the target is sent the `Replaces`.
    Foreign,
    /// It cannot be replaced.
    Refused(Status),
}

/// What a controller is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The transferor's trunk, whose controller it is.
    pub trunk: Arc<str>,
    /// Who called.
    pub caller: Address,
    /// Who was called.
    pub callee: Address,
    /// `Refer-To` as written.
    pub refer_to: Box<str>,
    /// `Referred-By`.
    pub referred_by: Option<Box<str>>,
    /// Who transfers.
    pub transferor: Address,
    /// Who is transferred.
    pub transferee: Address,
    /// `X-` header fields of the REFER.
    pub extra: Vec<Header>,
}

/// An INVITE that is to go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// By which way.
    pub via: Via,
    /// A SIP or SIPS URI.
    pub request_uri: Box<str>,
    /// To.
    pub to: Address,
    /// From.
    pub from: Address,
    /// `P-Asserted-Identity`.
    pub asserted: Option<Address>,
    /// `X-...`, `Referred-By`, `Replaces`.
    pub headers: Vec<Header>,
}

/// Something that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Makes a leg for a new party and calls it.
    Dial(PartyId, Box<Dial>),
    /// Gives a call up; [`Input::Rejected`] follows, or [`Input::Accepted`] if it was too late.
    Cancel(PartyId, Option<Reason>),
    /// Ends a party's dialog, which is over for the call with that.
    Bye(PartyId, Option<Reason>),
    /// A provisional response to a caller.
    Progress {
        /// Whom.
        party: PartyId,
        /// 180 to 189.
        status: Status,
        /// With its leg's early media.
        early_media: bool,
    },
    /// Answers a caller.
    Accept(PartyId),
    /// Refuses a caller.
    Reject {
        /// Whom.
        party: PartyId,
        /// 400 to 699.
        status: Status,
        /// `Reason`.
        reason: Option<Reason>,
    },
    /// Answers a REFER or a NOTIFY.
    Respond {
        /// Which.
        request: RequestId,
        /// 200 to 699.
        status: Status,
        /// `Refer-Sub`.
        headers: Vec<Header>,
    },
    /// Tells how a party's REFER gets on.
    Notify {
        /// Whom.
        party: PartyId,
        /// In which dialog, if not in the party's.
        dialog: Option<DialogId>,
        /// Names the NOTIFY.
        request: OwnId,
        /// `Event`.
        event: Box<str>,
        /// `Subscription-State`.
        state: Box<str>,
        /// The sipfrag.
        body: Box<str>,
    },
    /// Sends a REFER.
    SendRefer {
        /// Whom.
        party: PartyId,
        /// Names it.
        request: OwnId,
        /// `Refer-To`.
        refer_to: Box<str>,
        /// `Referred-By`, `X-...`.
        headers: Vec<Header>,
    },
    /// A bridge command.
    Media(MediaAct),
    /// Starts a timer.
    StartTimer(TimerId, Duration),
    /// Stops a timer that runs.
    StopTimer(TimerId),
    /// Asks the trunk's controller; [`Input::Decision`] answers.
    AskWebhook(TransferId, Box<Question>),
    /// Asks whose dialog that is: [`Call::merge`](super::Call::merge) if it is another call's, else [`Input::Resolved`].
    Resolve(TransferId, Replaces),
    /// A transfer stands so: takes the place of what was said of it before.
    Transfer(Box<TransferRecord>),
    /// The call stands so.
    Record(Box<CallRecord>),
    /// The call is over. Nothing follows.
    Over,
}

/// A bridge command, by the name that the HTTP API has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaAct {
    /// Each hears the other, at once. Takes hold and whatever is played away.
    Bridge {
        /// One.
        a: PartyId,
        /// The other.
        b: PartyId,
    },
    /// The party hears hold audio and its peer silence; whatever was played to the party, and early media, ends.
    Hold {
        /// Who is held.
        party: PartyId,
        /// Which audio, if not the relay's own.
        audio: Option<Arc<str>>,
    },
    /// Takes the hold away, and whatever is played or heard as early media: the party is back with its peer.
    Resume(PartyId),
    /// The party hears a ringing tone.
    Ringback(PartyId),
    /// The listener hears the early media of a party that rings, and nobody hears the listener, held or not.
    EarlyMedia {
        /// Who hears.
        listener: PartyId,
        /// Whom.
        from: PartyId,
    },
    /// Ends ringing tone or early media for a party.
    Stop(PartyId),
    /// One takes the place of another. Until its trigger fires everybody hears what they hear. Another swap for the same survivor takes the
    /// place of one that waits.
    Swap {
        /// Who stays.
        survivor: PartyId,
        /// Whose place it is, if that is still there; it hears hold audio then.
        old: Option<PartyId>,
        /// Who takes it.
        new: PartyId,
        /// When.
        trigger: Trigger,
    },
    /// Takes a swap that waits back.
    CancelSwap(PartyId),
    /// Each hears all the others; none is on hold.
    Conference(Vec<PartyId>),
    /// Takes a party out of a conference; two that are left hear each other.
    Leave(PartyId),
    /// A party hears another one besides what it hears.
    Whisper {
        /// Who hears.
        party: PartyId,
        /// Whom.
        by: PartyId,
    },
    /// No longer.
    Unwhisper(PartyId),
    /// It is found out who has answered, from now on.
    Detect(PartyId),
    /// The party's leg goes.
    Drop(PartyId),
}

/// When a swap takes place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At once.
    Immediate,
    /// With the new party's first packet.
    FirstPacket,
    /// When a human is heard.
    Human,
}
