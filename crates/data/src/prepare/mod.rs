//! What happens to documents before they are shards, step by step. The result of each step is kept beside the data set
//! (see [`steps`]), so a step whose inputs did not change is not run again.
//!
//! `read` takes a snapshot of every source. `filter`, `decontaminate` and `near-duplicates` say which of its documents
//! are dropped, each looking at what the ones before have left. The snapshot is never changed: [`Screen`] puts the
//! decisions together whenever documents are read from it, and repairs and redacts their texts on the way.

mod decontaminate;
mod near_duplicates;
mod scan;
mod screen;
mod steps;
mod stored;
mod survivors;
mod verdicts;

use crate::{
    Clean, Counts, DataError, Progress, Recipe, Stage,
    corpus::Reading,
    decontaminate::ContaminationReport,
    documents::{self, Found},
    near_duplicates::Clusters,
    signals::measure,
};
use decontaminate::Contaminated;
use std::path::{Path, PathBuf};
use verdicts::{Verdict, Verdicts};

pub use scan::scan;
pub(crate) use screen::Screen;
pub(crate) use steps::{Key, Steps};
pub(crate) use stored::Stored;

/// The documents of a recipe, read, and looked at as far as its cleaning asks for it.
#[derive(Debug)]
pub struct Prepared {
    findings: Findings,
    steps: Steps,
    /// For the files of a step at work.
    scratch: PathBuf,
}

/// What was read, and what the steps so far have found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    sources: Vec<Stored>,
    filtered: Option<Verdicts>,
    contaminated: Option<Contaminated>,
    clusters: Option<Clusters>,
}

impl Prepared {
    /// Runs the steps whose results are not in `folder` yet.
    ///
    /// # Errors
    /// If the recipe or a source cannot be, a step's result cannot be written, or `progress` asks to stop. The steps
    /// that were finished stay.
    pub fn new(recipe: &Recipe, folder: &Path, progress: &dyn Progress) -> Result<Self, DataError> {
        recipe.check()?;
        let mut prepared = Self::empty(folder);
        prepared.read(recipe, progress)?;
        prepared.filter(&recipe.clean, progress)?;
        prepared.decontaminate(recipe, progress)?;
        prepared.near_duplicates(recipe, progress)?;
        Ok(prepared)
    }

    fn empty(folder: &Path) -> Self {
        Self { findings: Findings::default(), steps: Steps::open(folder), scratch: folder.into() }
    }

    fn read(&mut self, recipe: &Recipe, progress: &dyn Progress) -> Result<(), DataError> {
        let mut counts = Counts { stage: Stage::Read, ..Counts::default() };
        for source in &recipe.sources {
            let key = Key::of("read", 2).and(source).and(&documents::stamp(source)?);
            let name = format!("read-{}", source.name());
            let folder =
                self.steps.result(&name, &key, |folder| stored::read(source, folder, &mut counts, progress))?;
            self.findings.sources.push(Stored::open(source, &folder)?);
        }
        Ok(())
    }

    fn filter(&mut self, clean: &Clean, progress: &dyn Progress) -> Result<(), DataError> {
        let filters = &clean.filters;
        if filters.is_empty() {
            return Ok(());
        }
        let key = self.snapshot().and(&("filter", 1)).and(&clean.repair).and(filters);
        let mut counts = self.counts(Stage::Measure);
        let folder = self.steps.result("filter", &key, |folder| {
            verdicts::judge(self.findings.reading(), folder, &mut counts, progress, |document| {
                let (Found::Document(document), _) = screen::repaired(clean, Found::Document(document)) else {
                    return None;
                };
                let signals = measure(&document.text, document.language.as_deref());
                filters.iter().find_map(|filter| {
                    let detail = filter.drops(&document, &signals)?;
                    Some(Verdict { reason: filter.describe(), detail })
                })
            })
        })?;
        self.findings.filtered = Some(Verdicts::read(&folder)?);
        Ok(())
    }

    fn counts(&self, stage: Stage) -> Counts {
        let total_bytes = self.findings.sources.iter().map(Stored::bytes).sum();
        Counts { stage, total_bytes: Some(total_bytes), ..Counts::default() }
    }

    /// Stands for everything that was read.
    pub(crate) fn snapshot(&self) -> Key {
        let read: Vec<&str> = self.findings.sources.iter().map(Stored::fingerprint).collect();
        Key::of("snapshot", 1).and(&read)
    }

    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// How the documents overlap with evaluation sets, where the recipe asks for that.
    #[must_use]
    pub fn contamination(&self) -> Option<&ContaminationReport> {
        self.findings.contaminated.as_ref().map(|found| &found.report)
    }

    /// Deletes the results of earlier recipes.
    pub(crate) fn delete_unused(&self) -> Result<(), DataError> {
        self.steps.delete_unused()
    }
}

impl Findings {
    /// Everything that the sources yielded.
    pub(crate) fn reading(&self) -> Reading<'_> {
        Box::new(self.sources.iter().flat_map(|source| {
            let (rejects, error) = match source.rejects() {
                Ok(rejects) => (Some(rejects), None),
                Err(error) => (None, Some(Err(error))),
            };
            let documents = (0..source.len()).map(|number| source.document(number).map(Found::Document));
            let rejects = rejects.into_iter().flatten().map(|reject| reject.map(Found::Reject));
            error.into_iter().chain(rejects).chain(documents)
        }))
    }
}
