//! Which size of model learns most in the time there is.

use super::{BATCH, LENGTH};
use crate::cli::Quickstart;
use crate::probe::tokens_per_second;
use anyhow::Result;
use moeworks_model::parameters::count;
use moeworks_model::preset;
use moeworks_ops::Ops;

/// Sizes that are tried, smallest first: each one step more of the small rule's dial.
const SIZES: [&str; 7] = ["1m", "2m", "4m", "8m", "13m", "30m", "90m"];

/// Tokens that a model should see for each parameter that multiplies, for the larger of two to be the better.
const TOKENS_PER_PARAMETER: f64 = 8.0;

/// Steps that a training should have, if need be of fewer sequences.
const STEPS: usize = 400;

/// Passes over the documents that still teach; text that is seen more often is counted no more.
const PASSES: f64 = 4.0;

/// Highest learning rate for a model of a width: the wider, the smaller, as the sizes of the small rule need it.
pub fn learning_rate(d_model: usize) -> f64 {
    0.8 / d_model as f64
}

/// A size of model, and how many sequences a step takes.
pub struct Choice {
    /// A name for the presets.
    pub size: String,
    /// Sequences.
    pub batch: usize,
}

/// The largest size that sees enough tokens in its time, by a short measurement of each, and a batch that leaves it
/// enough steps. A size that was asked for is taken; so many steps are steps of [`BATCH`], whatever the machine.
pub fn choose(flags: &Quickstart, vocab_size: usize, tokens: u64, ops: &mut dyn Ops, quiet: bool) -> Result<Choice> {
    if let (Some(size), Some(_)) = (&flags.size, flags.steps) {
        return Ok(Choice { size: size.clone(), batch: BATCH });
    }
    let mut best: Option<Choice> = None;
    let asked = flags.size.as_deref();
    for size in asked.map_or(SIZES.to_vec(), |size| vec![size]) {
        let mut model = preset(size)?;
        model.vocab_size = vocab_size.next_multiple_of(16);
        let counted = count(&model);
        let precision = ops.preferred_precision();
        let speed = tokens_per_second(ops, &model, precision, BATCH, LENGTH)?;
        let seen = match flags.steps {
            Some(steps) => (steps as usize * BATCH * LENGTH) as f64,
            None => 60.0 * flags.minutes * speed,
        };
        let enough = seen.min(PASSES * tokens as f64) / counted.multiplied as f64;
        if !quiet {
            eprintln!(
                "     {size:>4}: {speed:>6.0} tokens/s, {enough:.1} tokens for each of {} parameters at work",
                crate::show::count(counted.multiplied)
            );
        }
        if best.is_some() && enough < TOKENS_PER_PARAMETER {
            break;
        }
        let batch = if flags.steps.is_some() { BATCH } else { batch(seen) };
        best = Some(Choice { size: size.to_string(), batch });
    }
    Ok(best.expect("there is a first size"))
}

/// Sequences of a step if so many tokens are seen in all: a power of two up to [`BATCH`] that leaves [`STEPS`] steps.
fn batch(seen: f64) -> usize {
    let most = (seen / (STEPS * LENGTH) as f64) as usize;
    (1..=most.clamp(1, BATCH)).rfind(|n| n.is_power_of_two()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_machine_takes_smaller_steps_rather_than_few() {
        for (seen, expected) in [(0.0, 1), (2e5, 1), (6e5, 2), (1.2e6, 4), (1.7e6, 8), (5e6, 8), (1e9, 8)] {
            assert_eq!(batch(seen), expected, "{seen}");
        }
    }
}
