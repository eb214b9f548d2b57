//! Batches of token ids in a deterministic order, from a position that can be saved and returned to.
//!
//! [`Schedule`] says which streams are read in which mixes; the walk through it is a function of the position
//! ([`schedule`]), as are the order of a stream's pass ([`blocks`]) and the mixing of streams ([`mix`]). [`shelf`] keeps
//! the shards of the block in use and opens the next one ahead; [`batch`] decodes and checks.

mod batch;
mod blocks;
mod mix;
mod options;
mod order;
mod reader;
mod schedule;
mod shard_folder;
mod shelf;
mod state;
mod stream;

pub use batch::Batch;
pub use mix::Weight;
pub use options::LoaderOptions;
pub use order::Order;
pub use schedule::{Position, Schedule, StageMix, StreamSource};
pub use shard_folder::ShardFolder;
pub use state::{LoaderState, StageState, StreamState};

use crate::{DataError, mds::Verify};
use batch::Shape;
use blocks::BlockOrder;
use reader::{Reader, Shared};
use schedule::{Plan, Walk};
use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};
use stream::Stream;

/// Reads batches, one after the other without end: after the last sample of an epoch comes the first of the next one,
/// in the same batch if it must be, so that all batches are of one size. A stage ends with a whole batch.
#[derive(Debug)]
pub struct Loader {
    shared: Arc<Shared>,
    position: Position,
    /// The batches made ahead from `position` on.
    ahead: Option<Receiver<Result<Batch, DataError>>>,
}

impl Loader {
    /// Opens a folder that [`crate::build`] or [`crate::finetune`] has written, or any MDS data set with a column `tokens` of integers, such as
    /// LLM Foundry writes them; columns `loss` and `lengths` are read where they are there (see [`Batch`]). All samples
    /// must be of one length.
    ///
    /// # Errors
    /// If the folder is no data set, holds no samples, or an option cannot be.
    pub fn open(folder: &Path, options: LoaderOptions) -> Result<Self, DataError> {
        Self::open_schedule(&Schedule::single(folder), options)
    }

    /// Opens several data sets that are read in mixes, one mix after the other.
    ///
    /// # Errors
    /// As [`Self::open`]; and if a weight or a length cannot be, or the data sets do not have the same tokenizer and
    /// sequence length. Streams and stages are named.
    pub fn open_schedule(schedule: &Schedule, options: LoaderOptions) -> Result<Self, DataError> {
        options.check()?;
        let streams: Vec<Stream> =
            schedule.streams.iter().map(|source| Stream::open(source, options.verify)).collect::<Result<_, _>>()?;
        stream::must_agree(&streams)?;
        let sizes: Vec<(&str, u64)> = streams.iter().map(|s| (s.name.as_str(), s.dataset.len())).collect();
        let plan = Plan::new(&schedule.stages, &sizes, options.batch as u64, options.seed)?;
        let shape = Shape {
            sequence_length: streams.first().map_or(0, |stream| stream.sequence_length),
            vocab_size: options.vocab_size,
        };
        let streams = streams.into_iter().map(Arc::new).collect();
        Ok(Self {
            shared: Arc::new(Shared { streams, plan, shape, options }),
            position: Position::default(),
            ahead: None,
        })
    }

    /// Tokens per sample.
    #[must_use]
    pub fn sequence_length(&self) -> usize {
        self.shared.shape.sequence_length
    }

    /// Samples per epoch of the present stage.
    #[must_use]
    pub fn samples_per_epoch(&self) -> u64 {
        self.shared.plan.stages[self.position.stage as usize].mix.total()
    }

    /// Tokens per epoch of the present stage.
    #[must_use]
    pub fn tokens_per_epoch(&self) -> u64 {
        self.samples_per_epoch() * self.sequence_length() as u64
    }

    /// Tokens of the batches given so far, in all epochs and to all readers.
    #[must_use]
    pub fn tokens_seen(&self) -> u64 {
        self.shared.plan.samples(self.position) * self.sequence_length() as u64
    }

    /// The same for each stream, with its name.
    #[must_use]
    pub fn tokens_by_stream(&self) -> Vec<(&str, u64)> {
        let length = self.sequence_length() as u64;
        let taken = self.shared.plan.taken(self.position);
        self.shared.streams.iter().zip(taken).map(|(stream, taken)| (stream.name.as_str(), taken * length)).collect()
    }

    /// How many times a shard was opened and checked, and decompressed where it is compressed.
    #[must_use]
    pub fn shards_opened(&self) -> u64 {
        self.shared.streams.iter().map(|stream| stream.opened()).sum()
    }

