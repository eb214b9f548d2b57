//! An even sample of the documents, small whatever their number.

use crate::{documents::DocumentId, signals::Signals};
use std::{cmp::Ordering, collections::BinaryHeap};

/// Documents in the sample.
pub(super) const SIZE: usize = 20_000;

/// The numeric signals of the documents whose ids are the smallest. An id is a hash, so it picks evenly, and the same ones
/// in whatever order they come.
#[derive(Default)]
pub(super) struct Sample {
    rows: BinaryHeap<Row>,
}

struct Row {
    id: DocumentId,
    values: Box<[f64]>,
}

impl Sample {
    pub(super) fn add(&mut self, id: DocumentId, signals: &Signals) {
        if self.rows.len() == SIZE {
            if self.rows.peek().is_none_or(|largest| id >= largest.id) {
                return;
            }
            self.rows.pop();
        }
        let values = Signals::NUMERIC.iter().map(|signal| signal.of(signals)).collect();
        self.rows.push(Row { id, values });
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The values of one signal in rising order.
    pub(super) fn sorted(&self, signal: usize) -> Vec<f64> {
        let mut values: Vec<f64> = self.rows.iter().map(|row| row.values[signal]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    }
}

impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Row {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_even_and_does_not_depend_on_the_order() {
        let of = |numbers: &mut dyn Iterator<Item = u64>| {
            let mut sample = Sample::default();
            for number in numbers {
                let signals = Signals { num_characters: number, ..Signals::default() };
                sample.add(DocumentId::of(&number.to_string()), &signals);
            }
            sample.sorted(0)
        };
        let all = 3 * SIZE as u64;
        let rising = of(&mut (0..all));
        assert_eq!(rising.len(), SIZE);
        assert_eq!(rising, of(&mut (0..all).rev()));
        let median = rising[SIZE / 2] / all as f64;
        assert!((median - 0.5).abs() < 0.02, "{median}");
        assert_eq!(of(&mut (0..3)), [0.0, 1.0, 2.0]);
    }
}
