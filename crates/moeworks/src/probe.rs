//! How fast a model trains here, by a few steps on made-up tokens.

use anyhow::Result;
use moeworks_model::{Batch, Config, Layout, LossScale, Training};
use moeworks_ops::{Ops, Precision};
use std::time::Instant;

/// Most seconds of steps; a slow machine is told from one.
const SECONDS: f64 = 4.0;

/// A batch of made-up tokens, all over the vocabulary.
pub fn made_up(model: &Config, batch: usize, length: usize) -> Result<Batch> {
    let ids: Vec<i32> = (0..batch * length).map(|i| ((i * 7919 + i / 13 * 31) % model.vocab_size) as i32).collect();
    let sequences: Vec<&[i32]> = ids.chunks(length).collect();
    Ok(Batch::next_token(model, &sequences, None)?)
}

/// Tokens a second of training steps of `batch` sequences of `length` tokens: the best of at most four. The optimizer,
/// whose share is small, is left out.
pub fn tokens_per_second(
    ops: &mut dyn Ops,
    model: &Config,
    precision: Precision,
    batch: usize,
    length: usize,
) -> Result<f64> {
    let training = Training::new(ops, model, precision, Layout::of(batch * length, length), 0)?;
    let tokens = made_up(model, batch, length)?;
    let scale = LossScale { targets: tokens.counted(), share: 1.0, aux: 0.0, z: 0.0 };
    let (began, mut best) = (Instant::now(), f64::INFINITY);
    // The first step touches memory for the first time and does not count, unless it is all there is time for.
    for i in 0..4 {
        let step = Instant::now();
        training.step(ops, &tokens, scale, true);
        let seconds = step.elapsed().as_secs_f64();
        let last = began.elapsed().as_secs_f64() > SECONDS;
        if i > 0 || last {
            best = best.min(seconds);
        }
        if last {
            break;
        }
    }
    training.release(ops);
    Ok((batch * length) as f64 / best)
}
