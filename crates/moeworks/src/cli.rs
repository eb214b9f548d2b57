//! Commands and flags.

use clap::{Args, Parser, Subcommand, ValueEnum};
use moeworks_model::Recompute;
use std::net::SocketAddr;
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

/// `data …`
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Measures documents: signals as Parquet, and a page that shows them and what filters would drop.
    Scan(DataScan),
    /// Builds tokenised shards from documents, by a recipe or from folders and files.
    Build(DataBuild),
    /// Packs prompts and responses, or conversations, into sequences for fine-tuning.
    Pack(DataPack),
    /// What is in a folder of shards.
    Show(DataShow),
    /// Checks every size, offset and hash of a folder of shards.
    Verify(DataVerify),
    /// Where a token or a phrase came from, and where a document went.
    Lineage(DataLineage),
    /// Takes documents out of a folder of shards, rewriting only the shards that hold them.
    Remove(DataRemove),
}

/// Which documents.
#[derive(Debug, Clone, Args)]
pub struct Documents {
    /// A recipe (TOML). Without one, give --documents.
    #[arg(required_unless_present_any = ["documents", "cargo_registry"], conflicts_with_all = ["documents", "cargo_registry"])]
    pub recipe: Option<PathBuf>,
    /// A folder, file or URL of documents; may be given several times.
    #[arg(long, value_name = "PATH")]
    pub documents: Vec<PathBuf>,
    /// The Rust and Markdown sources that cargo has on this machine.
    #[arg(long)]
    pub cargo_registry: bool,
    /// Folder for the results of steps, so that only what has changed is done again; `OUT.steps` if not given.
    #[arg(long, value_name = "FOLDER")]
    pub steps: Option<PathBuf>,
}

/// Flags of `data scan`.
#[derive(Debug, Args)]
pub struct DataScan {
    /// Which documents.
    #[command(flatten)]
    pub documents: Documents,
    /// Folder to make: signals.parquet, index.html and scan.json.
    #[arg(long, short)]
    pub out: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `data pack`.
#[derive(Debug, Args)]
pub struct DataPack {
    /// Files of JSON lines, or folders of them: {"prompt", "response"} or {"messages": [{"role", "content"}]}.
    #[arg(required = true)]
    pub rows: Vec<PathBuf>,
    /// Folder to make.
    #[arg(long, short)]
    pub out: PathBuf,
    /// `cl100k`, or a folder with a tokenizer.json.
    #[arg(long, default_value = "cl100k")]
    pub tokenizer: String,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(2..))]
    pub sequence_length: u32,
    /// Learns every response of a conversation, not only the last.
    #[arg(long)]
    pub all_responses: bool,
    /// Learns prompts too.
    #[arg(long)]
    pub prompts: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `data build`.
#[derive(Debug, Args)]
pub struct DataBuild {
    /// Which documents.
    #[command(flatten)]
    pub documents: Documents,
    /// Folder to make.
    #[arg(long, short)]
    pub out: PathBuf,
    /// Replaces a data set that another recipe or other documents made.
    #[arg(long)]
    pub replace: bool,
    /// `cl100k`, or a folder with a tokenizer.json.
    #[arg(long, default_value = "cl100k")]
    pub tokenizer: String,
    /// Tokens of a sample, over the recipe's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..))]
    pub sequence_length: Option<u32>,
    /// Share of the documents that is held out, over the recipe's.
    #[arg(long)]
    pub held_out: Option<f64>,
    /// Most bytes of text, over the recipe's.
    #[arg(long)]
    pub max_bytes: Option<u64>,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `data show`.
#[derive(Debug, Args)]
pub struct DataShow {
    /// The folder.
    pub folder: PathBuf,
    /// Shows one sample: its text and the documents it came from.
    #[arg(long)]
    pub sample: Option<u64>,
    /// Lists works and their licences.
    #[arg(long)]
    pub works: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `data verify`.
#[derive(Debug, Args)]
pub struct DataVerify {
    /// A folder that `data build` made, or any folder of MDS shards.
    pub folder: PathBuf,
}

/// Flags of `data lineage`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct DataLineage {
    /// A folder that `data build` made.
    pub folder: PathBuf,
    /// Names the document that a token of the training data came from, by its number from 0.
    #[arg(long, group = "what")]
    pub token: Option<u64>,
    /// Finds the documents in which this text stands.
    #[arg(long, group = "what")]
    pub phrase: Option<String>,
    /// Says what became of a document, by its id: its samples and shards, or why it was dropped.
    #[arg(long, group = "what", value_name = "ID")]
    pub document: Option<String>,
    /// Folder of runs: those that have read the document are listed.
    #[arg(long, default_value = "runs")]
    pub runs: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `data remove`.
#[derive(Debug, Args)]
pub struct DataRemove {
    /// A folder that `data build` made.
    pub folder: PathBuf,
    /// Ids of the documents.
    #[arg(required = true, value_name = "ID")]
    pub documents: Vec<String>,
    /// Folder of runs: those that have read one of the documents are listed.
    #[arg(long, default_value = "runs")]
    pub runs: PathBuf,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// `tokenizer …`
#[derive(Debug, Subcommand)]
pub enum TokenizerCommand {
    /// Trains a byte-level BPE on documents.
    Train(TokenizerTrain),
    /// What a tokenizer is, and how it cuts a text.
    Show {
        /// `cl100k`, or a folder with a tokenizer.json.
        tokenizer: String,
        /// A text to cut.
        text: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Flags of `tokenizer train`.
#[derive(Debug, Args)]
pub struct TokenizerTrain {
    /// A folder or file of documents; may be given several times.
    #[arg(long, value_name = "PATH", required = true)]
    pub documents: Vec<PathBuf>,
    /// Token ids, the 256 bytes and the special tokens included.
    #[arg(long, default_value_t = 8192)]
    pub vocab_size: usize,
    /// Most bytes of text; an even sample is taken.
    #[arg(long, default_value_t = 200_000_000)]
    pub max_bytes: u64,
    /// Folder to write.
    #[arg(long, short)]
    pub out: PathBuf,
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

fn parse_positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=1 << 20).contains(&n) => Ok(n),
        _ => Err("must be a number from 1 up".into()),
    }
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
