//! A file of `SQLite`.

use core::time::Duration;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, Value as Known};
use rusqlite::{Connection, ErrorCode, ToSql, Transaction, TransactionBehavior, params_from_iter};
use serde_json::Value;

use super::rows::{self, Cell, Statement};
use super::schema::{self, SQLITE};
use super::{Database, Problem};
use crate::line::Item;
use crate::question::Question;
use crate::utc;

/// How long another process may hold the file's lock before that is a problem.
const BUSY: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// Which file it is.
    inode: (u64, u64),
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        let mut connection = Connection::open(path).map_err(|error| problem(&error))?;
        let prepared = || {
            connection.busy_timeout(BUSY)?;
            // Who reads does not wait for who writes. What was written is on the disk before the queue forgets it.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")
        };
        prepared().map_err(|error: rusqlite::Error| problem(&error))?;
        migrate(&mut connection)?;
        let inode = inode(path)?;
        Ok(Self { connection, path: path.to_owned(), inode })
    }

    /// A file that was deleted or replaced takes records that nobody will ever see.
    fn must_be_there(&self) -> Result<(), Problem> {
        if inode(&self.path)? == self.inode {
            return Ok(());
        }
        Err(Problem::of_the_database(format!("{} was replaced by another file", self.path.display())))
    }

    fn transaction<T>(
        &mut self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Problem> {
        self.must_be_there()?;
        let done = || {
            let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = act(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        done().map_err(|error| problem(&error))
    }
}

impl Database for Sqlite {
    fn write(&mut self, items: &[Item]) -> Result<(), Problem> {
        self.transaction(|transaction| {
            for item in items {
                for statement in rows::write(item) {
                    if run(transaction, &statement)? == 0 && statement.is_condition {
                        break;
                    }
                }
            }
            Ok(())
        })
    }

    fn find(&mut self, question: &Question) -> Result<Vec<Value>, Problem> {
        self.must_be_there()?;
        let statement = rows::find(question);
        let found = || {
            let mut prepared = self.connection.prepare_cached(&SQLITE.sql(&statement.sql))?;
            let texts = prepared.query_map(params_from_iter(&statement.cells), |row| row.get::<_, String>(0))?;
            texts.collect::<Result<Vec<_>, _>>()
        };
        let found = found().map_err(|error| problem(&error))?;
        Ok(found.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    fn sweep(&mut self, before_ms: u64) -> Result<u64, Problem> {
        self.transaction(|transaction| {
            let mut calls = 0;
            for statement in rows::sweep(before_ms) {
                calls = run(transaction, &statement)? as u64;
            }
            Ok(calls)
        })
    }
}

fn run(transaction: &Transaction<'_>, statement: &Statement) -> Result<usize, rusqlite::Error> {
    transaction.prepare_cached(&SQLITE.sql(&statement.sql))?.execute(params_from_iter(&statement.cells))
}

fn migrate(connection: &mut Connection) -> Result<(), Problem> {
    let version = |connection: &Connection| match connection.query_row(schema::GET_VERSION, [], |row| row.get(0)) {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(0),
        found => found,
    };
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|error| problem(&error))?;
    transaction.execute_batch(schema::VERSION_TABLE).map_err(|error| problem(&error))?;
    let found = version(&transaction).map_err(|error| problem(&error))?;
    let migration = schema::migration(found, SQLITE)?;
    transaction.execute_batch(&migration).and_then(|()| transaction.commit()).map_err(|error| problem(&error))
}

fn inode(path: &Path) -> Result<(u64, u64), Problem> {
    let found = std::fs::metadata(path);
    found
        .map(|found| (found.dev(), found.ino()))
        .map_err(|error| Problem::of_the_database(format!("{}: {error}", path.display())))
}

fn problem(error: &rusqlite::Error) -> Problem {
    let code = error.sqlite_error_code();
    let is_of_a_record =
        matches!(code, Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch));
    Problem { text: error.to_string(), is_of_a_record }
}

impl ToSql for Cell {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>, rusqlite::Error> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Known::Null),
            Self::Text(text) => ToSqlOutput::from(text.as_str()),
            Self::Number(number) => ToSqlOutput::from(*number),
            Self::Small(number) => ToSqlOutput::from(*number),
            Self::Time(ms) => ToSqlOutput::from(utc(*ms)),
            Self::Document(document) => ToSqlOutput::from(document.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SQLite`'s own calendar says the same of each day until 2100, and of the end of time.
    #[test]
    fn times_are_those_of_the_database() {
        let connection = Connection::open_in_memory().expect("memory");
        let mut statement =
            connection.prepare("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ?1 / 1000.0, 'unixepoch')").expect("it is SQL");
        for ms in (0..4_102_444_800_000_u64).step_by(86_400_000 / 2 + 61_001).step_by(7).chain([253_402_300_799_000]) {
            let known: String = statement.query_row([ms as i64], |row| row.get(0)).expect("a time");
            // Its seconds are a floating point number.
            assert_eq!(utc(ms)[..19], known[..19], "{ms}");
        }
        assert_eq!(utc(1_709_164_800_007), "2024-02-29T00:00:00.007Z");
    }
}
