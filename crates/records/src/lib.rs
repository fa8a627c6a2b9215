//! Records of calls and of their transfers, kept beyond the process: a database, and before it a queue on disk, so that nothing is lost while
//! the database cannot be had.
//!
//! ```text
//!   keep() -> channel -> [queue thread] -> queue on disk -> [database thread] -> SQLite or `PostgreSQL`
//!   ask()  -> channel -> [reading thread] <-----------------------------------------'
//! ```
//!
//! It knows nothing of SIP: a record is a row, and a document that is given back as it was. Whoever hands in a record never waits. A record
//! that is handed in again takes the place of the former, so that what is written twice after a crash is there once.

#![forbid(unsafe_code)]

mod counts;
mod database;
mod hand;
mod line;
mod question;
mod queue;
mod reading;
mod record;
mod records;
mod shared;
mod utc;
mod writing;

pub use self::counts::Standing;
pub use self::database::{Problem, Target, TargetError};
pub use self::question::{Filter, Question};
pub use self::record::{Call, Component, Record, Transfer};
pub use self::records::{Answer, Records, Settings, StartError};
pub use self::utc::utc;
