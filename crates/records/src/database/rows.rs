//! Records as rows, and questions as queries.

use serde_json::Value;

use crate::line::Item;
use crate::question::{Filter, Question};
use crate::record::{Call, Component, Record, Transfer};

/// A column of a row.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Text(String),
    Number(i64),
    Small(i32),
    /// Milliseconds since 1970.
    Time(u64),
    Document(Value),
}

/// A statement with what belongs into it.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) cells: Vec<Cell>,
    /// What follows is left out if this has changed no row: a later revision is there.
    pub(super) is_condition: bool,
}

/// The longest text of a column, octets: what has an index must fit into a page. The document has it whole.
const TEXT_MAX: usize = 2000;

/// Calls that are deleted at a time.
pub(super) const SWEEP: i64 = 1000;

/// What writes a record.
pub(super) fn write(item: &Item) -> Vec<Statement> {
    match &item.record {
        Record::Call(record) => {
            let mut statements = vec![upsert("calls", item.revision, call(record))];
            let sql = "DELETE FROM bill_components WHERE call = $1".to_owned();
            statements.push(Statement { sql, cells: vec![text(&record.id)], is_condition: false });
            let components = record.components.iter().enumerate();
            statements
                .extend(components.map(|(number, part)| insert("bill_components", component(record, number, part))));
            statements
        }
        Record::Transfer(record) => vec![upsert("transfers", item.revision, transfer(record))],
    }
}

type Columns = Vec<(&'static str, Cell)>;

fn call(record: &Call) -> Columns {
    vec![
        ("id", text(&record.id)),
        ("call_id", text(&record.call_id)),
        ("direction", text(&record.direction)),
        ("from_uri", text(&record.from)),
        ("to_uri", text(&record.to)),
        ("from_trunk", text(&record.from_trunk)),
        ("to_trunk", text(&record.to_trunk)),
        ("began", Cell::Time(record.began_ms)),
        ("answered", time(record.answered_ms)),
        ("ended", time(record.ended_ms)),
        ("duration_ms", number(record.ended_ms.map(|ended| ended.saturating_sub(record.began_ms)))),
        ("talked_ms", number(record.ended_ms.zip(record.answered_ms).map(|(end, from)| end.saturating_sub(from)))),
        ("cause", optional(record.cause.as_deref())),
        ("refused", small(record.refused)),
        ("transfers", Cell::Document(record.transfers.as_slice().into())),
        ("document", Cell::Document(clean(&record.whole))),
    ]
}

fn transfer(record: &Transfer) -> Columns {
    vec![
        ("id", text(&record.id)),
        ("call", text(&record.call)),
        ("call_id", text(&record.call_id)),
        ("method", text(&record.method)),
        ("chosen_by", text(&record.chosen_by)),
        ("transferor", text(&record.transferor)),
        ("transferee", text(&record.transferee)),
        ("target", optional(record.target.as_deref())),
        ("refer_to", text(&record.refer_to)),
        ("state", text(&record.state)),
        ("rule", optional(record.rule.as_deref())),
        ("began", Cell::Time(record.began_ms)),
        ("connected", time(record.connected_ms)),
        ("ended", time(record.ended_ms)),
        ("duration_ms", number(record.ended_ms.map(|ended| ended.saturating_sub(record.began_ms)))),
        ("code", small(record.code)),
        ("explanation", optional(record.explanation.as_deref())),
        ("gap_us", number(record.gap_us)),
        ("document", Cell::Document(clean(&record.whole))),
    ]
}

fn component(call: &Call, at: usize, part: &Component) -> Columns {
    vec![
        ("call", text(&call.id)),
        ("number", Cell::Small(i32::try_from(at + 1).unwrap_or(i32::MAX))),
        ("transfer", optional(part.transfer.as_deref())),
        ("service", text(&part.service)),
        ("from_role", text(&part.from_role)),
        ("to_role", text(&part.to_role)),
        ("from_uri", text(&part.from)),
        ("to_uri", text(&part.to)),
        ("log_from", text(&part.log_from)),
        ("log_to", text(&part.log_to)),
        ("began", Cell::Time(part.began_ms)),
        ("ended", Cell::Time(part.ended_ms)),
        ("duration_ms", number(Some(part.ended_ms.saturating_sub(part.began_ms)))),
    ]
}

fn insert(table: &str, columns: Columns) -> Statement {
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let places: Vec<_> = (1..=columns.len()).map(|place| format!("${place}")).collect();
    let sql = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), places.join(", "));
    Statement { sql, cells: columns.into_iter().map(|(_, cell)| cell).collect(), is_condition: false }
}

