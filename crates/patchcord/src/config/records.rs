//! `[records]`: where what is known of calls and transfers outlives the process.

use std::path::{Path, PathBuf};

use patchcord_records::Target;
use serde::{Deserialize, Serialize};

/// `records.database` that switches records off.
const OFF: &str = "off";

/// `[records]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Records {
    pub(crate) directory: String,
    pub(crate) database: String,
    pub(crate) ca: String,
    pub(crate) queue_mib: u32,
    pub(crate) retention_days: u32,
}

impl Records {
    /// What no single value shows to be wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.queue_mib == 0 {
            return Err(
                "`records.queue_mib` is 0: records wait there for a database that cannot be had; give at least 1"
                    .into(),
            );
        }
        if self.is_off() {
            return Ok(());
        }
        match Target::parse(&self.database, Path::new(""), None) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("`records.database` {error}")),
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.database == OFF
    }

    /// Where they are kept: the directory of the configuration, or the one that systemd has made (systemd.exec(5), `StateDirectory=`).
    pub(crate) fn directory(&self, of_systemd: Option<&str>) -> Option<PathBuf> {
        if self.is_off() {
            return None;
        }
        if !self.directory.is_empty() {
            return Some(PathBuf::from(&self.directory));
        }
        let first = of_systemd.and_then(|all| all.split(':').next()).filter(|first| !first.is_empty());
        first.map(|first| Path::new(first).join("records"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(directory: &str, database: &str) -> Records {
        let [directory, database] = [directory, database].map(str::to_owned);
        Records { directory, database, ca: String::new(), queue_mib: 1, retention_days: 0 }
    }

    #[test]
    fn the_directory_is_the_configured_one_before_that_of_systemd() {
        let systemd = || Some("/var/lib/patchcord:/var/lib/other");
        assert_eq!(records("", "").directory(None), None);
        assert_eq!(records("", "").directory(Some("")), None);
        assert_eq!(records("", "").directory(systemd()), Some("/var/lib/patchcord/records".into()));
        assert_eq!(records("/srv/r", "").directory(systemd()), Some("/srv/r".into()));
        assert_eq!(records("/srv/r", "off").directory(systemd()), None);
    }

    #[test]
    fn what_is_no_database_is_refused_without_telling_the_password() {
        for database in ["", "off", "postgres://u:secret@db.example/records", "postgresql://u@%2Frun%2Fpostgresql/r"] {
            assert_eq!(records("", database).check(), Ok(()), "{database}");
        }
        let refused = |database: &str| records("", database).check().expect_err(database);
        assert!(refused("mysql://h/d").contains("postgres://user:password@host/database"));
        for database in ["postgres://u:secret@db.example:port/r", "postgres://:secret@db.example/r", "postgres:///r"] {
            let text = refused(database);
            assert!(text.contains("`records.database`") && !text.contains("secret"), "{text}");
        }
        assert!(Records { queue_mib: 0, ..records("", "") }.check().is_err());
    }
}
