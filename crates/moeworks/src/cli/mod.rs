//! Commands and flags.

mod answer;
mod bench;
mod data;

pub use answer::*;
pub use bench::*;
pub use data::*;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Build, own and run a DBRX-class mixture-of-experts language model.
///
/// Results go to stdout, progress to stderr. Exit codes: 0 done, 2 usage, 65 bad data, 66 missing input, 70 bug,
/// 73 cannot write, 74 input or output failed, 75 interrupted and resumable, 78 bad configuration.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// No progress on stderr.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole way on this machine: documents, tokenizer, shards, training, evaluation, samples, what to do next.
    Quickstart(Quickstart),
    /// What this machine has, and which kernels will run.
    Doctor(Doctor),
    /// What a training would take: parameters, memory, steps, time.
    Plan(Plan),
    /// Documents to shards.
    #[command(subcommand)]
    Data(Data),
    /// Tokenizers.
    #[command(subcommand)]
    Tokenizer(TokenizerCommand),
    /// Trains, or goes on by itself where the run has a checkpoint.
    Train(Train),
    /// Scores a model: bits per byte of text, and few-shot tasks.
    Eval(Eval),
    /// Continues a text.
    Generate(Generate),
    /// A conversation in the terminal.
    Chat(Chat),
    /// An OpenAI-compatible server with a chat page.
    Serve(Serve),
    /// Float32 logits of given token ids, to compare with any other implementation.
    Logits(Compare),
    /// Loss and the gradient of every parameter for given token ids, likewise.
    Gradients(Compare),
    /// How fast this machine trains, op by op, beside what the hardware could do.
    #[command(subcommand)]
    Bench(Bench),
    /// What was trained.
    #[command(subcommand)]
    Runs(Runs),
    /// Configurations.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Shell completions, on stdout.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// Where and in which numbers to compute.
#[derive(Debug, Clone, Args)]
pub struct Compute {
    /// Threads; all of the machine's if not given.
    #[arg(long, value_parser = parse_threads)]
    pub threads: Option<usize>,
    /// Number format of weights and activations; `auto` takes the stored one.
    #[arg(long, value_enum, default_value = "auto")]
    pub precision: PrecisionFlag,
}

fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=4096).contains(&n) => Ok(n),
        _ => Err("must be between 1 and 4096".into()),
    }
}

/// A number format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrecisionFlag {
    /// What is stored.
    Auto,
    /// 32-bit float.
    F32,
    /// bfloat16, sums in f32.
    Bf16,
}

/// Flags of `quickstart`.
#[derive(Debug, Args)]
pub struct Quickstart {
    /// A folder or file of documents. Without it: the Rust and Markdown sources that cargo has on this machine.
    #[arg(long, value_name = "PATH")]
    pub documents: Option<PathBuf>,
    /// Minutes of training.
    #[arg(long, default_value_t = 3.0, value_parser = parse_minutes)]
    pub minutes: f64,
    /// Size of the model, such as 4m; chosen by a short probe if not given.
    #[arg(long)]
    pub size: Option<String>,
    /// Steps of training, instead of minutes: the same seed, size and steps give the same losses to the bit.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Seed of tokens, parameters and order.
    #[arg(long, default_value_t = 17)]
    pub seed: u64,
    /// Name of the run; an interrupted run of that name is continued.
    #[arg(long)]
    pub name: Option<String>,
    /// Folder of runs.
    #[arg(long, default_value = "runs")]
    pub folder: PathBuf,
    /// Threads; all of the machine's if not given.
    #[arg(long, value_parser = parse_threads)]
    pub threads: Option<usize>,
}

fn parse_minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(n) if (0.01..=100_000.0).contains(&n) => Ok(n),
        _ => Err("must be a number of minutes from 0.01 up".into()),
    }
}

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The configuration, as for `train`.
    pub config: PathBuf,
    /// Settings over the file's, as `key=value`.
    pub settings: Vec<String>,
    /// Do not measure speed.
    #[arg(long)]
    pub no_probe: bool,
    /// Threads; all of the machine's if not given.
    #[arg(long, value_parser = parse_threads)]
    pub threads: Option<usize>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `train`.
#[derive(Debug, Args)]
pub struct Train {
    /// The configuration (TOML).
    pub config: PathBuf,
    /// Settings over the file's, as `key=value`.
    pub settings: Vec<String>,
    /// Starts anew: deletes what an earlier training of this name left.
    #[arg(long)]
    pub fresh: bool,
    /// Threads; all of the machine's if not given.
    #[arg(long, value_parser = parse_threads)]
    pub threads: Option<usize>,
}

/// Flags of `eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// A model directory.
    pub model: PathBuf,
    /// A suite: a built-in name or a TOML file.
    #[arg(long)]
    pub suite: Option<String>,
    /// Folder of the suite's data.
    #[arg(long, requires = "suite")]
    pub data: Option<PathBuf>,
    /// A task of your own, in LLM Foundry's JSONL; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub task: Vec<PathBuf>,
    /// Examples before each question of --task.
    #[arg(long, default_value_t = 0)]
    pub shots: usize,
    /// Text to score in bits per byte (.txt, or .jsonl with key `text`); may be given several times.
    #[arg(long, value_name = "FILE")]
    pub text: Vec<PathBuf>,
    /// Tokens of a window; the model's context, up to 4096, if not given.
    #[arg(long)]
    pub context: Option<usize>,
    /// Tokens from one window of --text to the next; side by side if not given. Half the context is the usual choice.
    #[arg(long)]
    pub stride: Option<usize>,
    /// Only so many rows of each task.
    #[arg(long)]
    pub limit: Option<usize>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Where to compute.
    #[command(flatten)]
    pub compute: Compute,
}

/// Flags of `logits` and `gradients`.
#[derive(Debug, Args)]
pub struct Compare {
    /// A model directory.
    pub model: PathBuf,
    /// A safetensors file with int64 `input_ids` [B, T].
    pub ids: PathBuf,
    /// The safetensors file to write.
    pub out: PathBuf,
    /// Where to compute; `auto` is f32 here.
    #[command(flatten)]
    pub compute: Compute,
}

/// `runs …`
#[derive(Debug, Subcommand)]
pub enum Runs {
    /// All runs, newest first.
    Ls {
        /// Folder of runs.
        #[arg(long, default_value = "runs")]
        folder: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// One run: how it went, with what, and what it left.
    Show {
        /// Its name, or its folder.
        run: String,
        /// Folder of runs.
        #[arg(long, default_value = "runs")]
        folder: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `config …`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Every setting of a training with its value and where it came from.
    Show {
        /// The configuration; without one, the defaults.
        config: Option<PathBuf>,
        /// Settings over the file's, as `key=value`.
        settings: Vec<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

fn parse_positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=1 << 20).contains(&n) => Ok(n),
        _ => Err("must be a number from 1 up".into()),
    }
}
