//! What the engine can be told to do.
//!
//! Commands come in batches ([`crate::Shard::apply`]): a batch is applied as a whole between two batches of packets, or
//! refused as a whole with the [`Refusal`] of the first command that cannot be done.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use patchcord_srtp::{KeyError, MasterKey, Mki, Protections, SessionKeys};
use thiserror::Error;

use crate::ids::{AssociationId, CutOverId, LegId};
use crate::media::{Codec, Direction, Frames, Repeat};
use crate::overhearing::{Ears, Listening};
use crate::scope::AddressScope;
use crate::time::MonoTime;

/// The most legs one [`CutOver`] may feed anew: an attended transfer splices two pairs, and each pair may leave one
/// party on hold.
pub const CUT_OVER_CHANGES_MAX: usize = 8;
/// The most legs that one [`Source::Mix`] is made of.
pub const MIX_TALKERS_MAX: usize = 16;
/// What a [`Talker`] may be made louder or softer by, in dB.
pub const GAIN_DB: core::ops::RangeInclusive<i8> = -60..=24;
/// The fewest characters of an ICE user name fragment (RFC 8839 5.4).
pub const ICE_UFRAG_LEN_MIN: usize = 4;
/// The fewest characters of an ICE password.
pub const ICE_PWD_LEN_MIN: usize = 22;
/// The most characters of both.
pub const ICE_TEXT_LEN_MAX: usize = 256;

