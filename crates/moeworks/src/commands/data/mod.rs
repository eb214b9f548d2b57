//! `data …`: from documents to shards, and looking at them.

use super::tokenizer;
mod inspect;
mod lineage;
mod pack;
mod scan;
mod summary;

use crate::cli::{Data, DataBuild, DataScan, Documents};
use crate::interrupt;
use crate::show::{self, Progress};
use anyhow::Result;
use moeworks_data::{
    CargoRegistry, Counts, DataError, Prepared, Recipe, Source, Stage, Summary, Target, scan_documents,
};
use moeworks_text::Tokenizer;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
pub use summary::summary_text;

pub fn run(command: &Data, quiet: bool) -> Result<()> {
    match command {
        Data::Scan(flags) => scan_command(flags, quiet),
        Data::Build(flags) => build_command(flags, quiet),
        Data::Pack(flags) => pack::pack(flags, quiet),
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

/// What the flags name.
fn recipe(flags: &Documents) -> Result<Recipe> {
    if let Some(path) = &flags.recipe {
        return Ok(Recipe::read(path)?);
    }
    let mut sources = flags.documents.iter().map(|path| Source::at(path)).collect::<Result<Vec<_>, _>>()?;
    if flags.cargo_registry {
        sources.push(Source::CargoRegistry(CargoRegistry::default()));
    }
    Ok(Recipe { sources, ..Recipe::default() })
}

/// Where to build, with the flags' folder of steps.
fn target(out: &Path, flags: &Documents) -> Target {
    let target = Target::from(out);
    Target { steps: flags.steps.clone().unwrap_or(target.steps), ..target }
}

fn build_command(flags: &DataBuild, quiet: bool) -> Result<()> {
    let mut recipe = recipe(&flags.documents)?;
    if let Some(length) = flags.sequence_length {
        recipe.sequence_length = length as usize;
    }
    if let Some(share) = flags.held_out {
        recipe.held_out = share;
    }
    recipe.max_bytes = flags.max_bytes.or(recipe.max_bytes);
    recipe.check()?;
    let tokenizer = tokenizer::open(&flags.tokenizer)?;
    let target = Target { replace: flags.replace, ..target(&flags.out, &flags.documents) };
    let summary = build(&recipe, &tokenizer, target, quiet)?;
    print(flags.json, &summary, || summary_text(&summary))
}

fn scan_command(flags: &DataScan, quiet: bool) -> Result<()> {
    let recipe = recipe(&flags.documents)?;
    let steps = target(&flags.out, &flags.documents).steps;
    let found = watched(quiet, |progress| scan_documents(&recipe, &steps, &flags.out, progress))?;
    print(flags.json, &found, || scan::text(&found, &flags.out))
}
