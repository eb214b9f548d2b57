//! AdamW, Lion and the gradient norm, alone and with the matrix that follows.

use super::{Array, Case, Dice, Outcome, Stage};
use crate::ops::{AdamW, Lion, Matrix, MatrixKind, Update};
use crate::transfer;

pub(super) fn cases(all: &mut Vec<Box<dyn Case>>) {
    for lion in [false, true] {
        for n in [1, 37, 100_003] {
            all.push(Box::new(Optimizer { n, lion }));
        }
        for (experts, outputs, inputs) in [(1, 5, 3), (3, 33, 40), (2, 64, 96)] {
            all.push(Box::new(Followed { experts, outputs, inputs, lion }));
        }
    }
}

pub(super) fn random(dice: &mut Dice) -> Box<dyn Case> {
    let lion = dice.one_in(2);
    Box::new(Followed { experts: dice.size(3), outputs: dice.size(70), inputs: dice.size(100), lion })
}

fn update(lion: bool) -> Update {
    let (lr, beta1, beta2, decay, gradient_scale) = (0.01, 0.9, 0.95, 0.1, 0.7);
    match lion {
        true => Update::Lion(Lion { lr, beta1, beta2, decay, gradient_scale }),
        false => Update::AdamW(AdamW { lr, beta1, beta2, eps: 1e-8, decay, step: 3, gradient_scale }),
    }
}

fn state(n: usize) -> Vec<Array> {
    let mut v = Array::normal("v", n, 1.0);
    v.values.iter_mut().for_each(|v| *v *= *v);
    vec![Array::normal("parameters", n, 1.0), Array::normal("gradients", n, 1.0), Array::normal("m", n, 1.0), v]
}

struct Optimizer {
    n: usize,
    lion: bool,
}

impl Case for Optimizer {
    fn name(&self) -> String {
        format!("{} and sum_of_squares of {}", if self.lion { "lion" } else { "adamw" }, self.n)
    }
    fn inputs(&self) -> Vec<Array> {
        state(self.n)
    }
    fn cotangents(&self) -> Vec<Array> {
        Vec::new()
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], _: &[Array]) -> Outcome {
        let [p, g, m, v] = [0, 1, 2, 3].map(|i| s.state(&[self.n], &inputs[i].values));
        let squares = s.ops.sum_of_squares(&g);
        s.ops.update(&update(self.lion), &p, &g, &m, (!self.lion).then_some(&v), None);
        Outcome {
            outputs: vec![
                Array::new("sum of squares", vec![squares]),
                s.read("parameters", &p),
                s.read("m", &m),
                s.read("v", &v),
            ],
            gradients: Vec::new(),
        }
    }
}

/// Masters of a matrix, each moved by itself: what follows them is what packing them would give.
struct Followed {
    experts: usize,
    outputs: usize,
    inputs: usize,
    lion: bool,
}

impl Case for Followed {
    fn name(&self) -> String {
        let Followed { experts, outputs, inputs, lion } = self;
        format!("{} of E {experts} N {outputs} K {inputs}, followed", if *lion { "lion" } else { "adamw" })
    }
    fn inputs(&self) -> Vec<Array> {
        state(self.experts * self.outputs * self.inputs)
    }
    fn cotangents(&self) -> Vec<Array> {
        Vec::new()
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], _: &[Array]) -> Outcome {
        let dims = [self.experts, self.outputs, self.inputs];
        let [p, g, m, v] = [0, 1, 2, 3].map(|i| &inputs[i].values);
        let v_of = |s: &mut Stage| (!self.lion).then(|| s.state(&dims, v));
        let mut outputs = Vec::new();
        for kind in [MatrixKind::Plain, MatrixKind::GateUp] {
            let sources = if kind == MatrixKind::GateUp { 2 } else { 1 };
            let matrix = s.matrix(kind, self.experts, self.outputs, self.inputs, &vec![p.as_slice(); sources]);
            let mut masters = Vec::new();
            for source in 0..sources {
                let (master, m, v) = (s.state(&dims, p), s.state(&dims, m), v_of(s));
                // The second source moves the other way.
                let signed: Vec<f64> = g.iter().map(|g| if source == 0 { *g } else { -g }).collect();
                let g = s.state(&dims, &signed);
                s.ops.update(&update(self.lion), &master, &g, &m, v.as_ref(), Some((&matrix, source)));
                outputs.push(s.read(if source == 0 { "parameters" } else { "second parameters" }, &master));
                masters.push(master);
            }
            let again = Matrix { data: s.bytes_out(&[matrix.data.len()]), ..matrix };
            s.ops.pack(&masters, &again);
            let [followed, packed] = [matrix, again].map(|m| transfer::read::<u8>(s.ops, &m.data));
            let different = followed.iter().zip(&packed).filter(|(a, b)| a != b).count();
            outputs.push(Array::new("bytes unlike those of pack", vec![different as f64]));
        }
        Outcome { outputs, gradients: Vec::new() }
    }
}
