//! Which size of model learns most in the time there is.

use super::{BATCH, LENGTH};
use crate::cli::Quickstart;
use anyhow::Result;
use moeworks_model::parameters::count;
use moeworks_model::{Batch, LossScale, Training, preset};
use moeworks_ops::Ops;
use std::time::Instant;

/// Highest learning rate for all sizes of the small rule.
pub const LEARNING_RATE: f64 = 3e-3;

/// Sizes that are tried, smallest first.
const SIZES: [&str; 7] = ["1m", "2m", "4m", "7m", "12m", "30m", "100m"];

/// Tokens that a model should see for each parameter that multiplies, for the larger of two to be the better.
const TOKENS_PER_PARAMETER: f64 = 1.5;

/// The largest size that sees enough tokens in its time, by a short measurement of each.
pub fn choose(flags: &Quickstart, vocab_size: usize, tokens: u64, ops: &mut dyn Ops, quiet: bool) -> Result<String> {
    let mut best = SIZES[0];
    for size in SIZES {
        let mut model = preset(size)?;
        model.vocab_size = vocab_size.next_multiple_of(16);
        let counted = count(&model);
        let speed = measure(ops, &model)?;
        let seen = match flags.steps {
            Some(steps) => (steps as usize * BATCH * LENGTH) as f64,
            None => 60.0 * flags.minutes * speed,
        };
        // Text that is seen again and again teaches less: four passes are counted, no more.
        let enough = seen.min(4.0 * tokens as f64) / counted.multiplied as f64;
        if !quiet {
            eprintln!(
                "     {size:>4}: {:>6.0} tokens/s, {enough:.1} tokens for each of {} parameters at work",
                speed,
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

/// Tokens a second of a training step on made-up tokens, the best of three.
fn measure(ops: &mut dyn Ops, model: &moeworks_model::Config) -> Result<f64> {
    let precision = ops.preferred_precision();
    let training = Training::new(ops, model, precision, BATCH * LENGTH, LENGTH, 0)?;
    let id = |i: usize| (i * 7919 % model.vocab_size) as i32;
    let ids: Vec<i32> = (0..BATCH * LENGTH).map(id).collect();
    let sequences: Vec<&[i32]> = ids.chunks(LENGTH).collect();
    let batch = Batch::next_token(model, &sequences, None)?;
    let scale = LossScale { targets: batch.counted(), share: 1.0, aux: 0.0, z: 0.0 };
    let mut best = f64::INFINITY;
    for i in 0..3 {
        let began = Instant::now();
        training.step(ops, &batch, scale);
        let seconds = began.elapsed().as_secs_f64();
        if i > 0 || seconds > 2.0 {
            best = best.min(seconds);
        }
        if seconds > 2.0 {
            break;
        }
    }
    training.release(ops);
    Ok((BATCH * LENGTH) as f64 / best)
}
