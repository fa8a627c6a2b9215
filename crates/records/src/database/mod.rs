//! The database: where it is, and what is asked of it.

mod postgres;
mod rows;
mod schema;
mod sqlite;
mod tls;

use core::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use self::postgres::Postgres;
use self::sqlite::Sqlite;
use crate::line::Item;
use crate::question::Question;

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Problem {
    /// What the database says, and what to do where that is known.
    pub text: String,
    /// It is about what was to be written: another time it would be no better.
    pub is_of_a_record: bool,
}

impl Problem {
    pub(crate) fn of_the_database(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_of_a_record: false }
    }
}

/// A connection.
pub(crate) trait Database: Send {
    /// Writes all or nothing.
    ///
    /// # Errors
    /// Nothing is written.
    fn write(&mut self, items: &[Item]) -> Result<(), Problem>;

    /// Looks for records.
    ///
    /// # Errors
    /// The database cannot be had.
    fn find(&mut self, question: &Question) -> Result<Vec<Value>, Problem>;

    /// Deletes calls that began before this time, milliseconds since 1970, with their transfers: some, and says how many.
    ///
    /// # Errors
    /// The database cannot be had.
    fn sweep(&mut self, before_ms: u64) -> Result<u64, Problem>;
}

/// Which database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file.
    Sqlite(PathBuf),
    /// A server.
    Postgres {
        /// As it was given.
        url: String,
        /// Who vouches for the server, a PEM file; none: whom the system trusts.
        ca: Option<PathBuf>,
    },
}

/// What is wrong with how a database is named.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// Of no known kind.
    #[error(
        "is {0:?}: it is empty for the SQLite file records.sqlite in `records.directory`, \"off\", or a URL such as \
         postgres://user:password@host/database"
    )]
    Unknown(String),
    /// The URL cannot be read. It is not told, as it may have a password.
    #[error("is no URL of PostgreSQL: {0}; it is written postgres://user:password@host:5432/database?sslmode=require")]
    Url(String),
}

impl Target {
    /// The database with this name: empty stands for the file in `directory`.
    ///
    /// # Errors
    /// It is no name of a database.
    pub fn parse(text: &str, directory: &Path, ca: Option<PathBuf>) -> Result<Self, TargetError> {
        if text.is_empty() {
            return Ok(Self::Sqlite(directory.join("records.sqlite")));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(TargetError::Unknown(text.to_owned()));
        }
        postgres::check(text).map_err(TargetError::Url)?;
        Ok(Self::Postgres { url: text.to_owned(), ca })
    }

    /// Opens it, and makes its tables if they are not there.
    ///
    /// # Errors
    /// It cannot be had.
    pub(crate) fn open(&self) -> Result<Box<dyn Database>, Problem> {
        Ok(match self {
            Self::Sqlite(path) => Box::new(Sqlite::open(path)?),
            Self::Postgres { url, ca } => Box::new(Postgres::open(url, ca.as_deref())?),
        })
    }
}

/// Without the password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "{}", path.display()),
            Self::Postgres { url, .. } => f.write_str(&postgres::place(url)),
        }
    }
}
