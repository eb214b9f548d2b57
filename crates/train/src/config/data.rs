//! `[data]`: one data set, or streams that are mixed, in stages if the mix is to change on the way.

use super::{ConfigError, Duration};
use moeworks_data::{LoaderOptions, Schedule, StageMix, StreamSource, Weight};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Table;

/// Which data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// A folder that `moeworks data build` made; or `[[data.stream]]` several times.
    pub path: String,
    /// Folder of the tokenizer; empty takes `tokenizer` in the (first) data folder.
    pub tokenizer: String,
    /// `apart`: attention ends where a document ends; `joined`: samples are plain runs of tokens.
    pub documents: Documents,
    /// Whether samples come in a random order.
    pub shuffle: bool,
    /// Bytes of the shards whose samples are shuffled together; every stream takes twice as much memory.
    pub block_bytes: u64,
    /// Data sets that are read together.
    pub stream: Vec<StreamConfig>,
    /// Mixes of the streams, one after the other.
    pub stage: Vec<StageConfig>,
}

/// Whether attention crosses from one document to the next in a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Documents {
    /// It does not, and positions start again.
    #[default]
    Apart,
    /// It does.
    Joined,
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig {
            path: String::new(),
            tokenizer: String::new(),
            documents: Documents::Apart,
            shuffle: true,
            block_bytes: LoaderOptions::new(1, 1).block_bytes,
            stream: Vec::new(),
            stage: Vec::new(),
        }
    }
}

/// A data set among others. At most one of `proportion`, `repeat` and `choose`, and none where there are stages; without
/// one, an epoch takes every sample once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Name; empty takes the folder's.
    pub name: String,
    /// A folder that `moeworks data build` made.
    pub path: String,
    /// Share of every epoch, relative to the other streams' proportions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proportion: Option<f64>,
    /// How many times an epoch takes its samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<f64>,
    /// How many samples an epoch takes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choose: Option<u64>,
}

/// A mix for a while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StageConfig {
    /// How long: steps, tokens, or a share of the run; the last stage may leave it out and takes what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Proportion of each stream by its name; a stream that is not named is left out.
    pub mix: BTreeMap<String, f64>,
}

impl StreamConfig {
    /// What errors and metrics call it.
    pub fn name(&self) -> String {
        match self.name.as_str() {
            "" => Path::new(&self.path)
                .file_name()
                .map_or_else(|| self.path.clone(), |n| n.to_string_lossy().into_owned()),
            name => name.to_string(),
        }
    }

    fn weights(&self) -> Vec<Weight> {
        let weights =
            [self.proportion.map(Weight::Proportion), self.repeat.map(Weight::Repeat), self.choose.map(Weight::Choose)];
        weights.into_iter().flatten().collect()
    }
}

impl DataConfig {
    /// Every key that an entry of a list may have.
    pub(super) fn entries() -> Vec<(&'static str, Table)> {
        let weights = StreamConfig { proportion: Some(1.0), repeat: Some(1.0), choose: Some(1), ..Default::default() };
        let stage = StageConfig { duration: Some(Duration::Share(1.0)), mix: BTreeMap::new() };
        let table = |entry: Result<Table, toml::ser::Error>| entry.expect("an entry is a table");
        vec![("data.stream", table(Table::try_from(weights))), ("data.stage", table(Table::try_from(stage)))]
    }

    /// Folders of all data sets.
    pub fn folders(&self) -> Vec<PathBuf> {
        match self.stream.as_slice() {
            [] => vec![PathBuf::from(&self.path)],
            streams => streams.iter().map(|s| PathBuf::from(&s.path)).collect(),
        }
    }

    /// Folder of the tokenizer.
    pub fn tokenizer_folder(&self) -> PathBuf {
        match self.tokenizer.as_str() {
            "" => self.folders().remove(0).join("tokenizer"),
            other => PathBuf::from(other),
        }
    }

    /// Checks what can be said before the data is opened; `place` is named in the error.
    pub(super) fn validate(&self, place: &str, run: &Duration) -> Result<(), ConfigError> {
        let fail = |key: &str, reason: String| {
            Err(ConfigError::Value { place: place.to_string(), key: key.to_string(), reason })
        };
        if self.path.is_empty() && self.stream.is_empty() {
            return fail("data.path", "is missing: the folder that `moeworks data build` made".into());
        }
        if !self.path.is_empty() && !self.stream.is_empty() {
            return fail("data.path", "is given, and [[data.stream]] too: keep one of them".into());
        }
        let mut names: Vec<String> = Vec::new();
        for (number, stream) in self.stream.iter().enumerate() {
            let (key, name) = (format!("data.stream {}", number + 1), stream.name());
            if stream.path.is_empty() {
                return fail(&key, "has no path: the folder that `moeworks data build` made".into());
            }
            let key = format!("{key} ({name})");
            if stream.weights().len() > 1 {
                return fail(&key, "has more than one of proportion, repeat and choose: keep one of them".into());
            }
            if !self.stage.is_empty() && !stream.weights().is_empty() {
                return fail(&key, "has a weight, but the stages' mixes give the weights: leave it out".into());
            }
            if names.contains(&name) {
                return fail(&key, "has the name of another stream: give it another one".into());
            }
            names.push(name);
        }
        self.validate_stages(place, &names, run)
    }

