//! The measuring of speeds itself, small and short: it needs root, two CPUs and Debian's rtpengine. Without them the test says so
//! and passes, but not in continuous integration.

#![allow(clippy::print_stderr, reason = "a skipped test names its reason")]

mod needs;

use std::time::Duration;

use patchcord_lab::peer::PeerError;
use patchcord_lab::speeds::{Progress, Settings, Speed, markdown, speeds};
use patchcord_srtp::Suite;

/// Short and small ones; `None`: this machine cannot measure.
fn settings() -> Result<Option<Settings>, PeerError> {
    if !needs::root_and_rtpengine("the measuring of speeds") {
        return Ok(None);
    }
    match Settings::new() {
        Err(PeerError::Cpus) => {
            eprintln!("skipped: the measuring of speeds needs two CPUs");
            Ok(None)
        }
        settings => Ok(Some(Settings {
            calls: vec![20],
            rounds: 1,
            window: Duration::from_millis(200),
            light_packets_per_s: 1_000,
            retries: 0,
            ..settings?
        })),
    }
}

#[test]
fn rtpengine_has_a_speed_and_what_does_not_start_has_a_reason() -> Result<(), Box<dyn std::error::Error>> {
    let Some(settings) = settings()? else { return Ok(()) };
    let mmsg: Speed = "mmsg".parse()?;
    let chosen = [
        "rtpengine".parse()?,
        Speed { program: "/nonexistent/patchcord".to_owned(), ..mmsg.clone() },
        // A daemon that refuses its arguments.
        Speed {
            name: "quitter".to_owned(),
            program: "rtpengine".to_owned(),
            arguments: vec!["--no-such".to_owned()],
            ..mmsg
        },
    ];
    let (mut windows, mut trials, mut reasons) = (0, 0, 0);
    let report = speeds(&chosen, &settings, |progress| match progress {
        Progress::Window(_) => windows += 1,
        Progress::Trial(_) => trials += 1,
        Progress::Unavailable(_) => reasons += 1,
    })?;
    assert_eq!((trials, reasons), (1, 2), "{report:?}");
    assert!(report.generator_packets_per_s > 0.0, "{report:?}");
    let [trial] = &report.trials[..] else { panic!("{report:?}") };
    assert!(windows > trial.steps.len(), "{report:?}");
    // How much it is depends on the machine; but what was forwarded was forwarded, and the rates are in order.
    let rate = trial.maximum.packets_per_s;
    assert!(rate > 1_000, "{report:?}");
    assert!(trial.steps.iter().filter(|step| step.forwarded).all(|step| step.loss <= 0.001), "{report:?}");
    let light = trial.at_light.as_ref().ok_or("nothing at the light load")?;
    // 1,000 a second for 200 ms; a busy machine may hold the generator up.
    assert!(light.window.sent > 0 && light.window.sent < 400, "{light:?}");
    assert_eq!(light.window.latency.count(), light.window.received, "{light:?}");
    assert!(light.relay_ns > 0.0 && light.harness_ns > 0.0, "{light:?}");
    assert!(trial.kib_per_call > 0.0 && trial.empty_rss_kib > 1_000, "{report:?}");

    let names: Vec<&str> = report.unavailable.iter().map(|one| &*one.speed).collect();
    assert_eq!(names, ["mmsg", "quitter"]);
    assert!(report.unavailable[0].reason.contains("cannot start mmsg"), "{report:?}");
    let text = markdown(&report);
    assert!(text.contains("| rtpengine |") && text.contains("mmsg: not available"), "{text}");
    Ok(())
}

#[test]
fn callees_can_speak_srtp() -> Result<(), Box<dyn std::error::Error>> {
    let Some(settings) = settings()? else { return Ok(()) };
    let settings = Settings { callee_suite: Some(Suite::AesCm128HmacSha1_80), ..settings };
    let report = speeds(&["rtpengine".parse()?], &settings, |_| ())?;
    let [trial] = &report.trials[..] else { panic!("{report:?}") };
    let light = trial.at_light.as_ref().ok_or("nothing at the light load")?;
    // What arrives is as long as SRTP is; RTP would be strange.
    assert!(light.window.received > 0, "{light:?}");
    assert_eq!(light.window.strange, 0, "{light:?}");
    assert!(markdown(&report).contains("SRTP (AES_CM_128_HMAC_SHA1_80)"), "{report:?}");
    Ok(())
}
