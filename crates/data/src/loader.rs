//! Batches of token ids in a deterministic order, from a position that can be saved and returned to.

use crate::{
    DataError, DataFolder, Order,
    account::SUMMARY_NAME,
    mds::{Dataset, Dtype, NdArrayView, ReaderOptions},
    pack::{TOKENS, TRAIN},
};
use serde::{Deserialize, Serialize};
use std::{
    path::Path,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

/// How to read batches.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Samples per batch.
    pub batch: usize,
    /// Token ids must be below this number.
    pub vocab_size: usize,
    /// Decides the order, together with the epoch.
    pub seed: u64,
    /// Whether the order is random or as stored.
    pub shuffle: bool,
    /// Batches that are read ahead in the background.
    pub prefetch: usize,
    /// How shards are opened and checked.
    pub reader: ReaderOptions,
}

impl LoaderOptions {
    /// Shuffled with seed 0, four batches read ahead, hashes checked.
    #[must_use]
    pub fn new(batch: usize, vocab_size: usize) -> Self {
        Self { batch, vocab_size, seed: 0, shuffle: true, prefetch: 4, reader: ReaderOptions::default() }
    }
}

/// A place in the endless row of epochs: the next sample to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Epochs that are over.
    pub epoch: u64,
    /// Samples of this epoch that are over.
    pub sample: u64,
}

/// What a checkpoint keeps of a loader: its position, and enough to refuse other data or another order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// The next sample.
    pub position: Position,
    /// Seed of the order.
    pub seed: u64,
    /// Whether the order is random.
    pub shuffle: bool,
    /// Fingerprint of the data set.
    pub data: String,
}

/// Samples that are trained on together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[samples, sequence length]`, row by row.
    pub tokens: Vec<i32>,
    /// Number in the data set of each sample.
    pub samples: Vec<u64>,
    /// Tokens per sample.
    pub sequence_length: usize,
    /// Where the loader stands once this batch is used.
    pub next: Position,
}

/// Reads batches, one after the other without end: after the last sample of an epoch comes the first of the next one,
/// in the same batch if it must be, so that all batches are of one size and every sample comes once per epoch.
#[derive(Debug)]
pub struct Loader {
    source: Arc<Source>,
    position: Position,
    /// The batches read ahead from `position` on.
    ahead: Option<Receiver<Result<Batch, DataError>>>,
}

#[derive(Debug)]
struct Source {
    dataset: Dataset,
    options: LoaderOptions,
    sequence_length: usize,
}

impl Loader {
    /// Opens a folder that [`crate::build`] has written, or any MDS data set with a column `tokens` of integers, such as
    /// LLM Foundry writes them. All samples must be of the length of the first.
    ///
    /// # Errors
    /// If the folder is no data set, holds no samples, or an option cannot be.
    pub fn open(folder: &Path, options: LoaderOptions) -> Result<Self, DataError> {
        if options.batch == 0 {
            return Err(DataError::Recipe { key: "batch".into(), reason: "0 is no number of samples".into() });
        }
        let folder = if folder.join(SUMMARY_NAME).exists() {
            DataFolder::open(folder)?; // its indices belong to its account
            &folder.join(TRAIN)
        } else {
            folder
        };
        let dataset = Dataset::open(folder, options.reader)?;
        if dataset.is_empty() {
            return Err(DataError::TooLittle(format!("{} holds no samples", folder.display())));
        }
        let sequence_length = {
            let mut buffer = Vec::new();
            let array = dataset.array(0, TOKENS, &mut buffer)?;
            array.data.len() / array.dtype.size()
        };
        let source = Arc::new(Source { dataset, options, sequence_length });
        Ok(Self { source, position: Position::default(), ahead: None })
    }

    /// Tokens per sample.
    #[must_use]
    pub fn sequence_length(&self) -> usize {
        self.source.sequence_length
    }

    /// Samples per epoch.
    #[must_use]
    pub fn samples_per_epoch(&self) -> u64 {
        self.source.dataset.len()
    }

    /// Tokens per epoch.
    #[must_use]
    pub fn tokens_per_epoch(&self) -> u64 {
        self.samples_per_epoch() * self.sequence_length() as u64
    }

    /// Tokens of the batches given so far, in all epochs.
    #[must_use]
    pub fn tokens_seen(&self) -> u64 {
        let Position { epoch, sample } = self.position;
        (epoch * self.samples_per_epoch() + sample) * self.sequence_length() as u64
    }

    /// The data set.
    #[must_use]
    pub fn dataset(&self) -> &Dataset {
        &self.source.dataset
    }

    /// The next sample.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// What has to be kept in order to go on from here later.
    #[must_use]
    pub fn state(&self) -> LoaderState {
        let LoaderOptions { seed, shuffle, .. } = self.source.options;
        LoaderState { position: self.position, seed, shuffle, data: self.source.dataset.fingerprint().into() }
    }

