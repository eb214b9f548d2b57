//! Counts of documents by something they have.

use super::excerpt::{Example, masked};
use crate::{
    documents::Document,
    signals::{Filter, Signals, pii::PiiKind},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Names of one kind (licences, say) that are counted apart. They come from the data, which may hold any number.
const NAMES: usize = 1000;

/// What the documents beyond so many names are counted under.
const OTHERS: &str = "(others)";

/// Examples of each kind of PII, and of what a filter drops.
const EXAMPLES: usize = 4;

/// Some documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// How many.
    pub documents: u64,
    /// Bytes of their text.
    pub bytes: u64,
}

impl Amount {
    pub(super) fn add(&mut self, signals: &Signals) {
        self.documents += 1;
        self.bytes += signals.num_bytes;
    }

    /// About how many tokens they are: four bytes each, as English has with vocabularies of 100,000.
    #[must_use]
    pub fn tokens_estimate(&self) -> u64 {
        self.bytes / 4
    }
}

/// Amounts by name.
#[derive(Default)]
pub(super) struct ByName(BTreeMap<String, Amount>);

impl ByName {
    pub(super) fn add(&mut self, name: &str, signals: &Signals) {
        match self.0.get_mut(name) {
            Some(amount) => amount.add(signals),
            None => {
                let name = if self.0.len() < NAMES { name } else { OTHERS };
                self.0.entry(name.into()).or_default().add(signals);
            }
        }
    }

    /// The largest first.
    pub(super) fn finish(self) -> Vec<Named> {
        let mut all: Vec<_> = self.0.into_iter().map(|(name, amount)| Named { name, amount }).collect();
        all.sort_by_key(|named| std::cmp::Reverse(named.amount.bytes));
        all
    }
}

/// An amount and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The amount.
    #[serde(flatten)]
    pub amount: Amount,
}

/// How much of one kind of PII was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PiiFound {
    /// The kind.
    pub kind: PiiKind,
    /// Spans of it.
    pub spans: u64,
    /// Documents with at least one.
    pub documents: u64,
    /// Some of them, their middles hidden.
    pub masked: Vec<String>,
}

impl PiiFound {
    pub(super) fn none(kind: PiiKind) -> Self {
        Self { kind, spans: 0, documents: 0, masked: Vec::new() }
    }

    pub(super) fn add(&mut self, text: &str, signals: &Signals) {
        let before = self.spans;
        for span in signals.pii.iter().filter(|span| span.kind == self.kind) {
            self.spans += 1;
            if self.masked.len() < EXAMPLES {
                let masked = masked(&text[span.start..span.end]);
                if !self.masked.contains(&masked) {
                    self.masked.push(masked);
                }
            }
        }
        self.documents += u64::from(self.spans > before);
    }
}

/// What a filter would drop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FilterFound {
    /// The filter.
    pub filter: Filter,
    /// Dropped by it, whatever other filters do.
    pub dropped: Amount,
    /// Of these, what no filter before it drops.
    pub first: Amount,
    /// Some of the documents, each with the reason.
    pub examples: Vec<(String, Example)>,
}

impl FilterFound {
    pub(super) fn none(filter: Filter) -> Self {
        Self { filter, dropped: Amount::default(), first: Amount::default(), examples: Vec::new() }
    }

    /// Whether the filter drops a document; `is_first` says that none has yet.
    pub(super) fn add(&mut self, document: &Document, signals: &Signals, is_first: bool) -> bool {
        let Some(reason) = self.filter.drops(document, signals) else { return false };
        self.dropped.add(signals);
        if is_first {
            self.first.add(signals);
        }
        // Of a long run some from along it: the first, the second, the fourth, the eighth.
        if self.dropped.documents.is_power_of_two() && self.examples.len() < EXAMPLES {
            self.examples.push((reason, Example::of(document, &signals.pii)));
        }
        true
    }
}

/// What a published threshold would drop.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuggestionFound {
    /// Whose it is.
    pub source: &'static str,
    /// The filter it makes.
    pub filter: Filter,
    /// What it would drop.
    pub dropped: Amount,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_are_counted_together() {
        let mut names = ByName::default();
        for number in 0..NAMES + 10 {
            names.add(&format!("licence {number}"), &Signals { num_bytes: 1, ..Signals::default() });
        }
        let all = names.finish();
        assert_eq!(all.len(), NAMES + 1);
        assert_eq!((all[0].name.as_str(), all[0].amount), (OTHERS, Amount { documents: 10, bytes: 10 }));
    }
}