/// One command to a shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Creates a leg.
    AddLeg(Box<LegSpec>),
    /// Deletes a leg and frees its ports. Legs that it fed fall silent. A pending cut-over that waits for it, or was to make
    /// it heard, is cancelled; from others it is left out.
    RemoveLeg {
        /// The leg.
        leg: LegId,
    },
    /// Signalling named another remote address. The latch follows at once.
    SetRemote {
        /// The leg.
        leg: LegId,
        /// Where the party receives RTP, and where its packets are expected from.
        rtp: SocketAddr,
        /// Where it receives RTCP; `None`: the port after `rtp`'s, or `rtp` itself where RTCP is muxed.
        rtcp: Option<SocketAddr>,
    },
    /// Replaces the leg's codec list. A payload type must not change its meaning.
    SetCodecs {
        /// The leg.
        leg: LegId,
        /// The whole list.
        codecs: Vec<Codec>,
    },
    /// Changes the direction.
    SetDirection {
        /// The leg.
        leg: LegId,
        /// The direction, from the party's point of view.
        direction: Direction,
    },
    /// The parties agreed on RTCP on the RTP port, or on ports of their own (RFC 5761 5.1.1). A leg with an RTCP port keeps
    /// it open either way; one without has RTCP muxed for life.
    SetRtcpMux {
        /// The leg.
        leg: LegId,
        /// On or off.
        muxed: bool,
    },
    /// Changes how the leg learns and guards its source. What it has learned stays, unless the mode is
    /// [`LatchMode::Off`] and it is not the signalled address.
    SetLatch {
        /// The leg.
        leg: LegId,
        /// The policy from now on.
        policy: LatchPolicy,
    },
    /// What the party sends is read, or relayed unread, from now on.
    SetRelaying {
        /// The leg.
        leg: LegId,
        /// How.
        relaying: Relaying,
    },
    /// The party's connectivity checks (RFC 8445 7.3) are answered with these credentials from now on, as a lite agent
    /// does; `None`: no longer, and the source is what signalling and the latch say. Other credentials than before are an ICE
    /// restart: what was nominated stays in force until the party nominates anew.
    SetIce {
        /// The leg.
        leg: LegId,
        /// What both sides know.
        ice: Option<IceCredentials>,
    },
    /// What the party sends and is sent is SRTP (RFC 3711) from now on, under these keys; `None`: it is RTP. A leg whose keys are
    /// not known yet passes nothing, neither from its party nor to it.
    ///
    /// Other keys than before are a re-keying: roll-over counters go on, and the party's former key is accepted until something has
    /// come under the new one.
    SetSrtp {
        /// The leg.
        leg: LegId,
        /// The keys of both directions.
        srtp: Option<Box<SrtpKeys>>,
    },
    /// The party's datagrams of DTLS (RFC 5764) belong to this association from now on, and are handed out
    /// ([`crate::Outputs::handshakes`]) if they come from where the party can be; `None`: they belong to none, and are dropped. The
    /// leg's keys stay as they are.
    SetDtls {
        /// The leg.
        leg: LegId,
        /// Chosen by whoever does the handshake.
        association: Option<AssociationId>,
    },
    /// Sends the party a datagram of DTLS. Refused if the leg has another association by now.
    SendDtls {
        /// The leg.
        leg: LegId,
        /// On whose behalf.
        association: AssociationId,
        /// Where to; `None`: where its media goes. While that is not known the datagram is lost.
        to: Option<SocketAddr>,
        /// UDP payload.
        datagram: Box<[u8]>,
    },
    /// An association has come to keys, or to its end: as [`Command::SetSrtp`], but refused if the leg has another association by now.
    SetDtlsKeys {
        /// The leg.
        leg: LegId,
        /// Whose keys they are.
        association: AssociationId,
        /// The keys of both directions.
        keys: Box<SrtpKeys>,
        /// Where its peer has proved to be: media goes there while nothing better is known.
        peer: Option<SocketAddr>,
    },
    /// Whoever drives the shard is to copy out what comes to the leg's ports and leaves from them. The engine sees to it that all
    /// of it passes there: no flow of the leg is given to an offload meanwhile.
    SetTapped {
        /// The leg.
        leg: LegId,
        /// On or off.
        tapped: bool,
    },
    /// Who beside its listeners hears what the party sends from now on ([`crate::HandOut::Heard`]), decrypted, while it is not muted. No
    /// flow of the leg is given to an offload meanwhile. What is relayed unread, nobody overhears.
    SetOverheard {
        /// The leg.
        leg: LegId,
        /// Who; [`Ears::mixer`] is for the engine to say.
        by: Ears,
        /// How its detector listens from now on; `None`: as before.
        listening: Option<Listening>,
    },
    /// What arrives at the leg's ports is taken as if it had arrived at those of another leg, whose latch judges it and whose
    /// listeners hear it: a port that a party was told before, and goes on using for a while. Nobody hears the leg itself
    /// meanwhile. Refused if the other leg is such a door.
    SetDoor {
        /// The leg.
        leg: LegId,
        /// The leg that it leads to; `None`: its ports are its own again.
        into: Option<LegId>,
    },
    /// While muted, nobody hears the leg; the leg itself goes on hearing.
    SetMuted {
        /// The leg.
        leg: LegId,
        /// On or off.
        muted: bool,
    },
    /// Telephone-events (RFC 4733) that the party sends are not relayed; everything else is.
    BlockDtmf {
        /// The leg.
        leg: LegId,
        /// On or off.
        blocked: bool,
    },
    /// Sends the party key presses: telephone-events (RFC 4733) or tones (ITU-T Q.23) in the stream that it receives, one after the
    /// other, behind those that it is being sent already. While a key is down what the source sends is dropped
    /// ([`crate::verdict::DropReason::ReplacedByDtmf`]). They stay when the source is replaced; the key that is down then comes up
    /// first.
    SendDtmf {
        /// The leg that will hear them.
        leg: LegId,
        /// In this order.
        steps: Vec<DtmfStep>,
    },
    /// The key that the party is being sent comes up, and those behind it are not sent.
    StopDtmf {
        /// The leg.
        leg: LegId,
    },
    /// Allows the leg to learn another source address.
    Relatch {
        /// The leg.
        leg: LegId,
        /// What a new source must prove first.
        gate: RelatchGate,
    },
    /// Plays something more where a player with an end plays: it follows without a gap when all before it has been played. Nothing can
    /// follow what repeats for ever. Another source in the player's place ends all of it.
    PlayNext {
        /// The leg.
        leg: LegId,
        /// The frames, in a format that the leg's codec list has, on the clock rate of what plays.
        frames: Frames,
        /// How often.
        repeat: Repeat,
    },
    /// What plays to the leg, and what was to follow it, is over, as if it had been played to its end.
    EndPlay {
        /// The leg.
        leg: LegId,
    },
    /// Changes sources: the one command behind bridge, swap, hold, play and the rest.
    CutOver(CutOver),
    /// Does a cut-over that waits for this ([`Trigger::OnCommand`]).
    Fire {
        /// The cut-over.
        id: CutOverId,
    },
    /// Undoes a cut-over: a pending one is cancelled, a done one is answered by an immediate cut-over `by` back to the
    /// sources before it. Refused if a later cut-over has touched one of its legs since, or if a source is gone.
    Rollback {
        /// The cut-over to undo.
        id: CutOverId,
        /// The id of the cut-over that undoes it.
        by: CutOverId,
    },
}

