//! Makes batches, one after the other, from a position on.

use super::{
    batch::{Batch, Shape},
    options::LoaderOptions,
    schedule::{Plan, Position, Walk},
    shelf::Shelf,
    stream::Stream,
};
use crate::{DataError, mds::Scratch};
use std::sync::Arc;

/// What does not change while reading.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) streams: Vec<Arc<Stream>>,
    pub(crate) plan: Plan,
    pub(crate) shape: Shape,
    pub(crate) options: LoaderOptions,
}

pub(crate) struct Reader {
    shared: Arc<Shared>,
    walk: Walk,
    /// One for each stream of the present stage.
    shelves: Vec<Option<Shelf>>,
    scratch: Scratch,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, position: Position) -> Self {
        let walk = Walk::new(&shared.plan, position);
        let shelves = shared.streams.iter().map(|_| None).collect();
        Self { shared, walk, shelves, scratch: Scratch::default() }
    }

    /// The next batch. After an error, begin anew from the last position.
    pub(crate) fn batch(&mut self) -> Result<Batch, DataError> {
        let Self { shared, walk, shelves, scratch } = self;
        let Shared { streams, plan, shape, options } = &**shared;
        let mix = &plan.stages[walk.position().stage as usize].mix;
        for (shelf, &chosen) in shelves.iter_mut().zip(mix.chosen()) {
            shelf.take_if(|_| chosen == 0); // a stage that is over needs no memory
        }
        let rows = options.batch / options.readers;
        let mine = options.reader * rows..(options.reader + 1) * rows;
        let mut batch = Batch::with_capacity(rows, *shape);
        for row in 0..options.batch {
            let (stream, rank) = walk.next(plan);
            if !mine.contains(&row) {
                continue; // counted, so that all readers keep one order
            }
            let new = || Shelf::new(streams[stream].clone(), options.order());
            let found = shelves[stream].get_or_insert_with(new).find(rank)?;
            let (shard, sample) = (found.shard, found.sample);
            batch.samples.push(found.number);
            batch.streams.push(stream as u32);
            batch.push(shard, sample, *shape, scratch)?;
        }
        batch.next = walk.position();
        Ok(batch)
    }
}
