//! The tables. What is common to both databases is written once: a dialect has words of its own for times, documents and parameters.

use super::Problem;

/// How a database writes what the other writes in another way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// The type of a time, UTC.
    pub(super) time: &'static str,
    /// The type of a document.
    pub(super) document: &'static str,
    /// What stands before the number of a parameter.
    pub(super) parameter: &'static str,
}

pub(super) const SQLITE: Dialect = Dialect { time: "TEXT", document: "TEXT", parameter: "?" };
pub(super) const POSTGRES: Dialect = Dialect { time: "TIMESTAMPTZ", document: "JSONB", parameter: "$" };

impl Dialect {
    /// SQL in its words.
    pub(super) fn sql(self, common: &str) -> String {
        common.replace("{TIME}", self.time).replace("{DOCUMENT}", self.document).replace('$', self.parameter)
    }
}

/// What each version adds to the former. A step is never changed once it was released; the last one's number is the schema's version.
pub(super) const STEPS: &[&str] = &["
    CREATE TABLE calls (
        id TEXT PRIMARY KEY,
        revision BIGINT NOT NULL,
        call_id TEXT NOT NULL,
        direction TEXT NOT NULL,
        from_uri TEXT NOT NULL,
        to_uri TEXT NOT NULL,
        from_trunk TEXT NOT NULL,
        to_trunk TEXT NOT NULL,
        began {TIME} NOT NULL,
        answered {TIME},
        ended {TIME},
        duration_ms BIGINT,
        talked_ms BIGINT,
        cause TEXT,
        refused INTEGER,
        transfers {DOCUMENT} NOT NULL,
        document {DOCUMENT} NOT NULL
    );
    CREATE INDEX calls_began ON calls (began);
    CREATE INDEX calls_call_id ON calls (call_id);
    CREATE TABLE transfers (
        id TEXT PRIMARY KEY,
        revision BIGINT NOT NULL,
        call TEXT NOT NULL,
        call_id TEXT NOT NULL,
        method TEXT NOT NULL,
        chosen_by TEXT NOT NULL,
        transferor TEXT NOT NULL,
        transferee TEXT NOT NULL,
        target TEXT,
        refer_to TEXT NOT NULL,
        state TEXT NOT NULL,
        rule TEXT,
        began {TIME} NOT NULL,
        connected {TIME},
        ended {TIME},
        duration_ms BIGINT,
        code INTEGER,
        explanation TEXT,
        gap_us BIGINT,
        document {DOCUMENT} NOT NULL
    );
    CREATE INDEX transfers_began ON transfers (began);
    CREATE INDEX transfers_call ON transfers (call);
    CREATE INDEX transfers_call_id ON transfers (call_id);
    CREATE TABLE bill_components (
        call TEXT NOT NULL,
        number INTEGER NOT NULL,
        transfer TEXT,
        service TEXT NOT NULL,
        from_role TEXT NOT NULL,
        to_role TEXT NOT NULL,
        from_uri TEXT NOT NULL,
        to_uri TEXT NOT NULL,
        log_from TEXT NOT NULL,
        log_to TEXT NOT NULL,
        began {TIME} NOT NULL,
        ended {TIME} NOT NULL,
        duration_ms BIGINT NOT NULL,
        PRIMARY KEY (call, number)
    );
    CREATE INDEX bill_components_transfer ON bill_components (transfer);
"];

pub(super) const VERSION_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS patchcord_schema (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)";

pub(super) const GET_VERSION: &str = "SELECT version FROM patchcord_schema";

pub(super) const SET_VERSION: &str = "INSERT INTO patchcord_schema (id, version) VALUES (1, {VERSION})
    ON CONFLICT (id) DO UPDATE SET version = excluded.version";

/// What is to be run on a database of this version: nothing if it is up to date.
pub(super) fn migration(version: i32, dialect: Dialect) -> Result<String, Problem> {
    let known = STEPS.len();
    let at = usize::try_from(version).unwrap_or(0);
    let Some(steps) = STEPS.get(at..) else {
        return Err(Problem::of_the_database(format!(
            "its tables are of version {version}, and this executable knows {known}: use the newer one, or another database"
        )));
    };
    if steps.is_empty() {
        return Ok(String::new());
    }
    let set = SET_VERSION.replace("{VERSION}", &known.to_string());
    Ok(format!("{}\n{set};", steps.iter().map(|step| dialect.sql(step)).collect::<String>()))
}
