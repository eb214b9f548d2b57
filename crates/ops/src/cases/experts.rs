//! Routing and experts.

use super::{Array, Case, Dice, Outcome, Stage};
use crate::ops::{Dispatch, MatrixKind, Routing};

pub(super) fn cases(all: &mut Vec<Box<dyn Case>>) {
    for (tokens, experts, top) in [(1, 16, 4), (37, 16, 4), (64, 5, 2), (9, 1, 1), (20, 8, 8)] {
        for normalize in [true, false] {
            all.push(Box::new(Route { tokens, experts, top, width: 24, normalize }));
        }
    }
    for (tokens, experts, top, d, f, choice) in [
        (1, 4, 2, 16, 16, Choice::Even),
        (33, 16, 4, 24, 40, Choice::Even),
        (70, 5, 2, 48, 17, Choice::Skewed),
        (40, 6, 2, 33, 50, Choice::OneEmpty),
        (25, 4, 1, 16, 33, Choice::AllToOne),
        (80, 1, 1, 40, 100, Choice::AllToOne),
    ] {
        all.push(Box::new(Experts { tokens, experts, top, d, f, choice }));
    }
}

pub(super) fn random(dice: &mut Dice) -> Box<dyn Case> {
    let (tokens, experts) = (dice.size(150), dice.size(18));
    let top = dice.size(experts.min(5));
    if dice.one_in(4) {
        return Box::new(Route { tokens, experts, top, width: dice.width(80), normalize: dice.one_in(2) });
    }
    let choice = match dice.size(4) {
        1 => Choice::Even,
        2 => Choice::Skewed,
        3 if top < experts => Choice::OneEmpty,
        _ => Choice::AllToOne,
    };
    // Steps of 3 must not meet an expert twice.
    let choice = if choice == Choice::Even && experts.is_multiple_of(3) { Choice::Skewed } else { choice };
    Box::new(Experts { tokens, experts, top, d: dice.width(100), f: dice.width(140), choice })
}

struct Route {
    tokens: usize,
    experts: usize,
    top: usize,
    width: usize,
    normalize: bool,
}

impl Case for Route {
    fn name(&self) -> String {
        format!("route T {} E {} K {} normalize {}", self.tokens, self.experts, self.top, self.normalize)
    }
    fn inputs(&self) -> Vec<Array> {
        vec![Array::normal("x", self.tokens * self.width, 1.0), Array::normal("w", self.experts * self.width, 0.4)]
    }
    fn cotangents(&self) -> Vec<Array> {
        vec![
            Array::normal("weights", self.tokens * self.top, 1.0),
            Array::normal("mass", self.experts, 0.3),
            Array::new("squared lse", vec![0.11]),
        ]
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], cotangents: &[Array]) -> Outcome {
        let (t, e, k) = (self.tokens, self.experts, self.top);
        let x = s.compute(&[t, self.width], &inputs[0].values);
        let w = s.state(&[e, self.width], &inputs[1].values);
        let routing = Routing {
            dispatch: Dispatch {
                offsets_e: s.integers_out(&[e + 1]),
                token_r: s.integers_out(&[t * k]),
                row_tk: s.integers_out(&[t, k]),
                weights_tk: s.state_out(&[t, k]),
            },
            probs_te: s.state_out(&[t, e]),
            lse_t: s.state_out(&[t]),
            chosen_tk: s.integers_out(&[t, k]),
            load_e: s.state_out(&[e]),
            mass_e: s.state_out(&[e]),
        };
        s.ops.route(self.normalize, &x, &w, &routing);
        let dweights = s.state(&[t, k], &cotangents[0].values);
        let balance = s.state(&[e], &cotangents[1].values);
        let (dx, dw) = (s.compute_accumulator(&[t, self.width]), s.accumulator(&[e, self.width]));
        let z = cotangents[2].values[0];
        s.ops.route_backward(self.normalize, &dweights, &x, &w, &routing, &balance, z, &dx, &dw);
        let lse = s.read("lse", &routing.lse_t);
        let squared = lse.values.iter().map(|v| v * v).sum();
        Outcome {
            outputs: vec![
                s.read("weights", &routing.dispatch.weights_tk),
                s.read("mass", &routing.mass_e),
                Array::new("squared lse", vec![squared]),
                lse,
                s.read("probs", &routing.probs_te),
                s.read("load", &routing.load_e),
                s.read_integers("chosen", &routing.chosen_tk),
                s.read_integers("offsets", &routing.dispatch.offsets_e),
                s.read_integers("tokens", &routing.dispatch.token_r),
                s.read_integers("rows", &routing.dispatch.row_tk),
            ],
            gradients: vec![s.added("x", &dx), s.added("w", &dw)],
        }
    }
}

/// How the tokens of a case choose.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Choice {
    Even,
    Skewed,
    OneEmpty,
    AllToOne,
}

struct Experts {
    tokens: usize,
    experts: usize,
    top: usize,
    d: usize,
    f: usize,
    choice: Choice,
}

impl Experts {
    /// The experts of token `t`: `top` different ones.
    fn chosen(&self, t: usize) -> Vec<usize> {
        (0..self.top)
            .map(|k| match self.choice {
                Choice::Even => (t * 5 + k * 3 + t / 7) % self.experts,
                Choice::Skewed => (if t.is_multiple_of(4) { t + k } else { k }) % self.experts,
                Choice::OneEmpty => (t + k) % (self.experts - 1),
                Choice::AllToOne => self.experts - 1 - k,
            })
            .collect()
    }