    fn validate_stages(&self, place: &str, names: &[String], run: &Duration) -> Result<(), ConfigError> {
        let fail = |key: &str, reason: String| {
            Err(ConfigError::Value { place: place.to_string(), key: key.to_string(), reason })
        };
        if self.stage.is_empty() {
            return Ok(());
        }
        if self.stream.is_empty() {
            return fail("data.stage", "mixes streams, but there is no [[data.stream]]".into());
        }
        if !matches!(run, Duration::Batches(_) | Duration::Tokens(_)) {
            let reason =
                format!("is {run}: with [[data.stage]] it must be in ba or tok, so that stages end where they should");
            return fail("train.duration", reason);
        }
        let mut sum = 0.0;
        for (number, stage) in self.stage.iter().enumerate() {
            let key = format!("data.stage {}", number + 1);
            let last = number + 1 == self.stage.len();
            match &stage.duration {
                None if last => {}
                None => return fail(&key, "has no duration, which only the last stage may leave out".into()),
                Some(duration) => match share(duration, run) {
                    Some(share) => sum += share,
                    None => return fail(&key, format!("lasts {duration}, the run {run}: use one unit, or %")),
                },
            }
            if stage.mix.is_empty() {
                return fail(&key, "has no mix, such as { web = 0.7, code = 0.3 }".into());
            }
            for (name, proportion) in &stage.mix {
                if !names.contains(name) {
                    let nearest = names
                        .iter()
                        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
                    let hint = nearest.map_or(String::new(), |n| format!(", did you mean {n:?}?"));
                    return fail(&key, format!("mixes {name:?}, but no stream has that name{hint}"));
                }
                if !(proportion.is_finite() && *proportion > 0.0) {
                    return fail(&key, format!("has {proportion} of {name:?}, must be more than 0"));
                }
            }
            let open_end = last && stage.duration.is_none();
            // Shares are written in decimal fractions: they may miss 1 by a rounding.
            if last && (if open_end { sum >= 1.0 } else { (sum - 1.0).abs() > 1e-9 }) {
                let lengths: Vec<String> = self.stage.iter().filter_map(|s| Some(s.duration?.to_string())).collect();
                let rest = if open_end { ", which leaves nothing for the last one" } else { "" };
                let reason = format!(
                    "durations are {}{rest}, the run's is {run}: let them sum to it, or leave out the last one's",
                    lengths.join(" + ")
                );
                return fail("data.stage", reason);
            }
        }
        Ok(())
    }

    /// What the loader reads, for a validated configuration; a stage ends with the step in which its tokens are full.
    pub fn schedule(&self, batch: usize, sequence_length: usize, run: &Duration) -> Schedule {
        let source = |s: &StreamConfig| StreamSource { name: s.name(), path: PathBuf::from(&s.path) };
        if self.stream.is_empty() {
            return Schedule::single(Path::new(&self.path));
        }
        if self.stage.is_empty() {
            let weight = |s: &StreamConfig| s.weights().first().copied().unwrap_or_default();
            return Schedule::mix(self.stream.iter().map(|s| (source(s), weight(s))).collect());
        }
        let steps = match *run {
            Duration::Tokens(n) => n as f64 / (batch * sequence_length) as f64,
            Duration::Batches(n) => n as f64,
            _ => f64::NAN,
        };
        let (mut passed, mut before) = (0.0, 0);
        let stages = self.stage.iter().map(|stage| {
            let samples = stage.duration.as_ref().and_then(|d| share(d, run)).map(|share| {
                passed += share;
                let end = (passed * steps - 1e-6).ceil() as u64;
                (std::mem::replace(&mut before, end), end)
            });
            StageMix {
                samples: samples.map(|(begin, end)| (end - begin) * batch as u64),
                weights: self
                    .stream
                    .iter()
                    .map(|s| stage.mix.get(&s.name()).copied().map(Weight::Proportion))
                    .collect(),
            }
        });
        let stages = stages.collect();
        Schedule { streams: self.stream.iter().map(source).collect(), stages }
    }
}

