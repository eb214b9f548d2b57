//! Documents, a tokenizer trained on them, and shards.

use super::LENGTH;
use crate::cli::Quickstart;
use crate::commands::{data, tokenizer};
use anyhow::Result;
use moeworks_data::{CargoRegistry, Corpus, Recipe, SUMMARY_NAME, Side, Source, Target};
use std::path::Path;

/// Text for a minute of training: a little more than small models see in one on two cores.
const BYTES_PER_MINUTE: f64 = 10e6;
/// Text that a tokenizer is trained on; more changes little.
const TOKENIZER_BYTES: u64 = 6_000_000;

/// Shares of the documents to hold out: the first by which there is one.
const HELD_OUT: [f64; 5] = [0.05, 0.1, 0.2, 0.4, 0.6];
/// Cargo has many versions of the same files, and held-out ones must not have twins among those trained on; what gets
/// shorter by more than this was written by programs, not people.
const CLEAN: &str = r#"
near_duplicates = {}
[[filter]]
signal = "compression_ratio"
max = 8
"#;
/// Larger files of cargo's sources are left out: they are tables that programs wrote.
const FILE_BYTES: u64 = 64 << 10;

/// Builds the data folder, unless an earlier attempt has.
pub fn data(flags: &Quickstart, out: &Path, quiet: bool) -> Result<()> {
    if out.join(SUMMARY_NAME).exists() {
        return Ok(());
    }
    let source = match &flags.documents {
        Some(path) => Source::at(path)?,
        None => Source::CargoRegistry(CargoRegistry { max_file_bytes: FILE_BYTES, ..CargoRegistry::default() }),
    };
    let minutes = flags.steps.map_or(flags.minutes, |steps| steps as f64 / 400.0);
    let mut recipe = Recipe {
        sequence_length: LENGTH,
        seed: flags.seed,
        max_bytes: Some((BYTES_PER_MINUTE * minutes).clamp(20e6, 2e9) as u64),
        sources: vec![source],
        clean: toml::from_str(CLEAN)?,
        ..Recipe::default()
    };
    if let Some(parent) = out.parent() {
        std::fs::create_dir_all(parent).map_err(|e| crate::exit::io_at(parent, e))?;
    }
    let target = Target::from(out);
    let prepared = data::prepare(&recipe, &target.steps, quiet)?;
    let mut made = None;
    for share in HELD_OUT {
        recipe.held_out = share;
        let some = sample(&recipe);
        let corpus = Corpus::of(&some, &prepared, &())?;
        if corpus.documents(Side::HeldOut).next().is_some() || share == HELD_OUT[HELD_OUT.len() - 1] {
            let bytes = corpus.total_bytes().unwrap_or(TOKENIZER_BYTES);
            made = Some(tokenizer::train(&corpus, vocabulary(bytes), quiet)?);
            break;
        }
    }
    let steps = target.steps.clone();
    if let Some(tokenizer) = made {
        data::build(&recipe, &tokenizer, target, quiet)?;
    }
    // A quickstart is gone through once; what the steps leave is of no more use.
    std::fs::remove_dir_all(&steps).map_err(|e| crate::exit::io_at(&steps, e))?;
    Ok(())
}

/// What the tokenizer is trained on.
fn sample(recipe: &Recipe) -> Recipe {
    Recipe { max_bytes: Some(TOKENIZER_BYTES), ..recipe.clone() }
}

/// Token ids for so much text: 8192, fewer where there is little to merge.
fn vocabulary(bytes: u64) -> usize {
    ((bytes / 500) as usize).clamp(512, 8192) / 64 * 64
}