    fn dispatch(&self, s: &mut Stage, weights: &[f64]) -> Dispatch {
        let chosen: Vec<usize> = (0..self.tokens).flat_map(|t| self.chosen(t)).collect();
        let (mut offsets, mut tokens, mut rows) = (vec![0], Vec::new(), vec![0; chosen.len()]);
        for e in 0..self.experts {
            for (choice, _) in chosen.iter().enumerate().filter(|(_, c)| **c == e) {
                rows[choice] = tokens.len() as i32;
                tokens.push((choice / self.top) as i32);
            }
            offsets.push(tokens.len() as i32);
        }
        Dispatch {
            offsets_e: s.integers(&[offsets.len()], &offsets),
            token_r: s.integers(&[tokens.len()], &tokens),
            row_tk: s.integers(&[self.tokens, self.top], &rows),
            weights_tk: s.state(&[self.tokens, self.top], weights),
        }
    }
}

impl Case for Experts {
    fn name(&self) -> String {
        let Experts { tokens, experts, top, d, f, choice } = self;
        format!("experts T {tokens} E {experts} K {top} D {d} F {f} {choice:?}")
    }
    fn inputs(&self) -> Vec<Array> {
        let matrix = self.experts * self.d * self.f;
        vec![
            Array::normal("x", self.tokens * self.d, 1.0),
            Array::normal("gate", matrix, 0.2),
            Array::normal("up", matrix, 0.2),
            Array::normal("down", matrix, 0.2),
            Array::normal("weights", self.tokens * self.top, 0.5),
            Array::normal("residual", self.tokens * self.d, 1.0),
        ]
    }
    fn cotangents(&self) -> Vec<Array> {
        vec![Array::normal("y", self.tokens * self.d, 1.0)]
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], cotangents: &[Array]) -> Outcome {
        let &Experts { tokens, experts, d, f, .. } = self;
        let rows = tokens * self.top;
        let x = s.compute(&[tokens, d], &inputs[0].values);
        let gate_up = s.matrix(MatrixKind::GateUp, experts, f, d, &[&inputs[1].values, &inputs[2].values]);
        let down = s.matrix(MatrixKind::Plain, experts, d, f, &[&inputs[3].values]);
        let dispatch = self.dispatch(s, &inputs[4].values);
        let residual = s.state(&[tokens, d], &inputs[5].values);
        let (g, u, h) = (s.compute_out(&[rows, f]), s.compute_out(&[rows, f]), s.compute_out(&[rows, f]));
        let scratch = s.compute_out(&[rows, d]);
        let y = s.state_out(&[tokens, d]);
        s.ops.gate_up(&x, &gate_up, &dispatch, Some((&g, &u)), &h);
        s.ops.down(&h, &down, &dispatch, &residual, &scratch, &y);
        let kept = [s.read("g", &g), s.read("u", &u), s.read("h", &h)];

        // Generation keeps neither g nor u and works in place.
        let again = s.compute_out(&[rows, f]);
        s.ops.gate_up(&x, &gate_up, &dispatch, None, &again);
        s.ops.down(&again, &down, &dispatch, &residual, &scratch, &residual);

        let dy = s.state(&[tokens, d], &cotangents[0].values);
        let dims = [experts, d, f];
        // Gradients in the compute format, on the same start: both backwards overwrite what the next one reads.
        let once = {
            let [g, u] = [&kept[0], &kept[1]].map(|a| s.compute(&[rows, f], &a.values));
            let (h, dweights, dx) =
                (s.compute_out(&[rows, f]), s.state_out(&[tokens, self.top]), s.compute_out(&[tokens, d]));
            let [dgate, dup, ddown] = [(); 3].map(|()| s.compute_zero(&dims));
            s.ops.down_backward(&dy, &down, &dispatch, &g, &u, &h, &dweights, &ddown);
            s.ops.gate_up_backward(&g, &u, &x, &gate_up, &dispatch, &scratch, &dx, &dgate, &dup);
            [s.read("gate", &dgate), s.read("up", &dup), s.read("down", &ddown)]
        };
        let recomputed = s.compute_out(&[rows, f]);
        let dweights = s.state_out(&[tokens, self.top]);
        let (dgate, dup, ddown) = (s.accumulator(&dims), s.accumulator(&dims), s.accumulator(&dims));
        s.ops.down_backward(&dy, &down, &dispatch, &g, &u, &recomputed, &dweights, &ddown);
        let dx = s.compute_out(&[tokens, d]);
        s.ops.gate_up_backward(&g, &u, &x, &gate_up, &dispatch, &scratch, &dx, &dgate, &dup);
        Outcome {
            outputs: [
                vec![
                    s.read("y", &y),
                    s.read("y in place", &residual),
                    s.read("h recomputed times weights", &recomputed),
                ],
                kept.to_vec(),
            ]
            .concat(),
            gradients: [
                vec![
                    s.read("x", &dx),
                    s.added("gate", &dgate),
                    s.added("up", &dup),
                    s.added("down", &ddown),
                    s.read("weights", &dweights),
                ],
                once.to_vec(),
            ]
            .concat(),
        }
    }
}
