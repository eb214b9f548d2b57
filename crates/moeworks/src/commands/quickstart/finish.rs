//! What the model has learnt: held-out text beside what needs no neural network, completions, the report, what to try.

use crate::cli::Quickstart;
use crate::device::stored;
use crate::show::{self, table};
use crate::watch::{complete, held_out, score};
use anyhow::Result;
use moeworks_data::mds::replace_file;
use moeworks_data::{Corpus, DataFolder, Side};
use moeworks_eval::{ByteModel, zstd_bits_per_byte};
use moeworks_infer::Sampling;
use moeworks_infer::terminal::printable;
use moeworks_model::{Checkpoint, Inference, Limits};
use moeworks_ops::Ops;
use moeworks_text::Tokenizer;
use moeworks_train::{Progress, Run, TrainConfig};
use serde_json::json;
use std::path::Path;

/// Bytes of held-out text that are scored.
const BYTES: usize = 1_000_000;

/// Everything the end of a quickstart needs.
pub struct Finish<'a> {
    pub flags: &'a Quickstart,
    pub config: &'a TrainConfig,
    pub run: &'a Run,
    pub account: &'a DataFolder,
    pub tokenizer: &'a Tokenizer,
    pub model: &'a Path,
    pub progress: Progress,
    pub command: String,
    pub seconds: f64,
    pub quiet: bool,
}

impl Finish<'_> {
    /// Scores, samples, writes results.json and report.html, and says what to do next.
    pub fn run(&self, ops: &mut dyn Ops) -> Result<()> {
        // The model as it was written, not as it is in memory: what others will open is what is scored.
        let checkpoint = Checkpoint::open(self.model)?;
        let length = self.account.summary().sequence_length;
        let limits = Limits { slots: 1, length, rows: 8 * length };
        let mut model = Inference::open(ops, &checkpoint, stored(&checkpoint), limits)?;
        let texts = held_out(self.account, BYTES)?;
        let result = score(ops, &mut model, self.tokenizer, &texts)?;

        let mut bytes = ByteModel::default();
        let corpus = Corpus::open(&self.account.summary().recipe, &())?;
        for document in corpus.documents(Side::Train) {
            bytes.learn(&document?.text);
        }
        let all: usize = texts.iter().map(String::len).sum();
        let order3 = texts.iter().map(|t| bytes.bits(t)).sum::<f64>() / all.max(1) as f64;
        let zstd = zstd_bits_per_byte(texts.iter().map(String::as_str))?;

        let sampling = Sampling::dbrx();
        let mut completions = Vec::new();
        for prompt in &self.config.evaluate.prompts {
            let text = complete(ops, &mut model, self.tokenizer, prompt, &sampling, self.flags.seed, 80)?;
            completions.push(json!({"prompt": prompt, "text": text}));
        }

        let value = json!({
            "held_out": {
                "bytes": result.bytes,
                "documents": result.documents,
                "tokens": result.tokens,
                "model": {
                    "bits_per_byte": result.bits_per_byte.value,
                    "standard_error": result.bits_per_byte.standard_error,
                },
                "baselines": [
                    {"name": "zstd -19", "bits_per_byte": zstd},
                    {"name": "order-3 byte model", "bits_per_byte": order3},
                ],
            },
            "completions": completions,
            "command": self.command,
            "machine": ops.describe(),
            "seconds": self.seconds,
        });
        let path = self.run.results();
        let text = serde_json::to_string_pretty(&value)? + "\n";
        replace_file(&path, text.as_bytes()).map_err(|e| crate::exit::io_at(&path, e))?;
        let report = crate::commands::train::report(self.run, self.config);

        let error = result.bits_per_byte.standard_error.map_or(String::new(), |e| format!(" ± {e:.3}"));
        let row = |name: &str, bits: f64, error: &str| vec![name.to_string(), format!("{bits:.3}{error:8}")];
        let rows = [
            vec!["held-out text".into(), "bits a byte".into()],
            row("this model", result.bits_per_byte.value, &error),
            row("zstd -19", zstd, ""),
            row("order-3 byte model of the same documents", order3, ""),
        ];
        show::result(&table(&rows))?;
        show::result(&format!("({} of {} documents that were held out)", show::bytes(result.bytes), result.documents))?;
        for completion in &completions {
            let text =
                format!("{}{}", completion["prompt"].as_str().unwrap_or(""), completion["text"].as_str().unwrap_or(""));
            show::result(&format!("\n  | {}", printable(text.trim_end()).replace('\n', "\n  | ")))?;
        }
        if !self.quiet {
            self.next(report.as_deref());
        }
        Ok(())
    }

    /// What to try now.
    fn next(&self, report: Option<&Path>) {
        let (program, model) = (show::program(), self.model.display());
        eprintln!();
        eprintln!(
            "{} steps, {} tokens, {} in all. It is a toy that proves the way: more minutes make it better.",
            self.progress.steps,
            show::count(self.progress.tokens),
            show::time(self.seconds)
        );
        show::heading("next");
        report.iter().for_each(|path| eprintln!("  open {}", path.display()));
        eprintln!("  {program} generate {model} \"{}\"", self.config.evaluate.prompts[0].escape_debug());
        eprintln!("  {program} serve {model}        (chat page and OpenAI API on 127.0.0.1:8080)");
        eprintln!("  {program} runs show {}", self.run.path().display());
        eprintln!("  {program} quickstart --minutes 30 --documents DIR");
    }
}
