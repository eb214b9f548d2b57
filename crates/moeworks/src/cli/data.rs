//! Flags of `data` and `tokenizer`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

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
