//! A sample: `[u32 size of every variable-size column] [data of all columns]`, columns in the order of the index.

use super::{Encoding, Value};
use std::ops::Range;

/// A column as the index declares it.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) encoding: Encoding,
}

/// Appends the stored form of a sample. The error names the column.
pub(crate) fn encode(columns: &[Column], values: &[&Value], out: &mut Vec<u8>) -> Result<(), (String, String)> {
    let begin = out.len();
    let variable = columns.iter().filter(|column| column.encoding.fixed_size().is_none()).count();
    out.resize(begin + 4 * variable, 0);
    let mut size_at = begin;
    for (column, value) in columns.iter().zip(values) {
        let start = out.len();
        let failed = |reason| (column.name.clone(), reason);
        value.encode(&column.encoding, out).map_err(failed)?;
        if column.encoding.fixed_size().is_none() {
            let size = out.len() - start;
            let size = u32::try_from(size).map_err(|_| failed(format!("{size} bytes are more than 32 bits count")))?;
            out[size_at..size_at + 4].copy_from_slice(&size.to_le_bytes());
            size_at += 4;
        }
    }
    Ok(())
}

/// Where the data of each column lies in a sample.
pub(crate) fn locate(columns: &[Column], sample: &[u8]) -> Result<Vec<Range<usize>>, String> {
    let mut ranges = Vec::with_capacity(columns.len());
    locate_in(columns, sample, &mut ranges).map(|()| ranges)
}

/// As [`locate`], into memory that is used again.
pub(crate) fn locate_in(columns: &[Column], sample: &[u8], ranges: &mut Vec<Range<usize>>) -> Result<(), String> {
    let variable = columns.iter().filter(|column| column.encoding.fixed_size().is_none()).count();
    let total = sample.len() as u64;
    let mut sizes = sample
        .get(..4 * variable)
        .ok_or_else(|| format!("{total} bytes are too few for the sizes of {variable} columns"))?
        .chunks_exact(4);
    let mut at = 4 * variable as u64;
    ranges.clear();
    for column in columns {
        let size = match column.encoding.fixed_size() {
            Some(size) => size,
            None => {
                sizes.next().and_then(|size| size.try_into().ok()).map_or(0, |size| u32::from_le_bytes(size).into())
            }
        };
        let end = at.checked_add(size).filter(|&end| end <= total).ok_or_else(|| {
            format!("column {:?} claims {size} bytes, {} are left of the sample's {total}", column.name, total - at)
        })?;
        ranges.push(at as usize..end as usize); // both are at most sample.len()
        at = end;
    }
    if at != total {
        return Err(format!("its columns take {at} bytes, but it has {total}"));
    }
    Ok(())
}
