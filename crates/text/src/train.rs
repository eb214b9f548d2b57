//! Training a tokenizer on documents.

use tokenizers::Trainer;
use tokenizers::models::bpe::{BPE, BpeTrainer};

use crate::byte_level::{to_bytes, to_char, to_piece};
use crate::error::TextError;
use crate::made::TRAINED_SPECIALS;
use crate::pieces::pieces;
use crate::ranked::Ranked;
use crate::split::SplitPattern;
use crate::tokenizer::Tokenizer;

/// What tokenizer to train.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Number of ids, the 256 bytes and the 8 special tokens included. Fewer come out if the documents run out of pairs.
    pub vocab_size: usize,
    /// A pair of tokens that occurs less often is not merged.
    pub min_frequency: u64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions { vocab_size: 8192, min_frequency: 2 }
    }
}

/// How far training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainProgress {
    /// Documents and bytes read so far.
    Reading {
        /// Number of documents.
        documents: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// All documents are read; merges are being chosen.
    Merging,
}

/// The trainer counts pairs in 32 bits, and no pair occurs more often than there are bytes.
const MAX_BYTES: u64 = i32::MAX as u64;

/// Trains a byte-level BPE with GPT-4's split pattern; DBRX's special tokens follow the merges. The same documents give the
/// same tokenizer, in whatever order they come and on any number of threads. `progress` is called for each document. At
/// most 2 GiB of text are taken: for more, give a sample.
pub fn train<I>(
    documents: I,
    options: &TrainOptions,
    progress: impl FnMut(TrainProgress) + Send,
) -> Result<Tokenizer, TextError>
where
    I: Iterator + Send,
    I::Item: AsRef<str> + Send,
{
    let least = 256 + TRAINED_SPECIALS;
    if options.vocab_size < least {
        return Err(TextError::Train(format!(
            "a vocabulary of {} cannot hold the 256 bytes and {TRAINED_SPECIALS} special tokens: ask for {least} or more",
            options.vocab_size
        )));
    }
    let tokens = tokens(documents, options, progress, MAX_BYTES)?;
    let ids = (0..tokens.len() as u32).collect();
    let ranked = Ranked::new(&tokens, ids, SplitPattern::Cl100k)
        .map_err(|rank| TextError::Train(format!("no merge makes the token {rank} that the trainer made")))?;
    Ok(Tokenizer::trained(ranked))
}

/// The trained tokens by rank, of documents of `limit` bytes at most.
fn tokens<I>(
    documents: I,
    options: &TrainOptions,
    mut progress: impl FnMut(TrainProgress) + Send,
    limit: u64,
) -> Result<Vec<Vec<u8>>, TextError>
where
    I: Iterator + Send,
    I::Item: AsRef<str> + Send,
{
    let mut trainer = BpeTrainer::builder()
        .vocab_size(options.vocab_size - TRAINED_SPECIALS)
        .min_frequency(options.min_frequency)
        .initial_alphabet((0..=u8::MAX).map(to_char).collect())
        .show_progress(false)
        .build();
    let (mut count, mut bytes) = (0, 0);
    let counted = documents.take_while(|document| {
        count += 1;
        bytes += document.as_ref().len() as u64;
        progress(TrainProgress::Reading { documents: count, bytes });
        bytes <= limit
    });
    let words = |text: &str| Ok(pieces(text, SplitPattern::Cl100k).map(|piece| to_piece(piece.as_bytes())).collect());
    trainer.feed(counted, words).map_err(|error| TextError::Train(error.to_string()))?;
    if bytes > limit {
        return Err(TextError::Train(format!(
            "the first {count} documents have {bytes} bytes and {limit} is the limit: train on a sample of the documents"
        )));
    }
    if bytes == 0 {
        return Err(TextError::Train(format!("none of the {count} documents has any text")));
    }
    progress(TrainProgress::Merging);
    let mut model = BPE::default();
    trainer.train(&mut model).map_err(|error| TextError::Train(error.to_string()))?;

    // The trainer numbers the alphabet first, in the order of its characters, and then each merge.
    let mut made: Vec<(u32, String)> = model.get_vocab().into_iter().map(|(piece, id)| (id, piece)).collect();
    made.sort_unstable();
    let tokens: Option<Vec<Vec<u8>>> = made.iter().map(|(_, piece)| to_bytes(piece)).collect();
    tokens.ok_or_else(|| TextError::Train("the trainer made a piece that is no bytes".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_text_is_refused_early() {
        let (mut read, options) = (0, TrainOptions::default());
        let documents = std::iter::repeat("ten bytes.").inspect(|_| read += 1);
        let error = tokens(documents, &options, |_| {}, 100).unwrap_err().to_string();
        assert!(error.contains("the first 11 documents have 110 bytes and 100 is the limit"), "{error}");
        assert_eq!(read, 11);
        assert!(tokens(["ten bytes."; 10].iter(), &options, |_| {}, 100).is_ok());
    }
}
