//! Several streams in one: how many samples of each an epoch takes, and which stream each of its positions belongs to.
//!
//! The k-th of a stream's c samples stands at time (k + 1 - u) / c of the epoch, where u in (0, 1] is random for every
//! stream and epoch; all samples in the order of their times form the epoch. How many of a stream stand before a time t
//! is then a formula, floor(t c + u), so that a position is found by bisection, without a table of the epoch. Windows of
//! the epoch are shuffled, so that batches mix at random; in every window each stream has its share, within a few samples.

use super::order::mix;
use crate::DataError;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How much of a stream an epoch takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Weight {
    /// Every sample once.
    #[default]
    All,
    /// This share of the epoch, relative to the other streams' proportions; an epoch then has as many samples as all
    /// streams together.
    Proportion(f64),
    /// Every sample this many times; 0.5 takes half of them.
    Repeat(f64),
    /// So many samples.
    Choose(u64),
}

/// Samples of an epoch that are shuffled among each other, which also bounds the cost of finding a position.
const WINDOW: u64 = 1024;

/// What an epoch takes of each stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    chosen: Vec<u64>,
    total: u64,
}

/// Tells the windows of a run apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochKey {
    pub(crate) seed: u64,
    pub(crate) stage: u64,
    pub(crate) epoch: u64,
}

/// A stretch of an epoch.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// The stream of each position.
    pub(crate) streams: Vec<u32>,
    /// Samples of each stream before it in the epoch.
    pub(crate) before: Vec<u64>,
}

impl Mix {
    /// From the name, samples and weight of each stream; a stream without a weight is left out.
    pub(crate) fn new(streams: &[(&str, u64, Option<Weight>)]) -> Result<Self, DataError> {
        let fail = |name: &str, reason: String| Err(DataError::Recipe { key: format!("stream {name}"), reason });
        let part =
            |weight: Option<Weight>| if let Some(Weight::Proportion(share)) = weight { Some(share) } else { None };
        let proportions: f64 = streams.iter().filter_map(|s| part(s.2)).sum();
        if let Some((with, ..)) = streams.iter().find(|s| part(s.2).is_some())
            && let Some((without, ..)) = streams.iter().find(|s| s.2.is_some() && part(s.2).is_none())
        {
            return fail(
                without,
                format!("has no proportion, but stream {with} has one: give every stream one, or none"),
            );
        }
        let all = streams.iter().filter(|s| s.2.is_some()).try_fold(0u64, |sum, s| sum.checked_add(s.1));
        let Some(all) = all else {
            return fail(streams[0].0, "and the others are more samples than 64 bits count".into());
        };
        let mut chosen = Vec::with_capacity(streams.len());
        for &(name, samples, weight) in streams {
            let wrong = |what: &str, value: f64| fail(name, format!("{what} is {value}, must be 0 or more"));
            chosen.push(match weight {
                None => 0,
                Some(Weight::All) => samples,
                Some(Weight::Choose(samples)) => samples,
                Some(Weight::Repeat(times)) if !(times >= 0.0 && times.is_finite()) => return wrong("repeat", times),
                Some(Weight::Repeat(times)) => (times * samples as f64) as u64,
                Some(Weight::Proportion(share)) if !(share >= 0.0 && share.is_finite()) => {
                    return wrong("proportion", share);
                }
                Some(Weight::Proportion(share)) => (share / proportions * all as f64) as u64,
            });
            let given = matches!(weight, Some(Weight::Repeat(value) | Weight::Proportion(value)) if value > 0.0);
            let takes_none = chosen.last() == Some(&0);
            if given && takes_none {
                return fail(
                    name,
                    "has so little weight that an epoch takes none of its samples: raise it or leave it out".into(),
                );
            }
            if !takes_none && samples == 0 {
                return fail(name, "holds no samples".into());
            }
        }
        if proportions > 0.0 {
            round_up(&mut chosen, streams, proportions, all);
        }
        match chosen.iter().try_fold(0u64, |sum, &samples| sum.checked_add(samples)) {
            None => fail(streams[0].0, "and the others are more samples than 64 bits count".into()),
            Some(0) => Err(DataError::TooLittle(format!("an epoch of {} would hold no samples", names(streams)))),
            Some(total) => Ok(Self { chosen, total }),
        }
    }

