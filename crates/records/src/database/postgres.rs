//! A server of `PostgreSQL`.

use core::error::Error as _;
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use postgres::config::{Host, SslMode};
use postgres::types::private::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls};
use serde_json::Value;

use super::rows::{self, Cell, Statement};
use super::schema::{self, POSTGRES};
use super::{Database, Problem, tls};
use crate::line::Item;
use crate::question::Question;

/// How long a server may take to be reached, and to say that it has got something.
const CONNECT: Duration = Duration::from_secs(5);
const SILENT: Duration = Duration::from_secs(10);

/// How long it may take for a statement: a table may be locked.
const STATEMENT_TIMEOUT: &str = "SET statement_timeout = '10s'";

/// Any number that nobody else uses: two processes must not make the tables at a time.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7297238476)";

/// See the module.
pub(super) struct Postgres {
    client: Client,
    /// What the server has read once, by its SQL.
    prepared: BTreeMap<String, postgres::Statement>,
}

/// A URL as libpq has it: whoever speaks TLS checks the certificate and its name here, so that `verify-full` is the same as `require`.
fn read(url: &str) -> Result<Config, String> {
    let Some((place, options)) = url.split_once('?') else { return url.parse().map_err(|error| said(&error)) };
    let option = |option| match option {
        "sslmode=verify-full" => Ok("sslmode=require"),
        "sslmode=verify-ca" => {
            Err("`sslmode=verify-ca` is not known here: write verify-full, which checks the host's name too")
        }
        option => Ok(option),
    };
    let options: Vec<_> = options.split('&').map(option).collect::<Result<_, _>>()?;
    format!("{place}?{}", options.join("&")).parse().map_err(|error| said(&error))
}

/// Whether the URL can be read.
///
/// # Errors
/// Why not, without the URL, which may have a password.
pub(super) fn check(url: &str) -> Result<(), String> {
    let config = read(url)?;
    if config.get_hosts().is_empty() {
        return Err("it has no host".to_owned());
    }
    if config.get_user().is_none_or(str::is_empty) {
        return Err("it has no user".to_owned());
    }
    Ok(())
}

/// Where it is.
pub(super) fn place(url: &str) -> String {
    let Ok(config) = read(url) else { return "postgres://".to_owned() };
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    };
    let hosts: Vec<_> = config.get_hosts().iter().map(host).collect();
    let port = config.get_ports().first().map_or_else(String::new, |port| format!(":{port}"));
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{}{port}/{database}", hosts.join(","))
}

/// How a URL is understood: what it does not say is said here.
fn config(url: &str) -> Result<Config, Problem> {
    let mut config = read(url).map_err(Problem::of_the_database)?;
    let is_near = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|ip: core::net::IpAddr| ip.is_loopback()),
        Host::Unix(_) => true,
    };
    if !url.contains("sslmode=") {
        let is_near = config.get_hosts().iter().all(is_near);
        config.ssl_mode(if is_near { SslMode::Disable } else { SslMode::Require });
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENT);
    }
    config.keepalives_idle(SILENT).application_name("patchcord");
    Ok(config)
}

impl Postgres {
    pub(super) fn open(url: &str, ca: Option<&Path>) -> Result<Self, Problem> {
        let config = config(url)?;
        let client = match config.get_ssl_mode() {
            SslMode::Disable => config.connect(NoTls),
            _ => config.connect(tls::connector(ca)?),
        };
        let mut client = client.map_err(|error| problem(&error))?;
        client.batch_execute(STATEMENT_TIMEOUT).map_err(|error| problem(&error))?;
        migrate(&mut client)?;
        Ok(Self { client, prepared: BTreeMap::new() })
    }
}

