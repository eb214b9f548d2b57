//! What happens to documents before they are shards, step by step. The result of each step is kept beside the data set
//! (see [`steps`]), so a step whose inputs did not change is not run again.
//!
//! `read` takes a snapshot of every source.

mod screen;
mod steps;
mod stored;

use crate::{Counts, DataError, DocumentId, Progress, Recipe, Stage, corpus::Reading, documents::Found};
use std::path::Path;

pub(crate) use screen::Screen;
pub(crate) use steps::{Key, Steps};
pub(crate) use stored::Stored;

/// The documents of a recipe, read, and looked at as far as its cleaning asks for it.
#[derive(Debug)]
pub struct Prepared {
    sources: Vec<Stored>,
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
        let mut prepared = Self { sources: Vec::new(), steps: Steps::open(folder) };
        let mut counts = Counts { stage: Stage::Read, ..Counts::default() };
        for source in &recipe.sources {
            let key = Key::of("read", 1).and(source).and(&crate::documents::stamp(source)?);
            let name = format!("read-{}", source.name());
            let folder =
                prepared.steps.result(&name, &key, |folder| stored::read(source, folder, &mut counts, progress))?;
            prepared.sources.push(Stored::open(source, &folder)?);
        }
        Ok(prepared)
    }

    /// Everything that the sources yielded.
    pub(crate) fn reading(&self) -> Reading<'_> {
        Box::new(self.sources.iter().flat_map(|source| {
            let (rejects, error) = match source.rejects() {
                Ok(rejects) => (Some(rejects), None),
                Err(error) => (None, Some(Err(error))),
            };
            let documents = (0..source.len()).map(|number| source.document(number).map(Found::Document));
            error
                .into_iter()
                .chain(rejects.into_iter().flatten().map(|reject| reject.map(Found::Reject)))
                .chain(documents)
        }))
    }

    /// Stands for everything that was read.
    pub(crate) fn fingerprint(&self) -> Key {
        let read: Vec<&str> = self.sources.iter().map(Stored::fingerprint).collect();
        Key::of("prepared", 1).and(&read)
    }

    /// Deletes the results of earlier recipes.
    pub(crate) fn delete_unused(&self) -> Result<(), DataError> {
        self.steps.delete_unused()
    }
}

/// Ids that a recipe leaves out.
pub(crate) fn excluded(recipe: &Recipe) -> std::collections::HashSet<DocumentId> {
    recipe.exclude.iter().copied().collect()
}