fn upsert(table: &str, revision: u64, mut columns: Columns) -> Statement {
    columns.push(("revision", number(Some(revision))));
    let set: Vec<_> = columns.iter().skip(1).map(|(name, _)| format!("{name} = excluded.{name}")).collect();
    let mut statement = insert(table, columns);
    statement.sql +=
        &format!(" ON CONFLICT (id) DO UPDATE SET {} WHERE {table}.revision <= excluded.revision", set.join(", "));
    statement.is_condition = true;
    statement
}

/// What finds records: the only column is the document, as text.
pub(super) fn find(question: &Question) -> Statement {
    let (table, filter) = match question {
        Question::Call(id) | Question::Transfer(id) => {
            let table = if matches!(question, Question::Call(_)) { "calls" } else { "transfers" };
            let sql = format!("SELECT CAST(document AS TEXT) FROM {table} WHERE id = $1");
            return Statement { sql, cells: vec![text(id)], is_condition: false };
        }
        Question::Calls(filter) => ("calls", filter),
        Question::Transfers(filter) => ("transfers", filter),
    };
    let Filter { limit, call, state, from_ms, to_ms } = filter;
    let mut cells = Vec::new();
    let mut conditions = Vec::new();
    let mut add = |condition: &str, cell: Cell| {
        cells.push(cell);
        conditions.push(condition.replace('#', &format!("${}", cells.len())));
    };
    if let Some(call) = call {
        let id = if table == "calls" { "id" } else { "call" };
        add(&format!("({id} = # OR call_id = #)"), text(call));
    }
    if let Some(state) = state.as_ref().filter(|_| table == "transfers") {
        add("state = #", text(state));
    }
    if let Some(from) = from_ms {
        add("began >= #", Cell::Time(*from));
    }
    if let Some(to) = to_ms {
        add("began < #", Cell::Time(*to));
    }
    let condition = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let sql =
        format!("SELECT CAST(document AS TEXT) FROM {table}{condition} ORDER BY began DESC, id DESC LIMIT {limit}");
    Statement { sql, cells, is_condition: false }
}

/// What deletes old records; the first statement deletes calls, and the others what belongs to calls that are not there.
pub(super) fn sweep(before_ms: u64) -> Vec<Statement> {
    let old = format!("SELECT id FROM calls WHERE began < $1 ORDER BY began LIMIT {SWEEP}");
    let statement = |sql: String| Statement { sql, cells: vec![Cell::Time(before_ms)], is_condition: false };
    vec![
        statement(format!("DELETE FROM bill_components WHERE call IN ({old})")),
        statement(format!("DELETE FROM transfers WHERE call IN ({old})")),
        statement(format!("DELETE FROM calls WHERE id IN ({old})")),
    ]
}

fn text(text: &str) -> Cell {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cell::Text(text[..end].replace('\0', "\u{fffd}"))
}

fn optional(value: Option<&str>) -> Cell {
    value.map_or(Cell::Null, text)
}

fn number(value: Option<u64>) -> Cell {
    value.map_or(Cell::Null, |value| Cell::Number(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn small(value: Option<u16>) -> Cell {
    value.map_or(Cell::Null, |value| Cell::Small(value.into()))
}

fn time(value: Option<u64>) -> Cell {
    value.map_or(Cell::Null, Cell::Time)
}

/// Without the one character that `PostgreSQL` has no text with.
fn clean(value: &Value) -> Value {
    let plain = |text: &str| text.replace('\0', "\u{fffd}");
    match value {
        Value::String(text) => Value::String(plain(text)),
        Value::Array(all) => Value::Array(all.iter().map(clean).collect()),
        Value::Object(all) => Value::Object(all.iter().map(|(key, value)| (plain(key), clean(value))).collect()),
        other => other.clone(),
    }
}
