//! Attention, in training and over a cache.

use super::{Array, Case, Dice, Outcome, Stage};
use crate::ops::Heads;

pub(super) fn cases(all: &mut Vec<Box<dyn Case>>) {
    let heads = |query, kv, width| Heads { query, kv, width };
    for (heads, documents) in [
        (heads(1, 1, 2), vec![1]),
        (heads(4, 2, 16), vec![1, 7]),
        (heads(3, 1, 16), vec![40]),
        (heads(5, 5, 8), vec![3, 1, 30]),
        (heads(2, 1, 64), vec![150, 70]),
        (heads(6, 2, 20), vec![65]),
        (heads(2, 2, 128), vec![33]),
        (heads(2, 1, 32), vec![9, 300]),
        (heads(1, 1, 48), vec![270, 5, 40]),
    ] {
        all.push(Box::new(Attention { heads, documents }));
    }
    for (heads, rows) in [
        (heads(4, 2, 16), vec![(1, 0, 5), (0, 0, 1)]),
        (heads(3, 1, 8), vec![(0, 9, 1), (2, 3, 1), (1, 0, 1)]),
        (heads(2, 1, 64), vec![(1, 20, 40), (0, 70, 2)]),
        (heads(6, 3, 20), vec![(0, 17, 1)]),
    ] {
        all.push(Box::new(Cached { heads, rows }));
    }
}

pub(super) fn random(dice: &mut Dice) -> Box<dyn Case> {
    let kv = dice.size(3);
    let heads = Heads { query: kv * dice.size(3), kv, width: 2 * dice.size(64) };
    if dice.one_in(4) {
        let rows = (0..dice.size(3)).map(|slot| (slot, dice.size(40) - 1, dice.size(30))).collect();
        return Box::new(Cached { heads: Heads { width: heads.width.min(64), ..heads }, rows });
    }
    let documents = (0..dice.size(4)).map(|_| dice.size(120)).collect();
    Box::new(Attention { heads, documents })
}

/// Lengths of the documents, one after the other.
struct Attention {
    heads: Heads,
    documents: Vec<usize>,
}

impl Attention {
    fn tokens(&self) -> usize {
        self.documents.iter().sum()
    }
}

impl Case for Attention {
    fn name(&self) -> String {
        format!("attention {:?} documents {:?}", self.heads, self.documents)
    }
    fn inputs(&self) -> Vec<Array> {
        vec![Array::normal("qkv", self.tokens() * self.heads.row(), 1.0)]
    }
    fn cotangents(&self) -> Vec<Array> {
        vec![Array::normal("out", self.tokens() * self.heads.query * self.heads.width, 1.0)]
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], cotangents: &[Array]) -> Outcome {
        let tokens = self.tokens();
        let starts = self.documents.iter().scan(0, |next, n| {
            *next += n;
            Some((*n, *next - n))
        });
        let first: Vec<i32> = starts.flat_map(|(n, start)| vec![start as i32; n]).collect();
        let first = s.integers(&[tokens], &first);
        let width = self.heads.query * self.heads.width;
        let qkv = s.compute(&[tokens, self.heads.row()], &inputs[0].values);
        let (out, lse) = (s.compute_out(&[tokens, width]), s.state_out(&[tokens, self.heads.query]));
        s.ops.attention(self.heads, &qkv, &first, &out, &lse);
        let dout = s.compute(&[tokens, width], &cotangents[0].values);
        let dqkv = s.compute_out(&[tokens, self.heads.row()]);
        s.ops.attention_backward(self.heads, &dout, &qkv, &first, &out, &lse, &dqkv);
        Outcome { outputs: vec![s.read("out", &out), s.read("lse", &lse)], gradients: vec![s.read("qkv", &dqkv)] }
    }
}

/// Sequences in the step: (slot, cached positions, new rows).
struct Cached {
    heads: Heads,
    rows: Vec<(usize, usize, usize)>,
}

impl Cached {
    const SLOTS: usize = 3;
    const LENGTH: usize = 80;

    fn tokens(&self) -> usize {
        self.rows.iter().map(|r| r.2).sum()
    }
    fn cache(&self) -> usize {
        Self::SLOTS * Self::LENGTH * self.heads.kv * self.heads.width
    }
}

impl Case for Cached {
    fn name(&self) -> String {
        format!("attend_cache {:?} (slot, cached, new) {:?}", self.heads, self.rows)
    }
    fn inputs(&self) -> Vec<Array> {
        vec![
            Array::normal("qkv", self.tokens() * self.heads.row(), 1.0),
            Array::normal("keys", self.cache(), 1.0),
            Array::normal("values", self.cache(), 1.0),
        ]
    }
    fn cotangents(&self) -> Vec<Array> {
        Vec::new()
    }
    fn run(&self, s: &mut Stage, inputs: &[Array], _: &[Array]) -> Outcome {
        let tokens = self.tokens();
        let each = |f: fn((usize, usize, usize), usize) -> usize| -> Vec<i32> {
            self.rows.iter().flat_map(|&r| (0..r.2).map(move |i| f(r, i) as i32)).collect()
        };
        let slots = s.integers(&[tokens], &each(|r, _| r.0));
        let positions = s.integers(&[tokens], &each(|r, i| r.1 + i));
        let dims = [Self::SLOTS, Self::LENGTH, self.heads.kv * self.heads.width];
        let qkv = s.compute(&[tokens, self.heads.row()], &inputs[0].values);
        let (keys, values) = (s.compute(&dims, &inputs[1].values), s.compute(&dims, &inputs[2].values));
        let out = s.compute_out(&[tokens, self.heads.query * self.heads.width]);
        s.ops.attend_cache(self.heads, &qkv, &slots, &positions, &keys, &values, &out);
        Outcome {
            outputs: vec![s.read("out", &out), s.read("keys", &keys), s.read("values", &values)],
            gradients: Vec::new(),
        }
    }
}
