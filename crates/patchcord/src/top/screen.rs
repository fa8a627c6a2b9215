//! Drawing.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table};

use super::sample::Sample;
use crate::client::model::Leg;
use crate::client::show::{age, number, percentile};

/// What is on the screen.
#[derive(Debug)]
pub(super) struct View {
    server: String,
    current: Option<Sample>,
    previous: Option<Sample>,
    error: Option<String>,
    first_row: usize,
}

impl View {
    pub(super) fn new(server: &str, sample: Option<Result<Sample, String>>) -> Self {
        let mut view = Self { server: server.to_owned(), current: None, previous: None, error: None, first_row: 0 };
        if let Some(sample) = sample {
            view.update(sample);
        }
        view
    }

    /// Takes a new sample; after an error the last good one stays on the screen.
    pub(super) fn update(&mut self, sample: Result<Sample, String>) {
        match sample {
            Ok(sample) => {
                self.error = None;
                self.previous = self.current.replace(sample);
            }
            Err(error) => self.error = Some(error),
        }
    }

    pub(super) fn scroll(&mut self, rows: isize) {
        let legs: usize = self.current.iter().flat_map(|sample| &sample.calls).map(|call| call.legs.len().max(1)).sum();
        self.first_row = self.first_row.saturating_add_signed(rows).min(legs.saturating_sub(1));
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let cut_overs = self.cut_over_rows().len().min(7) as u16;
        let areas = Layout::vertical([
            Constraint::Length(3),
            Constraint::Min(3),
            Constraint::Length(cut_overs + 2),
            Constraint::Length(1),
        ])
        .split(frame.area());
        self.draw_summary(frame, areas[0]);
        self.draw_legs(frame, areas[1]);
        self.draw_cut_overs(frame, areas[2]);
        let foot = match &self.error {
            Some(error) => Line::styled(error.as_str(), Style::new().fg(Color::Red)),
            None => Line::styled("q quit  up/down scroll", Style::new().add_modifier(Modifier::DIM)),
        };
        frame.render_widget(foot, areas[3]);
    }

    fn draw_summary(&self, frame: &mut Frame<'_>, area: Rect) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let mut lines =
            vec![Line::from(vec![Span::styled("patchcord top", bold), Span::raw(format!("  {}", self.server))])];
        match &self.current {
            None => lines.push(Line::raw("waiting for the relay")),
            Some(sample) => {
                let legs: u64 = sample.workers.iter().map(|worker| worker.legs).sum();
                let room: u64 = sample.workers.iter().map(|worker| worker.legs_max).sum();
                let backend = sample.workers.first().map_or("", |worker| worker.backend.as_str());
                lines.push(Line::raw(format!(
                    "{} calls  {legs}/{room} legs  {} workers ({backend})",
                    sample.calls_total,
                    sample.workers.len()
                )));
                lines.push(Line::raw(self.rates(sample)));
            }
        }
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn rates(&self, sample: &Sample) -> String {
        let worst = sample.workers.iter().max_by_key(|worker| worker.relay_latency_us.p99);
        let latency = worst.map(|worker| worker.relay_latency_us).unwrap_or_default();
        let latency = format!(
            "relay p50 {} us  p99 {} us  p99.9 {} us",
            percentile(latency, latency.p50),
            percentile(latency, latency.p99),
            percentile(latency, latency.p999)
        );
        let [received, sent, dropped] = sample.totals();
        match &self.previous {
            Some(previous) => {
                let seconds = sample.at.duration_since(previous.at).as_secs_f64().max(0.001);
                let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds).round();
                let [received_then, sent_then, dropped_then] = previous.totals();
                format!(
                    "in {}/s  out {}/s  dropped {}/s  {latency}",
                    rate(received, received_then),
                    rate(sent, sent_then),
                    rate(dropped, dropped_then)
                )
            }
            None => format!("in {received}  out {sent}  dropped {dropped}  {latency}"),
        }
    }

