//! `doctor`: looks at the machine with the relay's eyes, and says for each finding the cause and the fix.

mod cpu;
mod finding;
mod kernel;
mod limits;
mod machine;
mod network;

use serde_json::json;

pub(crate) use self::finding::{Finding, State};
use self::machine::Machine;
use crate::cli::DoctorArgs;
use crate::config::{Config, Layer};
use crate::failure::Failure;
use crate::output;

/// Examines the machine; a finding that keeps the relay from working makes the exit code 1.
pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let mut flags = Layer::flags();
    if let Some(ports) = &args.ports {
        flags.put("ports", ports.as_str());
    }
    let config = Config::load(args.config.as_deref(), std::env::vars(), flags)?;
    let findings = examine(&Machine::this(), &config);
    let failed = findings.iter().any(|finding| finding.state == State::Fail);
    if args.json {
        output::print_json(&json!({ "ok": !failed, "checks": findings }));
    } else {
        output::print(&text(&findings));
    }
    if failed { Err(Failure::Reported) } else { Ok(()) }
}

fn examine(machine: &Machine, config: &Config) -> Vec<Finding> {
    let mut findings = kernel::examine(machine, config);
    findings.extend(limits::examine(machine, config));
    findings.extend(network::examine(machine, config));
    findings.extend(cpu::examine(machine, config));
    findings
}

/// Findings as lines for people: state, what was looked at, what was seen; below a problem its cause and what to do.
pub(crate) fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        text.push_str(&format!("{:4}  {:width$}  {}\n", finding.state.name(), finding.check, finding.found));
        for (label, line) in [("why", &finding.cause), ("fix", &finding.fix)] {
            if let Some(line) = line {
                text.push_str(&format!("      {:width$}  {label}: {line}\n", ""));
            }
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    text.push_str(&format!(
        "{} ok, {} warnings, {} failures\n",
        count(State::Ok),
        count(State::Warn),
        count(State::Fail)
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_examined_without_a_panic_and_every_problem_has_cause_and_fix() {
        let config = Config::load(None, std::iter::empty(), Layer::flags()).expect("the defaults");
        let findings = examine(&Machine::this(), &config);
        assert!(findings.len() >= 10, "{findings:?}");
        for finding in &findings {
            let explained = finding.cause.is_some() && finding.fix.is_some();
            assert!(finding.state == State::Ok || explained, "{finding:?}");
        }
    }
}