    /// Whether the hash of every shard is checked before anything in it is used: the options ask for it, and the
    /// indices state one for each.
    #[must_use]
    pub fn checks_hashes(&self) -> bool {
        let Shared { streams, options, .. } = &*self.shared;
        let stated = |stream: &Arc<Stream>| stream.dataset.shards().all(|shard| !shard.raw_data.hashes.is_empty());
        options.verify != Verify::Sizes && streams.iter().all(stated)
    }

    /// The next sample.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Fingerprints of the streams' samples, in the streams' order.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<&str> {
        self.shared.streams.iter().map(|stream| stream.dataset.fingerprint()).collect()
    }

    /// The samples of all readers from here on, without reading them: number of the stream, and of the sample in it.
    pub fn order(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let Shared { streams, plan, options, .. } = &*self.shared;
        let mut walk = Walk::new(plan, self.position);
        let mut passes: Vec<Option<(u64, BlockOrder)>> = vec![None; streams.len()];
        std::iter::repeat_with(move || {
            let (number, rank) = walk.next(plan);
            let stream = &streams[number];
            let (pass, at) = (rank / stream.dataset.len(), rank % stream.dataset.len());
            let known = passes[number].take().filter(|(known, _)| *known == pass);
            let (_, order) = passes[number].insert(known.unwrap_or_else(|| (pass, stream.pass(options.order(), pass))));
            let place = order.at(at);
            (number, stream.dataset.first_of(order.shard(place)) + place.sample)
        })
    }

    /// What has to be kept in order to go on from here later, with any number of readers.
    #[must_use]
    pub fn state(&self) -> LoaderState {
        let Shared { streams, plan, options, .. } = &*self.shared;
        LoaderState::new(self.position, options, plan, streams)
    }

    /// Goes on where a saved state was. The number of readers may be another one, and so may the batch where no stage's
    /// end depends on it; stages that have not begun may be changed.
    ///
    /// # Errors
    /// If the state belongs to other data, another order or another schedule, or to a position that does not exist.
    pub fn restore(&mut self, saved: &LoaderState) -> Result<(), DataError> {
        self.state().accept(saved)?;
        self.seek(saved.position)
    }

    /// Goes to any position, at the cost of opening its block.
    ///
    /// # Errors
    /// If there is no such position.
    pub fn seek(&mut self, position: Position) -> Result<(), DataError> {
        let plan = &self.shared.plan;
        let samples = plan.within_stage(position).map(|_| plan.samples(position));
        let tokens = samples.and_then(|samples| samples.checked_mul(self.sequence_length() as u64));
        // Half of what 64 bits count is left for what comes after.
        if tokens.is_none_or(|tokens| tokens > u64::MAX / 2) {
            let now = match usize::try_from(position.stage).ok().and_then(|stage| plan.stages.get(stage)) {
                None => format!("{} stages", plan.stages.len()),
                Some(stage) => {
                    let end = stage.samples.map_or("without end".into(), |samples| format!("of {samples} samples"));
                    format!("an epoch of {} samples in a stage {end}", stage.mix.total())
                }
            };
            return Err(DataError::State {
                what: "the next sample",
                saved: format!(
                    "number {} of epoch {} of stage {}",
                    position.sample,
                    position.epoch,
                    position.stage.saturating_add(1)
                ),
                now,
                fix: "continue from an earlier checkpoint, or let the stage last longer than what was trained on"
                    .into(),
            });
        }
        self.ahead = None;
        self.position = plan.settle(position);
        Ok(())
    }

    /// The next batch: this reader's rows of it.
    ///
    /// # Errors
    /// If a shard is missing or damaged, or a sample has another length or an id beyond the vocabulary. The loader
    /// stays where it is.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let ahead = match &self.ahead {
            Some(ahead) => ahead,
            None => {
                let (sender, receiver) = sync_channel(self.shared.options.prefetch);
                let mut reader = Reader::new(self.shared.clone(), self.position);
                // The thread ends when the receiver is dropped; it holds nothing that needs to be waited for.
                thread::spawn(move || {
                    loop {
                        let batch = reader.batch();
                        let failed = batch.is_err();
                        if sender.send(batch).is_err() || failed {
                            return;
                        }
                    }
                });
                self.ahead.insert(receiver)
            }
        };
        let batch = match ahead.recv() {
            Ok(batch) => batch,
            // The reading thread cannot end before an error was sent; if it did, read here.
            Err(_) => Reader::new(self.shared.clone(), self.position).batch(),
        };
        match batch {
            Ok(batch) => {
                self.position = batch.next;
                Ok(batch)
            }
            Err(error) => {
                self.ahead = None;
                Err(error)
            }
        }
    }
}
