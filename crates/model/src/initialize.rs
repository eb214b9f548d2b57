//! Fresh parameters.

use crate::config::Config;
use crate::parameters::Parameter;
use rand::SeedableRng;
use rand_distr::{Distribution, Normal};
use rand_pcg::Pcg64;

/// Deviation of a parameter's elements; none for norms, which start at 1.
///
/// Matrices keep the size of what they multiply (1 / sqrt(inputs)); those that write to the residual stream are
/// divided by sqrt(2 L), as LLM Foundry's `init_div_is_residual` does, so that depth does not inflate the stream.
fn deviation(config: &Config, parameter: Parameter, shape: &[usize]) -> Option<f64> {
    let inputs = *shape.last().expect("every parameter has a dimension") as f64;
    let residual = (2.0 * config.n_layers as f64).sqrt();
    match parameter {
        Parameter::AttentionNorm(_) | Parameter::FfnNorm(_) | Parameter::FinalNorm => None,
        Parameter::Output(_) | Parameter::Down(_) => Some(1.0 / inputs.sqrt() / residual),
        _ => Some(1.0 / inputs.sqrt()),
    }
}

/// The reproducible start of a parameter, which is the `index`th with this shape. Every parameter has its own stream, so
/// its numbers do not depend on the size of the others.
pub(crate) fn initial(config: &Config, seed: u64, index: usize, parameter: Parameter, shape: &[usize]) -> Vec<f64> {
    let n = shape.iter().product();
    match deviation(config, parameter, shape) {
        None => vec![1.0; n],
        Some(deviation) => {
            let mut rng = Pcg64::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index as u64);
            let normal = Normal::new(0.0, deviation).expect("a finite deviation");
            (0..n).map(|_| normal.sample(&mut rng)).collect()
        }
    }
}
