//! Bridge commands as a client sends them.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::address;
use super::codec::CodecSpec;
use super::defaults;
use super::detection::Detect;
use super::dtls::LegDtls;
use super::dtmf::DtmfSend;
use super::ice::LegIce;
use super::latch::{Direction, EgressName, GateSpec, LatchSpec, RelayingName};
use super::recording::{NoFields, RecordStart, RecordStop};
use super::srtp::LegSrtp;
use super::trigger::{KeepOld, Repeat, Trigger};
use crate::interfaces::AddressFamily;

/// One bridge command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Leases ports and creates a leg.
    LegCreate(LegCreate),
    /// Signalling named another remote address.
    LegRemote(LegRemote),
    /// Replaces the codec list.
    LegCodecs(LegCodecs),
    /// Changes the direction.
    LegDirection(LegDirection),
    /// RTCP moves to the RTP port, or back to its own.
    LegRtcpMux(LegRtcpMux),
    /// Changes how the leg learns its source, and whether what the party sends is read.
    LegLatch(LegLatch),
    /// Answers the party's connectivity checks (RFC 8445), or no longer.
    LegIce(LegIce),
    /// The party speaks SRTP (RFC 3711) with these keys, or RTP.
    LegSrtp(LegSrtp),
    /// The party agrees on keys by DTLS (RFC 5764), or no longer.
    LegDtls(LegDtls),
    /// A leg's ports lead to another leg, or no longer.
    LegDoor(LegDoor),
    /// Ends a leg and frees its ports.
    LegDelete(OneParty),
    /// Gives a party another name.
    PartyRename(PartyRename),
    /// Lets a leg learn another source address.
    Relatch(Relatch),
    /// Nobody hears the party.
    Mute(OneParty),
    /// Undoes `mute`.
    Unmute(OneParty),
    /// The party's key presses (RFC 4733) are not relayed.
    DtmfBlock(OneParty),
    /// Undoes `dtmf-block`.
    DtmfUnblock(OneParty),
    /// The party hears key presses (RFC 4733) of the relay's own.
    DtmfSend(DtmfSend),
    /// Ends these.
    DtmfStop(OneParty),
    /// It is found out what the party says, and who has answered.
    Detect(Detect),
    /// It no longer is.
    DetectStop(OneParty),
    /// Whether two parties could be bridged; changes nothing.
    Check(TwoParties),
    /// Each hears the other.
    Bridge(Bridge),
    /// Neither hears the other.
    Unbridge(TwoParties),
    /// `new` takes the place of `old` beside `survivor`.
    Swap(Swap),
    /// The party hears hold audio, its peer silence.
    Hold(Hold),
    /// Puts the bridge back.
    Resume(OneParty),
    /// The party hears a named audio.
    Play(Play),
    /// Puts back what the party heard before.
    Stop(OneParty),
    /// The party hears a country's ringing tone.
    Ringback(Ringback),
    /// The party hears what another one sends, who notices nothing.
    Monitor(Monitor),
    /// Undoes `monitor`.
    Unmonitor(OneParty),
    /// Each of the parties hears all the others.
    Conference(Conference),
    /// The party hears the others of its conference no longer, nor do they hear it.
    Leave(OneParty),
    /// The party hears another one besides what it hears.
    Whisper(Whisper),
    /// Undoes `whisper`.
    Unwhisper(OneParty),
    /// Whoever hears the party hears it louder or softer than it speaks.
    Gain(Gain),
    /// Records the call from now on.
    RecordStart(RecordStart),
    /// Leaves out of the recording what comes from now on.
    RecordPause(NoFields),
    /// Undoes `record-pause`.
    RecordResume(NoFields),
    /// Ends the recording.
    RecordStop(RecordStop),
    /// Undoes an earlier command's cut-over.
    Rollback(Rollback),
}

