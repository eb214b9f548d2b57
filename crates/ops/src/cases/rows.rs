//! Embedding and normalisation.

use super::{Array, Case, Dice, Outcome, Stage};
use crate::ops::{Norm, NormKind};

pub(super) fn cases(all: &mut Vec<Box<dyn Case>>) {
    for (tokens, vocabulary, width) in [(1, 3, 8), (7, 5, 33), (200, 11, 96)] {
        all.push(Box::new(Embed { tokens, vocabulary, width }));
    }
    for kind in [NormKind::Layer, NormKind::Rms] {
        for (tokens, width) in [(1, 4), (3, 40), (70, 129), (33, 256)] {
            all.push(Box::new(NormRows { norm: Norm { kind, eps: 1e-5 }, tokens, width }));
        }
    }
}

pub(super) fn random(dice: &mut Dice) -> Box<dyn Case> {
    let (tokens, width) = (dice.size(100), dice.size(200));
    if dice.one_in(3) {
        return Box::new(Embed { tokens, vocabulary: dice.size(50), width });
    }
    let kind = if dice.one_in(2) { NormKind::Layer } else { NormKind::Rms };
    Box::new(NormRows { norm: Norm { kind, eps: 1e-5 }, tokens, width: width.max(4) })
}

struct Embed {
    tokens: usize,
    vocabulary: usize,
    width: usize,
}

impl Case for Embed {
    fn name(&self) -> String {
        format!("embed T {} V {} D {}", self.tokens, self.vocabulary, self.width)
    }
    fn inputs(&self) -> Vec<Array> {
        vec![Array::normal("table", self.vocabulary * self.width, 1.0)]
    }
    fn cotangents(&self) -> Vec<Array> {
        vec![Array::normal("x", self.tokens * self.width, 1.0)]
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], cotangents: &[Array]) -> Outcome {
        let ids: Vec<i32> = (0..self.tokens).map(|t| (t * t * 7 % self.vocabulary) as i32).collect();
        let ids = s.integers(&[self.tokens], &ids);
        let table = s.state(&[self.vocabulary, self.width], &inputs[0].values);
        let x = s.state_out(&[self.tokens, self.width]);
        s.ops.embed(&ids, &table, &x);
        let dx = s.state(&[self.tokens, self.width], &cotangents[0].values);
        let dtable = s.accumulator(&[self.vocabulary, self.width]);
        s.ops.embed_backward(&ids, &dx, &dtable);
        Outcome { outputs: vec![s.read("x", &x)], gradients: vec![s.added("table", &dtable)] }
    }
}

struct NormRows {
    norm: Norm,
    tokens: usize,
    width: usize,
}

impl Case for NormRows {
    fn name(&self) -> String {
        format!("norm {:?} T {} D {}", self.norm.kind, self.tokens, self.width)
    }
    fn inputs(&self) -> Vec<Array> {
        // A mean away from zero shows whether it is subtracted.
        let mut x = Array::normal("x", self.tokens * self.width, 1.5);
        x.values.iter_mut().for_each(|v| *v += 0.7);
        vec![x, Array::normal("weight", self.width, 1.0)]
    }
    fn cotangents(&self) -> Vec<Array> {
        vec![Array::normal("y", self.tokens * self.width, 1.0)]
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], cotangents: &[Array]) -> Outcome {
        let dims = [self.tokens, self.width];
        let (x, weight) = (s.state(&dims, &inputs[0].values), s.state(&[self.width], &inputs[1].values));
        let (y, stats) = (s.compute_out(&dims), s.state_out(&[self.tokens, 2]));
        s.ops.norm(self.norm, &x, &weight, &y, &stats);
        let dy = s.compute(&dims, &cotangents[0].values);
        let (dx, dweight) = (s.accumulator(&dims), s.accumulator(&[self.width]));
        s.ops.norm_backward(self.norm, &dy, &x, &weight, &stats, &dx, &dweight);
        Outcome {
            outputs: vec![s.read("y", &y), s.read("stats", &stats)],
            gradients: vec![s.added("x", &dx), s.added("weight", &dweight)],
        }
    }
}