    /// Samples of an epoch.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Samples that an epoch takes of each stream.
    pub(crate) fn chosen(&self) -> &[u64] {
        &self.chosen
    }

    /// The window around a position of an epoch, and the position's place in it.
    pub(crate) fn window(&self, key: EpochKey, position: u64) -> (Window, usize) {
        let begin = position - position % WINDOW;
        let phases: Vec<u64> = (0..self.chosen.len() as u64).map(|stream| key.random(b"phase", stream)).collect();
        let before = self.before(begin, &phases);
        let after = self.before((begin + WINDOW).min(self.total), &phases);
        let mut streams: Vec<u32> = Vec::with_capacity(WINDOW as usize);
        for (stream, (before, after)) in before.iter().zip(&after).enumerate() {
            streams.extend((*before..*after).map(|_| stream as u32));
        }
        // Fisher and Yates; the bias of a remainder of 64 bits is below 2^-53.
        let mut random = key.random(b"window", begin);
        for at in (1..streams.len()).rev() {
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            streams.swap(at, (mix(random) % (at as u64 + 1)) as usize);
        }
        (Window { streams, before }, (position - begin) as usize)
    }

    /// How many samples of each stream are among the first `samples` of an epoch in the order of their times.
    fn before(&self, samples: u64, phases: &[u64]) -> Vec<u64> {
        // Time and phase in units of 2^-64; the largest sum is 2^128 - 1.
        let count = |time: u128| -> Vec<u64> {
            let of = |(&chosen, &phase): (&u64, &u64)| ((time * u128::from(chosen) + u128::from(phase)) >> 64) as u64;
            self.chosen.iter().zip(phases).map(of).collect()
        };
        let total = |time| count(time).iter().sum::<u64>();
        let (mut low, mut high) = (0, 1u128 << 64);
        if total(high) <= samples {
            return count(high);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if total(middle) <= samples { low = middle } else { high = middle }
        }
        // Samples of the same time come in the order of the streams.
        let mut counts = count(low);
        let mut missing = samples - counts.iter().sum::<u64>();
        for (count, next) in counts.iter_mut().zip(count(high)) {
            let taken = missing.min(next - *count);
            *count += taken;
            missing -= taken;
        }
        counts
    }
}

impl EpochKey {
    fn random(self, what: &[u8], number: u64) -> u64 {
        let mut input = Vec::with_capacity(32);
        input.extend_from_slice(what);
        for part in [self.stage, self.epoch, number] {
            input.extend_from_slice(&part.to_le_bytes());
        }
        xxh3_64_with_seed(&input, self.seed)
    }
}

/// Gives the samples that rounding down has lost to the streams with the largest remainders.
fn round_up(chosen: &mut [u64], streams: &[(&str, u64, Option<Weight>)], proportions: f64, all: u64) {
    let remainder = |stream: usize| match streams[stream].2 {
        Some(Weight::Proportion(share)) => (share / proportions * all as f64).fract(),
        _ => 0.0,
    };
    let mut by_remainder: Vec<usize> = (0..chosen.len()).filter(|&stream| chosen[stream] > 0).collect();
    by_remainder.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)));
    let missing = all.saturating_sub(chosen.iter().sum()) as usize;
    for &stream in by_remainder.iter().cycle().take(if by_remainder.is_empty() { 0 } else { missing }) {
        chosen[stream] += 1;
    }
}

