//! CPUs and their governor.

use std::collections::BTreeSet;

use super::finding::Finding;
use super::machine::Machine;
use crate::config::Config;
use crate::sys;

pub(super) fn examine(machine: &Machine, config: &Config) -> Vec<Finding> {
    let allowed = sys::cpus_allowed();
    vec![cpus(&allowed, config), governor(machine, &allowed)]
}

fn cpus(allowed: &[usize], config: &Config) -> Finding {
    const CHECK: &str = "CPUs";
    let found = format!("{} to run on", allowed.len());
    if let Some(absent) = config.workers.cpus.iter().find(|cpu| !allowed.contains(cpu)) {
        return Finding::fail(
            CHECK,
            found,
            format!("workers.cpus names CPU {absent}, which this process may not use"),
            format!("choose among {}", list(allowed)),
        );
    }
    if config.workers.count > allowed.len() {
        return Finding::warn(
            CHECK,
            found,
            format!("workers.count is {}: workers will take the CPU from each other", config.workers.count),
            "set it to 0, one for each CPU",
        );
    }
    Finding::ok(CHECK, found)
}

fn governor(machine: &Machine, allowed: &[usize]) -> Finding {
    const CHECK: &str = "CPU governor";
    let governors: BTreeSet<String> = allowed
        .iter()
        .filter_map(|cpu| machine.read(&format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")))
        .collect();
    let found = governors.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if governors.is_empty() {
        return Finding::ok(CHECK, "none: the frequency is not in this system's hands (a virtual machine?)");
    }
    if governors.iter().all(|governor| governor == "performance") {
        return Finding::ok(CHECK, found);
    }
    Finding::warn(
        CHECK,
        found,
        "a CPU that has slowed down between two packets adds to latency and jitter",
        "cpupower frequency-set -g performance",
    )
}

/// `0,1,2` with ranges: `0-2`.
fn list(cpus: &[usize]) -> String {
    let mut text = String::new();
    let mut rest = cpus;
    while let [first, ..] = rest {
        let run = rest.iter().enumerate().take_while(|&(index, &cpu)| cpu == first + index).count();
        let separator = if text.is_empty() { "" } else { "," };
        if run > 1 {
            text.push_str(&format!("{separator}{first}-{}", first + run - 1));
        } else {
            text.push_str(&format!("{separator}{first}"));
        }
        rest = &rest[run..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::finding::State;
    use super::*;
    use crate::config::Layer;

    #[test]
    fn lists_of_cpus_are_short() {
        assert_eq!(list(&[0, 1, 2, 4, 6, 7]), "0-2,4,6-7");
        assert_eq!(list(&[]), "");
    }

    #[test]
    fn a_cpu_that_is_not_there_fails() {
        let mut flags = Layer::flags();
        flags.set("workers.cpus=1,9").expect("a list");
        let config = Config::load(None, std::iter::empty(), flags).expect("a configuration");
        assert_eq!(cpus(&[0, 1], &config).state, State::Fail);
        assert_eq!(cpus(&[1, 9], &config).state, State::Ok);
    }
}
