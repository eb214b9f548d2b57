//! Building: documents are prepared step by step, tokenised in all threads, and written in their order.
//!
//! Everything goes into `OUT.partial`, which becomes `OUT` at the very end, so that a folder either is a whole data set
//! or does not exist. The results of the steps before it stay in `OUT.steps`, for the next build.

mod assembly;
mod marks;

use crate::{
    Corpus, Counts, DataError, DataFolder, Encoder, Event, Prepared, Progress, Recipe, Stage, Summary,
    account::{SUMMARY_NAME, hash_file},
    batches::batches,
    mds::replace_file,
    partial::{PartialFolder, settle, sibling},
};
use assembly::Assembly;
use marks::Marks;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    thread,
};

/// Where to build.
#[derive(Clone, Debug)]
pub struct Target {
    /// The folder of the data set.
    pub out: PathBuf,
    /// Folder of the steps' results, made where it is missing: whoever builds with the same folder again runs only the
    /// steps whose inputs have changed. It can be deleted at any time.
    pub steps: PathBuf,
    /// Whether a data set in `out` is replaced by one that differs. It stays until the new one is whole.
    pub replace: bool,
}

impl From<&Path> for Target {
    /// Steps beside it in `OUT.steps`, nothing replaced.
    fn from(out: &Path) -> Self {
        Self { out: out.into(), steps: sibling(out, ".steps"), replace: false }
    }
}

impl From<&PathBuf> for Target {
    fn from(out: &PathBuf) -> Self {
        out.as_path().into()
    }
}

/// Builds the data set of a recipe. Nothing happens if the folder holds what this recipe makes of these documents.
///
/// `progress` is told how far it is and may stop it; only finished steps are left behind then.
///
/// # Errors
/// If the recipe cannot be, a source is missing, there are no documents or too few on one side of the split, the
/// output holds something else, or anything cannot be read or written.
pub fn build(
    recipe: &Recipe,
    encoder: &dyn Encoder,
    target: impl Into<Target>,
    progress: &dyn Progress,
) -> Result<Summary, DataError> {
    let target = target.into();
    build_in(recipe, encoder, &target, progress).map_err(|error| match error {
        DataError::Interrupted { .. } => DataError::Interrupted { path: target.out },
        other => other,
    })
}

fn build_in(
    recipe: &Recipe,
    encoder: &dyn Encoder,
    target: &Target,
    progress: &dyn Progress,
) -> Result<Summary, DataError> {
    let out = &target.out;
    recipe.check()?;
    let marks = Marks::of(encoder)?;
    let prepared = Prepared::new(recipe, &target.steps, progress)?;
    let key = prepared.snapshot().and(recipe).and(&encoder.fingerprint()).hex();
    let record = target.steps.join(RECORD_NAME);
    if Record::read(&record).is_some_and(|record| record.key == key && record.fits(out)) {
        settle(out).map_err(DataError::writing(out))?;
        return Ok(DataFolder::open(out)?.summary().clone());
    }
    let partial = if target.replace { PartialFolder::replacing(out)? } else { PartialFolder::create(out)? };
    let corpus = Corpus::of(recipe, &prepared, progress)?;
    let assembly = Assembly::create(partial.path(), recipe, encoder.vocab_size())?;
    let assembly = tokenise(&corpus, encoder, &marks, assembly, progress)?;
    let summary = assembly.finish(recipe, encoder, prepared.contamination().cloned())?;
    let account = hash_file(&partial.path().join(SUMMARY_NAME))?.1;
    // Said first: a build killed between the two finds a record that fits nothing.
    Record { key, account }.write(&record)?;
    partial.complete()?;
    prepared.delete_unused()?;
    Ok(summary)
}

fn tokenise(
    corpus: &Corpus<'_>,
    encoder: &dyn Encoder,
    marks: &Marks,
    mut assembly: Assembly,
    progress: &dyn Progress,
) -> Result<Assembly, DataError> {
    let mut counts = Counts { stage: Stage::Tokenise, total_bytes: corpus.total_bytes(), ..Counts::default() };
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2);
        scope.spawn(move || {
            let bytes_of = |event: &Event| if let Event::Kept(document, ..) = event { document.text.len() } else { 0 };
            for batch in batches(corpus.events(), bytes_of) {
                let last = batch.is_err();
                if sender.send(batch).is_err() || last {
                    return;
                }
            }
        });
        for batch in receiver {
            let batch = batch?;
            let ids: Vec<Option<Vec<i32>>> = batch
                .par_iter()
                .map(|event| match event {
                    Event::Kept(document, ..) => marks.encode(encoder, document).map(Some),
                    _ => Ok(None),
                })
                .collect::<Result<_, _>>()?;
            for (event, ids) in batch.into_iter().zip(ids) {
                assembly.take(event, &ids.unwrap_or_default())?;
            }
            (counts.documents, counts.bytes, counts.tokens) = assembly.amounts();
            if progress.update(&counts).is_break() {
                return Err(DataError::interrupted());
            }
        }
        Ok(assembly)
    })
}

/// What was built last with a folder of steps.
#[derive(Serialize, Deserialize)]
struct Record {
    /// All that decides what is in it.
    key: String,
    /// SHA-256 of its account.
    account: String,
}

const RECORD_NAME: &str = "built.json";

impl Record {
    /// `None` if there is none, or none that can be read: then the data set is built.
    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    fn write(&self, path: &Path) -> Result<(), DataError> {
        let text = serde_json::to_vec(self)
            .map_err(|error| DataError::Damaged { path: path.into(), reason: error.to_string() })?;
        replace_file(path, &text).map_err(DataError::writing(path))
    }

    fn fits(&self, out: &Path) -> bool {
        hash_file(&out.join(SUMMARY_NAME)).is_ok_and(|(_, sha256)| sha256 == self.account)
    }
}