fn names(streams: &[(&str, u64, Option<Weight>)]) -> String {
    streams.iter().map(|s| s.0).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: EpochKey = EpochKey { seed: 1, stage: 0, epoch: 0 };

    fn mix_of(chosen: &[u64]) -> Mix {
        let streams: Vec<_> = chosen.iter().map(|&c| ("a", 1, Some(Weight::Choose(c)))).collect();
        Mix::new(&streams).unwrap()
    }

    #[test]
    fn weights_give_samples() {
        use Weight::{All, Choose, Proportion, Repeat};
        let table = [
            (vec![(10, Some(All)), (30, Some(All))], vec![10, 30]),
            (vec![(10, Some(Repeat(2.5))), (30, Some(Choose(7))), (5, None)], vec![25, 7, 0]),
            (vec![(10, Some(Proportion(3.0))), (30, Some(Proportion(1.0)))], vec![30, 10]),
            (
                vec![(10, Some(Proportion(1.0))), (10, Some(Proportion(1.0))), (11, Some(Proportion(1.0)))],
                vec![11, 10, 10],
            ),
            (vec![(10, Some(Proportion(0.2))), (10, None), (9, Some(Proportion(0.0)))], vec![19, 0, 0]),
        ];
        for (streams, expected) in table {
            let streams: Vec<_> = streams.into_iter().map(|(samples, weight)| ("s", samples, weight)).collect();
            assert_eq!(Mix::new(&streams).unwrap().chosen(), expected, "{streams:?}");
        }
    }

    #[test]
    fn wrong_weights_name_the_stream() {
        use Weight::{All, Choose, Proportion, Repeat};
        type Streams = Vec<(&'static str, u64, Option<Weight>)>;
        let table: [(Streams, &str); 7] = [
            (
                vec![("web", 9, Some(Proportion(1.0))), ("code", 9, Some(All))],
                "stream code: has no proportion, but stream web",
            ),
            (vec![("web", 9, Some(Proportion(-1.0)))], "stream web: proportion is -1"),
            (vec![("web", 9, Some(Repeat(f64::NAN)))], "stream web: repeat is NaN"),
            (vec![("web", 9, Some(All)), ("code", 9, Some(Repeat(0.1)))], "stream code: has so little weight"),
            (vec![("web", 0, Some(All)), ("code", 0, Some(Choose(3)))], "stream code: holds no samples"),
            (vec![("web", 9, Some(Choose(0))), ("code", 9, None)], "web, code would hold no samples"),
            (vec![("web", 9, Some(Choose(u64::MAX))), ("code", 9, Some(All))], "more samples than 64 bits"),
        ];
        for (streams, expected) in table {
            let error = Mix::new(&streams).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    proptest! {
        #[test]
        fn windows_tile_the_epoch(chosen in prop::collection::vec(0u64..3000, 1..6), seed: u64, epoch in 0u64..3) {
            prop_assume!(chosen.iter().sum::<u64>() > 0);
            let (mix, key) = (mix_of(&chosen), EpochKey { seed, stage: 0, epoch });
            let mut counts = vec![0; chosen.len()];
            let mut position = 0;
            while position < mix.total() {
                let (window, at) = mix.window(key, position);
                prop_assert_eq!(at, 0);
                prop_assert_eq!(&window.before, &counts);
                for &stream in &window.streams {
                    counts[stream as usize] += 1;
                }
                position += window.streams.len() as u64;
                // Every stream has had its share, within the rounding of all of them.
                for (&count, &chosen) in counts.iter().zip(&mix.chosen) {
                    let share = position as f64 * chosen as f64 / mix.total() as f64;
                    prop_assert!((count as f64 - share).abs() <= mix.chosen.len() as f64, "{count} for {share}");
                }
            }
            prop_assert_eq!(counts, chosen);
        }

        #[test]
        fn huge_epochs_do_not_overflow(a in 1u64..1 << 60, b in 1u64..1 << 60, at: prop::sample::Index) {
            let mix = mix_of(&[a, b]);
            let position = at.index(usize::try_from(mix.total()).unwrap()) as u64;
            let (window, place) = mix.window(KEY, position);
            prop_assert_eq!(window.before.iter().sum::<u64>() + place as u64, position);
        }
    }

    /// Neighbours are as often of one stream as chance has it, and epochs differ.
    #[test]
    fn streams_mix_at_random() {
        let mix = mix_of(&[30_000, 10_000]);
        let streams: Vec<u32> = (0..40_000u64).step_by(1024).flat_map(|at| mix.window(KEY, at).0.streams).collect();
        let together = streams.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64 / 40_000.0;
        assert!((together - 0.625).abs() < 0.01, "{together}");
        assert_ne!(mix.window(KEY, 0).0.streams, mix.window(EpochKey { epoch: 1, ..KEY }, 0).0.streams);
        assert_ne!(mix.window(KEY, 0).0.streams, mix.window(KEY, 1024).0.streams);
    }
}