/// One step of [`Command::SendDtmf`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DtmfStep {
    /// A key goes down and comes up.
    Key {
        /// As in RFC 4733 3.2: 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for A to D.
        event: u8,
        /// Power as dBm0 with the sign dropped, 0 (loud) to 63.
        volume: u8,
        /// How long it is down; not 0. A tone lasts for whole frames, and is played to its end.
        duration_ms: u16,
        /// How long at least until the next one goes down.
        pause_ms: u16,
        /// How the party is told.
        how: DtmfHow,
    },
    /// Nothing, for so long.
    Pause {
        /// Milliseconds.
        ms: u16,
    },
}

/// The most [`Command::PlayNext`] that can wait for one leg.
pub const PLAY_NEXT_MAX: usize = 64;

/// How a party is told of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DtmfHow {
    /// By a telephone-event (RFC 4733).
    Event,
    /// By the tone of the key (ITU-T Q.23): these frames in the place of the audio, which begin anew if the key is down for longer.
    Tone(Frames),
    /// By a telephone-event if the party has that beside its audio when the key goes down, else by the tone.
    EventOrTone(Frames),
}

impl DtmfHow {
    /// The frames of the tone, where it can be one.
    #[must_use]
    pub const fn tone(&self) -> Option<&Frames> {
        match self {
            Self::Event => None,
            Self::Tone(frames) | Self::EventOrTone(frames) => Some(frames),
        }
    }
}

/// The most steps of [`Command::SendDtmf`] that can wait for one leg.
pub const DTMF_STEPS_MAX: usize = 256;

/// A leg to be created.
#[derive(Clone, Debug, PartialEq)]
pub struct LegSpec {
    /// Its name from now on.
    pub id: LegId,
    /// Local address of the RTP port.
    pub local_rtp: SocketAddr,
    /// Local address of the RTCP port; `None` where RTCP is muxed with RTP (RFC 5761).
    pub local_rtcp: Option<SocketAddr>,
    /// Where signalling says the party receives RTP.
    pub remote_rtp: Option<SocketAddr>,
    /// Where it receives RTCP; `None`: see [`Command::SetRemote`].
    pub remote_rtcp: Option<SocketAddr>,
    /// Codecs; an empty list lets every payload type pass unchanged.
    pub codecs: Vec<Codec>,
    /// From the party's point of view.
    pub direction: Direction,
    /// How the source address is learned and guarded.
    pub latch: LatchPolicy,
    /// How the stream towards the party continues over a cut-over.
    pub egress_mode: EgressMode,
    /// [`crate::event::Event::MediaTimeout`] after this long without a packet; `None`: never.
    pub media_timeout: Option<Duration>,
    /// Whether what the party sends is read.
    pub relaying: Relaying,
    /// Differentiated services code point of what is sent to the party (RFC 2474); `None`: as the backend is configured.
    pub dscp: Option<u8>,
}

