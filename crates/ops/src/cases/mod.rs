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

use rand::{RngExt, SeedableRng};
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

/// Sizes for shapes nobody thought of, from a seed.
struct Dice(Pcg64);

impl Dice {
    /// From 1 to `most`; small ones and multiples of 16, with their neighbours, come often.
    fn size(&mut self, most: usize) -> usize {
        let any = self.0.random_range(1..=most);
        let size = match self.0.random_range(0..4) {
            0 => any.next_multiple_of(16),
            1 => any.next_multiple_of(16) + 1,
            2 => any % 5,
            _ => any,
        };
        size.clamp(1, most)
    }

    /// As `size`, at least 4: a result of one number can be the small difference of large ones.
    fn width(&mut self, most: usize) -> usize {
        self.size(most).max(4)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.0.random_range(0..n) == 0
    }
}

/// A case of a random op and shape.
pub fn random(seed: u64) -> Box<dyn Case> {
    let mut dice = Dice(Pcg64::seed_from_u64(seed));
    match dice.0.random_range(0..10) {
        0..3 => linear::random(&mut dice),
        3..5 => attention::random(&mut dice),
        5..7 => experts::random(&mut dice),
        7 => classifier::random(&mut dice),
        8 => rows::random(&mut dice),
        _ => optimizer::random(&mut dice),
    }
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
