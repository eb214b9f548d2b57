//! `bench`: how fast this machine trains, op by op, beside what the hardware could do; how fast it tokenizes, and how
//! fast batches come.

mod loader;
mod measure;
mod ops;
mod products;
mod tokenize;
mod train;

use crate::cli::Bench;
use anyhow::Result;

pub fn run(command: &Bench, quiet: bool) -> Result<()> {
    match command {
        Bench::Train(flags) => train::run(flags, quiet),
        Bench::Ops(flags) => ops::run(flags, quiet),
        Bench::Tokenize(flags) => tokenize::run(flags),
        Bench::Loader(flags) => loader::run(flags),
    }
}
