//! Where something was measured.

use std::fs;
use std::process::Command;

use serde::Serialize;

use super::Speed;

/// What a machine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// CPUs that this process may use.
    pub cpus: usize,
    /// Whether it is a guest of another machine.
    pub is_virtual: bool,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// What the kernel does against attacks by way of the processor, which can double the price of a system call: the names of
    /// /sys/devices/system/cpu/vulnerabilities and what they say.
    pub mitigations: Vec<String>,
    /// What the relays say of their versions.
    pub versions: Vec<String>,
}

impl Machine {
    /// This one, and the versions of these speeds' programs.
    #[must_use]
    pub fn this(speeds: &[Speed]) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let (cpuinfo, meminfo) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
        let memory_kib = field(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        let mut versions: Vec<String> = Vec::new();
        for speed in speeds {
            let name = if speed.is_own { "patchcord" } else { "rtpengine" };
            let version = version(&speed.program).map(|version| format!("{name}: {version}"));
            versions.extend(version.filter(|version| !versions.contains(version)));
        }
        Self {
            processor: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            is_virtual: field(&cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            memory_mib: memory_kib.unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            mitigations: mitigations(),
            versions,
        }
    }
}

fn mitigations() -> Vec<String> {
    let Ok(files) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else { return Vec::new() };
    let mut found: Vec<String> = files
        .flatten()
        .filter_map(|file| {
            let text = fs::read_to_string(file.path()).ok()?;
            let how = text.trim().strip_prefix("Mitigation: ")?;
            Some(format!("{}: {how}", file.file_name().to_string_lossy()))
        })
        .collect();
    found.sort();
    found
}

/// The first value of a name in a file of "name : value".
fn field<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = file.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}

/// The first line that a program prints about its version, on whichever output.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().map(|line| line.trim().trim_start_matches("Version: ").to_owned()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let machine = Machine::this(&[]);
        assert!(machine.cpus > 0 && machine.memory_mib > 0 && !machine.kernel.is_empty(), "{machine:?}");
        assert_eq!(field("a : 1\nb\t: x y\nb: z\n", "b"), Some("x y"));
        assert_eq!(field("a : 1\n", "c"), None);
    }
}