/// How what a party sends is relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relaying {
    /// As RTP and RTCP: numbered anew after a cut-over, with reports of our own.
    #[default]
    Rtp,
    /// Unread: SRTP with the parties' own keys, T.38, anything over UDP. What does not look like RTP passes too.
    Opaque,
}

/// The keys of a leg (RFC 3711 3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SrtpKeys {
    /// Of what the party sends; `None` while it is not known, and then nothing of it is accepted.
    pub receive: Option<SrtpKey>,
    /// Of what it is sent; `None` while it is not known, and then it is sent nothing.
    pub send: Option<SrtpKey>,
    /// These are keys of a new association (RFC 5764 3): roll-over counters begin at zero with them.
    pub restart: bool,
}

/// The key of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpKey {
    /// Suite, key and salt.
    pub master: MasterKey,
    /// Its name in packets, if it has one.
    pub mki: Option<Mki>,
    /// Which protections are in force.
    pub protections: Protections,
}

impl SrtpKey {
    /// A key without a name, with every protection in force.
    #[must_use]
    pub const fn new(master: MasterKey) -> Self {
        Self { master, mki: None, protections: Protections::ALL }
    }

    /// # Errors
    /// Suite and protections do not go together.
    pub(crate) fn check(&self, leg: LegId) -> Result<(), Refusal> {
        let fits = self.protections.must_go_with(self.master.suite());
        fits.map_err(|error| Refusal::BadSrtp { leg, reason: error.to_string() })
    }

    /// # Errors
    /// Suite and protections do not go together.
    pub(crate) fn derive(&self) -> Result<SessionKeys, KeyError> {
        SessionKeys::derive(&self.master, self.mki.clone(), self.protections)
    }
}

/// By what an agent and its peer recognise each other's checks (RFC 8445 5.3).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// Our user name fragment: 4 to 256 letters, digits, `+` and `/` (RFC 8839 5.4).
    pub local_ufrag: String,
    /// Our password: 22 to 256 of them. Whoever has it is believed to be the party.
    pub local_pwd: String,
    /// The party's user name fragment; `None` while it is not known, and then not looked at. Its password is needed by who
    /// sends checks, which a lite agent does not.
    pub remote_ufrag: Option<String>,
}

impl IceCredentials {
    /// Whether a party can be called so. Parties are forgiven names that RFC 8839 5.4 has too short or not of its letters.
    #[must_use]
    pub fn is_remote_ufrag(text: &str) -> bool {
        (1..=ICE_TEXT_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// What is wrong with them, if anything is.
    fn fault(&self) -> Option<String> {
        const MAX: usize = ICE_TEXT_LEN_MAX;
        let is_ice = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte));
        for (what, text, min) in [
            ("user name fragment", &self.local_ufrag, ICE_UFRAG_LEN_MIN),
            ("password", &self.local_pwd, ICE_PWD_LEN_MIN),
        ] {
            if !(min..=MAX).contains(&text.len()) || !is_ice(text) {
                return Some(format!("our ICE {what} must be {min} to {MAX} letters, digits, + and /"));
            }
        }
        let remote = self.remote_ufrag.as_deref()?;
        let what = "the party's ICE user name fragment";
        (!Self::is_remote_ufrag(remote))
            .then(|| format!("{what} must be 1 to {MAX} characters of ASCII without blanks"))
    }

    /// # Errors
    /// They are not what RFC 8839 5.4 allows.
    pub(crate) fn check(&self, leg: LegId) -> Result<(), Refusal> {
        self.fault().map_or(Ok(()), |reason| Err(Refusal::BadIce { leg, reason }))
    }
}

