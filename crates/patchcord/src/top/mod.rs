//! `top`: the relay at a glance, once a second.

mod sample;
mod screen;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use self::sample::{Sample, take};
use self::screen::View;
use crate::cli::TopArgs;
use crate::client::api::Api;
use crate::failure::Failure;
use crate::output;

/// How often the relay is asked.
const PERIOD: Duration = Duration::from_secs(1);

/// How long a key may wait for its effect.
const KEY_POLL: Duration = Duration::from_millis(50);

/// Shows the screen until `q`, or one frame of it as text.
pub(crate) fn run(args: &TopArgs) -> Result<(), Failure> {
    let api = args.relay.api();
    if args.once {
        let sample = take(&api)?;
        output::print(&render_once(&View::new(api.base(), Some(Ok(sample))), args.size)?);
        return Ok(());
    }
    let (samples, received) = channel();
    std::thread::Builder::new()
        .name("top-sampler".to_owned())
        .spawn(move || keep_sampling(&api, &samples))
        .map_err(|error| Failure::failed(format!("cannot start a thread: {error}")))?;
    let mut terminal = ratatui::try_init().map_err(|error| {
        Failure::failed(format!("this is no terminal to draw on: {error}; `patchcord top --once` prints one frame"))
    })?;
    let result = interact(&mut terminal, &received, &args.relay.server);
    ratatui::restore();
    result.map_err(|error| Failure::failed(format!("the terminal failed: {error}")))
}

/// Asks the relay once a period, for as long as somebody listens.
fn keep_sampling(api: &Api, samples: &Sender<Result<Sample, String>>) {
    while samples.send(take(api).map_err(|error| error.to_string())).is_ok() {
        std::thread::sleep(PERIOD);
    }
}

fn interact(
    terminal: &mut ratatui::DefaultTerminal,
    samples: &Receiver<Result<Sample, String>>,
    server: &str,
) -> std::io::Result<()> {
    let mut view = View::new(server, None);
    loop {
        terminal.draw(|frame| view.draw(frame))?;
        match samples.recv_timeout(KEY_POLL) {
            Ok(sample) => view.update(sample),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        while event::poll(Duration::ZERO)? {
            let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event::read()? else {
                continue;
            };
            match code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                KeyCode::Down | KeyCode::Char('j') => view.scroll(1),
                KeyCode::Up | KeyCode::Char('k') => view.scroll(-1),
                KeyCode::PageDown => view.scroll(10),
                KeyCode::PageUp => view.scroll(-10),
                _ => {}
            }
        }
    }
}

/// One frame as text, lines without the blanks at their ends.
fn render_once(view: &View, (width, height): (u16, u16)) -> Result<String, Failure> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))
        .map_err(|error| Failure::failed(format!("cannot render: {error}")))?;
    terminal.draw(|frame| view.draw(frame)).map_err(|error| Failure::failed(format!("cannot render: {error}")))?;
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}

/// `80x24`
pub(crate) fn parse_size(text: &str) -> Result<(u16, u16), String> {
    let (width, height) = text.split_once('x').ok_or("it is written WIDTHxHEIGHT, such as 80x24")?;
    let number = |part: &str| part.parse::<u16>().map_err(|_| format!("`{part}` is not a number"));
    match (number(width)?, number(height)?) {
        (width @ 20..=1000, height @ 5..=1000) => Ok((width, height)),
        _ => Err("between 20x5 and 1000x1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::model::{Call, CutOver, Leg, Percentiles, Receipt, Sent, Worker};

    fn sample(calls: usize) -> Sample {
        let leg = |party: &str| Leg {
            party: party.to_owned(),
            hears: "agent".to_owned(),
            latched: true,
            packets: 250,
            jitter_ms: 0.12,
            lost: 3,
            sent: Sent { packets: 249, ..Sent::default() },
            relay_latency_us: Percentiles { count: 249, p50: 18, p99: 60, p999: 88 },
            ..Leg::default()
        };
        let receipt = Receipt {
            party: "transferee".to_owned(),
            trigger: "on-first-packet".to_owned(),
            gap_us: Some(20_011),
            seq_step: Some(1),
            command_to_effect_us: 812_004,
            ..Receipt::default()
        };
        let cut_over = CutOver {
            cut_over: 12,
            command: "swap".to_owned(),
            state: "done".to_owned(),
            receipts: vec![receipt],
            ..CutOver::default()
        };
        let call = |index: usize| Call {
            call: format!("call-{index}"),
            legs: vec![leg("transferee"), leg("agent")],
            cut_overs: vec![cut_over.clone()],
            ..Call::default()
        };
        Sample {
            at: std::time::Instant::now(),
            calls_total: calls,
            calls: (0..calls).map(call).collect(),
            workers: vec![Worker { backend: "io-uring".to_owned(), legs: 2, legs_max: 4096, ..Worker::default() }],
        }
    }

    #[test]
    fn a_frame_shows_calls_legs_jitter_latency_and_cut_overs_at_80_by_24() {
        let view = View::new("http://127.0.0.1:8223", Some(Ok(sample(1))));
        let text = render_once(&view, (80, 24)).expect("a frame");
        for part in ["io-uring", "call-0", "transferee", "0.12", "60", "swap", "20011", "812004", "q quit"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn every_size_is_survived() {
        for size in [(20, 5), (80, 24), (200, 60), (40, 7)] {
            for calls in [0, 1, 100] {
                let mut view = View::new("http://127.0.0.1:8223", Some(Ok(sample(calls))));
                view.scroll(1000);
                view.update(Err("cannot reach the relay".to_owned()));
                render_once(&view, size).expect("a frame");
            }
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("80x24"), Ok((80, 24)));
        for wrong in ["80", "x", "5x5", "80x100000"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
