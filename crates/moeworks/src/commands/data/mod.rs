//! `data …`: from documents to shards, and looking at them.

use super::tokenizer;
mod inspect;
mod lineage;
mod summary;

use crate::cli::{Data, DataBuild};
use crate::interrupt;
use crate::show::{self, Progress};
use anyhow::Result;
use moeworks_data::{CargoRegistry, Counts, DataError, Prepared, Recipe, Source, Stage, Summary, Target};
use moeworks_text::Tokenizer;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
pub use summary::summary_text;

pub fn run(command: &Data, quiet: bool) -> Result<()> {
    match command {
        Data::Build(flags) => build_command(flags, quiet),
        Data::Show(flags) => inspect::show(flags),
        Data::Verify(flags) => inspect::verify(flags, quiet),
        Data::Lineage(flags) => lineage::lineage(flags),
        Data::Remove(flags) => lineage::remove(flags),
    }
}

fn print(json: bool, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<()> {
    show::result(&if json { serde_json::to_string_pretty(value)? } else { text() })
}

/// Builds a folder of shards with the tokenizer in it; after Ctrl-C only finished steps stay.
pub fn build(recipe: &Recipe, tokenizer: &Tokenizer, target: impl Into<Target>, quiet: bool) -> Result<Summary> {
    watched(quiet, |progress| moeworks_data::build(recipe, tokenizer, target, progress))
}

/// Runs the steps before the building of shards.
pub fn prepare(recipe: &Recipe, steps: &Path, quiet: bool) -> Result<Prepared> {
    watched(quiet, |progress| Prepared::new(recipe, steps, progress))
}

/// Shows how far the work is, and stops it on Ctrl-C.
fn watched<T>(quiet: bool, work: impl FnOnce(&dyn moeworks_data::Progress) -> Result<T, DataError>) -> Result<T> {
    let stop = interrupt::catch();
    let bar = Mutex::new(Progress::new(1, "{bar:30} {percent:>3}%  {msg}", quiet));
    let progress = |counts: &Counts| {
        if let Ok(mut bar) = bar.lock() {
            bar.set_length(counts.total_bytes.unwrap_or(counts.bytes.max(1)));
            bar.update(counts.bytes, doing(counts));
        }
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let result = work(&progress);
    if let Ok(bar) = bar.lock() {
        bar.finish();
    }
    Ok(result?)
}

fn doing(counts: &Counts) -> String {
    let stage = match counts.stage {
        Stage::Read => "reading",
        Stage::Measure => "measuring",
        Stage::Decontaminate => "looking for evaluation sets",
        Stage::NearDuplicates => "comparing",
        Stage::Survey => "sampling",
        Stage::Tokenise => "tokenising",
    };
    let tokens = match counts.stage {
        Stage::Tokenise => format!(", {} tokens", show::count(counts.tokens)),
        _ => String::new(),
    };
    format!("{stage}: {} documents, {}{tokens}", show::count(counts.documents), show::bytes(counts.bytes))
}

fn build_command(flags: &DataBuild, quiet: bool) -> Result<()> {
    let mut recipe = match &flags.recipe {
        Some(path) => Recipe::read(path)?,
        None => {
            let mut sources = flags.documents.iter().map(|p| Source::at(p)).collect::<Result<Vec<_>, _>>()?;
            if flags.cargo_registry {
                sources.push(Source::CargoRegistry(CargoRegistry::default()));
            }
            Recipe { sources, ..Recipe::default() }
        }
    };
    if let Some(length) = flags.sequence_length {
        recipe.sequence_length = length as usize;
    }
    if let Some(share) = flags.held_out {
        recipe.held_out = share;
    }
    recipe.max_bytes = flags.max_bytes.or(recipe.max_bytes);
    recipe.check()?;
    let tokenizer = tokenizer::open(&flags.tokenizer)?;
    let mut target = Target { replace: flags.replace, ..Target::from(&flags.out) };
    if let Some(steps) = &flags.steps {
        target.steps.clone_from(steps);
    }
    let summary = build(&recipe, &tokenizer, target, quiet)?;
    print(flags.json, &summary, || summary_text(&summary))
}
