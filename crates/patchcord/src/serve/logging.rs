//! Logs on stderr.

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::failure::Failure;

/// What the library below SIP has to say.
const SIP: &str = "rsipstack=warn";

/// Starts logging as `[log]` says.
pub(crate) fn start(log: &Log) -> Result<(), Failure> {
    // It logs whole messages, passwords' digests included, at `info`. Whoever wants that can still ask for it by name.
    let level = format!("{SIP},{}", log.level);
    let filter = EnvFilter::builder().parse(&level).map_err(|error| {
        Failure::Usage(format!("`log.level` is `{}`: {error}; use error, warn, info, debug or trace", log.level))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            builder.with_ansi(colours).with_target(false).try_init()
        }
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| Failure::failed(format!("cannot start logging: {error}")))
}
