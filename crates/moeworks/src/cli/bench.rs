//! Flags of `bench`.

use super::{PrecisionFlag, parse_positive, parse_threads};
use clap::{Args, Subcommand, ValueEnum};
use moeworks_model::Recompute;
use std::path::PathBuf;

/// `bench …`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Whole training steps of a shape: tokens/s, share of the ceiling, memory, time by op.
    Train(BenchTrain),
    /// Every op at a few widths and numbers of rows.
    Ops(BenchOps),
    /// Text to ids: MB/s and tokens/s with one thread and more.
    Tokenize(BenchTokenize),
    /// How fast batches come from a folder of shards.
    Loader(BenchLoader),
}

/// Flags of `bench loader`.
#[derive(Debug, Args)]
pub struct BenchLoader {
    /// A folder that `data build` made, or any MDS folder with a column `tokens`.
    pub folder: PathBuf,
    /// Samples of a batch, of all readers together.
    #[arg(long, default_value_t = 16, value_parser = parse_positive)]
    pub batch: usize,
    /// In a random order; as stored if not given.
    #[arg(long)]
    pub shuffle: bool,
    /// Readers that share each batch, a thread each.
    #[arg(long, default_value_t = 1, value_parser = parse_positive)]
    pub readers: usize,
    /// For so long.
    #[arg(long, default_value_t = 5.0, conflicts_with = "epochs")]
    pub seconds: f64,
    /// For so many passes over the data, instead.
    #[arg(long)]
    pub epochs: Option<f64>,
    /// Does not check hashes.
    #[arg(long)]
    pub no_hashes: bool,
    /// MiB of the shards whose samples are shuffled together.
    #[arg(long, default_value_t = 256)]
    pub block_mib: u64,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Where and in which numbers to measure.
#[derive(Debug, Args)]
pub struct BenchCompute {
    /// Number format; `auto` is what the device multiplies fastest.
    #[arg(long, value_enum, default_value = "auto")]
    pub dtype: PrecisionFlag,
    /// Threads; all of the machine's if not given.
    #[arg(long, value_parser = parse_threads)]
    pub threads: Option<usize>,
}

/// What a backward computes again instead of keeping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecomputeFlag {
    /// Nothing: the fastest
    Nothing,
    /// The experts' gate and up
    Experts,
    /// All of a block but its input
    Blocks,
}

impl From<RecomputeFlag> for Recompute {
    fn from(flag: RecomputeFlag) -> Self {
        match flag {
            RecomputeFlag::Nothing => Recompute::Nothing,
            RecomputeFlag::Experts => Recompute::Experts,
            RecomputeFlag::Blocks => Recompute::Blocks,
        }
    }
}

/// Flags of `bench train`.
#[derive(Debug, Args)]
pub struct BenchTrain {
    /// A preset, such as s, s100k or m, or a size.
    #[arg(long, default_value = "s")]
    pub shape: String,
    /// Sequences of a step.
    #[arg(long, default_value_t = 8, value_parser = parse_positive)]
    pub batch: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 512, value_parser = parse_positive)]
    pub seq: usize,
    /// What the backward computes again to save memory.
    #[arg(long, value_enum, default_value = "nothing")]
    pub recompute: RecomputeFlag,
    /// Steps that are measured.
    #[arg(long, default_value_t = 5, value_parser = parse_positive)]
    pub steps: usize,
    /// Steps before those.
    #[arg(long, default_value_t = 2)]
    pub warmup: usize,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Where to compute.
    #[command(flatten)]
    pub compute: BenchCompute,
}

/// Flags of `bench ops`.
#[derive(Debug, Args)]
pub struct BenchOps {
    /// Steps that are measured for each setting.
    #[arg(long, default_value_t = 5, value_parser = parse_positive)]
    pub steps: usize,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Where to compute.
    #[command(flatten)]
    pub compute: BenchCompute,
}

/// Flags of `bench tokenize`.
#[derive(Debug, Args)]
pub struct BenchTokenize {
    /// Files of UTF-8 text.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub text: Vec<PathBuf>,
    /// `cl100k`, or a folder with a tokenizer.json.
    #[arg(long, default_value = "cl100k")]
    pub tokenizer: String,
    /// Characters of a document.
    #[arg(long, default_value_t = 4096, value_parser = parse_positive)]
    pub chunk: usize,
    /// Measures with 1 thread, 2, … up to so many; all of the machine's if not given.
    #[arg(long, value_parser = parse_threads)]
    pub threads: Option<usize>,
    /// Seconds for each number of threads.
    #[arg(long, default_value_t = 2.0, value_parser = parse_seconds)]
    pub seconds: f64,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("must be a number of seconds from 0 to 86400".into()),
    }
}
