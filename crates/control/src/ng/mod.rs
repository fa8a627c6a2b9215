//! The ng front: the protocol by which SIP proxies drive a media relay, on the same calls and commands as the HTTP API.
//!
//! A request's way: a listener takes it from its transport (`listen`), [`Ng`] finds the command's handler, and that ends in
//! a batch of bridge commands for the call. `session` is what signalling has said of a call; `exchange` takes an offer or
//! answer through parsing, planning (`media`) and rewriting (`describe`); `subscribe` and `publish` go the same way, with
//! `subscription` and `own_sdp` in place of the last two; the other files are one command, or a family of them, each.

mod call;
mod codecs;
mod connect;
mod control;
mod delete;
mod describe;
mod dtls;
mod dtmf;
mod exchange;
mod formats;
mod ice;
mod keying;
pub mod listen;
mod media;
mod mos;
mod own_sdp;
mod packing;
mod publish;
mod quality;
mod query;
mod recording;
mod refuse;
mod sdes;
mod server;
mod session;
mod subscribe;
mod subscription;
mod timeouts;

use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::sync::Arc;

use patchcord_ng::{Command, Dict, Options, Request, Value, reason};

use self::control::Gate;
use crate::control::Control;
use recording::Recording;
use refuse::Refused;

pub(crate) use quality::Quality;
pub(crate) use session::Session;

/// How the front behaves.
#[derive(Clone, Debug)]
pub struct NgConfig {
    /// How long a deleted call goes on unless the request says otherwise.
    pub delete_delay: Duration,
    /// A call of which no party has sent anything for this long is deleted; zero: never.
    pub timeout: Duration,
    /// The same for a call on hold.
    pub silent_timeout: Duration,
    /// The longest life of a call; zero: no limit.
    pub final_timeout: Duration,
    /// More calls are refused; zero: no limit.
    pub sessions_max: u32,
    /// Media that its SDP forbids is not relayed. Off: it is, as rtpengine does.
    pub enforce_direction: bool,
    /// `a=group` lines are left out of SDPs, as rtpengine does.
    pub drop_bundle: bool,
    /// Everything is relayed unread, as rtpengine does, whatever it is; but for RTP that `play DTMF` puts keys into.
    pub relay_unread: bool,
    /// A changed remote address gives the other side a new local port, as rtpengine does.
    pub ports_follow_remote: bool,
}

impl Default for NgConfig {
    fn default() -> Self {
        Self {
            delete_delay: Duration::from_secs(30),
            timeout: Duration::from_secs(60),
            silent_timeout: Duration::from_secs(3600),
            final_timeout: Duration::ZERO,
            sessions_max: 0,
            enforce_direction: true,
            drop_bundle: false,
            relay_unread: false,
            ports_follow_remote: false,
        }
    }
}

/// The front over a control plane. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Ng(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    control: Control,
    config: NgConfig,
    counts: Counts,
}

/// What is counted over all calls.
#[derive(Debug, Default)]
struct Counts {
    offers: AtomicU64,
    answers: AtomicU64,
    deletes: AtomicU64,
}

impl Ng {
    /// The front over this control plane.
    #[must_use]
    pub fn new(control: Control, config: NgConfig) -> Self {
        let ng = Self(Arc::new(Shared { control, config, counts: Counts::default() }));
        ng.look_after_calls();
        ng.sample_calls();
        ng
    }

    /// Answers a request: does what it says, as a whole or not at all.
    async fn reply_to(&self, request: &Dict) -> Dict {
        match self.obey(request).await {
            Ok(reply) => reply,
            Err(refused) => {
                let command = request.text("command");
                let call = request.text("call-id");
                tracing::info!(command = command.as_deref(), call = call.as_deref(), %refused, "ng request refused");
                refused.reply()
            }
        }
    }

    async fn obey(&self, request: &Dict) -> Result<Dict, Refused> {
        // A number is no command.
        let name = request.get("command").filter(|name| matches!(name, Value::Bytes(_)));
        let name = name.and_then(Value::text).ok_or(Refused::Because(reason::NO_COMMAND.into()))?;
        let command = Command::from_name(&name).ok_or(Refused::Because(reason::UNKNOWN_COMMAND.into()))?;
        let options = || Options::read(request);
        match command {
            Command::Ping => Ok(Dict::new().with("result", "pong")),
            Command::Offer => self.exchange(media::Phase::Offer, options()).await,
            Command::Answer => self.exchange(media::Phase::Answer, options()).await,
            Command::Delete => self.delete(&options()).await,
            Command::BlockMedia => self.gate(&options(), Gate::Block).await,
            Command::UnblockMedia => self.gate(&options(), Gate::Unblock).await,
            Command::BlockDtmf => self.gate(&options(), Gate::BlockDtmf).await,
            Command::UnblockDtmf => self.gate(&options(), Gate::UnblockDtmf).await,
            Command::SilenceMedia => self.gate(&options(), Gate::Silence).await,
            Command::UnsilenceMedia => self.gate(&options(), Gate::Unsilence).await,
            Command::PlayMedia => self.play(&options()).await,
            Command::StopMedia => self.stop(&options()).await,
            Command::PlayDtmf => self.play_dtmf(&options()).await,
            Command::Connect => self.connect(&options()).await,
            Command::SubscribeRequest => self.subscribe(&options()).await,
            Command::SubscribeAnswer => self.subscribe_answer(&options()).await,
            Command::Unsubscribe => self.unsubscribe(&options()).await,
            Command::Publish => self.publish(&options()).await,
            Command::StartRecording => self.record(&options(), Recording::Start).await,
            Command::PauseRecording => self.record(&options(), Recording::Pause).await,
            Command::StopRecording => self.record(&options(), Recording::Stop).await,
            Command::Query => self.query(&options()).await,
            Command::List => self.list(&options()),
            Command::Statistics => Ok(self.statistics()),
            other => {
                // What is wrong with the request beyond that is said first.
                let options = options();
                if !matches!(other, Command::Create | Command::Transform) {
                    match other {
                        Command::StartForwarding | Command::StopForwarding => {
                            let call = self.find_for_media(&options)?;
                            call.session().selected(&options)?;
                            call
                        }
                        _ => self.find_for_media(&options)?,
                    };
                }
                Err(not_supported(other))
            }
        }
    }
}

/// A command that is known and not obeyed, and what to do instead.
fn not_supported(command: Command) -> Refused {
    let instead = match command {
        Command::StartForwarding | Command::StopForwarding => {
            "; use \"subscribe request\" for a live copy of the media"
        }
        Command::Create | Command::CreateAnswer | Command::Mesh => "; use \"offer\", \"answer\" and \"connect\"",
        _ => "",
    };
    Refused::Because(format!("command \"{}\" is not supported by this relay{instead}", command.name()))
}

impl listen::Answer for Ng {
    async fn answer(&self, request: Request) -> Dict {
        self.reply_to(&request.dict).await
    }
}
