//! Which runs have read a part of a data set.

use crate::checkpoint;
use crate::error::TrainError;
use moeworks_data::{Loader, LoaderOptions, LoaderState};
use serde::Serialize;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a run has read of some samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The run's folder.
    pub run: PathBuf,
    /// Steps it has trained.
    pub steps: u64,
    /// How many times it has read one of the samples. `None` if that cannot be told, because the data sets that it was
    /// trained on are not where they were, or not what they were.
    pub times: Option<u64>,
}

impl Reading {
    /// Whether the run has read any of it, as far as can be told.
    #[must_use]
    pub fn may_have_read(&self) -> bool {
        self.times != Some(0)
    }
}

/// The runs below a folder that were trained on a data set, by the fingerprint of its samples, and how often each has
/// read one of the samples in `samples`, up to its newest checkpoint. The ranges are in order; they may overlap where one
/// begins in the sample in which the one before it ends. Takes time proportional to the samples that were read.
///
/// # Errors
/// If the folder of runs cannot be read. A run without a checkpoint that holds is passed over.
pub fn readings(runs: &Path, data: &str, samples: &[Range<u64>]) -> Result<Vec<Reading>, TrainError> {
    if !runs.exists() || samples.iter().all(Range::is_empty) {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(runs).map_err(TrainError::io(runs))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    Ok(folders.into_iter().filter_map(|run| reading(run, data, samples)).collect())
}

fn reading(run: PathBuf, data: &str, samples: &[Range<u64>]) -> Option<Reading> {
    let (checkpoint, _) = checkpoint::newest(&run.join("checkpoints")).ok()??;
    let state = checkpoint::read_state(&checkpoint).ok()?;
    let streams = state.loader.stages.iter().flat_map(|stage| &stage.streams);
    if !streams.clone().any(|stream| stream.data == data) {
        return None;
    }
    let times = times(&state, data, samples);
    Some(Reading { run, steps: state.progress.steps, times })
}

/// Walks the order from the beginning; only the order, no sample is read.
fn times(state: &checkpoint::State, data: &str, samples: &[Range<u64>]) -> Option<u64> {
    let checkpoint::State { config, loader: saved, .. } = state;
    let LoaderState { seed, shuffle, block_bytes, .. } = *saved;
    let folders = config.data.folders();
    let length = Loader::open(folders.first()?, LoaderOptions::new(1, usize::MAX)).ok()?.sequence_length();
    let schedule = config.data.schedule(config.train.batch, length, &config.train.duration);
    let options = LoaderOptions { seed, shuffle, block_bytes, ..LoaderOptions::new(config.train.batch, usize::MAX) };
    let mut loader = Loader::open_schedule(&schedule, options).ok()?;
    let number = loader.fingerprints().iter().position(|fingerprint| *fingerprint == data)?;
    // Refuses data sets that are not those of the run.
    loader.restore(saved).ok()?;
    let read = loader.tokens_seen() / length as u64;
    loader.seek(Default::default()).ok()?;
    let hit = |(stream, sample): &(usize, u64)| {
        let next = samples.partition_point(|range| range.end <= *sample);
        *stream == number && samples.get(next).is_some_and(|range| range.contains(sample))
    };
    Some(loader.order().take(read as usize).filter(hit).count() as u64)
}
