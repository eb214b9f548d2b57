//! Matrices, and the projection to queries, keys and values.

use super::{Array, Case, Dice, Outcome, Stage};
use crate::ops::{Heads, MatrixKind, Rope};

pub(super) fn cases(all: &mut Vec<Box<dyn Case>>) {
    let shapes = [
        (1, 16, 32),
        (1, 1, 1),
        (3, 17, 33),
        (5, 130, 7),
        (64, 64, 64),
        (130, 96, 200),
        (70, 40, 515),
        (290, 560, 300),
    ];
    for (tokens, outputs, inputs) in shapes {
        for residual in [Residual::None, Residual::Apart, Residual::InPlace] {
            all.push(Box::new(Linear { tokens, outputs, inputs, residual }));
        }
    }
    for heads in [(4, 2, 16), (3, 1, 16), (5, 5, 8), (1, 1, 2), (6, 2, 20)] {
        let heads = Heads { query: heads.0, kv: heads.1, width: heads.2 };
        for (tokens, clip) in [(1, Some(0.5)), (37, Some(0.8)), (20, None)] {
            all.push(Box::new(Qkv { heads, tokens, width: 24, clip }));
        }
    }
}

pub(super) fn random(dice: &mut Dice) -> Box<dyn Case> {
    if dice.one_in(3) {
        let kv = dice.size(3);
        let heads = Heads { query: kv * dice.size(3), kv, width: 2 * dice.size(24) };
        let clip = dice.one_in(2).then_some(0.7);
        return Box::new(Qkv { heads, tokens: dice.size(80), width: dice.width(90), clip });
    }
    let residual = [Residual::None, Residual::Apart, Residual::InPlace][dice.size(3) - 1];
    Box::new(Linear { tokens: dice.size(300), outputs: dice.width(300), inputs: dice.width(300), residual })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Residual {
    None,
    Apart,
    InPlace,
}

struct Linear {
    tokens: usize,
    outputs: usize,
    inputs: usize,
    residual: Residual,
}

impl Case for Linear {
    fn name(&self) -> String {
        format!("linear T {} N {} K {} residual {:?}", self.tokens, self.outputs, self.inputs, self.residual)
    }
    fn inputs(&self) -> Vec<Array> {
        vec![
            Array::normal("x", self.tokens * self.inputs, 1.0),
            Array::normal("w", self.outputs * self.inputs, 0.3),
            Array::normal("residual", self.tokens * self.outputs, 1.0),
        ]
    }
    fn cotangents(&self) -> Vec<Array> {
        vec![Array::normal("y", self.tokens * self.outputs, 1.0)]
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], cotangents: &[Array]) -> Outcome {
        let (wide, narrow) = ([self.tokens, self.outputs], [self.tokens, self.inputs]);
        let x = s.compute(&narrow, &inputs[0].values);
        let w = s.matrix(MatrixKind::Plain, 1, self.outputs, self.inputs, &[&inputs[1].values]);
        let residual = s.state(&wide, &inputs[2].values);
        // Without a residual the result is an activation, and so is its gradient.
        let (y, dy) = match self.residual {
            Residual::None => (s.compute_out(&wide), s.compute(&wide, &cotangents[0].values)),
            Residual::Apart => (s.state_out(&wide), s.state(&wide, &cotangents[0].values)),
            Residual::InPlace => (residual, s.state(&wide, &cotangents[0].values)),
        };
        s.ops.linear(&x, &w, (self.residual != Residual::None).then_some(&residual), &y);
        let (dx, dw) = (s.compute_out(&narrow), s.accumulator(&[self.outputs, self.inputs]));
        s.ops.linear_backward(&dy, &x, &w, &dx, &dw);
        let (dx_again, once) = (s.compute_out(&narrow), s.compute_zero(&[self.outputs, self.inputs]));
        s.ops.linear_backward(&dy, &x, &w, &dx_again, &once);
        Outcome {
            outputs: vec![s.read("y", &y)],
            gradients: vec![s.read("x", &dx), s.added("w", &dw), s.read("w", &once)],
        }
    }
}

struct Qkv {
    heads: Heads,
    tokens: usize,
    width: usize,
    clip: Option<f64>,
}

impl Case for Qkv {
    fn name(&self) -> String {
        format!("qkv T {} {:?} clip {:?}", self.tokens, self.heads, self.clip)
    }
    fn inputs(&self) -> Vec<Array> {
        vec![Array::normal("x", self.tokens * self.width, 1.0), Array::normal("w", self.heads.row() * self.width, 0.2)]
    }
    fn cotangents(&self) -> Vec<Array> {
        vec![Array::normal("qkv", self.tokens * self.heads.row(), 1.0)]
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], cotangents: &[Array]) -> Outcome {
        let (positions, row) = (50, self.heads.row());
        let half = self.heads.width / 2;
        let angle = |i: usize| (i / half) as f64 * 0.37 / (1 + i % half) as f64;
        let table = |f: fn(f64) -> f64| (0..positions * half).map(|i| f(angle(i))).collect::<Vec<_>>();
        let rope = Rope {
            cos_sc: s.state(&[positions, half], &table(f64::cos)),
            sin_sc: s.state(&[positions, half], &table(f64::sin)),
        };
        let at: Vec<i32> = (0..self.tokens).map(|t| (t * 3 % positions) as i32).collect();
        let at = s.integers(&[self.tokens], &at);
        let x = s.compute(&[self.tokens, self.width], &inputs[0].values);
        let w = s.matrix(MatrixKind::Plain, 1, row, self.width, &[&inputs[1].values]);
        let qkv = s.compute_out(&[self.tokens, row]);
        let mask = self.clip.map(|_| s.bytes_out(&[self.tokens, row.div_ceil(8)]));
        s.ops.qkv(self.heads, self.clip, &x, &w, &rope, &at, &qkv, mask.as_ref());
        let dqkv = s.compute(&[self.tokens, row], &cotangents[0].values);
        let (dx, dw) = (s.compute_out(&[self.tokens, self.width]), s.accumulator(&[row, self.width]));
        s.ops.qkv_backward(self.heads, &dqkv, &x, &w, &rope, &at, mask.as_ref(), &dx, &dw);
        Outcome { outputs: vec![s.read("qkv", &qkv)], gradients: vec![s.read("x", &dx), s.added("w", &dw)] }
    }
}
