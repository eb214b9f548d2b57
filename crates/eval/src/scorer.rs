//! Many short sequences scored in few passes of a model.

use crate::error::EvalError;
use moeworks_model::{Batch, Inference};
use moeworks_ops::Ops;

/// A sequence of tokens of which the last `scored` ones are predicted from what stands before them. Of one token or
/// none, nothing is predicted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) tokens: Vec<u32>,
    pub(crate) scored: usize,
}

impl Request {
    /// Rows of a pass it takes: the last token is only predicted.
    pub(crate) fn rows(&self) -> usize {
        self.tokens.len().saturating_sub(1)
    }
}

/// What a model says of the scored tokens of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scored {
    /// Their negative log-likelihood together, in nats.
    pub(crate) nll: f64,
    /// How many there are.
    pub(crate) tokens: usize,
    /// Whether each of them is the likeliest in its place.
    pub(crate) greedy: bool,
}

impl Scored {
    /// Cross-entropy: nats a token.
    pub(crate) fn mean(&self) -> f64 {
        self.nll / self.tokens as f64
    }
}

/// Requests of one pass, each with the caller's mark.
struct Pass<T> {
    batch: Batch,
    requests: Vec<(T, usize)>,
}

impl<T> Pass<T> {
    fn new() -> Self {
        let batch = Batch { ids: Vec::new(), targets: Vec::new(), positions: Vec::new(), first: Vec::new() };
        Pass { batch, requests: Vec::new() }
    }

    fn add(&mut self, mark: T, request: &Request) {
        let (start, rows) = (self.batch.rows(), request.rows());
        let unscored = (rows + 1).saturating_sub(request.scored);
        for i in 0..rows {
            self.batch.ids.push(request.tokens[i] as i32);
            self.batch.targets.push(if i + 1 < unscored { -1 } else { request.tokens[i + 1] as i32 });
            self.batch.positions.push(i as i32);
            self.batch.first.push(start as i32);
        }
        self.requests.push((mark, rows));
    }

    fn run(
        self,
        model: &mut Inference,
        ops: &mut dyn Ops,
        sink: &mut impl FnMut(T, Scored) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let scores = model.score(ops, &self.batch);
        let mut rows = scores.iter().zip(&self.batch.targets);
        for (mark, count) in self.requests {
            let mut scored = Scored { nll: 0.0, tokens: 0, greedy: true };
            for (score, target) in rows.by_ref().take(count).filter(|(_, target)| **target >= 0) {
                scored.nll += score.nll;
                scored.tokens += 1;
                scored.greedy &= score.best == *target as u32;
            }
            sink(mark, scored)?;
        }
        Ok(())
    }
}

/// Scores requests of at most `model.limits.rows` rows, in their order, as many in a pass as fit. `sink` gets each
/// result in the same order; `after` hears how many are done after each pass. An error of either ends it.
///
/// Rows of a pass cost the same wherever they lie, and nothing is padded, so no order of the requests is faster.
pub(crate) fn score<T>(
    model: &mut Inference,
    ops: &mut dyn Ops,
    requests: impl Iterator<Item = Result<(T, Request), EvalError>>,
    mut sink: impl FnMut(T, Scored) -> Result<(), EvalError>,
    mut after: impl FnMut(usize) -> Result<(), EvalError>,
) -> Result<(), EvalError> {
    let mut done = 0;
    let mut pass = Pass::new();
    for request in requests {
        let (mark, request) = request?;
        if !pass.requests.is_empty() && pass.batch.rows() + request.rows() > model.limits.rows {
            let full = std::mem::replace(&mut pass, Pass::new());
            done += full.requests.len();
            full.run(model, ops, &mut sink)?;
            after(done)?;
        }
        pass.add(mark, &request);
    }
    done += pass.requests.len();
    pass.run(model, ops, &mut sink)?;
    after(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_keeps_its_requests_apart() {
        let mut pass = Pass::new();
        pass.add('a', &Request { tokens: vec![5, 6, 7, 8], scored: 2 });
        pass.add('b', &Request { tokens: vec![], scored: 0 });
        pass.add('c', &Request { tokens: vec![9], scored: 0 });
        pass.add('d', &Request { tokens: vec![1, 2], scored: 1 });
        pass.add('e', &Request { tokens: vec![3, 4, 5], scored: 0 });
        assert_eq!(pass.batch.ids, [5, 6, 7, 1, 3, 4]);
        assert_eq!(pass.batch.targets, [-1, 7, 8, 2, -1, -1]);
        assert_eq!(pass.batch.positions, [0, 1, 2, 0, 0, 1]);
        assert_eq!(pass.batch.first, [0, 0, 0, 3, 4, 4]);
        assert_eq!(pass.requests, [('a', 3), ('b', 0), ('c', 0), ('d', 1), ('e', 2)]);
    }
}