    fn draw_legs(&self, frame: &mut Frame<'_>, area: Rect) {
        let heading = ["CALL", "PARTY", "HEARS", "IN", "LOST", "JIT ms", "OUT", "p50us", "p99us", "STATE"];
        let widths = [
            Constraint::Length(9),
            Constraint::Length(10),
            Constraint::Length(11),
            Constraint::Length(6),
            Constraint::Length(4),
            Constraint::Length(6),
            Constraint::Length(6),
            Constraint::Length(5),
            Constraint::Length(5),
            Constraint::Fill(1),
        ];
        let mut rows = Vec::new();
        for call in self.current.iter().flat_map(|sample| &sample.calls) {
            if call.legs.is_empty() {
                rows.push(Row::new([call.call.clone(), "no legs".to_owned(), age(call.age_ms)]));
            }
            for (index, leg) in call.legs.iter().enumerate() {
                let name = if index == 0 { call.call.clone() } else { String::new() };
                rows.push(Row::new([
                    name,
                    leg.party.clone(),
                    leg.hears.clone(),
                    leg.packets.to_string(),
                    leg.lost.to_string(),
                    format!("{:.2}", leg.jitter_ms),
                    leg.sent.packets.to_string(),
                    percentile(leg.relay_latency_us, leg.relay_latency_us.p50),
                    percentile(leg.relay_latency_us, leg.relay_latency_us.p99),
                    state(leg).to_owned(),
                ]));
            }
        }
        let shown = rows.into_iter().skip(self.first_row);
        let table = Table::new(shown, widths).header(header(&heading)).column_spacing(1);
        frame.render_widget(table.block(Block::new().borders(Borders::TOP).title("calls and legs")), area);
    }

    fn draw_cut_overs(&self, frame: &mut Frame<'_>, area: Rect) {
        let heading = ["CALL", "COMMAND", "STATE", "TRIGGER", "PARTY", "GAP us", "SEQ", "EFFECT us"];
        let widths = [
            Constraint::Length(9),
            Constraint::Length(8),
            Constraint::Length(11),
            Constraint::Length(15),
            Constraint::Length(10),
            Constraint::Length(7),
            Constraint::Length(3),
            Constraint::Fill(1),
        ];
        let rows = self.cut_over_rows().into_iter().map(Row::new);
        let table = Table::new(rows, widths).header(header(&heading)).column_spacing(1);
        frame.render_widget(table.block(Block::new().borders(Borders::TOP).title("cut-overs, latest first")), area);
    }

    fn cut_over_rows(&self) -> Vec<[String; 8]> {
        let calls = self.current.iter().flat_map(|sample| &sample.calls);
        let mut all: Vec<_> = calls.flat_map(|call| call.cut_overs.iter().map(move |c| (&call.call, c))).collect();
        all.sort_by_key(|(_, cut_over)| core::cmp::Reverse(cut_over.cut_over));
        let mut rows = Vec::new();
        for (call, cut_over) in all {
            let row = |trigger: &str, party: &str, gap: String, seq: String, effect: String| {
                let [call, command, state] = [call.clone(), cut_over.command.clone(), cut_over.state.clone()];
                [call, command, state, trigger.to_owned(), party.to_owned(), gap, seq, effect]
            };
            if cut_over.receipts.is_empty() {
                rows.push(row(&cut_over.trigger, "", String::new(), String::new(), String::new()));
            }
            for receipt in &cut_over.receipts {
                rows.push(row(
                    &receipt.trigger,
                    &receipt.party,
                    number(receipt.gap_us),
                    number(receipt.seq_step),
                    receipt.command_to_effect_us.to_string(),
                ));
            }
        }
        rows
    }
}

fn header<'a>(headings: &[&'a str]) -> Row<'a> {
    Row::new(headings.iter().map(|&heading| Cell::from(heading)).collect::<Vec<_>>())
        .style(Style::new().add_modifier(Modifier::BOLD))
}

/// One word: the most important thing about a leg.
fn state(leg: &Leg) -> &'static str {
    match leg {
        Leg { pending: Some(_), .. } => "pending",
        Leg { held: true, .. } => "held",
        Leg { muted: true, .. } => "muted",
        Leg { latched: false, .. } => "unlatched",
        _ => "",
    }
}
