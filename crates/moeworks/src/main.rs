//! The command line: glue, flags, progress. The only crate that picks a device.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod device;
mod exit;
mod interrupt;
mod probe;
mod show;
mod watch;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    exit::report_panics();
    match std::panic::catch_unwind(|| commands::run(cli)) {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => exit::report(&error),
        Err(_) => ExitCode::from(exit::BUG),
    }
}