/// Without the password.
impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { local_ufrag, local_pwd: _, remote_ufrag } = self;
        let mut shown = f.debug_struct("IceCredentials");
        shown.field("local_ufrag", local_ufrag).field("remote_ufrag", remote_ufrag).finish_non_exhaustive()
    }
}

/// How a leg finds out where its party sends from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatchPolicy {
    /// What may be learned.
    pub mode: LatchMode,
    /// Drop whatever does not come from the latched source. Off means that anybody who knows the port can inject media.
    pub strict: bool,
    /// How long a provisional source can still be outranked.
    pub window_ms: u32,
    /// Follow a new source at any time: a telephone that moves from one network to another. Whoever knows the port can take
    /// the stream over.
    pub handover: bool,
    /// Learn for receiving only: send to the signalled address all the same.
    pub asymmetric: bool,
    /// Which hosts may be learned at all.
    pub learn_from: LearnFrom,
}

impl Default for LatchPolicy {
    fn default() -> Self {
        Self {
            mode: LatchMode::Heuristic,
            strict: true,
            window_ms: 3000,
            handover: false,
            asymmetric: false,
            learn_from: LearnFrom::Anywhere,
        }
    }
}

/// Which hosts a leg may learn its source from, within what its [`LatchMode`] allows. A leg of which signalling has said
/// nothing has only its mode to go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LearnFrom {
    /// Any: whoever is faster than the party is relayed until the party's first packet.
    #[default]
    Anywhere,
    /// The hosts at which the party can be, so that nobody else is relayed even before its first packet: the signalled one, and
    /// where the party is behind a NAT, what that NAT can make of it.
    Party {
        /// How far the address reaches that the party sends to. A signalled address of smaller scope is behind a NAT.
        vantage: AddressScope,
        /// Where the party's signalling came from. The NAT that its signalling passed is the one that its media pass; where this is
        /// not known, media from behind a NAT may come from anywhere.
        received_from: Option<IpAddr>,
    },
}

/// What may be learned about the source address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LatchMode {
    /// Nothing: only the signalled address and port are accepted.
    Off,
    /// The port: packets must come from the signalled IP address.
    Signalled,
    /// Each new source is followed within the window, and the one at its end is taken; a packet from the signalled address
    /// wins and ends the learning.
    Delayed,
    /// The first source is taken; a packet from the signalled address within the window still wins.
    FirstPacket,
    /// The best source within the window: signalled address and port, then same IP, then same port, then any. The
    /// signalled address and port end the learning at once.
    #[default]
    Heuristic,
}

/// What a new source must prove before a leg follows it after [`Command::Relatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelatchGate {
    /// It sends from the signalled address.
    Signalled,
    /// It sends this many RTP packets in sequence under one SSRC, while the old source is silent.
    Packets(u8),
    /// It sends a packet that authenticates (RFC 3711 4.2). For legs with SRTP alone.
    Authentication,
}

/// How a leg's egress goes on when its source changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EgressMode {
    /// One SSRC for life; sequence and timestamp continue.
    #[default]
    Continuity,
    /// A fresh SSRC at each cut-over, RTCP BYE for the old one.
    NewSsrc,
    /// Packets pass untouched.
    Transparent,
}

/// A change of sources, done in one step.
#[derive(Clone, Debug, PartialEq)]
pub struct CutOver {
    /// Its name; receipts and [`Command::Rollback`] refer to it.
    pub id: CutOverId,
    /// At most [`CUT_OVER_CHANGES_MAX`]; each sink at most once.
    pub changes: Vec<SourceChange>,
    /// When it happens. Until then the present sources go on.
    pub trigger: Trigger,
}

/// One leg's new source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceChange {
    /// The leg that will hear it.
    pub sink: LegId,
    /// What it will hear.
    pub source: Source,
}

