//! The decision about each document, in the order of the sources.

use super::{Findings, Verdict};
use crate::{
    Clean, DataError, DocumentId, Event, Recipe, Side,
    corpus::{Changes, Drop, Reading},
    documents::{Document, Found},
    repair::{Repairs, repair},
    signals::pii::redact_all,
};
use rayon::prelude::*;
use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

/// Things that are decided on at once, so that all threads can change texts.
const BATCH: usize = 512;

/// Applies every step that drops or changes documents.
pub(crate) struct Screen<'a> {
    excluded: HashSet<DocumentId>,
    seen: HashSet<DocumentId>,
    findings: Option<&'a Findings>,
    /// The kept document of each cluster so far.
    kept: HashMap<u64, DocumentId>,
    clean: &'a Clean,
    /// Documents so far, and those of them that each step has seen.
    documents: u64,
    checked: u64,
    compared: u64,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(recipe: &'a Recipe, findings: Option<&'a Findings>) -> Self {
        Self {
            excluded: recipe.exclude.iter().copied().collect(),
            seen: HashSet::new(),
            findings,
            kept: HashMap::new(),
            clean: &recipe.clean,
            documents: 0,
            checked: 0,
            compared: 0,
        }
    }

    /// The side of what is kept is not decided yet.
    pub(crate) fn apply(
        mut self,
        mut reading: Reading<'a>,
    ) -> impl Iterator<Item = Result<Event, DataError>> + Send + use<'a> {
        let mut decided = Vec::new().into_iter();
        std::iter::from_fn(move || {
            loop {
                if let Some(event) = decided.next() {
                    return Some(event);
                }
                let found: Vec<_> = reading.by_ref().take(BATCH).collect();
                if found.is_empty() {
                    return None;
                }
                let clean = self.clean;
                let found: Vec<_> =
                    found.into_par_iter().map(|found| found.map(|found| repaired(clean, found))).collect();
                let events: Vec<_> = found.into_iter().map(|found| found.map(|found| self.decide(found))).collect();
                let events: Vec<_> =
                    events.into_par_iter().map(|event| event.map(|event| redacted(clean, event))).collect();
                decided = events.into_iter();
            }
        })
    }

    fn decide(&mut self, (found, repairs): (Found, Repairs)) -> Event {
        let document = match found {
            Found::Reject(reject) => return Event::Rejected(reject),
            Found::Document(document) => document,
        };
        let number = next(&mut self.documents);
        let drop =
            |step: &str, reason: &str, detail: &str| Event::Dropped(Drop::new(&document, step, reason, detail.into()));
        if self.excluded.contains(&document.id) {
            return drop("excluded", "named in the recipe", "");
        }
        if !self.seen.insert(document.id) {
            return drop("duplicate", "the same text", "");
        }
        if document.text.trim().is_empty() {
            return drop("repair", "nothing but damage", "");
        }
        let changes = Changes { repairs, redacted: Vec::new() };
        let Some(findings) = self.findings else { return Event::Kept(document, Side::Train, changes) };
        if let Some(Verdict { reason, detail }) = findings.filtered.as_ref().and_then(|filtered| filtered.of(number)) {
            return drop("filter", reason, detail);
        }
        let checked = next(&mut self.checked);
        if let Some(sets) = findings.contaminated.as_ref().and_then(|contaminated| contaminated.found_in(checked)) {
            return drop("contamination", "parts of evaluation sets", sets);
        }
        let compared = next(&mut self.compared);
        if let Some(cluster) = findings.clusters.as_ref().and_then(|clusters| clusters.of(compared)) {
            let first = *self.kept.entry(cluster).or_insert(document.id);
            if first != document.id {
                return drop("near-duplicate", "nearly the same text", &format!("as {first}"));
            }
        }
        Event::Kept(document, Side::Train, changes)
    }
}

/// A document as every step sees it.
pub(super) fn repaired(clean: &Clean, found: Found) -> (Found, Repairs) {
    let (Some(options), Found::Document(document)) = (&clean.repair, &found) else {
        return (found, Repairs::default());
    };
    match repair(&document.text, options) {
        (Cow::Borrowed(_), repairs) => (found, repairs),
        (Cow::Owned(text), repairs) => (Found::Document(Document { text, ..document.clone() }), repairs),
    }
}

/// What is kept, without what the recipe replaces.
fn redacted(clean: &Clean, event: Event) -> Event {
    let kinds = &clean.redact;
    match event {
        Event::Kept(document, side, changes) if !kinds.is_empty() => match redact_all(&document.text, kinds) {
            None => Event::Kept(document, side, changes),
            Some(redacted) => Event::Kept(
                Document { text: redacted.text, ..document },
                side,
                Changes { redacted: redacted.kinds, ..changes },
            ),
        },
        event => event,
    }
}

fn next(counter: &mut u64) -> u64 {
    *counter += 1;
    *counter - 1
}
