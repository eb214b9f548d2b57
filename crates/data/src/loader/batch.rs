//! Samples that are trained on together, decoded and checked.

use super::schedule::Position;
use crate::{
    mds::{Dtype, MdsError, NdArrayView, OpenShard, Scratch},
    pack::TOKENS,
};

/// Column of the mask that says which tokens are learnt, `ndarray:uint8`.
pub(crate) const LOSS: &str = "loss";
/// Column of the lengths of the examples packed into a sample, `ndarray:int32`.
pub(crate) const LENGTHS: &str = "lengths";

/// One reader's rows of the samples that are trained on together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[rows, sequence length]`, row by row.
    pub tokens: Vec<i32>,
    /// 1 for each token that is to be learnt, 0 for each that is only context, in the shape of `tokens`; `None` if all
    /// are to be learnt.
    pub loss: Option<Vec<u8>>,
    /// For each row the lengths of the examples in it, one behind the other; what is left of the row is padding. A row
    /// without examples of its own (plain text) has an empty list; `None` if no row has any.
    pub lengths: Option<Vec<Vec<u32>>>,
    /// Number of the stream of each row.
    pub streams: Vec<u32>,
    /// Number of each row's sample in its data set.
    pub samples: Vec<u64>,
    /// Tokens per sample.
    pub sequence_length: usize,
    /// Where all readers stand once this batch is used.
    pub next: Position,
}

/// What every row must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) sequence_length: usize,
    pub(crate) vocab_size: usize,
}

impl Batch {
    pub(crate) fn with_capacity(rows: usize, shape: Shape) -> Self {
        Self {
            tokens: Vec::with_capacity(rows * shape.sequence_length),
            loss: None,
            lengths: None,
            streams: Vec::with_capacity(rows),
            samples: Vec::with_capacity(rows),
            sequence_length: shape.sequence_length,
            next: Position::default(),
        }
    }

    /// Appends a row after checking all that can be wrong with it.
    pub(crate) fn push(
        &mut self,
        shard: &OpenShard,
        sample: u64,
        shape: Shape,
        scratch: &mut Scratch,
    ) -> Result<(), MdsError> {
        let Shape { sequence_length, vocab_size } = shape;
        let (rows, begin) = (self.tokens.len() / sequence_length, self.tokens.len());
        let column = shard.required(TOKENS)?;
        let stored = shard.sample(sample, scratch)?;
        let array = stored.array(column)?;
        match decode(&array, vocab_size, &mut self.tokens) {
            None => return Err(stored.wrong(column, &format!("{} is no type for tokens", array.dtype.name()))),
            Some(Some((position, id))) => {
                let reason = format!("position {position}: token id {id} is outside 0..{vocab_size}");
                return Err(stored.wrong(column, &reason));
            }
            Some(None) => {}
        }
        let length = self.tokens.len() - begin;
        if length != sequence_length {
            let reason = format!("{length} tokens, but the data set's first sample has {sequence_length}");
            return Err(stored.wrong(column, &reason));
        }
        if let Some(column) = shard.column(LOSS) {
            let mask = mask(&stored.array(column)?, sequence_length).map_err(|reason| stored.wrong(column, &reason))?;
            self.loss.get_or_insert_with(|| vec![1; begin]).extend_from_slice(mask);
        } else if let Some(loss) = &mut self.loss {
            loss.resize(self.tokens.len(), 1);
        }
        if let Some(column) = shard.column(LENGTHS) {
            let found =
                lengths(&stored.array(column)?, sequence_length).map_err(|reason| stored.wrong(column, &reason))?;
            self.lengths.get_or_insert_with(|| vec![Vec::new(); rows]).push(found);
        } else if let Some(lengths) = &mut self.lengths {
            lengths.push(Vec::new());
        }
        Ok(())
    }
}

/// Appends integers as ids. `None`: they are none; `Some(Some(…))`: position and value of the first one out of range.
fn decode(array: &NdArrayView<'_>, vocab_size: usize, tokens: &mut Vec<i32>) -> Option<Option<(usize, i128)>> {
    let begin = tokens.len();
    if array.dtype == Dtype::Int32 {
        tokens.extend(array.data.as_chunks::<4>().0.iter().map(|&bytes| i32::from_le_bytes(bytes)));
        // Negative ids are large ones here. The largest alone is found many times faster than the first wrong one.
        let limit = vocab_size.min(1 << 31) as u32;
        let largest = tokens[begin..].iter().fold(0, |largest, &id| (id as u32).max(largest));
        if largest < limit {
            return Some(None);
        }
        let wrong = tokens[begin..].iter().position(|&id| id as u32 >= limit);
        return Some(wrong.map(|position| (position, tokens[begin + position].into())));
    }
    for (position, id) in array.integers()?.enumerate() {
        match i32::try_from(id) {
            Ok(fits) if fits >= 0 && (fits as usize) < vocab_size => tokens.push(fits),
            _ => return Some(Some((position, id))),
        }
    }
    Some(None)
}

fn mask<'a>(array: &NdArrayView<'a>, sequence_length: usize) -> Result<&'a [u8], String> {
    if array.dtype != Dtype::UInt8 || array.data.len() != sequence_length {
        let (values, dtype) = (array.data.len() / array.dtype.size(), array.dtype.name());
        return Err(format!("{values} values of type {dtype}, must be {sequence_length} of type uint8"));
    }
    match array.data.iter().position(|&value| value > 1) {
        Some(position) => Err(format!("position {position}: {} is neither 0 nor 1", array.data[position])),
        None => Ok(array.data),
    }
}

fn lengths(array: &NdArrayView<'_>, sequence_length: usize) -> Result<Vec<u32>, String> {
    let values = array.integers().ok_or_else(|| format!("{} is no type for lengths", array.dtype.name()))?;
    let (mut found, mut sum) = (Vec::new(), 0);
    for length in values {
        sum += length;
        if length < 1 || sum > sequence_length as i128 {
            let number = found.len();
            return Err(format!(
                "example {number} of {length} tokens: lengths must be at least 1, {sequence_length} in all"
            ));
        }
        found.push(length as u32); // at most the sequence's
    }
    Ok(found)
}