/// What part of a run in steps or tokens a length is; none if it is in another unit.
fn share(length: &Duration, run: &Duration) -> Option<f64> {
    match (*length, *run) {
        (Duration::Share(share), _) => Some(share),
        (Duration::Batches(part), Duration::Batches(all)) | (Duration::Tokens(part), Duration::Tokens(all)) => {
            Some(part as f64 / all as f64)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{TrainConfig, resolve};

    const STREAMS: &str = "[[data.stream]]\nname = 'web'\npath = 'data/w'\n[[data.stream]]\npath = 'data/code'\n";

    fn read(text: &str) -> Result<TrainConfig, ConfigError> {
        let config: TrainConfig = resolve(Some(("run.toml", text)), &[])?.0;
        config.validate("run.toml").map(|()| config)
    }

    #[test]
    fn streams_and_stages_become_a_schedule() {
        let plain = read("[data]\npath = 'data/web'\n").unwrap();
        assert_eq!(plain.data.schedule(4, 32, &plain.train.duration), Schedule::single(Path::new("data/web")));
        let mixed = read("[[data.stream]]\npath = 'a'\nrepeat = 2\n[[data.stream]]\npath = 'b'\n").unwrap();
        let schedule = mixed.data.schedule(4, 32, &mixed.train.duration);
        assert_eq!(schedule.stages[0].weights, [Some(Weight::Repeat(2.0)), Some(Weight::All)]);
        let some = |share| Some(Weight::Proportion(share));
        for (run, durations, expected) in [
            ("100ba", ["80%", "20%"], [Some(320), Some(80)]),
            ("100ba", ["33ba", "67ba"], [Some(132), Some(268)]),
            // 128 tokens a step: the first stage ends with its 8th step.
            ("2000tok", ["1000tok", ""], [Some(32), None]),
        ] {
            let duration = |text: &str| if text.is_empty() { String::new() } else { format!("duration = '{text}'\n") };
            let text = format!(
                "[train]\nduration = '{run}'\n{STREAMS}[[data.stage]]\n{}mix = {{ web = 1 }}\n[[data.stage]]\n{}mix = {{ code = 0.5, web = 2 }}\n",
                duration(durations[0]),
                duration(durations[1])
            );
            let config = read(&text).unwrap();
            let schedule = config.data.schedule(4, 32, &config.train.duration);
            assert_eq!(schedule.stages.iter().map(|s| s.samples).collect::<Vec<_>>(), expected, "{text}");
            assert_eq!(schedule.stages[0].weights, [some(1.0), None]);
            assert_eq!(schedule.stages[1].weights, [some(2.0), some(0.5)]);
            assert_eq!(schedule.streams[1].name, "code");
            assert_eq!(config.data.tokenizer_folder(), Path::new("data/w/tokenizer"));
            // What a run writes into its folder is read back.
            let written = toml::to_string_pretty(&config).unwrap();
            assert_eq!(read(&written).unwrap(), config, "{written}");
        }
    }

    #[test]
    fn what_cannot_be_is_said_before_the_run() {
        let stages = |first: &str, second: &str| {
            format!("[train]\nduration = '100ba'\n{STREAMS}[[data.stage]]\n{first}\n[[data.stage]]\n{second}\n")
        };
        let half = "duration = '50%'\nmix = { web = 1 }";
        for (text, expected) in [
            ("".into(), "data.path is missing"),
            ("[data]\npath = 'x'\n[[data.stream]]\npath = 'y'\n".into(), "keep one of them"),
            ("[[data.stream]]\nname = 'y'\n".into(), "data.stream 1 has no path"),
            ("[[data.stream]]\npath = 'y'\nrepeat = 1\nchoose = 3\n".into(), "data.stream 1 (y) has more than one of"),
            ("[[data.stream]]\npath = 'a/y'\n[[data.stream]]\npath = 'b/y'\n".into(), "data.stream 2 (y) has the name"),
            (
                "[[data.stream]]\npath = 'y'\nproportoin = 1\n".into(),
                "run.toml:3: unknown key \"data.stream.proportoin\", did you mean \"data.stream.proportion\"",
            ),
            ("[[data.stage]]\nmx = 1\n".into(), "did you mean \"data.stage.mix\""),
            ("[data]\npath = 'x'\n[[data.stage]]\nmix = { x = 1 }\n".into(), "there is no [[data.stream]]"),
            ("[data]\nstream = 3\n".into(), "data.stream is a integer, must be a array"),
            ("[data]\nstream = [3]\n".into(), "data.stream holds a integer, must hold tables"),
            ("[[data.stream]]\npath = 'y'\nrepeat = 'x'\n".into(), "data.stream is wrong"),
            (stages(half, half).replace("100ba", "1ep"), "train.duration is 1ep: with [[data.stage]]"),
            (stages("mix = { web = 1 }", half), "data.stage 1 has no duration"),
            (stages(half, "duration = '40%'\nmix = { web = 1 }"), "durations are 50% + 40%, the run's is 100ba"),
            (stages("duration = '100ba'\nmix = { web = 1 }", "mix = { web = 1 }"), "leaves nothing for the last one"),
            (stages(half, "duration = '5tok'\nmix = { web = 1 }"), "data.stage 2 lasts 5tok, the run 100ba"),
            (stages(half, "duration = '50%'"), "data.stage 2 has no mix"),
            (stages(half, "mix = { wep = 1 }"), "mixes \"wep\", but no stream has that name, did you mean \"web\""),
            (stages(half, "mix = { web = 0 }"), "has 0 of \"web\""),
            (
                stages(half, half).replace("path = 'data/w'", "path = 'data/w'\nrepeat = 1"),
                "(web) has a weight, but the stages",
            ),
        ] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: no {expected:?} in {error}");
        }
    }
}
