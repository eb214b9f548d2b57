//! Flags of the commands that let a model answer.

use super::Compute;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How tokens are chosen.
#[derive(Debug, Clone, Args)]
pub struct SamplingFlags {
    /// Divides the logits; 0 takes the likeliest token.
    #[arg(long, default_value_t = 0.7)]
    pub temperature: f64,
    /// Only so many likeliest tokens; 0 is no limit.
    #[arg(long, default_value_t = 50)]
    pub top_k: usize,
    /// Only the likeliest tokens that together reach this probability.
    #[arg(long, default_value_t = 0.95)]
    pub top_p: f64,
    /// Makes tokens that were there less likely; 1 does not.
    #[arg(long, default_value_t = 1.01)]
    pub repetition_penalty: f64,
    /// The same seed gives the same text.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// Most tokens of an answer.
    #[arg(long, default_value_t = 256)]
    pub max_tokens: usize,
}

/// Flags of `generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// A model directory.
    pub model: PathBuf,
    /// The beginning; `-` reads it from stdin.
    pub prompt: String,
    /// How tokens are chosen.
    #[command(flatten)]
    pub sampling: SamplingFlags,
    /// A text before which to end; may be given several times.
    #[arg(long)]
    pub stop: Vec<String>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
    /// Where to compute.
    #[command(flatten)]
    pub compute: Compute,
}

/// Flags of `chat`.
#[derive(Debug, Args)]
pub struct Chat {
    /// A model directory.
    pub model: PathBuf,
    /// Instructions before the first message.
    #[arg(long)]
    pub system: Option<String>,
    /// How tokens are chosen.
    #[command(flatten)]
    pub sampling: SamplingFlags,
    /// Where to compute.
    #[command(flatten)]
    pub compute: Compute,
}

/// Flags of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// A model directory.
    pub model: PathBuf,
    /// Where to listen; an address that other machines reach needs an API key.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub address: SocketAddr,
    /// Name under which clients ask for the model; the folder's if not given.
    #[arg(long)]
    pub name: Option<String>,
    /// File with the API key; the environment variable MOEWORKS_API_KEY serves too.
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Sequences that are answered at once.
    #[arg(long, default_value_t = 4, value_parser = parse_slots)]
    pub slots: usize,
    /// Positions of each; the model's own if not given.
    #[arg(long)]
    pub context: Option<usize>,
    /// Requests that may wait beyond those.
    #[arg(long, default_value_t = 64)]
    pub queue: usize,
    /// Where to compute.
    #[command(flatten)]
    pub compute: Compute,
}

fn parse_slots(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=256).contains(&n) => Ok(n),
        _ => Err("must be between 1 and 256".into()),
    }
}
