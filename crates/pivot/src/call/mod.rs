//! What a call does: sans-IO. What has happened goes in, what is to be done comes out; time is an argument, and there is no socket,
//! clock, thread, randomness or SDP in here.
//!
//! A [`Call`] is one call of the back-to-back user agent, with its transfers. It knows *parties*. The driver makes each dialog a party
//! with a leg in the relay, puts offers and answers into the legs before it says what has happened, and knows which dialog a party is.
//!
//! | what | where |
//! |---|---|
//! | the words | [`words`] ([`Input`], [`Act`]), [`plan`] (what a call begins with, what may be commanded) |
//! | what comes from outside, read strictly | [`uri`], [`number`], [`refer_to`], [`replaces`], [`sipfrag`] |
//! | what is allowed, and where it goes | [`trunk`], [`route`], [`identity`] |
//! | what the transferor is told | [`subscription`] |
//! | what is kept | [`record`], [`billing`], [`explain`] |

pub mod billing;
pub mod explain;
pub mod identity;
pub mod number;
pub mod plan;
pub mod record;
pub mod refer_to;
pub mod replaces;
pub mod route;
pub mod sipfrag;
pub mod subscription;
pub mod trunk;
pub mod uri;
pub mod words;

mod attended;
mod causes;
mod command;
mod dialling;
mod house;
mod leaving;
mod machine;
mod outcome;
mod party;
mod referred;
mod referring;
mod transfer;
mod warm;

pub use attended::Merged;
pub use machine::Call;
pub use party::{PartyState, PartyView};
pub use plan::{Command, CommandError, Plan, TransferCommand};
pub(crate) use transfer::{MOST_TARGETS, target_uri};
pub use words::{Act, Input, MediaAct, MediaInput, OwnId, PartyId, TimerId, TransferId};

use crate::message::Reason;

/// A `Reason` (RFC 3326) that says which SIP code is behind a BYE or CANCEL.
fn sip_reason(code: u16) -> Reason {
    Reason { protocol: "SIP".into(), cause: code, text: Some(sipfrag::phrase_of(code).into()) }
}
