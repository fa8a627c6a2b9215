//! Real telephones, a real Kamailio and the relay between them: SIPp for many calls and for SDPs as telephones seldom send
//! them, baresip and linphone for what people do. What they heard is compared with what was said.

#![allow(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

mod calls;
mod changes;
mod failures;
mod forks;
mod intruder;
mod pivoted;
mod secured;
mod support;
mod transfers;