impl Command {
    /// The name in JSON, logs and metrics.
    #[must_use]
    pub const fn name(&self) -> CommandName {
        match self {
            Self::LegCreate(_) => CommandName::LegCreate,
            Self::LegRemote(_) => CommandName::LegRemote,
            Self::LegCodecs(_) => CommandName::LegCodecs,
            Self::LegDirection(_) => CommandName::LegDirection,
            Self::LegRtcpMux(_) => CommandName::LegRtcpMux,
            Self::LegLatch(_) => CommandName::LegLatch,
            Self::LegIce(_) => CommandName::LegIce,
            Self::LegSrtp(_) => CommandName::LegSrtp,
            Self::LegDtls(_) => CommandName::LegDtls,
            Self::LegDoor(_) => CommandName::LegDoor,
            Self::LegDelete(_) => CommandName::LegDelete,
            Self::PartyRename(_) => CommandName::PartyRename,
            Self::Relatch(_) => CommandName::Relatch,
            Self::Mute(_) => CommandName::Mute,
            Self::Unmute(_) => CommandName::Unmute,
            Self::DtmfBlock(_) => CommandName::DtmfBlock,
            Self::DtmfUnblock(_) => CommandName::DtmfUnblock,
            Self::DtmfSend(_) => CommandName::DtmfSend,
            Self::DtmfStop(_) => CommandName::DtmfStop,
            Self::Detect(_) => CommandName::Detect,
            Self::DetectStop(_) => CommandName::DetectStop,
            Self::Check(_) => CommandName::Check,
            Self::Bridge(_) => CommandName::Bridge,
            Self::Unbridge(_) => CommandName::Unbridge,
            Self::Swap(_) => CommandName::Swap,
            Self::Hold(_) => CommandName::Hold,
            Self::Resume(_) => CommandName::Resume,
            Self::Play(_) => CommandName::Play,
            Self::Stop(_) => CommandName::Stop,
            Self::Ringback(_) => CommandName::Ringback,
            Self::Monitor(_) => CommandName::Monitor,
            Self::Unmonitor(_) => CommandName::Unmonitor,
            Self::Conference(_) => CommandName::Conference,
            Self::Leave(_) => CommandName::Leave,
            Self::Whisper(_) => CommandName::Whisper,
            Self::Unwhisper(_) => CommandName::Unwhisper,
            Self::Gain(_) => CommandName::Gain,
            Self::RecordStart(_) => CommandName::RecordStart,
            Self::RecordPause(_) => CommandName::RecordPause,
            Self::RecordResume(_) => CommandName::RecordResume,
            Self::RecordStop(_) => CommandName::RecordStop,
            Self::Rollback(_) => CommandName::Rollback,
        }
    }
}

/// The names of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is described at the variant of `Command` that has its name")]
pub enum CommandName {
    LegCreate,
    LegRemote,
    LegCodecs,
    LegDirection,
    LegRtcpMux,
    LegLatch,
    LegIce,
    LegSrtp,
    LegDtls,
    LegDoor,
    LegDelete,
    PartyRename,
    Relatch,
    Mute,
    Unmute,
    DtmfBlock,
    DtmfUnblock,
    DtmfSend,
    DtmfStop,
    Detect,
    DetectStop,
    Check,
    Bridge,
    Unbridge,
    Swap,
    Hold,
    Resume,
    Play,
    Stop,
    Ringback,
    Monitor,
    Unmonitor,
    Conference,
    Leave,
    Whisper,
    Unwhisper,
    Gain,
    RecordStart,
    RecordPause,
    RecordResume,
    RecordStop,
    Rollback,
}

impl CommandName {
    /// The name in JSON, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LegCreate => "leg-create",
            Self::LegRemote => "leg-remote",
            Self::LegCodecs => "leg-codecs",
            Self::LegDirection => "leg-direction",
            Self::LegRtcpMux => "leg-rtcp-mux",
            Self::LegLatch => "leg-latch",
            Self::LegIce => "leg-ice",
            Self::LegSrtp => "leg-srtp",
            Self::LegDtls => "leg-dtls",
            Self::LegDoor => "leg-door",
            Self::LegDelete => "leg-delete",
            Self::PartyRename => "party-rename",
            Self::Relatch => "relatch",
            Self::Mute => "mute",
            Self::Unmute => "unmute",
            Self::DtmfBlock => "dtmf-block",
            Self::DtmfUnblock => "dtmf-unblock",
            Self::DtmfSend => "dtmf-send",
            Self::DtmfStop => "dtmf-stop",
            Self::Detect => "detect",
            Self::DetectStop => "detect-stop",
            Self::Check => "check",
            Self::Bridge => "bridge",
            Self::Unbridge => "unbridge",
            Self::Swap => "swap",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::Play => "play",
            Self::Stop => "stop",
            Self::Ringback => "ringback",
            Self::Monitor => "monitor",
            Self::Unmonitor => "unmonitor",
            Self::Conference => "conference",
            Self::Leave => "leave",
            Self::Whisper => "whisper",
            Self::Unwhisper => "unwhisper",
            Self::Gain => "gain",
            Self::RecordStart => "record-start",
            Self::RecordPause => "record-pause",
            Self::RecordResume => "record-resume",
            Self::RecordStop => "record-stop",
            Self::Rollback => "rollback",
        }
    }
}

