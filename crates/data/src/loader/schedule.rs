//! Stages of mixes, one after the other, and the walk through them.
//!
//! Every stream is an endless row of passes over its samples, each pass in an order of its own. An epoch takes the next
//! so many of them, also when the mix changes: no sample comes again before all others of its stream have come. How far a
//! stream has come is a function of the position alone.

use super::mix::{EpochKey, Mix, Weight, Window};
use crate::DataError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A data set that is read as a part of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSource {
    /// What errors and accounts call it.
    pub name: String,
    /// A folder as [`super::Loader::open`] takes it.
    pub path: PathBuf,
}

/// One mix for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct StageMix {
    /// How long it lasts, a multiple of the batch; the last stage goes on without end whatever is said here.
    pub samples: Option<u64>,
    /// Weight of each stream, in the order of the streams; `None` leaves it out.
    pub weights: Vec<Option<Weight>>,
}

/// What is read: streams, and in which mix they come when.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The data sets.
    pub streams: Vec<StreamSource>,
    /// The mixes, one after the other; at least one.
    pub stages: Vec<StageMix>,
}

impl Schedule {
    /// One mix without end.
    #[must_use]
    pub fn mix(streams: Vec<(StreamSource, Weight)>) -> Self {
        let (streams, weights) = streams.into_iter().map(|(source, weight)| (source, Some(weight))).unzip();
        Self { streams, stages: vec![StageMix { samples: None, weights }] }
    }

    /// One data set without end, named after its folder.
    #[must_use]
    pub fn single(path: &Path) -> Self {
        let name = path.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned());
        Self::mix(vec![(StreamSource { name, path: path.into() }, Weight::All)])
    }
}

/// A place in the row of all batches: the next sample to be read, whoever reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Stages that are over.
    pub stage: u64,
    /// Epochs of this stage that are over.
    pub epoch: u64,
    /// Samples of this epoch that are over.
    pub sample: u64,
}

/// A checked schedule with everything that is known beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    seed: u64,
    pub(crate) stages: Vec<PlannedStage>,
}

#[derive(Clone, Debug)]
pub(crate) struct PlannedStage {
    /// How long it lasts; the last one has no end.
    pub(crate) samples: Option<u64>,
    pub(crate) mix: Mix,
    /// Samples of all stages before.
    first: u64,
    /// Samples of each stream in all stages before.
    taken: Vec<u64>,
}

impl Plan {
    /// `streams`: name and number of samples of each; `batch`: samples of a global batch.
    pub(crate) fn new(stages: &[StageMix], streams: &[(&str, u64)], batch: u64, seed: u64) -> Result<Self, DataError> {
        let fail =
            |stage: usize, reason: String| Err(DataError::Recipe { key: format!("stage {}", stage + 1), reason });
        if stages.is_empty() {
            return Err(DataError::Recipe { key: "stages".into(), reason: "there is none".into() });
        }
        let mut plan = Plan { seed, stages: Vec::with_capacity(stages.len()) };
        let (mut first, mut taken) = (0u64, vec![0; streams.len()]);
        for (number, stage) in stages.iter().enumerate() {
            let weights: Vec<_> = streams.iter().zip(&stage.weights).map(|(&(name, n), &w)| (name, n, w)).collect();
            if weights.len() != streams.len() || stage.weights.len() != streams.len() {
                let (weights, streams) = (stage.weights.len(), streams.len());
                return fail(number, format!("{weights} weights for {streams} streams"));
            }
            let last = number + 1 == stages.len();
            match stage.samples {
                None if !last => return fail(number, "only the last stage may go on without end".into()),
                Some(samples) if samples == 0 || !samples.is_multiple_of(batch) => {
                    return fail(number, format!("{samples} samples are no whole batches of {batch}"));
                }
                _ => {}
            }
            let mix = Mix::new(&weights).map_err(|error| match (error, stages.len()) {
                (DataError::Recipe { key, reason }, 2..) => {
                    DataError::Recipe { key: format!("stage {}, {key}", number + 1), reason }
                }
                (error, _) => error,
            })?;
            // Whoever reads knows best when to stop: the last stage has no end.
            let samples = stage.samples.filter(|_| !last);
            plan.stages.push(PlannedStage { samples, mix, first, taken: taken.clone() });
            if let Some(samples) = samples {
                let Some(sum) = first.checked_add(samples) else {
                    return fail(number, format!("{samples} samples more are more than 64 bits count"));
                };
                (first, taken) = (sum, plan.taken(plan.within(number, samples)));
            }
        }
        Ok(plan)
    }

    /// The position so many samples into a stage, which may be its end.
    fn within(&self, stage: usize, samples: u64) -> Position {
        let epoch = self.stages[stage].mix.total();
        Position { stage: stage as u64, epoch: samples / epoch, sample: samples % epoch }
    }

    /// Samples of the stage that are over; `None` if there is no such position, or it cannot be counted.
    pub(crate) fn within_stage(&self, at: Position) -> Option<u64> {
        let stage = self.stages.get(usize::try_from(at.stage).ok()?)?;
        let samples = at.epoch.checked_mul(stage.mix.total())?.checked_add(at.sample)?;
        stage.first.checked_add(samples)?;
        (at.sample < stage.mix.total() && stage.samples.is_none_or(|end| samples <= end)).then_some(samples)
    }

    /// The same place as the beginning of the next stage, where it is the end of one.
    pub(crate) fn settle(&self, at: Position) -> Position {
        match (self.stages.get(at.stage as usize + 1), self.stages[at.stage as usize].samples) {
            (Some(_), Some(end)) if self.within_stage(at) == Some(end) => {
                Position { stage: at.stage + 1, epoch: 0, sample: 0 }
            }
            _ => at,
        }
    }

