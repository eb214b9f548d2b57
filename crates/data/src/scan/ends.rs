//! The documents with the least and with the greatest value of a signal.

use super::excerpt::Example;
use crate::{
    documents::{Document, DocumentId},
    signals::Signals,
};
use serde::Serialize;

/// Documents kept at each end.
const MOST: usize = 3;

/// A document at an end of a signal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Extreme {
    /// Its value.
    pub value: f64,
    /// The document.
    #[serde(flatten)]
    pub example: Example,
}

/// One end of one signal, from the outside in.
#[derive(Default)]
pub(super) struct End {
    /// Value (turned over at the upper end, so that smaller is further out), document, and how it looks.
    kept: Vec<(f64, DocumentId, Extreme)>,
}

impl End {
    /// Takes a document if it is further out than one of those kept. Of equal ones, the smaller id is.
    fn offer(&mut self, out: f64, value: f64, document: &Document, signals: &Signals) {
        let place = self.kept.partition_point(|(other, id, _)| (*other, *id) < (out, document.id));
        let same = self.kept.iter().any(|(_, id, _)| *id == document.id);
        if place < MOST && !same {
            let extreme = Extreme { value, example: Example::of(document, &signals.pii) };
            self.kept.insert(place, (out, document.id, extreme));
            self.kept.truncate(MOST);
        }
    }

    pub(super) fn finish(self) -> Vec<Extreme> {
        self.kept.into_iter().map(|(.., extreme)| extreme).collect()
    }
}

/// Range, sum and both ends of one signal.
pub(super) struct Range {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) sum: f64,
    pub(super) lowest: End,
    pub(super) highest: End,
}

impl Default for Range {
    fn default() -> Self {
        let (lowest, highest) = Default::default();
        Self { min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, lowest, highest }
    }
}

impl Range {
    pub(super) fn add(&mut self, value: f64, document: &Document, signals: &Signals) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        self.lowest.offer(value, value, document, signals);
        self.highest.offer(-value, value, document, signals);
    }
}
