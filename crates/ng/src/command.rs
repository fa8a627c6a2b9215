//! The commands of the protocol.

use crate::value::same;

macro_rules! commands {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a request asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Command {
            $($(#[$doc])* $variant,)*
        }

        impl Command {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

commands! {
    /// Asks whether somebody is there.
    Ping = "ping",
    /// A session description of a party that opens a dialogue or changes it.
    Offer = "offer",
    /// The session description that answers an offer.
    Answer = "answer",
    /// Ends a call or a branch.
    Delete = "delete",
    /// Asks for a call's state and statistics.
    Query = "query",
    /// Asks for the calls' names.
    List = "list",
    /// Asks for statistics of the whole relay.
    Statistics = "statistics",
    /// Joins two parties of one call or of two.
    Connect = "connect",
    /// Begins to record.
    StartRecording = "start recording",
    /// Ends a recording.
    StopRecording = "stop recording",
    /// Interrupts a recording.
    PauseRecording = "pause recording",
    /// Begins to forward media to a recorder.
    StartForwarding = "start forwarding",
    /// Ends forwarding to a recorder.
    StopForwarding = "stop forwarding",
    /// Keeps DTMF events from being relayed.
    BlockDtmf = "block DTMF",
    /// Lets DTMF events be relayed again.
    UnblockDtmf = "unblock DTMF",
    /// Keeps media from being relayed.
    BlockMedia = "block media",
    /// Lets media be relayed again.
    UnblockMedia = "unblock media",
    /// Replaces media by silence.
    SilenceMedia = "silence media",
    /// Ends the silence.
    UnsilenceMedia = "unsilence media",
    /// Plays a recording to a party.
    PlayMedia = "play media",
    /// Ends playing.
    StopMedia = "stop media",
    /// Sends DTMF events as if a party had.
    PlayDtmf = "play DTMF",
    /// Asks for an SDP to receive a copy of a party's media.
    SubscribeRequest = "subscribe request",
    /// Answers that SDP.
    SubscribeAnswer = "subscribe answer",
    /// Ends the copy.
    Unsubscribe = "unsubscribe",
    /// Offers media that nobody need answer.
    Publish = "publish",
    /// Makes an offer of the relay's own.
    Create = "create",
    /// Answers it.
    CreateAnswer = "create answer",
    /// Joins several parties with each other.
    Mesh = "mesh",
    /// Relays media through the relay without a call.
    Transform = "transform",
}

impl Command {
    /// The command of this name, in whatever spelling.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|command| same(command.name().as_bytes(), name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_every_spelling() {
        assert_eq!(Command::from_name("Block_DTMF"), Some(Command::BlockDtmf));
        assert_eq!(Command::from_name("start-forwarding"), Some(Command::StartForwarding));
        assert_eq!(Command::from_name("offers"), None);
        assert!(Command::ALL.iter().all(|&command| Command::from_name(command.name()) == Some(command)));
    }
}
