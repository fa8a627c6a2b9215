//! `serve`: joins the data plane and the control plane, and runs until it is told to stop.

mod logging;
mod notify;

use crate::cli::ServeArgs;
use crate::config::{Config, ConfigError};
use crate::failure::Failure;
use crate::output;

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Runs the relay.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let config = Config::load(args.config.as_deref(), std::env::vars(), args.layer()?)?;
    if args.print_config {
        let text = toml::to_string(&config).map_err(|error| Failure::failed(format!("cannot print it: {error}")))?;
        output::print(&text);
        return Ok(());
    }
    logging::start(&config.log)?;
    crate::sys::raise_file_limit();
    notify::notify("READY=1");
    Ok(())
}
