//! The decision about each document, in the order of the sources.

use super::Prepared;
use crate::{
    DataError, DocumentId, Event, Recipe, Side,
    corpus::{Drop, Reading},
    documents::{Document, Found},
};
use std::collections::HashSet;

/// Applies every step that drops or changes documents, one document after the other.
pub(crate) struct Screen<'a> {
    excluded: HashSet<DocumentId>,
    seen: HashSet<DocumentId>,
    prepared: Option<&'a Prepared>,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(recipe: &'a Recipe, prepared: Option<&'a Prepared>) -> Self {
        Self { excluded: super::excluded(recipe), seen: HashSet::new(), prepared }
    }

    /// The side of what is kept is not decided yet.
    pub(crate) fn apply(
        mut self,
        reading: Reading<'a>,
    ) -> impl Iterator<Item = Result<Event, DataError>> + Send + use<'a> {
        reading.map(move |found| {
            Ok(match found? {
                Found::Reject(reject) => Event::Rejected(reject),
                Found::Document(document) => self.decide(document)?,
            })
        })
    }

    fn decide(&mut self, document: Document) -> Result<Event, DataError> {
        let drop =
            |step: &str, reason: &str, detail: String| Ok(Event::Dropped(Drop::new(&document, step, reason, detail)));
        if self.excluded.contains(&document.id) {
            return drop("excluded", "named in the recipe", String::new());
        }
        if !self.seen.insert(document.id) {
            return drop("duplicate", "the same text", String::new());
        }
        Ok(Event::Kept(document, Side::Train))
    }
}
