//! The client commands' arguments.

use clap::{Args, Subcommand};

/// Where the relay is.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServerArgs {
    /// The relay's HTTP API.
    #[arg(long, value_name = "URL", env = "PATCHCORD_SERVER", default_value = "http://127.0.0.1:8223")]
    pub(crate) server: String,
    /// The relay's token, where it asks for one.
    #[arg(long, env = "PATCHCORD_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

/// Where the relay is and how to print.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    #[command(flatten)]
    pub(crate) relay: ServerArgs,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A bridge command's call and id.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// The call.
    pub(crate) call: String,
    #[command(flatten)]
    pub(crate) meta: Meta,
}

/// What any bridge command may be given.
#[derive(Args, Clone, Debug)]
pub(crate) struct Meta {
    /// The command's id; a repeat of the same id gives the same answer. Random if absent.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Wait this long for the cut-over's receipts.
    #[arg(long, value_name = "MS")]
    pub(crate) wait_ms: Option<u64>,
    #[command(flatten)]
    pub(crate) to: Connection,
}

/// What is to be dumped, and where to.
#[derive(Args, Clone, Debug)]
pub(crate) struct DumpArgs {
    /// The call.
    pub(crate) call: String,
    /// The file; CALL.pcapng if absent, standard output if `-`.
    pub(crate) file: Option<String>,
    /// End after this many seconds.
    #[arg(long, value_name = "N")]
    pub(crate) seconds: Option<u64>,
    #[command(flatten)]
    pub(crate) relay: ServerArgs,
}

/// A transfer that is to be begun.
#[derive(Args, Clone, Debug)]
pub(crate) struct TransferArgs {
    /// The call, by its Call-ID.
    pub(crate) call: String,
    /// Numbers or URIs, called in turn.
    #[arg(required = true)]
    pub(crate) targets: Vec<String>,
    /// invite, refer or warm.
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// Who is transferred; the caller if absent.
    #[arg(long, value_name = "PARTY")]
    pub(crate) transferee: Option<String>,
    /// Call all targets at the same time.
    #[arg(long)]
    pub(crate) at_once: bool,
    /// Whom targets are shown: transferee, transferor or a URI.
    #[arg(long, value_name = "WHO")]
    pub(crate) show: Option<String>,
    /// A header field of the targets' INVITEs, such as 'X-Case: 7'; repeat for more.
    #[arg(long = "header", value_name = "X-NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// How long each may ring.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ring_timeout_s: Option<u32>,
    /// Connect only once a human was heard, within this time.
    #[arg(long, value_name = "MS")]
    pub(crate) detection_timeout_ms: Option<u32>,
    /// What the transferee hears meanwhile.
    #[arg(long, value_name = "AUDIO")]
    pub(crate) hold_audio: Option<String>,
    /// When no target could be had: resume or hang-up.
    #[arg(long, value_name = "WHAT")]
    pub(crate) on_fail: Option<String>,
    /// A repeat of the same id begins nothing again. Random if absent.
    #[arg(long)]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) to: Connection,
}

