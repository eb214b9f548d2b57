//! A small model with a tokenizer of bytes.

use moeworks_eval::Evaluator;
use moeworks_model::{Batch, Checkpoint, Config, Inference, Layout, Limits, SaveFormat, Score, Training, preset};
use moeworks_ops::{Precision, Reference};
use moeworks_text::{Tokenizer, TrainOptions, train};
use std::path::Path;

/// Tokens of one sequence.
pub const CONTEXT: usize = 48;

pub struct Fixture {
    pub ops: Reference,
    pub model: Inference,
    pub tokenizer: Tokenizer,
    pub dir: tempfile::TempDir,
}

/// A model whose passes have `rows` rows.
pub fn fixture(rows: usize) -> Fixture {
    let options = TrainOptions { vocab_size: 264, min_frequency: 2 };
    let tokenizer = train(["text"].iter(), &options, |_| ()).unwrap();
    let config = Config {
        vocab_size: 272,
        n_layers: 2,
        n_experts: 3,
        top_k: 2,
        max_seq_len: CONTEXT,
        ..preset("tiny").unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut ops = Reference::new();
    let training = Training::new(&mut ops, &config, Precision::F32, Layout::of(4, 4), 7).unwrap();
    training.save(&mut ops, dir.path(), SaveFormat::F32).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let limits = Limits { slots: 1, length: CONTEXT, rows };
    let model = Inference::open(&mut ops, &checkpoint, Precision::F32, limits).unwrap();
    Fixture { ops, model, tokenizer, dir }
}

impl Fixture {
    pub fn evaluator(&mut self) -> Evaluator<'_> {
        Evaluator::new(&mut self.model, &mut self.ops, &self.tokenizer).unwrap()
    }

    /// Scores of one sequence alone in its pass; row i is about token i + 1.
    pub fn alone(&mut self, tokens: &[u32]) -> Vec<Score> {
        let ids: Vec<i32> = tokens.iter().map(|id| *id as i32).collect();
        let rows = ids.len() - 1;
        let batch = Batch {
            ids: ids[..rows].to_vec(),
            targets: ids[1..].to_vec(),
            positions: (0..rows as i32).collect(),
            first: vec![0; rows],
        };
        self.model.score(&mut self.ops, &batch)
    }

    /// Summed loss of the last tokens of a sequence, and whether all of them are the likeliest.
    pub fn ending(&mut self, tokens: &[u32], last: usize) -> (f64, bool) {
        let scores = self.alone(tokens);
        let from = tokens.len() - 1 - last;
        let about = || (from..tokens.len() - 1).map(|i| (scores[i], tokens[i + 1]));
        (about().map(|(score, _)| score.nll).sum(), about().all(|(score, token)| score.best == token))
    }

    pub fn write(&self, name: &str, content: &str) -> std::path::PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// The project's shared folder, if it is there.
pub fn shared(below: &str) -> Option<std::path::PathBuf> {
    let root = std::env::var_os("MOEWORKS_SHARED")
        .map(std::path::PathBuf::from)
        .unwrap_or_else(|| Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).to_path_buf());
    let path = root.join(below);
    if !path.exists() {
        eprintln!("SKIPPED: {} does not exist; set MOEWORKS_SHARED", path.display());
        return None;
    }
    Some(path)
}
