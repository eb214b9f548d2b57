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

impl Batch {
    /// Sequences, each predicting its own next tokens. With a separator (the end-of-text id), every one begins a new
    /// document: attention does not reach back past it and positions start again. It is thus the last token's target,
    /// and what the first token of the next document is predicted from.
    pub fn next_token(config: &Config, sequences: &[&[i32]], separator: Option<u32>) -> Result<Self, ModelError> {
        let mut batch = Batch { ids: Vec::new(), targets: Vec::new(), positions: Vec::new(), first: Vec::new() };
        for sequence in sequences {
            let mut start = batch.ids.len();
            for (i, id) in sequence.iter().enumerate() {
                if separator.is_some_and(|s| *id == s as i32) {
                    start = batch.ids.len();
                }
                batch.positions.push((batch.ids.len() - start) as i32);
                batch.first.push(start as i32);
                batch.targets.push(sequence.get(i + 1).copied().unwrap_or(-1));
                batch.ids.push(*id);
            }
        }
        batch.check(config, sequences)?;
        Ok(batch)
    }

    fn check(&self, config: &Config, sequences: &[&[i32]]) -> Result<(), ModelError> {
        for (row, sequence) in sequences.iter().enumerate() {
            if let Some(position) =
                sequence.iter().position(|id| !(0..config.vocab_size as i64).contains(&i64::from(*id)))
            {
                let (id, vocab_size) = (i64::from(sequence[position]), config.vocab_size);
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
    fn wrong_ids_and_lengths_are_errors() {
        let config = preset("tiny").unwrap();
        let message = Batch::next_token(&config, &[&[1], &[1, 9999]], None).unwrap_err().to_string();
        assert!(message.contains("9999 at row 1, position 1"), "{message}");
        assert!(Batch::next_token(&config, &[&[-1]], None).is_err());
        let long = vec![1; config.max_seq_len + 1];
        assert!(Batch::next_token(&config, &[&long], None).unwrap_err().to_string().contains("2049"));
    }
}
