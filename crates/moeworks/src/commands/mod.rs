//! One file a command.

mod bench;
mod chat;
mod compare;
mod config;
mod data;
mod doctor;
mod eval;
mod generate;
mod plan;
mod quickstart;
mod runs;
mod serve;
mod tokenizer;
mod train;

use crate::cli::{Cli, Command};
use anyhow::Result;
use clap::CommandFactory;
use std::process::ExitCode;

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let quiet = cli.quiet;
    match cli.command {
        Command::Quickstart(flags) => return quickstart::run(&flags, quiet),
        Command::Doctor(flags) => doctor::run(&flags)?,
        Command::Plan(flags) => plan::run(&flags)?,
        Command::Data(command) => data::run(&command, quiet)?,
        Command::Tokenizer(command) => tokenizer::run(&command, quiet)?,
        Command::Train(flags) => return train::run(&flags, quiet),
        Command::Eval(flags) => eval::run(&flags, quiet)?,
        Command::Generate(flags) => generate::run(&flags)?,
        Command::Chat(flags) => chat::run(&flags)?,
        Command::Serve(flags) => serve::run(&flags, quiet)?,
        Command::Logits(flags) => compare::logits(&flags)?,
        Command::Gradients(flags) => compare::gradients(&flags)?,
        Command::Bench(command) => bench::run(&command, quiet)?,
        Command::Runs(command) => runs::run(&command)?,
        Command::Config(command) => config::run(&command)?,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "moeworks", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}
