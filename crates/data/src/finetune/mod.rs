//! Rows of prompts and responses, or of conversations, to sequences for fine-tuning.
//!
//! Rows have the two forms that LLM Foundry takes. Each becomes one example: token ids, and a mask of those that are
//! learnt. Examples are packed into sequences of one length, whole, by best fit; a sequence knows the lengths of its
//! examples, so that attention need not cross from one into another and positions can start anew.
//!
//! What is written is a folder with the data set in `train/`: `tokens` (`ndarray:int32`, padded to the sequence length),
//! `loss` (`ndarray:uint8`, 1 where the token is to be predicted from those before it) and `lengths` (`ndarray:int32`, of
//! the examples in their order). Beside it are `rejects.jsonl` and the account, `finetune.json`.

mod bins;
mod example;
mod output;
mod rows;

use crate::{
    Counts, DataError, Progress, RowFiles, Source, Stage,
    documents::{RawRow, raw_rows},
    mds::{Compression, DEFAULT_SIZE_LIMIT, HashAlgorithm},
};
use bins::{Sequence, best_fit};
use example::Example;
use moeworks_text::Tokenizer;
use output::Output;
pub use output::{FINETUNE_NAME, FineTuneSummary, RowReject};
use rayon::prelude::*;
use rows::Row;
pub use rows::RowReason;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Which responses of a conversation are learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetResponses {
    /// The last one.
    #[default]
    Last,
    /// All of them.
    All,
}

/// Which prompts are learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetPrompts {
    /// None.
    #[default]
    None,
    /// All of them.
    All,
}

/// How rows become sequences.
#[derive(Clone, Debug)]
pub struct FineTuneOptions {
    /// Tokens per sequence. Longer examples are cut.
    pub sequence_length: usize,
    /// Which responses are learnt.
    pub target_responses: TargetResponses,
    /// Which prompts are learnt.
    pub target_prompts: TargetPrompts,
    /// Rows that are packed together. More of them leave less padding and take more memory.
    pub window: usize,
    /// Longer rows are rejected.
    pub max_row_bytes: u64,
    /// The date that templates show which ask for it; not the clock's, so that the same rows give the same bytes.
    pub now: SystemTime,
    /// Compression of the shards.
    pub compression: Option<Compression>,
    /// Hashes of the shards.
    pub hashes: Vec<HashAlgorithm>,
    /// Largest size of a shard in bytes.
    pub shard_bytes: u64,
}

impl FineTuneOptions {
    /// The last response is learnt and no prompt; windows of 4096 rows, rows of up to 16 MiB, shards of 64 MiB with
    /// xxh3_64; 1 January 1970.
    #[must_use]
    pub fn new(sequence_length: usize) -> Self {
        Self {
            sequence_length,
            target_responses: TargetResponses::default(),
            target_prompts: TargetPrompts::default(),
            window: 4096,
            max_row_bytes: 16 << 20,
            now: SystemTime::UNIX_EPOCH,
            compression: None,
            hashes: vec![HashAlgorithm::Xxh3_64],
            shard_bytes: DEFAULT_SIZE_LIMIT,
        }
    }
}

/// A window also ends with this many bytes of rows, so that long rows do not fill the memory.
const WINDOW_BYTES: usize = 64 << 20;

/// Packs the rows of JSON-lines files (plain, .gz or .zst; a folder stands for those in it) into sequences. The same
/// rows and options give the same bytes. A row that cannot be used is listed with its reason, and the others go on.
///
/// # Errors
/// If an input is missing, `out` holds anything or cannot be written, an option cannot be, the tokenizer has neither a
/// padding nor an end token, or no row can be learnt from.
pub fn pack_rows(
    inputs: &[PathBuf],
    tokenizer: &Tokenizer,
    options: &FineTuneOptions,
    out: &Path,
    progress: &dyn Progress,
) -> Result<FineTuneSummary, DataError> {
    check(options)?;
    let padding = tokenizer.pad().or(tokenizer.eos()).ok_or_else(|| {
        DataError::Encoder("it has neither a padding nor an end token; state one in its tokenizer_config.json".into())
    })?;
    let sources: Vec<RowFiles> = inputs
        .iter()
        .map(|path| RowFiles { max_row_bytes: options.max_row_bytes, ..RowFiles::new(path.clone()) })
        .collect();
    let mut output = Output::create(out, options)?;
    let mut counts = Counts { stage: Stage::Tokenise, ..Counts::default() };
    for source in &sources {
        let name = Source::Jsonl(source.clone()).name();
        let mut rows = raw_rows(&name, source)?.peekable();
        while rows.peek().is_some() {
            let mut window: Vec<RawRow> = Vec::new();
            let mut bytes = 0;
            while window.len() < options.window && bytes < WINDOW_BYTES {
                match rows.next().transpose()? {
                    Some(Ok(row)) => {
                        bytes += row.bytes.len();
                        window.push(row);
                    }
                    Some(Err(reject)) => output.reject(RowReject {
                        source: reject.source,
                        path: reject.path,
                        row: reject.row,
                        reason: RowReason::Unread(reject.reason),
                    })?,
                    None => break,
                }
            }
            let found: Vec<Result<Example, RowReason>> =
                window.par_iter().map(|row| Example::of(&Row::parse(&row.bytes)?, tokenizer, options)).collect();
            let mut examples = Vec::with_capacity(found.len());
            for (row, found) in window.into_iter().zip(found) {
                match found {
                    Ok(example) => examples.push(example),
                    Err(reason) => {
                        let (source, path) = (name.clone(), row.path.to_string());
                        output.reject(RowReject { source, path, row: row.row, reason })?;
                    }
                }
            }
            let lengths: Vec<usize> = examples.iter().map(|example| example.tokens.len()).collect();
            for bin in best_fit(&lengths, options.sequence_length) {
                let examples = bin.iter().map(|&at| &examples[at]);
                output.write(&Sequence::of(examples, options.sequence_length, padding as i32))?;
            }
            output.account(&examples);
            counts.bytes += bytes as u64;
            counts.documents += lengths.len() as u64;
            counts.tokens += lengths.iter().sum::<usize>() as u64;
            if progress.update(&counts).is_break() {
                return Err(DataError::Interrupted { path: out.into() });
            }
        }
    }
    output.finish(tokenizer, options, padding)
}

fn check(options: &FineTuneOptions) -> Result<(), DataError> {
    let wrong = |key: &str, reason: &str| Err(DataError::Recipe { key: key.into(), reason: reason.into() });
    if options.sequence_length < 2 || i32::try_from(options.sequence_length).is_err() {
        return wrong("sequence_length", "a sequence takes 2 to 2147483647 tokens");
    }
    if options.window == 0 {
        return wrong("window", "at least one row is packed at a time");
    }
    Ok(())
}
