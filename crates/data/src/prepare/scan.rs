//! Looking at every document of a recipe, as it would be measured while building.

use super::{Prepared, screen};
use crate::{
    Counts, DataError, Document, Progress, Recipe, Stage,
    batches::batches,
    documents::Found,
    scan::{Scan, ScanSummary},
    signals::{Signals, measure},
};
use rayon::prelude::*;
use std::path::Path;

/// Measures every document that the sources of a recipe yield, repaired where the recipe asks for that, and writes the
/// signals as Parquet and as a page into the new folder `out`. The recipe's filters drop nothing here; what they would
/// drop is shown. `steps` is the folder of the steps' results, which a build of the same recipe can use.
///
/// # Errors
/// If the recipe or a source cannot be, `out` holds anything or cannot be written, or `progress` asks to stop.
pub fn scan(recipe: &Recipe, steps: &Path, out: &Path, progress: &dyn Progress) -> Result<ScanSummary, DataError> {
    recipe.check()?;
    // First, since it says at once whether there is a place for the results.
    let mut scan = Scan::create(out, &recipe.clean.filters)?;
    let mut prepared = Prepared::empty(steps);
    prepared.read(recipe, progress)?;
    let mut counts: Counts = prepared.counts(Stage::Measure);
    let documents = prepared.findings.reading().filter_map(|found| match found {
        Ok(Found::Document(document)) => Some(Ok(document)),
        Ok(Found::Reject(_)) => None,
        Err(error) => Some(Err(error)),
    });
    for batch in batches(documents, |document| document.text.len()) {
        if progress.update(&counts).is_break() {
            return Err(DataError::interrupted());
        }
        let measured: Vec<(Document, Signals)> = batch?
            .into_par_iter()
            .filter_map(|document| {
                let (Found::Document(document), _) = screen::repaired(&recipe.clean, Found::Document(document)) else {
                    return None;
                };
                let signals = measure(&document.text, document.language.as_deref());
                Some((document, signals))
            })
            .collect();
        for (document, signals) in &measured {
            counts.documents += 1;
            counts.bytes += document.text.len() as u64;
            scan.push(document, signals)?;
        }
    }
    scan.finish()
}