/// Fields of `leg-create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegCreate {
    /// The new party, or another media of one: `agent`, `agent/1`.
    pub party: String,
    /// The codec list; empty: every payload type passes unchanged.
    pub codecs: Vec<CodecSpec>,
    /// Where signalling says the party receives RTP.
    #[serde(default, deserialize_with = "address::optional", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "192.0.2.7:4000")]
    pub remote: Option<SocketAddr>,
    /// Where it receives RTCP; absent: the port after `remote`'s, or `remote` where RTCP is muxed.
    #[serde(default, deserialize_with = "address::optional", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "192.0.2.7:4001")]
    pub remote_rtcp: Option<SocketAddr>,
    /// RTCP on the RTP port (RFC 5761).
    #[serde(default = "defaults::yes")]
    pub rtcp_mux: bool,
    /// The interface to receive on; absent: the first that has an address of the family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The family of the address to receive on; absent: that of `remote`, or any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_family: Option<AddressFamily>,
    /// Seen from the party.
    #[serde(default)]
    pub direction: Direction,
    /// How its source address is learned.
    #[serde(default)]
    pub latch: LatchSpec,
    /// Whether what the party sends is read.
    #[serde(default)]
    pub relaying: RelayingName,
    /// Differentiated services code point of what is sent to the party; absent: as the server is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 63)]
    pub dscp: Option<u8>,
    /// How the stream towards the party goes on over a cut-over; absent: as the server is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressName>,
    /// Say `media-timeout` after this long without a packet; 0: never; absent: as the server is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_timeout_ms: Option<u32>,
}

/// Fields of `leg-remote`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegRemote {
    /// The party.
    pub party: String,
    /// Where it receives RTP.
    #[serde(deserialize_with = "address::required")]
    #[schema(value_type = String, example = "192.0.2.7:4000")]
    pub remote: SocketAddr,
    /// Where it receives RTCP; absent: the port after `remote`'s, or `remote` where RTCP is muxed.
    #[serde(default, deserialize_with = "address::optional", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "192.0.2.7:4001")]
    pub remote_rtcp: Option<SocketAddr>,
}

/// Fields of `leg-codecs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegCodecs {
    /// The party.
    pub party: String,
    /// The whole list.
    pub codecs: Vec<CodecSpec>,
}

/// Fields of `leg-direction`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegDirection {
    /// The party.
    pub party: String,
    /// Seen from the party.
    pub direction: Direction,
}

/// Fields of `leg-rtcp-mux`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegRtcpMux {
    /// The party.
    pub party: String,
    /// Whether RTCP travels on the RTP port. A leg that was created without a port for RTCP cannot do otherwise.
    pub rtcp_mux: bool,
}

/// Fields of `leg-latch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegLatch {
    /// The party.
    pub party: String,
    /// How its source address is learned from now on; what is absent is as the server is configured.
    #[serde(default)]
    pub latch: LatchSpec,
    /// Whether what the party sends is read from now on.
    #[serde(default)]
    pub relaying: RelayingName,
}

/// Fields of `leg-door`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegDoor {
    /// The party.
    pub party: String,
    /// The party that whatever arrives at its ports is taken to come from; absent: it is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

/// Fields of `party-rename`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartyRename {
    /// The party with all its media, by its present name.
    pub party: String,
    /// Its name from now on.
    pub name: String,
}

/// Fields of `relatch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Relatch {
    /// The party.
    pub party: String,
    /// What a new source must prove first.
    pub gate: GateSpec,
}

