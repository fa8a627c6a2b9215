//! `patchcord`: the relay, its client commands, its demo and its measuring tools in one binary.

#![forbid(unsafe_code)]

mod child;
mod cli;
mod client;
mod compat;
mod config;
mod demo;
mod doctor;
mod evidence;
mod failure;
mod media;
mod output;
mod replay;
mod rerun;
mod serve;
mod sys;
mod table;
mod top;
mod trunk;

use std::process::ExitCode;

use clap::Parser;

use self::cli::{Cli, Command, TrunkCommand};
use self::failure::Failure;

/// What one thread allocates for a call another one frees, thousands of times a second: the system's allocator spends a
/// quarter of the control plane's time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A wrong command line ends here with exit code 2.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Reported) {
                output::tell(&format!("patchcord: {failure}"));
            }
            failure.exit_code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::RtpengineCompat(args) => compat::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Trunk(TrunkCommand::Check(args)) => trunk::check(&args),
        Command::Top(args) => top::run(&args),
        Command::Client(command) => client::run(command),
    }
}