/// What feeds a leg's egress. Exactly one at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// Nothing is sent.
    Silence,
    /// What another leg (or the leg itself: an echo) receives.
    Leg(LegId),
    /// What several legs receive, added up: at most [`MIX_TALKERS_MAX`], each once. It is made by whoever has the codecs
    /// ([`crate::HandOut::Mix`]), and refused where nobody has.
    Mix(Vec<Talker>),
    /// What several legs receive, or one or none, with a prompt over it. Made as [`Source::Mix`]; when the prompt is through it goes on
    /// without.
    Overlay(Box<Overlay>),
    /// Audio encoded ahead of time.
    Player {
        /// The frames, in a format that the sink's codec list has.
        frames: Frames,
        /// How often.
        repeat: Repeat,
    },
}

/// One leg of a [`Source::Mix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Talker {
    /// The leg.
    pub leg: LegId,
    /// How much louder it is heard than it speaks, in dB; within [`GAIN_DB`].
    pub gain_db: i8,
}

/// See [`Source::Overlay`].
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    /// Whom the leg hears besides: at most [`MIX_TALKERS_MAX`], each once.
    pub talkers: Vec<Talker>,
    /// Audio without an end that is heard besides, as hold audio is. Where the leg hears these frames already, be it by a player, they
    /// go on from where they are.
    pub under: Option<Under>,
    /// What is played over all of it.
    pub prompt: Prompt,
}

/// Audio that a prompt is played over.
#[derive(Clone, Debug, PartialEq)]
pub struct Under {
    /// The frames, as those of a [`Prompt`].
    pub frames: Frames,
    /// How much louder it is heard, in dB; within [`GAIN_DB`].
    pub gain_db: i8,
}

/// Audio encoded ahead of time that is played over what a leg hears.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// One of the same id that the leg hears already goes on where it is, instead of beginning anew.
    pub id: u32,
    /// The frames, in a format that whoever mixes can decode; the sink need not have it.
    pub frames: Frames,
    /// How often.
    pub repeat: Repeat,
    /// How much louder it is heard, in dB; within [`GAIN_DB`].
    pub gain_db: i8,
}

impl Source {
    /// Whether what the leg receives is heard, be it with others.
    #[must_use]
    pub fn has(&self, leg: LegId) -> bool {
        match self {
            Self::Silence | Self::Player { .. } => false,
            Self::Leg(source) => *source == leg,
            Self::Mix(talkers) => has(talkers, leg),
            Self::Overlay(overlay) => has(&overlay.talkers, leg),
        }
    }

    /// Whether nothing of it is left when legs go away.
    pub(crate) fn is_void_without(&self, gone: impl Fn(LegId) -> bool) -> bool {
        match self {
            Self::Silence | Self::Overlay(_) | Self::Player { .. } => false,
            Self::Leg(source) => gone(*source),
            Self::Mix(talkers) => talkers.iter().all(|talker| gone(talker.leg)),
        }
    }
}

fn has(talkers: &[Talker], leg: LegId) -> bool {
    talkers.iter().any(|talker| talker.leg == leg)
}

/// What makes a cut-over happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Now.
    Immediate,
    /// The first packet of `leg` that can be relayed. That packet is the first of the new source.
    OnFirstPacket {
        /// The leg to wait for; it must be the source of one of the changes.
        leg: LegId,
    },
    /// At this time.
    At(MonoTime),
    /// [`Command::Fire`].
    OnCommand,
    /// When the player that feeds `leg`, or the prompt over what it hears, has finished; refused if none with an end is playing there.
    AfterPrompt {
        /// The leg that hears the prompt.
        leg: LegId,
    },
}

