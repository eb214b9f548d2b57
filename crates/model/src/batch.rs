//! What a forward pass is given: token ids of several sequences, one after the other.

use crate::config::Config;
use crate::error::ModelError;

/// Rows of several sequences or documents, checked against a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Token ids [T].
    pub ids: Vec<i32>,
    /// The id each row should predict [T]; -1 where none is counted.
    pub targets: Vec<i32>,
    /// Position in its document [T].
    pub positions: Vec<i32>,
    /// First row of its document [T].
    pub first: Vec<i32>,
}

/// A sequence with what is known of it beside its ids.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// Token ids.
    pub ids: &'a [i32],
    /// 0 for each id that is never a target, as many as ids; all may be targets if `None`.
    pub loss: Option<&'a [u8]>,
    /// Lengths of the examples that were packed into it, one behind the other; what is left is padding. None: the
    /// sequence is plain text.
    pub examples: &'a [u32],
}

impl<'a> Sequence<'a> {
    /// Plain text.
    pub fn text(ids: &'a [i32]) -> Self {
        Sequence { ids, loss: None, examples: &[] }
    }
}

impl Batch {
    /// Sequences of plain text, as [`Batch::of`] takes them.
    pub fn next_token(config: &Config, sequences: &[&[i32]], separator: Option<u32>) -> Result<Self, ModelError> {
        let sequences: Vec<Sequence> = sequences.iter().map(|ids| Sequence::text(ids)).collect();
        Batch::of(config, &sequences, separator)
    }

    /// Sequences, each predicting its own next tokens. With a separator (the end-of-text id), every one in plain text
    /// begins a new document: attention does not reach back past it and positions start again. It is thus the last
    /// token's target, and what the first token of the next document is predicted from. Packed examples are documents
    /// whatever is in them; no token predicts one of another example, and padding neither predicts nor is predicted.
    pub fn of(config: &Config, sequences: &[Sequence], separator: Option<u32>) -> Result<Self, ModelError> {
        let mut batch = Batch { ids: Vec::new(), targets: Vec::new(), positions: Vec::new(), first: Vec::new() };
        for sequence in sequences {
            match sequence.examples {
                [] => batch.text(sequence, separator),
                examples => batch.packed(sequence, examples),
            }
        }
        batch.check(config, sequences)?;
        Ok(batch)
    }

    fn text(&mut self, sequence: &Sequence, separator: Option<u32>) {
        let mut start = self.ids.len();
        for (i, id) in sequence.ids.iter().enumerate() {
            if separator.is_some_and(|s| *id == s as i32) {
                start = self.ids.len();
            }
            self.push(sequence, i, start, true);
        }
    }

    fn packed(&mut self, sequence: &Sequence, examples: &[u32]) {
        let mut begin = 0;
        for length in examples {
            let (start, end) = (self.ids.len(), begin + *length as usize);
            (begin..end).for_each(|i| self.push(sequence, i, start, i + 1 < end));
            begin = end;
        }
        let start = self.ids.len();
        (begin..sequence.ids.len()).for_each(|i| self.push(sequence, i, start, false));
    }

    /// Appends a row of the document that begins in row `start`; `predicts`: the id behind it, where it may be learnt.
    fn push(&mut self, sequence: &Sequence, i: usize, start: usize, predicts: bool) {
        let learnt = predicts && i + 1 < sequence.ids.len() && sequence.loss.is_none_or(|loss| loss[i + 1] != 0);
        self.positions.push((self.ids.len() - start) as i32);
        self.first.push(start as i32);
        self.targets.push(if learnt { sequence.ids[i + 1] } else { -1 });
        self.ids.push(sequence.ids[i]);
    }

    fn check(&self, config: &Config, sequences: &[Sequence]) -> Result<(), ModelError> {
        for (row, sequence) in sequences.iter().enumerate() {
            let wrong = |id: &i32| !(0..config.vocab_size as i64).contains(&i64::from(*id));
            if let Some(position) = sequence.ids.iter().position(wrong) {
                let (id, vocab_size) = (i64::from(sequence.ids[position]), config.vocab_size);
                return Err(ModelError::TokenOutOfRange { id, row, position, vocab_size });
            }
        }
        match self.positions.iter().max() {
            Some(last) if *last as usize >= config.max_seq_len => {
                Err(ModelError::TooLong { tokens: *last as usize + 1, limit: config.max_seq_len })
            }
            _ => Ok(()),
        }
    }

    /// Rows (T).
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// Targets that are counted.
    pub fn counted(&self) -> usize {
        self.targets.iter().filter(|t| **t >= 0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::preset;

    #[test]
    fn documents_are_kept_apart() {
        let config = preset("tiny").unwrap();
        let batch = Batch::next_token(&config, &[&[5, 6, 0, 7, 8], &[9, 0, 0, 1, 2]], Some(0)).unwrap();
        assert_eq!(batch.targets, [6, 0, 7, 8, -1, 0, 0, 1, 2, -1]);
        assert_eq!(batch.positions, [0, 1, 0, 1, 2, 0, 0, 0, 1, 2]);
        assert_eq!(batch.first, [0, 0, 2, 2, 2, 5, 6, 7, 7, 7]);
        let joined = Batch::next_token(&config, &[&[5, 6, 0, 7, 8]], None).unwrap();
        assert_eq!((joined.targets, joined.first), (vec![6, 0, 7, 8, -1], vec![0; 5]));
    }

    #[test]
    fn packed_examples_are_kept_apart_and_masked_ids_are_not_learnt() {
        let config = preset("tiny").unwrap();
        let text = Sequence::text(&[3, 0, 4]);
        // Two examples and a row of padding; the separator in the first one ends nothing.
        let packed = Sequence { ids: &[5, 0, 7, 8, 9, 1], loss: Some(&[0, 0, 1, 1, 1, 0]), examples: &[3, 2] };
        let batch = Batch::of(&config, &[text, packed], Some(0)).unwrap();
        assert_eq!(batch.ids, [3, 0, 4, 5, 0, 7, 8, 9, 1]);
        assert_eq!(batch.targets, [0, 4, -1, -1, 7, -1, 9, -1, -1]);
        assert_eq!(batch.positions, [0, 0, 1, 0, 1, 2, 0, 1, 0]);
        assert_eq!(batch.first, [0, 1, 1, 3, 3, 3, 6, 6, 8]);
        let masked = Sequence { loss: Some(&[1, 1, 0]), ..text };
        assert_eq!(Batch::of(&config, &[masked], None).unwrap().targets, [0, -1, -1]);
    }

    #[test]
    fn wrong_ids_and_lengths_are_errors() {
        let config = preset("tiny").unwrap();
        let message = Batch::next_token(&config, &[&[1], &[1, 9999]], None).unwrap_err().to_string();
        assert!(message.contains("9999 at row 1, position 1"), "{message}");
        assert!(Batch::next_token(&config, &[&[-1]], None).is_err());
        let long = vec![1; config.max_seq_len + 1];
        assert!(Batch::next_token(&config, &[&long], None).unwrap_err().to_string().contains("2049"));
    }
}
