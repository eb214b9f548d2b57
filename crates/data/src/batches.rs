//! Things in groups: each has work for all threads, and little enough text that two or three fit into memory.

use crate::DataError;

const BYTES: usize = 4 << 20;
const ITEMS: usize = 4096;

/// Groups items until their text is [`BYTES`] long or they are [`ITEMS`]; the first error ends it.
pub(crate) fn batches<'a, T>(
    mut items: impl Iterator<Item = Result<T, DataError>> + Send + 'a,
    bytes_of: impl Fn(&T) -> usize + Send + 'a,
) -> impl Iterator<Item = Result<Vec<T>, DataError>> + Send + 'a {
    std::iter::from_fn(move || {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES && batch.len() < ITEMS {
            match items.next() {
                None => break,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(item)) => {
                    bytes += bytes_of(&item);
                    batch.push(item);
                }
            }
        }
        (!batch.is_empty()).then_some(Ok(batch))
    })
}