/// Why a batch was refused. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The shard has no free slot.
    #[error("no room for another leg: all {capacity} of this worker are in use; delete calls or raise `legs_max`")]
    ShardFull {
        /// The fixed number of legs.
        capacity: u32,
    },
    /// No leg has this id (any more).
    #[error("{0} does not exist")]
    UnknownLeg(LegId),
    /// A leg has this id already.
    #[error("{0} exists already")]
    DuplicateLeg(LegId),
    /// No cut-over has this id, or it is no longer the latest of its legs.
    #[error("{0} cannot be rolled back: it is unknown, or a later cut-over has replaced it")]
    NotTheLatest(CutOverId),
    /// No cut-over of this id waits for a command.
    #[error("{0} does not wait for a command (any more)")]
    NotWaiting(CutOverId),
    /// A cut-over has this id already.
    #[error("{0} exists already")]
    DuplicateCutOver(CutOverId),
    /// The leg waits for another triggered cut-over.
    #[error("{leg} already waits for {pending}: roll that back first")]
    Pending {
        /// The sink that two cut-overs want.
        leg: LegId,
        /// The one that waits.
        pending: CutOverId,
    },
    /// A door must lead to a leg that is heard.
    #[error("{leg} cannot be a door into {into}, which is one itself or is the same leg")]
    BadDoor {
        /// The leg that was to be a door.
        leg: LegId,
        /// Where it was to lead.
        into: LegId,
    },
    /// A cut-over with no changes, too many, or the same sink twice.
    #[error("a cut-over needs 1 to {CUT_OVER_CHANGES_MAX} changes and each leg at most once as sink: {0}")]
    BadChanges(&'static str),
    /// The trigger waits for something that cannot happen.
    #[error("the trigger can never fire: {0}")]
    BadTrigger(&'static str),
    /// Source and sink have no format in common, or the player's format is not on the sink's list.
    #[error("{sink} cannot hear that source: {reason}")]
    Incompatible {
        /// The leg that would have to hear it.
        sink: LegId,
        /// Which formats met.
        reason: String,
    },
    /// Legs that cannot be mixed for a leg.
    #[error("{sink} cannot hear that mixed: {reason}")]
    BadMix {
        /// The leg that would have to hear it.
        sink: LegId,
        /// What is in the way.
        reason: String,
    },
    /// No player plays there, or none that anything can follow.
    #[error("{leg}: {reason}")]
    NotPlaying {
        /// The leg.
        leg: LegId,
        /// What is in the way.
        reason: &'static str,
    },
    /// The party cannot be sent key presses, or not these.
    #[error("{leg} cannot be sent key presses: {reason}")]
    NoDtmf {
        /// The leg that would have to hear them.
        leg: LegId,
        /// What is in the way.
        reason: String,
    },
    /// A payload type would change its meaning.
    #[error("{leg}: payload type {payload_type} is {was} in this session and cannot become {wanted}")]
    PayloadTypeChanged {
        /// The leg.
        leg: LegId,
        /// The number in question.
        payload_type: u8,
        /// Its format so far.
        was: String,
        /// The format asked for.
        wanted: String,
    },
    /// The two address families of a leg do not match, or an address cannot be a remote.
    #[error("{leg}: {reason}")]
    BadAddress {
        /// The leg.
        leg: LegId,
        /// What is wrong with which address.
        reason: String,
    },
    /// ICE credentials that no SDP could carry.
    #[error("{leg}: {reason}")]
    BadIce {
        /// The leg.
        leg: LegId,
        /// What is wrong with which of them.
        reason: String,
    },
    /// Keys that cannot be used together, or a command that needs SRTP on a leg without it.
    #[error("{leg}: {reason}")]
    BadSrtp {
        /// The leg.
        leg: LegId,
        /// What is wrong.
        reason: String,
    },
    /// The association has ended, or the leg has another one by now.
    #[error("{association} is not that of {leg} (any more)")]
    OtherAssociation {
        /// The leg.
        leg: LegId,
        /// The association that is not its own.
        association: AssociationId,
    },
    /// The backend could not open a port. The engine itself never says this.
    #[error("cannot open {addr}: {reason}")]
    PortUnavailable {
        /// The local address.
        addr: SocketAddr,
        /// The system's words.
        reason: String,
        /// Another socket has the port: trying the next one makes sense.
        busy: bool,
    },
}