impl Database for Postgres {
    fn write(&mut self, items: &[Item]) -> Result<(), Problem> {
        let mut written = || {
            let mut transaction = self.client.transaction()?;
            for item in items {
                for statement in rows::write(item) {
                    let sql = POSTGRES.sql(&statement.sql);
                    let prepared = match self.prepared.get(&sql) {
                        Some(prepared) => prepared.clone(),
                        None => {
                            let prepared = transaction.prepare(&sql)?;
                            self.prepared.insert(sql, prepared.clone());
                            prepared
                        }
                    };
                    let changed = transaction.execute(&prepared, &cells(&statement))?;
                    if changed == 0 && statement.is_condition {
                        break;
                    }
                }
            }
            transaction.commit()
        };
        written().map_err(|error| problem(&error))
    }

    fn find(&mut self, question: &Question) -> Result<Vec<Value>, Problem> {
        let statement = rows::find(question);
        let rows =
            self.client.query(&POSTGRES.sql(&statement.sql), &cells(&statement)).map_err(|error| problem(&error))?;
        let document = |row: &postgres::Row| serde_json::from_str(row.try_get(0).ok()?).ok();
        Ok(rows.iter().filter_map(document).collect())
    }

    fn sweep(&mut self, before_ms: u64) -> Result<u64, Problem> {
        let mut swept = || {
            let mut transaction = self.client.transaction()?;
            let mut calls = 0;
            for statement in rows::sweep(before_ms) {
                calls = transaction.execute(&POSTGRES.sql(&statement.sql), &cells(&statement))?;
            }
            transaction.commit()?;
            Ok(calls)
        };
        swept().map_err(|error| problem(&error))
    }
}

fn cells(statement: &Statement) -> Vec<&(dyn ToSql + Sync)> {
    statement.cells.iter().map(|cell| cell as _).collect()
}

fn migrate(client: &mut Client) -> Result<(), Problem> {
    let mut found = || {
        // Whoever may not make tables may use those that are there.
        let is_there = client.query_one("SELECT to_regclass('patchcord_schema') IS NOT NULL", &[])?;
        let mut transaction = client.transaction()?;
        if !is_there.try_get::<_, bool>(0)? {
            transaction.execute(LOCK, &[])?;
            transaction.batch_execute(schema::VERSION_TABLE)?;
        }
        let row = transaction.query_opt(schema::GET_VERSION, &[])?;
        transaction.commit()?;
        row.map_or(Ok(0), |row| row.try_get::<_, i32>(0))
    };
    let version = found().map_err(|error| problem(&error))?;
    if schema::migration(version, POSTGRES)?.is_empty() {
        return Ok(());
    }
    let mut transaction = client.transaction().map_err(|error| problem(&error))?;
    transaction.execute(LOCK, &[]).map_err(|error| problem(&error))?;
    // Somebody may have been faster.
    let row = transaction.query_opt(schema::GET_VERSION, &[]).map_err(|error| problem(&error))?;
    let version = row.map_or(Ok(0), |row| row.try_get::<_, i32>(0)).map_err(|error| problem(&error))?;
    let migration = schema::migration(version, POSTGRES)?;
    transaction.batch_execute(&migration).and_then(|()| transaction.commit()).map_err(|error| problem(&error))
}

fn problem(error: &postgres::Error) -> Problem {
    // Data exceptions, violated constraints, and what exceeds a limit of the program: classes of SQLSTATE.
    let is_of_a_record =
        error.code().is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.code().starts_with(class)));
    Problem { text: said(error), is_of_a_record }
}

/// The error with its reasons: its own words say the least.
fn said(error: &postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(reason) = cause {
        text += &format!(": {reason}");
        cause = reason.source();
    }
    if text.contains("UnknownIssuer") || text.contains("BadSignature") {
        text += ": nobody vouches for its certificate; name who does with `records.ca`, a PEM file";
    }
    text
}

impl ToSql for Cell {
    fn to_sql(&self, known: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn core::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Text(text) => text.to_sql(known, out),
            Self::Number(number) => number.to_sql(known, out),
            Self::Small(number) => number.to_sql(known, out),
            Self::Time(ms) => (UNIX_EPOCH + Duration::from_millis(*ms)).to_sql(known, out),
            Self::Document(document) => postgres::types::Json(document).to_sql(known, out),
        }
    }

    /// Each column is written with what it holds.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
