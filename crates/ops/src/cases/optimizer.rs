//! AdamW and the gradient norm.

use super::{Array, Case, Outcome, Stage};
use crate::ops::AdamW;

pub(super) fn cases(all: &mut Vec<Box<dyn Case>>) {
    for n in [1, 37, 100_003] {
        all.push(Box::new(Optimizer { n }));
    }
}

struct Optimizer {
    n: usize,
}

impl Case for Optimizer {
    fn name(&self) -> String {
        format!("adamw and sum_of_squares of {}", self.n)
    }
    fn inputs(&self) -> Vec<Array> {
        let mut v = Array::normal("v", self.n, 1.0);
        v.values.iter_mut().for_each(|v| *v *= *v);
        vec![
            Array::normal("parameters", self.n, 1.0),
            Array::normal("gradients", self.n, 1.0),
            Array::normal("m", self.n, 1.0),
            v,
        ]
    }
    fn cotangents(&self) -> Vec<Array> {
        Vec::new()
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], _: &[Array]) -> Outcome {
        let step = AdamW { lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, decay: 0.1, step: 3, gradient_scale: 0.7 };
        let [p, g, m, v] = [0, 1, 2, 3].map(|i| s.state(&[self.n], &inputs[i].values));
        let squares = s.ops.sum_of_squares(&g);
        s.ops.adamw(&step, &p, &g, &m, &v);
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