    /// Goes on where a saved state was. The batch size may be another one.
    ///
    /// # Errors
    /// If the state belongs to other data, another order, or a position that does not exist.
    pub fn restore(&mut self, saved: &LoaderState) -> Result<(), DataError> {
        let now = self.state();
        let differs = |what, saved: &dyn ToString, now: &dyn ToString, fix: &str| {
            Err(DataError::State { what, saved: saved.to_string(), now: now.to_string(), fix: fix.into() })
        };
        if saved.data != now.data {
            let fix = "continue with the data set of the run, or start a new run";
            return differs("the data set's fingerprint", &saved.data, &now.data, fix);
        }
        if saved.seed != now.seed {
            return differs("the seed of the order", &saved.seed, &now.seed, "set the seed back, or start a new run");
        }
        if saved.shuffle != now.shuffle {
            return differs("shuffle", &saved.shuffle, &now.shuffle, "set it back, or start a new run");
        }
        self.seek(saved.position)
    }

    /// Goes to any position, at the cost of one read.
    ///
    /// # Errors
    /// If an epoch has not so many samples.
    pub fn seek(&mut self, position: Position) -> Result<(), DataError> {
        let counts = position.epoch.checked_add(1).and_then(|epochs| epochs.checked_mul(self.tokens_per_epoch()));
        if position.sample >= self.samples_per_epoch() || counts.is_none() {
            return Err(DataError::State {
                what: "the next sample",
                saved: format!("number {} of epoch {}", position.sample, position.epoch),
                now: format!("an epoch of {} samples", self.samples_per_epoch()),
                fix: "the state is damaged; continue from an earlier checkpoint".into(),
            });
        }
        self.ahead = None;
        self.position = position;
        Ok(())
    }

    /// The next batch.
    ///
    /// # Errors
    /// If a shard is missing or damaged, or a sample has another length or an id beyond the vocabulary. The loader
    /// stays where it is.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let ahead = match &self.ahead {
            Some(ahead) => ahead,
            None => {
                let (sender, receiver) = sync_channel(self.source.options.prefetch);
                let (source, position) = (self.source.clone(), self.position);
                // The thread ends when the receiver is dropped; it holds nothing that needs to be waited for.
                thread::spawn(move || source.read_ahead(position, &sender));
                self.ahead.insert(receiver)
            }
        };
        let batch = match ahead.recv() {
            Ok(batch) => batch,
            // The reading thread cannot end before an error was sent; if it did, read here.
            Err(_) => self.source.batch(self.position),
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

impl Source {
    fn read_ahead(&self, mut position: Position, sender: &SyncSender<Result<Batch, DataError>>) {
        loop {
            let batch = self.batch(position);
            let failed = batch.is_err();
            if let Ok(batch) = &batch {
                position = batch.next;
            }
            if sender.send(batch).is_err() || failed {
                return;
            }
        }
    }

    fn batch(&self, mut position: Position) -> Result<Batch, DataError> {
        let LoaderOptions { batch, seed, shuffle, .. } = self.options;
        let order = |epoch| Order::new(self.dataset.len(), seed, epoch, shuffle);
        let mut epoch = order(position.epoch);
        let mut tokens = Vec::with_capacity(batch * self.sequence_length);
        let mut samples = Vec::with_capacity(batch);
        let mut buffer = Vec::new();
        for _ in 0..batch {
            let sample = epoch.at(position.sample);
            self.append(sample, &mut tokens, &mut buffer)?;
            samples.push(sample);
            position.sample += 1;
            if position.sample == self.dataset.len() {
                position = Position { epoch: position.epoch + 1, sample: 0 };
                epoch = order(position.epoch);
            }
        }
        Ok(Batch { tokens, samples, sequence_length: self.sequence_length, next: position })
    }

    /// Appends the ids of a sample after checking their number and range.
    fn append(&self, sample: u64, tokens: &mut Vec<i32>, buffer: &mut Vec<u8>) -> Result<(), DataError> {
        let array = self.dataset.array(sample, TOKENS, buffer)?;
        let begin = tokens.len();
        let first_wrong = decode(&array, self.options.vocab_size, tokens)
            .ok_or_else(|| self.dataset.complain(sample, format!("{} is no type for tokens", array.dtype.name())))?;
        if let Some((position, id)) = first_wrong {
            let size = self.options.vocab_size;
            let reason = format!("column {TOKENS:?}, position {position}: token id {id} is outside 0..{size}");
            return Err(self.dataset.complain(sample, reason).into());
        }
        let length = tokens.len() - begin;
        if length != self.sequence_length {
            let reason = format!("{length} tokens, but the first sample has {}", self.sequence_length);
            return Err(self.dataset.complain(sample, reason).into());
        }
        Ok(())
    }
}

/// Appends integers as ids. `None`: they are none; `Some(Some(…))`: position and value of the first one out of range.
fn decode(array: &NdArrayView<'_>, vocab_size: usize, tokens: &mut Vec<i32>) -> Option<Option<(usize, i128)>> {
    let begin = tokens.len();
    if array.dtype == Dtype::Int32 {
        tokens.extend(array.data.as_chunks::<4>().0.iter().map(|&bytes| i32::from_le_bytes(bytes)));
        let wrong = tokens[begin..].iter().position(|&id| id < 0 || id as usize >= vocab_size);
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