/// Transfers of the pivot.
#[derive(Subcommand, Debug)]
pub(crate) enum TransferCommand {
    /// List them, the latest first.
    List {
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        to: Connection,
    },
    /// Show one: how it stands, its receipts, and why it failed if it did.
    Show {
        /// Its name.
        transfer: String,
        /// Write its evidence here instead, a tar: record, SIP trace, media, pcapng; - is standard output.
        #[arg(long, value_name = "FILE")]
        bundle: Option<String>,
        #[command(flatten)]
        to: Connection,
    },
    /// Let a stored one happen again: play its peers against a pivot, and say whether that does what it did.
    Replay(ReplayTransferArgs),
    /// Take one back that is not complete.
    Cancel {
        /// Its name.
        transfer: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Of a warm one: the transferor leaves the two others to each other.
    Complete {
        /// Its name.
        transfer: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Of a warm one: all three hear each other.
    Conference {
        /// Its name.
        transfer: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Of a warm one: transferee and target talk, and the target alone hears the transferor.
    Whisper {
        /// Its name.
        transfer: String,
        /// Back to the consultation.
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        to: Connection,
    },
}

/// `transfers replay`
///
/// Exit codes: 0 as recorded, 1 not so, 2 it cannot be played.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReplayTransferArgs {
    /// The bundle: what `patchcord transfers show ID --bundle FILE` or `pivot.evidence_directory` has written.
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: std::path::PathBuf,
    /// A pivot that runs, by UDP, with its API at --server; without it one is started and set up like the recorded one.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) against: Option<std::net::SocketAddr>,
    /// Where a peer of the recording is played, by its address there: 203.0.113.5:5060=127.0.0.2:5060. On a free port of 127.0.0.11 and
    /// so on if absent; repeat for more.
    #[arg(long = "peer", value_name = "RECORDED=IP:PORT")]
    pub(crate) peers: Vec<String>,
    /// What the peers' names for dialogs are made from. Random if absent, and printed.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Pauses between messages are so many times as short.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) speed: f64,
    /// As fast as the order of the recording allows; the same as --speed 0.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) to: Connection,
}

/// Records of the pivot's calls.
#[derive(Subcommand, Debug)]
pub(crate) enum RecordsCommand {
    /// List calls that were answered or are over, the latest first.
    List {
        /// Of this Call-ID alone.
        #[arg(long)]
        call: Option<String>,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        to: Connection,
    },
    /// Show a call with its transfers and what they are billed as.
    Show {
        /// The record's id.
        record: String,
        #[command(flatten)]
        to: Connection,
    },
}

/// Commands to a running relay.
#[derive(Subcommand, Debug)]
pub(crate) enum ClientCommand {
    /// List the calls.
    Calls {
        #[command(flatten)]
        to: Connection,
    },
    /// Show a call: legs, bridges, cut-overs.
    Show {
        /// The call.
        call: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Transfer a call of the pivot.
    Transfer(TransferArgs),
    /// Transfers of the pivot.
    #[command(subcommand)]
    Transfers(TransferCommand),
    /// Records of the pivot's calls and transfers, those of former processes too.
    #[command(subcommand)]
    Records(RecordsCommand),
    /// Say why a call's media flows as it does, or why it does not.
    Explain {
        /// The call.
        call: String,
        #[command(flatten)]
        to: Connection,
    },
    /// Write a call's packets, as they are on the wire, into a file of pcapng: at every speed, also at those that no tcpdump sees.
    Dump(DumpArgs),
    /// List the workers.
    Workers {
        #[command(flatten)]
        to: Connection,
    },
    /// The audio that can be played.
    #[command(subcommand)]
    Audio(AudioCommand),
    /// Follow the events, one line each.
    Events {
        /// Only of this call.
        #[arg(long)]
        call: Option<String>,
        /// End after this many.
        #[arg(long, value_name = "N")]
        count: Option<usize>,
        #[command(flatten)]
        to: Connection,
    },
    /// Create a call.
    Create {
        /// Its name; chosen by the relay if absent.
        call: Option<String>,
        /// An id that makes the request repeatable.
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        to: Connection,
    },
    /// End a call.
    Delete {
        /// The call.
        call: String,
        /// An id that makes the request repeatable.
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        to: Connection,
    },
    /// Create a leg: a party's media.
    Leg(LegArgs),
    /// Name another remote address for a party.
    Remote {
        #[command(flatten)]
        on: PartyTarget,
        /// Where the party receives RTP.
        remote: String,
        /// Where it receives RTCP.
        #[arg(long, value_name = "ADDR")]
        rtcp: Option<String>,
    },
    /// Change a party's direction.
    Direction {
        #[command(flatten)]
        on: PartyTarget,
        /// sendrecv, sendonly, recvonly or inactive, seen from the party.
        direction: String,
    },
    /// End a party's leg.
    Unleg(PartyTarget),
    /// Let two parties hear each other.
    Bridge {
        #[command(flatten)]
        on: PairTarget,
        /// immediate, on-first-packet, on-human, after-prompt, or after=MS.
        #[arg(long)]
        trigger: Option<String>,
    },
    /// End a bridge.
    Unbridge(PairTarget),
    /// Say whether two parties could hear each other.
    Check(PairTarget),
    /// Put a new party in the place of an old one beside the survivor: the transfer.
    Swap {
        #[command(flatten)]
        on: Target,
        /// The party that stays.
        #[arg(long)]
        survivor: String,
        /// The party that it hears no more.
        #[arg(long)]
        old: String,
        /// The party that it will hear.
        #[arg(long)]
        new: String,
        /// on-first-packet (default), on-human, immediate, after-prompt, or after=MS.
        #[arg(long)]
        trigger: Option<String>,
        /// What the old party hears: hold (default), mute, drop, or drop-after=MS.
        #[arg(long, value_name = "HOW")]
        keep_old: Option<String>,
    },
    /// Put a party on hold.
    Hold {
        #[command(flatten)]
        on: PartyTarget,
        /// A named audio instead of the server's hold audio; repeat for several, one after the other.
        #[arg(long)]
        audio: Vec<String>,
    },
    /// Take a party off hold.
    Resume(PartyTarget),
    /// Play an audio to a party.
    Play {
        #[command(flatten)]
        on: PartyTarget,
        /// The audio's name, or several, one after the other.
        #[arg(required = true)]
        audio: Vec<String>,
        /// How often; a number or `forever`.
        #[arg(long)]
        repeat: Option<String>,
        /// Behind what is being played, instead of in its place.
        #[arg(long)]
        queue: bool,
        /// What of the party ends it: key, speech or any.
        #[arg(long, value_name = "WHAT")]
        barge_in: Option<String>,
        /// Over what the party hears, and not in its place.
        #[arg(long)]
        overlay: bool,
        /// With --overlay: how much louder the audio is heard, in dB.
        #[arg(long, value_name = "DB", allow_negative_numbers = true, requires = "overlay")]
        gain_db: Option<i8>,
        /// With --overlay: how much louder everything else is heard meanwhile, in dB: -12 is softer.
        #[arg(long, value_name = "DB", allow_negative_numbers = true, requires = "overlay")]
        duck_db: Option<i8>,
    },
    /// Stop what is being played to a party.
    Stop(PartyTarget),
    /// Play a country's ringing tone to a party.
    Ringback {
        #[command(flatten)]
        on: PartyTarget,
        /// us, uk, de or fr.
        #[arg(long, default_value = "us")]
        country: String,
    },
    /// Let a party hear what another one sends, who notices nothing.
    Monitor {
        #[command(flatten)]
        on: PartyTarget,
        /// The party that it hears, or several of them.
        #[arg(required = true)]
        of: Vec<String>,
    },
    /// End that.
    Unmonitor(PartyTarget),
    /// Let each of several parties hear all the others.
    Conference {
        /// The call.
        call: String,
        /// The parties: two at least.
        #[arg(required = true)]
        parties: Vec<String>,
        #[command(flatten)]
        meta: Meta,
    },
    /// Take a party out of its conference.
    Leave(PartyTarget),
    /// Let a party hear another one besides what it hears; nobody else does.
    Whisper {
        #[command(flatten)]
        on: PartyTarget,
        /// The party that whispers.
        by: String,
        /// How much louder it is heard than it speaks, in dB.
        #[arg(long, value_name = "DB", allow_negative_numbers = true)]
        gain_db: Option<i8>,
    },
    /// End that.
    Unwhisper(PartyTarget),
    /// Let whoever hears a party hear it louder or softer than it speaks.
    Gain {
        #[command(flatten)]
        on: PartyTarget,
        /// By how many dB, -60 to 24; 0 is as loud as it speaks.
        #[arg(value_name = "DB", allow_negative_numbers = true)]
        gain_db: i8,
    },
    /// Find out what a party says, and whether a human or a machine has answered: see `patchcord events`.
    Detect {
        #[command(flatten)]
        on: PartyTarget,
        #[command(flatten)]
        settings: DetectSettings,
    },
    /// End that.
    DetectStop(PartyTarget),
    /// Record a call from now on, through its transfers, into the server's directory of recordings.
    Record {
        #[command(flatten)]
        on: CallTarget,
        /// wav, ogg-opus or pcapng.
        #[arg(long)]
        format: Option<String>,
        /// mixed or per-party.
        #[arg(long)]
        layout: Option<String>,
        /// Where its files lie below the directory, without an extension.
        #[arg(long)]
        name: Option<String>,
        /// A party that is recorded; all if none is given. Can be repeated.
        #[arg(long, value_name = "PARTY")]
        party: Vec<String>,
    },
    /// Leave out of the recording what is said from now on.
    RecordPause(CallTarget),
    /// Go on recording.
    RecordResume(CallTarget),
    /// End the recording.
    RecordStop {
        #[command(flatten)]
        on: CallTarget,
        /// Delete its files; only the metadata are left.
        #[arg(long)]
        discard: bool,
    },
    /// Nobody hears the party.
    Mute(PartyTarget),
    /// The party is heard again.
    Unmute(PartyTarget),
    /// Send a party key presses: as RFC 4733 telephone-events, or as tones.
    Dtmf {
        #[command(flatten)]
        on: PartyTarget,
        /// 0 to 9, *, #, A to D; w waits for half a second, W for a second, a comma for two.
        digits: String,
        /// How long each key is down.
        #[arg(long, value_name = "MS")]
        duration_ms: Option<u64>,
        /// How long at least from one key to the next.
        #[arg(long, value_name = "MS")]
        pause_ms: Option<u64>,
        /// The power of the tones that the keys stand for, 0 to -63.
        #[arg(long, value_name = "DBM0", allow_negative_numbers = true)]
        volume_dbm0: Option<i64>,
        /// `event`, `tone`, or `auto`: as a tone if the party has no telephone-event.
        #[arg(long, value_name = "HOW")]
        how: Option<String>,
    },
    /// End the key presses that a party is being sent.
    DtmfStop(PartyTarget),
    /// Let a leg learn another source address.
    Relatch {
        #[command(flatten)]
        on: PartyTarget,
        /// `signalled`, or the number of consistent packets that a new source must send.
        #[arg(long, default_value = "signalled")]
        gate: String,
    },
    /// Undo the cut-over of an earlier command.
    Rollback {
        #[command(flatten)]
        on: Target,
        /// The id of the command to undo.
        #[arg(long, value_name = "ID")]
        of: String,
    },
    /// Send a command or a batch as JSON: `{"commands": [...]}`; `-` reads it from stdin.
    Command {
        #[command(flatten)]
        on: Target,
        /// The JSON.
        body: String,
    },
}

/// Commands about the audio that can be played.
#[derive(Subcommand, Debug)]
pub(crate) enum AudioCommand {
    /// List it.
    List {
        #[command(flatten)]
        to: Connection,
    },
    /// Upload a file, or have the relay fetch a URL.
    Put {
        /// WAV, Ogg/Opus, or without a header: .ulaw, .alaw, .g722, .l16, .sln, .sln16; or http://..., https://...
        file: String,
        /// Its name; that of the file without its extension if absent.
        #[arg(long)]
        name: Option<String>,
        /// Rise at its beginning and fall at its end within this many milliseconds.
        #[arg(long, value_name = "MS")]
        fade_ms: Option<u16>,
        #[command(flatten)]
        to: Connection,
    },
    /// Delete what was uploaded. Calls that play it go on with it.
    Delete {
        /// Its name.
        name: String,
        #[command(flatten)]
        to: Connection,
    },
}

/// How a party is listened to; what is left out is as the relay is configured.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct DetectSettings {
    /// Within how many milliseconds it is found out who has answered.
    #[arg(long, value_name = "MS")]
    pub(crate) answer_timeout_ms: Option<u32>,
    /// What is softer is silence, in dBFS.
    #[arg(long, value_name = "DBFS", allow_negative_numbers = true)]
    pub(crate) audible_dbfs: Option<i32>,
    /// Speech has ended after so long without any.
    #[arg(long, value_name = "MS")]
    pub(crate) hang_over_ms: Option<u32>,
    /// Silence is told of after so long.
    #[arg(long, value_name = "MS")]
    pub(crate) silence_ms: Option<u32>,
    /// So much speech is a machine's.
    #[arg(long, value_name = "MS")]
    pub(crate) greeting_max_ms: Option<u32>,
    /// So much silence after less speech is a human's.
    #[arg(long, value_name = "MS")]
    pub(crate) listening_ms: Option<u32>,
}

/// A command on one party.
#[derive(Args, Clone, Debug)]
pub(crate) struct PartyTarget {
    /// The call.
    pub(crate) call: String,
    /// The party.
    pub(crate) party: String,
    #[command(flatten)]
    pub(crate) meta: Meta,
}

/// A command on a call.
#[derive(Args, Clone, Debug)]
pub(crate) struct CallTarget {
    /// The call.
    pub(crate) call: String,
    #[command(flatten)]
    pub(crate) meta: Meta,
}

/// A command on two parties.
#[derive(Args, Clone, Debug)]
pub(crate) struct PairTarget {
    /// The call.
    pub(crate) call: String,
    /// One party.
    pub(crate) a: String,
    /// The other.
    pub(crate) b: String,
    #[command(flatten)]
    pub(crate) meta: Meta,
}

/// `leg`
#[derive(Args, Clone, Debug)]
pub(crate) struct LegArgs {
    #[command(flatten)]
    pub(crate) on: PartyTarget,
    /// Where the party receives RTP.
    #[arg(long, value_name = "ADDR")]
    pub(crate) remote: Option<String>,
    /// Where it receives RTCP, if not muxed with RTP.
    #[arg(long, value_name = "ADDR")]
    pub(crate) remote_rtcp: Option<String>,
    /// RTCP has a port of its own.
    #[arg(long)]
    pub(crate) no_rtcp_mux: bool,
    /// A codec, as `PCMU` or `101 telephone-event/8000`; repeat for more. None: every payload type passes.
    #[arg(long = "codec", value_name = "CODEC")]
    pub(crate) codecs: Vec<String>,
    /// The relay's interface.
    #[arg(long)]
    pub(crate) interface: Option<String>,
    /// sendrecv, sendonly, recvonly or inactive, seen from the party.
    #[arg(long)]
    pub(crate) direction: Option<String>,
    /// off, signalled, first-packet, heuristic or delayed.
    #[arg(long, value_name = "MODE")]
    pub(crate) latch: Option<String>,
    /// continuity, new-ssrc or transparent.
    #[arg(long, value_name = "MODE")]
    pub(crate) egress: Option<String>,
    /// Say `media-timeout` after this long without a packet; 0: never.
    #[arg(long, value_name = "MS")]
    pub(crate) media_timeout_ms: Option<u64>,
}
