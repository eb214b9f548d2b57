//! What happens to documents before they are shards, step by step. The result of each step is kept beside the data set
//! (see [`steps`]), so a step whose inputs did not change is not run again.
//!
//! `read` takes a snapshot of every source; `filter` and `near-duplicates` say which of its documents are dropped. The
//! snapshot is never changed: [`Screen`] puts the decisions together when documents are read from it.

mod screen;
mod steps;
mod stored;
mod verdicts;

use crate::{
    Corpus, Counts, DataError, Event, Progress, Recipe, Stage,
    corpus::Reading,
    documents::{self, Found},
    near_duplicates::{Clusters, NearDuplicateOptions, NearDuplicates},
    signals::{Filter, measure},
};
use std::path::Path;
use verdicts::{Verdict, Verdicts};

pub(crate) use screen::Screen;
pub(crate) use steps::{Key, Steps};
pub(crate) use stored::Stored;

const CLUSTERS: &str = "clusters";

/// The documents of a recipe, read, and looked at as far as its cleaning asks for it.
#[derive(Debug)]
pub struct Prepared {
    sources: Vec<Stored>,
    filtered: Option<Verdicts>,
    clusters: Option<Clusters>,
    steps: Steps,
}

impl Prepared {
    /// Runs the steps whose results are not in `folder` yet.
    ///
    /// # Errors
    /// If the recipe or a source cannot be, a step's result cannot be written, or `progress` asks to stop. The steps
    /// that were finished stay.
    pub fn new(recipe: &Recipe, folder: &Path, progress: &dyn Progress) -> Result<Self, DataError> {
        recipe.check()?;
        let mut prepared = Self { sources: Vec::new(), filtered: None, clusters: None, steps: Steps::open(folder) };
        prepared.read(recipe, progress)?;
        prepared.filter(&recipe.clean.filters, progress)?;
        if let Some(options) = &recipe.clean.near_duplicates {
            prepared.near_duplicates(recipe, options, folder, progress)?;
        }
        Ok(prepared)
    }

    fn read(&mut self, recipe: &Recipe, progress: &dyn Progress) -> Result<(), DataError> {
        let mut counts = Counts { stage: Stage::Read, ..Counts::default() };
        for source in &recipe.sources {
            let key = Key::of("read", 1).and(source).and(&documents::stamp(source)?);
            let name = format!("read-{}", source.name());
            let folder = self.steps.result(&name, &key, |folder| stored::read(source, folder, &mut counts, progress))?;
            self.sources.push(Stored::open(source, &folder)?);
        }
        Ok(())
    }

    fn filter(&mut self, filters: &[Filter], progress: &dyn Progress) -> Result<(), DataError> {
        if filters.is_empty() {
            return Ok(());
        }
        let key = self.snapshot().and(&("filter", 1)).and(&filters);
        let (reading, mut counts) = (Self::reading_of(&self.sources), self.counts(Stage::Measure));
        let folder = self.steps.result("filter", &key, |folder| {
            verdicts::judge(reading, folder, &mut counts, progress, |document| {
                let signals = measure(&document.text, document.language.as_deref());
                filters.iter().find_map(|filter| {
                    let detail = filter.drops(&document, &signals)?;
                    Some(Verdict { reason: filter.describe(), detail })
                })
            })
        })?;
        self.filtered = Some(Verdicts::read(&folder)?);
        Ok(())
    }

    /// Searches among the documents that no step before has dropped.
    fn near_duplicates(
        &mut self,
        recipe: &Recipe,
        options: &NearDuplicateOptions,
        scratch: &Path,
        progress: &dyn Progress,
    ) -> Result<(), DataError> {
        let key = self.snapshot().and(&("near-duplicates", 1)).and(&recipe.exclude).and(&recipe.clean);
        let mut counts = self.counts(Stage::NearDuplicates);
        // Every document, whatever the recipe's limit: a near duplicate of one that is left out is still one.
        let everything = Recipe { max_bytes: None, ..recipe.clone() };
        let steps = &mut self.steps;
        let (sources, filtered) = (std::mem::take(&mut self.sources), self.filtered.take());
        let before = Self { sources, filtered, clusters: None, steps: Steps::open(scratch) };
        let folder = steps.result("near-duplicates", &key, |folder| {
            let mut search = NearDuplicates::create(options.clone(), scratch)?;
            let corpus = Corpus::of(&everything, &before, progress)?;
            let kept = corpus.events().filter_map(|event| match event {
                Ok(Event::Kept(document, _)) => Some(Ok(document)),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            });
            for batch in verdicts::batches(kept) {
                let batch = batch?;
                if progress.update(&counts).is_break() {
                    return Err(DataError::interrupted());
                }
                counts.documents += batch.len() as u64;
                counts.bytes += batch.iter().map(|document| document.text.len() as u64).sum::<u64>();
                search.push(&batch)?;
            }
            search.finish(&|_, _| progress.update(&counts))?.write(&folder.join(CLUSTERS))
        })?;
        (self.sources, self.filtered) = (before.sources, before.filtered);
        self.clusters = Some(Clusters::read(&folder.join(CLUSTERS))?);
        Ok(())
    }

    fn counts(&self, stage: Stage) -> Counts {
        let total_bytes = self.sources.iter().map(Stored::bytes).sum();
        Counts { stage, total_bytes: Some(total_bytes), ..Counts::default() }
    }

    /// Everything that the sources yielded.
    pub(crate) fn reading(&self) -> Reading<'_> {
        Self::reading_of(&self.sources)
    }

    fn reading_of(sources: &[Stored]) -> Reading<'_> {
        Box::new(sources.iter().flat_map(|source| {
            let (rejects, error) = match source.rejects() {
                Ok(rejects) => (Some(rejects), None),
                Err(error) => (None, Some(Err(error))),
            };
            let documents = (0..source.len()).map(|number| source.document(number).map(Found::Document));
            let rejects = rejects.into_iter().flatten().map(|reject| reject.map(Found::Reject));
            error.into_iter().chain(rejects).chain(documents)
        }))
    }

    /// Stands for everything that was read.
    pub(crate) fn snapshot(&self) -> Key {
        let read: Vec<&str> = self.sources.iter().map(Stored::fingerprint).collect();
        Key::of("snapshot", 1).and(&read)
    }

    /// Deletes the results of earlier recipes.
    pub(crate) fn delete_unused(&self) -> Result<(), DataError> {
        self.steps.delete_unused()
    }
}
