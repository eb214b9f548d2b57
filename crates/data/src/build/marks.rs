//! The tokens around each document.

use crate::{DataError, Document, Encoder};

/// The tokens around each document.
pub(super) struct Marks {
    start: Option<i32>,
    end: i32,
    vocab_size: usize,
}

impl Marks {
    pub(super) fn of(encoder: &dyn Encoder) -> Result<Self, DataError> {
        let vocab_size = encoder.vocab_size();
        if vocab_size > i32::MAX as usize {
            return Err(DataError::Encoder(format!("{vocab_size} tokens do not fit the 32-bit ids of the shards")));
        }
        let end = encoder.end_of_document().ok_or_else(|| {
            DataError::Encoder(
                "it has no end-of-text token, so that documents would run into each other; \
                 name one as eos_token in tokenizer_config.json, or train a tokenizer with `moeworks tokenizer train`"
                    .into(),
            )
        })?;
        let mark = |id| checked(id, vocab_size);
        Ok(Self { start: encoder.start_of_document().map(mark).transpose()?, end: mark(end)?, vocab_size })
    }

    pub(super) fn encode(&self, encoder: &dyn Encoder, document: &Document) -> Result<Vec<i32>, DataError> {
        let ids = encoder.encode(&document.text);
        let mut marked = Vec::with_capacity(ids.len() + 2);
        marked.extend(self.start);
        for id in ids {
            marked.push(checked(id, self.vocab_size)?);
        }
        marked.push(self.end);
        Ok(marked)
    }
}

fn checked(id: u32, vocab_size: usize) -> Result<i32, DataError> {
    i32::try_from(id).ok().filter(|_| (id as usize) < vocab_size).ok_or_else(|| {
        DataError::Encoder(format!("it gave the id {id}, but says that it has only {vocab_size} tokens"))
    })
}