/// Fields of commands about one party.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OneParty {
    /// The party.
    pub party: String,
}

/// Fields of commands about two parties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TwoParties {
    /// One party.
    pub a: String,
    /// The other.
    pub b: String,
}

/// Fields of `bridge`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// One party.
    pub a: String,
    /// The other.
    pub b: String,
    /// When; absent: now. `on-first-packet` waits for `b`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
}

/// Fields of `swap`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// The party that stays.
    pub survivor: String,
    /// Its peer so far.
    pub old: String,
    /// Its peer from now on.
    pub new: String,
    /// When; absent: on the first packet of `new`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// What becomes of `old`.
    #[serde(default)]
    pub keep_old: KeepOld,
}

/// Fields of `hold`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// The party.
    pub party: String,
    /// A named audio, or several, one after the other; absent: the server's hold audio, or silence where it cannot be encoded for the
    /// party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<OneOrMore>,
}

/// Fields of `play`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Play {
    /// The party.
    pub party: String,
    /// A named audio, or several, one after the other without a gap.
    pub audio: OneOrMore,
    /// How often, all of it; absent: once.
    #[serde(default = "once")]
    pub repeat: Repeat,
    /// It follows what is being played, without a gap, instead of taking its place. If nothing is, it begins at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub queue: bool,
    /// What the party may do to end it, and all that it follows or is to follow it; absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barge_in: Option<BargeIn>,
    /// Over what the party hears, which goes on, and not in its place.
    #[serde(default, skip_serializing_if = "is_false")]
    pub overlay: bool,
    /// With `overlay`: how much louder the audio is heard, in dB, -60 to 24.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schema(minimum = -60, maximum = 24)]
    pub gain_db: i8,
    /// With `overlay`: how much louder whatever else the party hears is heard meanwhile, in dB: -60 to 0, which is softer.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schema(minimum = -60, maximum = 0)]
    pub duck_db: i8,
}

impl Play {
    /// One audio in the place of what the party hears.
    pub(crate) const fn covering(party: String, audio: String, repeat: Repeat) -> Self {
        let audio = OneOrMore::One(audio);
        Self { party, audio, repeat, queue: false, barge_in: None, overlay: false, gain_db: 0, duck_db: 0 }
    }
}

/// What of a party ends what is played to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BargeIn {
    /// A key that it has pressed, as an event (RFC 4733) or as tones.
    Key,
    /// That it begins to speak.
    Speech,
    /// Either.
    Any,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(value: &i8) -> bool {
    *value == 0
}

const fn once() -> Repeat {
    Repeat::Times(1)
}

/// Fields of `ringback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ringback {
    /// The party.
    pub party: String,
    /// Whose ringing tone: `us`, `uk`, `de`, `fr`, or another country whose tones are known.
    #[schema(example = "us")]
    pub country: String,
}

/// Fields of `monitor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// The party that listens.
    pub party: String,
    /// The party whose media it hears, or several of them mixed.
    pub of: OneOrMore,
}

/// A name of a party or of audio, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum OneOrMore {
    /// One.
    One(String),
    /// One or more.
    More(Vec<String>),
}

impl OneOrMore {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => core::slice::from_ref(name),
            Self::More(names) => names,
        }
    }
}

/// Fields of `conference`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Conference {
    /// Two at least. Whoever was in a conference with one of them and is not named here stays in that one.
    pub parties: Vec<String>,
}

/// Fields of `whisper`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Whisper {
    /// The party that hears it.
    pub party: String,
    /// The party that whispers. What it hears does not change.
    pub by: String,
    /// How much louder it is heard than it speaks, in dB, -60 to 24; its own gain comes on top of that.
    #[serde(default)]
    #[schema(minimum = -60, maximum = 24)]
    pub gain_db: i8,
}

/// Fields of `gain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// The party that is heard.
    pub party: String,
    /// How much louder it is heard than it speaks, in dB, -60 to 24; 0: as loud as it speaks.
    #[schema(minimum = -60, maximum = 24)]
    pub gain_db: i8,
}

/// Fields of `rollback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The id of the request whose cut-overs are undone, the last first.
    pub of: String,
}
