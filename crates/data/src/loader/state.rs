//! What a checkpoint keeps of a loader: its position, and enough to refuse other data or another order.

use super::schedule::{Plan, Position};
use super::{options::LoaderOptions, stream::Stream};
use crate::DataError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A saved place, of all readers; any number of them goes on from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// The next sample.
    pub position: Position,
    /// Seed of the order.
    pub seed: u64,
    /// Whether the order is random.
    pub shuffle: bool,
    /// Bytes of a block.
    pub block_bytes: u64,
    /// The mixes.
    pub stages: Vec<StageState>,
}

/// One mix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageState {
    /// How long it lasts; the last one has no end.
    pub samples: Option<u64>,
    /// What an epoch of it takes of which streams.
    pub streams: Vec<StreamState>,
}

/// One stream's part in a mix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamState {
    /// Its name, which may change.
    pub name: String,
    /// Fingerprint of the data set.
    pub data: String,
    /// Samples that an epoch takes of it.
    pub chosen: u64,
}

impl LoaderState {
    pub(super) fn new(
        position: Position,
        options: &LoaderOptions,
        plan: &Plan,
        streams: &[std::sync::Arc<Stream>],
    ) -> Self {
        let part = |(stream, &chosen): (&std::sync::Arc<Stream>, &u64)| StreamState {
            name: stream.name.clone(),
            data: stream.dataset.fingerprint().into(),
            chosen,
        };
        let stages = plan.stages.iter().map(|stage| StageState {
            samples: stage.samples,
            streams: streams.iter().zip(stage.mix.chosen()).filter(|(_, chosen)| **chosen > 0).map(part).collect(),
        });
        let LoaderOptions { seed, shuffle, block_bytes, .. } = *options;
        Self { position, seed, shuffle, block_bytes, stages: stages.collect() }
    }

    /// Whether a loader in this state may go on from a saved one: what was read already cannot be changed, what will be
    /// read can.
    pub(super) fn accept(&self, saved: &Self) -> Result<(), DataError> {
        let differs = |what, saved: &dyn ToString, now: &dyn ToString, fix: &str| {
            Err(DataError::State { what, saved: saved.to_string(), now: now.to_string(), fix: fix.into() })
        };
        if saved.seed != self.seed {
            return differs("the seed of the order", &saved.seed, &self.seed, "set the seed back, or start a new run");
        }
        if saved.shuffle != self.shuffle {
            return differs("shuffle", &saved.shuffle, &self.shuffle, "set it back, or start a new run");
        }
        if saved.block_bytes != self.block_bytes {
            let fix = "set them back, or start a new run";
            return differs("the bytes of a block", &saved.block_bytes, &self.block_bytes, fix);
        }
        let begun = usize::try_from(saved.position.stage).unwrap_or(usize::MAX);
        if begun >= saved.stages.len() || begun >= self.stages.len() {
            let position = format!("in stage {} of {}", begun.saturating_add(1), saved.stages.len());
            let fix = "put the stages back, or start a new run";
            return differs("the position", &position, &format!("a schedule of {}", self.stages.len()), fix);
        }
        for (number, (then, now)) in saved.stages.iter().zip(&self.stages).enumerate().take(begun + 1) {
            let one = [&then.streams, &now.streams].map(|streams| match &streams[..] {
                [only] => Some(&only.data),
                _ => None,
            });
            if let [Some(then), Some(now)] = one
                && then != now
            {
                let fix = "continue with the data set of the run, or start a new run";
                return differs("the data set's fingerprint", then, now, fix);
            }
            let parts = |stage: &StageState| -> Vec<(String, u64)> {
                stage.streams.iter().map(|stream| (stream.data.clone(), stream.chosen)).collect()
            };
            if parts(then) != parts(now) {
                let named = |stage: &StageState| format!("stage {}: {stage}", number + 1);
                let fix = "what was trained on cannot be changed; put the mix back, or start a new run";
                return differs("the mix of a stage that has begun", &named(then), &named(now), fix);
            }
            if number < begun && then.samples != now.samples {
                let named = |stage: &StageState| match stage.samples {
                    Some(samples) => format!("{samples} samples in stage {}", number + 1),
                    None => format!("without end in stage {}", number + 1),
                };
                let fix = "what was trained on cannot be changed; put the length back, or start a new run";
                return differs("the length of a stage that is over", &named(then), &named(now), fix);
            }
        }
        Ok(())
    }
}

impl fmt::Display for StageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, StreamState { name, data, chosen }) in self.streams.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{chosen} samples an epoch of {name} ({})", data.get(..8).unwrap_or(data))?;
        }
        Ok(())
    }
}
