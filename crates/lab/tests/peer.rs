//! The comparison itself, small and short: it needs root and Debian's rtpengine. Without them the test says so and passes, but
//! not in continuous integration.

#![allow(clippy::print_stderr, reason = "a skipped test names its reason")]

mod needs;

use std::time::Duration;

use patchcord_lab::peer::{
    self, NgDaemon, NgLoadSettings, NgPhase, PeerError, Relay, Rtpengine, Settings, comparison_text, ng_comparison_text,
};

#[test]
fn rtpengine_is_measured() -> Result<(), Box<dyn std::error::Error>> {
    if !needs::root_and_rtpengine("the comparison") {
        return Ok(());
    }
    let settings = match Settings::new() {
        Err(PeerError::Cpus) => {
            eprintln!("skipped: the comparison needs two CPUs");
            return Ok(());
        }
        settings => Settings {
            calls: 20,
            warmup: Duration::from_millis(300),
            window: Duration::from_secs(1),
            rounds: 1,
            retries: 0,
            ..settings?
        },
    };
    let rtpengine = Rtpengine::default();
    let mut seen = 0;
    let comparison = peer::compare(&[&rtpengine as &dyn Relay], &settings, |_| seen += 1)?;
    assert_eq!(seen, 1);
    let window = &comparison.windows[0];
    // 20 calls, two directions, 50 packets/s, one second; a busy machine may hold the generator up.
    assert!(window.sent > 500 && window.sent < 2_500, "{window:?}");
    assert!(window.received > 500 && window.received <= window.sent, "{window:?}");
    assert!(window.relay_cpu_s > 0.0 && window.packets_per_cpu_s > 1_000.0, "{window:?}");
    assert!(window.rss_kib > 1_000, "{window:?}");
    assert_eq!(window.latency_us.map(|latency| latency.count), Some(window.received));
    assert_eq!(comparison.ratio, None);
    assert!(comparison_text(&comparison).contains("rtpengine"));

    // A relay that does not exist is named.
    let nowhere = Rtpengine { program: "/nonexistent/rtpengine".to_owned(), ..Rtpengine::default() };
    let error = peer::compare(&[&nowhere as &dyn Relay], &settings, |_| ()).expect_err("it cannot be started");
    assert!(error.to_string().contains("cannot start rtpengine as \"/nonexistent/rtpengine\""), "{error}");
    // So is one that ends.
    let quitter = Rtpengine { arguments: vec!["--no-such-option".to_owned()], ..Rtpengine::default() };
    let error = peer::compare(&[&quitter as &dyn Relay], &settings, |_| ()).expect_err("it ends");
    assert!(error.to_string().contains("ended with exit status"), "{error}");
    let PeerError::Relay { log, .. } = error else { panic!("{error:?}") };
    // What it printed, if anything, is kept.
    std::fs::remove_file(log)?;
    Ok(())
}

#[test]
fn the_load_of_ng_sets_calls_up() -> Result<(), Box<dyn std::error::Error>> {
    if !needs::root_and_rtpengine("the comparison") {
        return Ok(());
    }
    let settings = match NgLoadSettings::new() {
        Err(PeerError::Cpus) => {
            eprintln!("skipped: the load needs two CPUs");
            return Ok(());
        }
        settings => NgLoadSettings {
            calls: 20,
            in_flight: 4,
            window: Duration::from_millis(500),
            warmup: Duration::from_millis(100),
            paced_per_s: 50,
            rounds: 1,
            retries: 0,
            ..settings?
        },
    };
    let mut seen = Vec::new();
    let comparison = peer::ng_load(&[NgDaemon::rtpengine("rtpengine")], &settings, |window| seen.push(window.phase))?;
    assert_eq!(seen, [NgPhase::Filling, NgPhase::FullSpeed, NgPhase::Paced]);
    let [filling, full, paced] = &comparison.windows[..] else { panic!("{comparison:?}") };
    // Calls in the making when the last one is there are finished as well.
    assert!((20..24).contains(&filling.pairs), "{filling:?}");
    assert_eq!(filling.deletes, filling.pairs - 20, "{filling:?}");
    for window in [full, paced] {
        assert!(window.pairs > 0 && window.deletes == window.pairs, "{window:?}");
        assert!(window.cpu_us_per_pair > 0.0 && window.rss_kib > 1_000, "{window:?}");
        assert_eq!(window.offer_us.as_ref().map(|latency| latency.count), Some(window.pairs), "{window:?}");
    }
    assert!(full.pairs > paced.pairs, "{comparison:?}");
    assert!(paced.pairs <= 26, "50 a second for half a second: {paced:?}");
    assert!((comparison.ratio, comparison.cpu_ratio) == (None, None));
    assert!(ng_comparison_text(&comparison).contains("rtpengine"));
    Ok(())
}

#[test]
fn a_daemon_that_refuses_ends_the_load_of_ng() -> Result<(), Box<dyn std::error::Error>> {
    if !needs::root_and_rtpengine("the comparison") {
        return Ok(());
    }
    let Ok(settings) = NgLoadSettings::new() else { return Ok(()) };
    let full = NgDaemon { arguments: vec!["--max-sessions=5".to_owned()], ..NgDaemon::rtpengine("rtpengine") };
    let refused = peer::ng_load(&[full], &NgLoadSettings { rounds: 1, calls: 20, ..settings }, |_| ());
    let error = refused.expect_err("only five calls are allowed").to_string();
    assert!(error.contains("Parallel session limit reached") || error.contains("load limit"), "{error}");
    Ok(())
}
