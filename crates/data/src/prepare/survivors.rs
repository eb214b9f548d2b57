//! The documents that no step so far has dropped, in batches for all threads.

use super::Findings;
use crate::{Corpus, Counts, DataError, Document, Event, Progress, Recipe, batches::batches};

/// Calls `take` with batch after batch. The limit of the recipe does not count: what resembles a document that is left
/// out by it resembles one all the same.
pub(super) fn each(
    recipe: &Recipe,
    findings: &Findings,
    counts: &mut Counts,
    progress: &dyn Progress,
    mut take: impl FnMut(Vec<Document>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let recipe = Recipe { max_bytes: None, ..recipe.clone() };
    let corpus = Corpus::over(&recipe, findings, progress)?;
    let kept = corpus.events().filter_map(|event| match event {
        Ok(Event::Kept(document, ..)) => Some(Ok(document)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    for batch in batches(kept, |document| document.text.len()) {
        let batch = batch?;
        if progress.update(counts).is_break() {
            return Err(DataError::interrupted());
        }
        counts.documents += batch.len() as u64;
        counts.bytes += batch.iter().map(|document| document.text.len() as u64).sum::<u64>();
        take(batch)?;
    }
    Ok(())
}
