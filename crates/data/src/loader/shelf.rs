//! The shards of a stream that are open: those of the block in use, and those of the next one, which are read, checked
//! and decompressed in the background while this one is used up.

use super::{
    blocks::{BlockOrder, Shuffle},
    stream::Stream,
};
use crate::{DataError, mds::OpenShard};
use rayon::prelude::*;
use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

/// Gives the samples of one stream, in order.
#[derive(Debug)]
pub(crate) struct Shelf {
    stream: Arc<Stream>,
    shuffle: Shuffle,
    current: Option<OpenBlock>,
    next: Option<Opening>,
}

/// Which block of which pass.
type BlockId = (u64, usize);

#[derive(Debug)]
struct OpenBlock {
    id: BlockId,
    order: Arc<BlockOrder>,
    /// By slot, with their numbers.
    shards: Vec<(usize, Arc<OpenShard>)>,
}

#[derive(Debug)]
struct Opening {
    id: BlockId,
    thread: JoinHandle<Result<OpenBlock, DataError>>,
}

/// A sample on the shelf.
pub(crate) struct Found<'a> {
    pub(crate) shard: &'a Arc<OpenShard>,
    /// Number in the shard.
    pub(crate) sample: u64,
    /// Number in the data set.
    pub(crate) number: u64,
}

impl Shelf {
    pub(crate) fn new(stream: Arc<Stream>, shuffle: Shuffle) -> Self {
        Self { stream, shuffle, current: None, next: None }
    }

    /// The sample of this rank in the endless row of passes. Ranks must not fall.
    pub(crate) fn find(&mut self, rank: u64) -> Result<Found<'_>, DataError> {
        let samples = self.stream.dataset.len();
        let (pass, position) = (rank / samples, rank % samples);
        let known = self.current.as_ref().filter(|block| block.id.0 == pass).map(|block| block.order.at(position));
        let (place, block) = match (known, self.current.take()) {
            (Some(place), Some(block)) if place.block == block.id.1 => (place, block),
            (_, used) => {
                let block = self.open(pass, position, used)?;
                (block.order.at(position), block)
            }
        };
        let block = self.current.insert(block);
        let (number, shard) = &block.shards[place.slot];
        Ok(Found { shard, sample: place.sample, number: self.stream.dataset.first_of(*number) + place.sample })
    }

    /// Opens the block of a position, or takes it from the background, and has the one behind it opened there.
    fn open(&mut self, pass: u64, position: u64, used: Option<OpenBlock>) -> Result<OpenBlock, DataError> {
        let order = match &used {
            Some(block) if block.id.0 == pass => block.order.clone(),
            _ => Arc::new(self.stream.pass(self.shuffle, pass)),
        };
        let id = (pass, order.at(position).block);
        let ahead = self.next.take().filter(|opening| opening.id == id);
        let block = match ahead.map(|opening| opening.thread.join()) {
            Some(Ok(block)) => block?,
            // Nothing was opened ahead: it is the first block, or a block was passed over of which this reader has no row.
            None | Some(Err(_)) => {
                let open = used.as_ref().map_or(&[][..], |block| &block.shards);
                OpenBlock::open(&self.stream, id, order, self.shuffle, open)?
            }
        };
        drop(used); // its memory is for the next block
        let (stream, shuffle, order, open) =
            (self.stream.clone(), self.shuffle, block.order.clone(), block.shards.clone());
        let next = if id.1 + 1 < order.blocks() { (pass, id.1 + 1) } else { (pass + 1, 0) };
        let open_next = move || {
            let order = if next.0 == pass { order } else { Arc::new(stream.pass(shuffle, next.0)) };
            OpenBlock::open(&stream, next, order, shuffle, &open)
        };
        // Where the system gives no thread, the block is opened when it is needed.
        self.next = thread::Builder::new().spawn(open_next).ok().map(|thread| Opening { id: next, thread });
        Ok(block)
    }
}

impl OpenBlock {
    /// Takes the shards that are open already, and opens the others.
    fn open(
        stream: &Stream,
        id: BlockId,
        order: Arc<BlockOrder>,
        shuffle: Shuffle,
        open: &[(usize, Arc<OpenShard>)],
    ) -> Result<Self, DataError> {
        // Only shards too large for the memory meant for them stay files, unless they are compressed.
        let in_memory = order.bytes(id.1) <= shuffle.block_bytes;
        let shard = |number: usize| match open.iter().find(|(known, _)| *known == number) {
            Some((_, shard)) => Ok((number, shard.clone())),
            None => Ok((number, Arc::new(stream.open_shard(number, in_memory)?))),
        };
        let numbers: Vec<usize> = order.shards(id.1).collect();
        let opened: Vec<Result<_, DataError>> = numbers.into_par_iter().map(shard).collect();
        let shards = opened.into_iter().collect::<Result<_, _>>()?; // of several faults always the same one
        Ok(Self { id, order, shards })
    }
}
