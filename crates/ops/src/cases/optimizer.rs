//! AdamW, Lion and the gradient norm, alone and with the matrix that follows.

use super::{Array, Case, Dice, Outcome, Stage};
use crate::dtype::DType;
use crate::ops::{AdamW, Halves, Lion, Master, Matrix, MatrixKind, Update};
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
    let (lr, beta1, beta2, decay, step, gradient_scale) = (0.01, 0.9, 0.95, 0.1, 3, 0.7);
    match lion {
        true => Update::Lion(Lion { lr, beta1, beta2, decay, step, gradient_scale }),
        false => Update::AdamW(AdamW { lr, beta1, beta2, eps: 1e-8, decay, step, gradient_scale }),
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
        let mut outputs = Vec::new();
        for narrow in [false, true] {
            let p = s.state(&[self.n], &inputs[0].values);
            let [g, m, v] = [1, 2, 3].map(|i| match narrow {
                false => s.state(&[self.n], &inputs[i].values),
                true => s.compute(&[self.n], &inputs[i].values),
            });
            outputs.push(Array::new("sum of squares", vec![s.ops.sum_of_squares(&g)]));
            s.ops.update(&update(self.lion), Master::Alone(p), &g, &m, (!self.lion).then_some(&v));
            outputs.extend([s.read("parameters", &p), s.read("m", &m), s.read("v", &v)]);
        }
        Outcome { outputs, gradients: Vec::new() }
    }
}

/// Masters of a matrix, each moved by itself: what follows them is what packing them would give. In bf16 also masters
/// in halves.
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
        let mut outputs = Vec::new();
        for kind in [MatrixKind::Plain, MatrixKind::GateUp] {
            self.whole(s, inputs, kind, &mut outputs);
            if s.precision.compute == DType::Bf16 {
                self.in_halves(s, inputs, kind, &mut outputs);
            }
        }
        Outcome { outputs, gradients: Vec::new() }
    }
}

impl Followed {
    fn dims(&self) -> [usize; 3] {
        [self.experts, self.outputs, self.inputs]
    }

    /// A matrix of one source or two, all with the start values.
    fn matrix(&self, s: &mut Stage, inputs: &[Array], kind: MatrixKind) -> (Matrix, usize) {
        let sources = if kind == MatrixKind::GateUp { 2 } else { 1 };
        let start = vec![inputs[0].values.as_slice(); sources];
        (s.matrix(kind, self.experts, self.outputs, self.inputs, &start), sources)
    }

    /// Gradients; the second source moves the other way.
    fn gradients(inputs: &[Array], source: usize) -> Vec<f64> {
        inputs[1].values.iter().map(|g| if source == 0 { *g } else { -g }).collect()
    }

    fn whole(&self, s: &mut Stage, inputs: &[Array], kind: MatrixKind, outputs: &mut Vec<Array>) {
        let dims = self.dims();
        let [p, _, m, v] = [0, 1, 2, 3].map(|i| &inputs[i].values);
        let (matrix, sources) = self.matrix(s, inputs, kind);
        let mut masters = Vec::new();
        for source in 0..sources {
            let (master, m, v) = (s.state(&dims, p), s.state(&dims, m), (!self.lion).then(|| s.state(&dims, v)));
            let g = s.state(&dims, &Self::gradients(inputs, source));
            let parameters = Master::Followed(master, matrix, source);
            s.ops.update(&update(self.lion), parameters, &g, &m, v.as_ref());
            outputs.push(s.read(if source == 0 { "parameters" } else { "second parameters" }, &master));
            masters.push(master);
        }
        let again = Matrix { data: s.bytes_out(&[matrix.data.len()]), ..matrix };
        s.ops.pack(&masters, &again);
        outputs.push(unlike(s, &matrix, &again));
    }

    fn in_halves(&self, s: &mut Stage, inputs: &[Array], kind: MatrixKind, outputs: &mut Vec<Array>) {
        let dims = self.dims();
        let [p, _, m, v] = [0, 1, 2, 3].map(|i| &inputs[i].values);
        let (matrix, sources) = self.matrix(s, inputs, kind);
        let (again, _) = self.matrix(s, inputs, kind);
        for source in 0..sources {
            let mut halves = |matrix: Matrix| Halves { lower: s.halves_out(&dims), matrix, source };
            let (moved, anew) = (halves(matrix), halves(again));
            let values = s.state(&dims, p);
            s.ops.split(&values, &moved);
            let (m, v) = (s.compute(&dims, m), (!self.lion).then(|| s.compute(&dims, v)));
            let g = s.compute(&dims, &Self::gradients(inputs, source));
            s.ops.update(&update(self.lion), Master::Halves(moved), &g, &m, v.as_ref());
            let values = s.state_out(&dims);
            s.ops.join(&moved, &values);
            outputs.extend([s.read("parameters in halves", &values), s.read("m of halves", &m)]);
            outputs.extend(v.map(|v| s.read("v of halves", &v)));
            s.ops.split(&values, &anew);
            let [a, b] = [moved, anew].map(|h| transfer::read::<u16>(s.ops, &h.lower));
            outputs.push(Array::new("lower halves unlike those of split", vec![f64::from(u8::from(a != b))]));
        }
        outputs.push(unlike(s, &matrix, &again));
    }
}

fn unlike(s: &mut Stage, a: &Matrix, b: &Matrix) -> Array {
    let [a, b] = [a, b].map(|m| transfer::read::<u8>(s.ops, &m.data));
    Array::new("bytes unlike those made anew", vec![a.iter().zip(&b).filter(|(a, b)| a != b).count() as f64])
}