    /// Samples of all stages that are over at a position that exists.
    pub(crate) fn samples(&self, at: Position) -> u64 {
        let stage = &self.stages[at.stage as usize];
        stage.first + at.epoch * stage.mix.total() + at.sample
    }

    /// Samples of each stream that are over at a position that exists.
    pub(crate) fn taken(&self, at: Position) -> Vec<u64> {
        let (window, place) = self.window(at);
        self.taken_in(at, &window, place)
    }

    fn taken_in(&self, at: Position, window: &Window, place: usize) -> Vec<u64> {
        let stage = &self.stages[at.stage as usize];
        let mut taken = stage.taken.clone();
        for (stream, taken) in taken.iter_mut().enumerate() {
            *taken += at.epoch * stage.mix.chosen()[stream] + window.before[stream];
        }
        for &stream in &window.streams[..place] {
            taken[stream as usize] += 1;
        }
        taken
    }

    fn window(&self, at: Position) -> (Window, usize) {
        let key = EpochKey { seed: self.seed, stage: at.stage, epoch: at.epoch };
        self.stages[at.stage as usize].mix.window(key, at.sample)
    }
}

/// Walks through the samples of all streams, from any position that exists.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    position: Position,
    window: Window,
    /// Place of `position` in the window.
    place: usize,
    /// Samples of each stream that are over.
    taken: Vec<u64>,
    /// Samples left of the stage.
    left: Option<u64>,
}

impl Walk {
    pub(crate) fn new(plan: &Plan, position: Position) -> Self {
        let (window, place) = plan.window(position);
        let taken = plan.taken_in(position, &window, place);
        let stage = &plan.stages[position.stage as usize];
        let over = position.epoch * stage.mix.total() + position.sample;
        Self { position, window, place, taken, left: stage.samples.map(|samples| samples - over) }
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The next sample: its stream, and how many of that stream came before it.
    pub(crate) fn next(&mut self, plan: &Plan) -> (usize, u64) {
        let stream = self.window.streams[self.place] as usize;
        let rank = self.taken[stream];
        self.taken[stream] += 1;
        self.place += 1;
        self.position.sample += 1;
        self.left = self.left.map(|left| left - 1);
        if self.left == Some(0) {
            *self = Self::new(plan, Position { stage: self.position.stage + 1, epoch: 0, sample: 0 });
        } else if self.place == self.window.streams.len() {
            if self.position.sample == plan.stages[self.position.stage as usize].mix.total() {
                (self.position.epoch, self.position.sample) = (self.position.epoch + 1, 0);
            }
            (self.window, self.place) = plan.window(self.position);
        }
        (stream, rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stage(samples: Option<u64>, shares: &[f64]) -> StageMix {
        let weights = shares.iter().map(|&share| (share > 0.0).then_some(Weight::Proportion(share))).collect();
        StageMix { samples, weights }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A walk from any of its positions is the rest of the walk, and a stream's samples come in a row.
        #[test]
        fn a_walk_can_begin_anywhere(lengths in prop::collection::vec(1u64..40, 1..4), seed: u64, from: prop::sample::Index) {
            let shares = [[1.0, 0.0, 2.0], [0.5, 0.5, 0.0], [3.0, 1.0, 1.0]];
            let mut stages: Vec<StageMix> = lengths.iter().zip(shares).map(|(n, s)| stage(Some(4 * n), &s)).collect();
            stages.last_mut().unwrap().samples = None;
            let plan = Plan::new(&stages, &[("a", 50), ("b", 7), ("c", 20)], 4, seed).unwrap();
            let mut walk = Walk::new(&plan, Position::default());
            let mut seen = vec![0; 3];
            let mut whole = Vec::new();
            for at in 0..600 {
                let position = walk.position();
                prop_assert_eq!(plan.samples(position), at);
                prop_assert_eq!(&plan.taken(position), &seen);
                let (stream, rank) = walk.next(&plan);
                prop_assert_eq!(rank, seen[stream]);
                seen[stream] += 1;
                whole.push((position, stream, rank));
            }
            let from = from.index(whole.len());
            let mut walk = Walk::new(&plan, whole[from].0);
            for &(position, stream, rank) in &whole[from..] {
                prop_assert_eq!(walk.position(), position);
                prop_assert_eq!(walk.next(&plan), (stream, rank));
            }
            // A new stage begins exactly where it should.
            let ends: Vec<u64> = lengths.iter().scan(0, |sum, n| { *sum += 4 * n; Some(*sum) }).collect();
            for (number, end) in ends[..ends.len() - 1].iter().enumerate() {
                prop_assert_eq!(whole[*end as usize].0, Position { stage: number as u64 + 1, epoch: 0, sample: 0 });
            }
        }
    }

    #[test]
    fn wrong_stages_say_which() {
        let table = [
            (vec![], "stages: there is none"),
            (vec![stage(None, &[1.0]), stage(None, &[1.0])], "stage 1: only the last stage"),
            (vec![stage(Some(6), &[1.0])], "stage 1: 6 samples are no whole batches of 4"),
            (vec![stage(Some(4), &[1.0]), stage(None, &[1.0, 2.0])], "stage 2: 2 weights for 1 streams"),
            (vec![stage(Some(4), &[1.0]), stage(None, &[0.0])], "would hold no samples"),
            (
                vec![stage(Some(u64::MAX - 3), &[1.0]), stage(Some(8), &[1.0]), stage(None, &[1.0])],
                "stage 2: 8 samples more",
            ),
        ];
        for (stages, expected) in table {
            let error = Plan::new(&stages, &[("a", 50)], 4, 0).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
