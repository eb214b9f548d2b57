//! One table of op cases. It drives the parity of every device with the reference and the finite-difference tests of
//! the reference itself (the idea of ggml's test-backend-ops).

mod attention;
mod check;
mod classifier;
mod experts;
mod linear;
mod optimizer;
mod rows;
mod stage;

pub use check::{Failure, check_gradients, check_parity};
pub use stage::Stage;

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

/// Named numbers: inputs, outputs or gradients of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its name in the op's documentation.
    pub name: &'static str,
    /// Its numbers, row-major.
    pub values: Vec<f64>,
}

impl Array {
    /// A named array.
    pub fn new(name: &'static str, values: Vec<f64>) -> Self {
        Array { name, values }
    }

    /// Reproducible normal numbers with a given deviation. The name is part of the seed.
    pub fn normal(name: &'static str, n: usize, deviation: f64) -> Self {
        let seed = name.bytes().fold(n as u64, |h, b| h.wrapping_mul(0x100000001b3) ^ u64::from(b));
        let mut rng = Pcg64::seed_from_u64(seed);
        let normal = StandardNormal;
        Array { name, values: (0..n).map(|_| deviation * Distribution::<f64>::sample(&normal, &mut rng)).collect() }
    }
}

/// What a case computes from its inputs.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The forward's results.
    pub outputs: Vec<Array>,
    /// The gradient of the sum of cotangents times outputs, for every differentiable input, under the input's name.
    pub gradients: Vec<Array>,
}

/// One op at one shape.
pub trait Case {
    /// Op and shape, for people.
    fn name(&self) -> String;
    /// The float inputs.
    fn inputs(&self) -> Vec<Array>;
    /// One cotangent for every output that has a gradient; the others are left out.
    fn cotangents(&self) -> Vec<Array>;
    /// Runs forward and backward on the stage's device.
    fn run(&self, stage: &mut Stage, inputs: &[Array], cotangents: &[Array]) -> Outcome;
}

/// All cases, the awkward ones included.
pub fn table() -> Vec<Box<dyn Case>> {
    let mut all = Vec::new();
    rows::cases(&mut all);
    linear::cases(&mut all);
    attention::cases(&mut all);
    experts::cases(&mut all);
    classifier::cases(&mut all);
    optimizer::cases(&mut all);
    all
}
