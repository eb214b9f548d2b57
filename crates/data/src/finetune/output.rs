//! What fine-tuning data is written to: the shards, the rejects, the account.

use super::{FineTuneOptions, RowReason, TargetPrompts, TargetResponses, bins::Sequence, example::Example};
use crate::{
    DataError, REJECTS_NAME,
    account::TOKENIZER,
    json_lines::{finish_lines, write_json_line},
    mds::{Dataset, Dtype, Encoding, NdArray, ReaderOptions, Value, Writer, WriterOptions, replace_file, sync_folder},
    pack::{TOKENS, TRAIN},
    partial::PartialFolder,
};
use moeworks_text::Tokenizer;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};

/// Name of the account in the folder of a data set for fine-tuning.
pub const FINETUNE_NAME: &str = "finetune.json";

/// A row that is not learnt from. One line of `rejects.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowReject {
    /// Name of the input.
    pub source: String,
    /// File in the input.
    pub path: String,
    /// Row of the file, counted from 1; none if it is the file that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub row: Option<u64>,
    /// What is wrong.
    #[serde(flatten)]
    pub reason: RowReason,
}

impl fmt::Display for RowReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// The account of a data set for fine-tuning, saved as `finetune.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTuneSummary {
    /// Fingerprint of the tokenizer.
    pub tokenizer: String,
    /// Token ids are below this number.
    pub vocab_size: usize,
    /// Tokens per sequence.
    pub sequence_length: usize,
    /// Which responses are learnt.
    pub target_responses: TargetResponses,
    /// Which prompts are learnt.
    pub target_prompts: TargetPrompts,
    /// Id of the padding.
    pub padding_id: u32,
    /// Rows that were read.
    pub rows: u64,
    /// Rows that are learnt from.
    pub examples: u64,
    /// Examples of which the end was cut off.
    pub cut: u64,
    /// Rows, or files that end early, that are not learnt from, by reason; each of them is in `rejects.jsonl`.
    pub rejects: BTreeMap<String, u64>,
    /// Sequences.
    pub sequences: u64,
    /// Tokens of the examples.
    pub tokens: u64,
    /// Tokens that are learnt.
    pub learnt: u64,
    /// Share of the sequences that is padding, 0 to 1.
    pub padding: f64,
    /// Fingerprint of the data set in `train/`.
    pub train: String,
}

pub(super) struct Output {
    folder: PartialFolder,
    samples: Writer,
    rejects: BufWriter<File>,
    rejects_path: PathBuf,
    rejected: BTreeMap<String, u64>,
    rows: u64,
    examples: u64,
    cut: u64,
    tokens: u64,
    learnt: u64,
}

impl Output {
    pub(super) fn create(out: &Path, options: &FineTuneOptions) -> Result<Self, DataError> {
        let folder = PartialFolder::create(out)?;
        let array = |dtype| Encoding::NdArray { dtype: Some(dtype), shape: None };
        let columns = [("lengths", Dtype::Int32), ("loss", Dtype::UInt8), (TOKENS, Dtype::Int32)];
        let samples = WriterOptions {
            columns: columns.map(|(name, dtype)| (name.to_owned(), array(dtype))).into(),
            compression: options.compression,
            hashes: options.hashes.clone(),
            size_limit: Some(options.shard_bytes),
        };
        let samples = Writer::create(&folder.path().join(TRAIN), samples)?;
        let rejects_path = folder.path().join(REJECTS_NAME);
        let rejects = BufWriter::new(File::create(&rejects_path).map_err(DataError::writing(&rejects_path))?);
        let (rejected, rows, examples, cut, tokens, learnt) = (BTreeMap::new(), 0, 0, 0, 0, 0);
        Ok(Self { folder, samples, rejects, rejects_path, rejected, rows, examples, cut, tokens, learnt })
    }

    pub(super) fn reject(&mut self, reject: RowReject) -> Result<(), DataError> {
        self.rows += u64::from(reject.row.is_some());
        *self.rejected.entry(reject.reason.name().into()).or_default() += 1;
        write_json_line(&mut self.rejects, &self.rejects_path, &reject)
    }

    pub(super) fn write(&mut self, sequence: &Sequence) -> Result<(), DataError> {
        let labels =
            NdArray { dtype: Dtype::UInt8, shape: vec![sequence.labels.len() as u64], data: sequence.labels.clone() };
        let arrays = [NdArray::from_i32(&sequence.lengths), labels, NdArray::from_i32(&sequence.tokens)];
        Ok(self.samples.write(&arrays.map(Value::NdArray))?)
    }

    /// Takes examples that were written into the account.
    pub(super) fn account(&mut self, examples: &[Example]) {
        self.rows += examples.len() as u64;
        self.examples += examples.len() as u64;
        for example in examples {
            self.cut += u64::from(example.cut);
            self.tokens += example.tokens.len() as u64;
            self.learnt += example.labels.iter().filter(|&&label| label).count() as u64;
        }
    }

    pub(super) fn finish(
        self,
        tokenizer: &Tokenizer,
        options: &FineTuneOptions,
        padding_id: u32,
    ) -> Result<FineTuneSummary, DataError> {
        if self.examples == 0 {
            let reasons: Vec<String> = self.rejected.iter().map(|(name, count)| format!("{count} {name}")).collect();
            let reasons = if reasons.is_empty() { "there are none".into() } else { reasons.join(", ") };
            return Err(DataError::TooLittle(format!("no row can be learnt from: {reasons}")));
        }
        let sequences = self.samples.len();
        self.samples.finish()?;
        finish_lines(self.rejects, &self.rejects_path)?;
        let train = Dataset::open(&self.folder.path().join(TRAIN), ReaderOptions::default())?;
        let places = sequences * options.sequence_length as u64;
        let summary = FineTuneSummary {
            tokenizer: tokenizer.fingerprint(),
            vocab_size: tokenizer.vocab_size(),
            sequence_length: options.sequence_length,
            target_responses: options.target_responses,
            target_prompts: options.target_prompts,
            padding_id,
            rows: self.rows,
            examples: self.examples,
            cut: self.cut,
            rejects: self.rejected,
            sequences,
            tokens: self.tokens,
            learnt: self.learnt,
            padding: (places - self.tokens) as f64 / places as f64,
            train: train.fingerprint().into(),
        };
        tokenizer.save(&self.folder.path().join(TOKENIZER)).map_err(|error| DataError::Encoder(error.to_string()))?;
        let path = self.folder.path().join(FINETUNE_NAME);
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| DataError::Damaged { path: path.clone(), reason: error.to_string() })?;
        replace_file(&path, (text + "\n").as_bytes())
            .and_then(|()| sync_folder(self.folder.path()))
            .map_err(DataError::writing(&path))?;
        self.folder.complete()?;
        Ok(summary)
    }
}
