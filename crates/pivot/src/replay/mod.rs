//! A stored transfer, once more: from a bundle to a script, and from the script to what each peer of the pivot sends and what it has to be
//! sent. Without I/O: sockets, clock and the pivot itself are somebody else's.
//!
//! ```text
//!   bundle (tar) -> Recording -> Script: steps in the order of the recording
//!                                  |
//!             datagrams, time -> Player -> datagrams, streams to play, the first difference
//! ```

mod bundle;
mod compare;
mod message;
mod names;
mod player;
mod script;
mod sdp;
mod setup;

#[cfg(test)]
mod tests;

pub use self::bundle::{
    CallOf, CauseOf, Facts, FailureOf, Heard, Media, Outcome, PartyFacts, Piece, Recording, ReplayError,
};
pub use self::compare::Difference;
pub use self::message::{Message, parts_of};
pub use self::names::Stage;
pub use self::player::{Pace, Player, Tally, Turn};
pub use self::script::{Deed, Script, Step, Stream};
pub use self::setup::{Setup, SetupRoute, SetupTrunk};
