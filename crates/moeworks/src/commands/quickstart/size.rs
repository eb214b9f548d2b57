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

/// Passes over the documents that still teach; text that is seen more often is counted no more.
const PASSES: f64 = 4.0;

/// Highest learning rate for a model of a width: the wider, the smaller, as the sizes of the small rule need it.
pub fn learning_rate(d_model: usize) -> f64 {
    0.8 / d_model as f64
}

/// The largest size that sees enough tokens in its time, by a short measurement of each.
pub fn choose(flags: &Quickstart, vocab_size: usize, tokens: u64, ops: &mut dyn Ops, quiet: bool) -> Result<String> {
    let mut best = SIZES[0];
    for size in SIZES {
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
        if enough < TOKENS_PER_PARAMETER {
            break;
        }
        best = size;
    }
    Ok(best.to_string())
}
