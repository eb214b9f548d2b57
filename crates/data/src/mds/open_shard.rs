//! A shard that one reader holds: its samples are read without locks, and without copies where it is in memory.

use super::{Encoding, MdsError, NdArrayView, framing, framing::Column, shard::Shard};
use std::{ops::Range, sync::Arc};

#[derive(Debug)]
pub(crate) struct OpenShard {
    shard: Shard,
    columns: Arc<[Column]>,
}

/// Memory that reading samples uses again and again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

/// A sample as it is stored.
pub(crate) struct StoredSample<'a> {
    shard: &'a OpenShard,
    number: u64,
    bytes: &'a [u8],
    ranges: &'a [Range<usize>],
}

impl OpenShard {
    pub(super) fn new(shard: Shard, columns: Arc<[Column]>) -> Self {
        Self { shard, columns }
    }

    /// Which column has this name.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The same, of a column that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<usize, MdsError> {
        self.column(name).ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
            let reason = format!("it has no column {name:?}, only {}", names.join(", "));
            MdsError::Shard { path: self.shard.path().into(), reason }
        })
    }

    pub(crate) fn sample<'a>(&'a self, number: u64, scratch: &'a mut Scratch) -> Result<StoredSample<'a>, MdsError> {
        let Scratch { bytes, ranges } = scratch;
        let bytes = self.shard.sample(number, bytes)?;
        framing::locate_in(&self.columns, bytes, ranges).map_err(|reason| self.failed(number, reason))?;
        Ok(StoredSample { shard: self, number, bytes, ranges })
    }

    fn failed(&self, sample: u64, reason: String) -> MdsError {
        MdsError::Sample { path: self.shard.path().into(), sample, reason }
    }
}

impl<'a> StoredSample<'a> {
    /// The array in a column of the shard.
    pub(crate) fn array(&self, column: usize) -> Result<NdArrayView<'a>, MdsError> {
        let Column { name, encoding } = &self.shard.columns[column];
        let Encoding::NdArray { dtype, shape } = encoding else {
            return Err(self.failed(format!("column {name:?} holds {encoding} and no arrays")));
        };
        NdArrayView::decode(*dtype, shape.as_deref(), &self.bytes[self.ranges[column].clone()])
            .map_err(|reason| self.failed(format!("column {name:?}: {reason}")))
    }

    /// An error that names shard, sample and column.
    pub(crate) fn wrong(&self, column: usize, reason: &str) -> MdsError {
        self.failed(format!("column {:?}, {reason}", self.shard.columns[column].name))
    }

    fn failed(&self, reason: String) -> MdsError {
        self.shard.failed(self.number, reason)
    }
}
