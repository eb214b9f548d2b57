//! Logits and cross-entropy.

use super::{Array, Case, Dice, Outcome, Stage};
use crate::ops::{ClassifierGradient, MatrixKind};

pub(super) fn cases(all: &mut Vec<Box<dyn Case>>) {
    let sizes = [(1, 10, 8), (5, 130, 33), (70, 384, 40), (200, 1000, 16), (9, 5000, 16), (70, 1003, 130)];
    for (tokens, vocabulary, width) in sizes {
        all.push(Box::new(Classifier { tokens, vocabulary, width }));
    }
}

pub(super) fn random(dice: &mut Dice) -> Box<dyn Case> {
    Box::new(Classifier { tokens: dice.size(120), vocabulary: dice.width(900), width: dice.width(200) })
}

struct Classifier {
    tokens: usize,
    vocabulary: usize,
    width: usize,
}

impl Case for Classifier {
    fn name(&self) -> String {
        format!("classifier T {} V {} D {}", self.tokens, self.vocabulary, self.width)
    }
    fn inputs(&self) -> Vec<Array> {
        vec![Array::normal("x", self.tokens * self.width, 1.0), Array::normal("w", self.vocabulary * self.width, 0.5)]
    }
    fn cotangents(&self) -> Vec<Array> {
        vec![Array::new("nll", vec![0.25; self.tokens])]
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], cotangents: &[Array]) -> Outcome {
        // Every seventh target is not counted.
        let target = |t: usize| if t % 7 == 3 { -1 } else { (t * 31 % self.vocabulary) as i32 };
        let targets: Vec<i32> = (0..self.tokens).map(target).collect();
        let targets = s.integers(&[self.tokens], &targets);
        let x = s.compute(&[self.tokens, self.width], &inputs[0].values);
        let w = s.matrix(MatrixKind::Plain, 1, self.vocabulary, self.width, &[&inputs[1].values]);
        let (nll, best) = (s.state_out(&[self.tokens]), s.integers_out(&[self.tokens]));
        s.ops.classifier(&x, &w, &targets, &nll, Some(&best), None);
        let alone = s.read("nll without gradient", &nll);
        let gradient = ClassifierGradient {
            scale: cotangents[0].values[0],
            dx_td: s.compute_out(&[self.tokens, self.width]),
            dw_vd: s.accumulator(&[self.vocabulary, self.width]),
        };
        let nll = s.state_out(&[self.tokens]);
        s.ops.classifier(&x, &w, &targets, &nll, None, Some(&gradient));
        Outcome {
            outputs: vec![s.read("nll", &nll), alone, s.read_integers("best", &best)],
            gradients: vec![s.read("x", &gradient.dx_td), s.added("w", &gradient.dw_vd)],
        }
    }
}
