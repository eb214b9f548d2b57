//! What the model thought of a token: log-probabilities at temperature 1, before penalties, bias and cuts, so that they
//! do not depend on how the token was chosen (as OpenAI-compatible servers give them).

/// A token and its log-probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Token id.
    pub id: u32,
    /// Natural logarithm of its probability.
    pub logprob: f64,
}

/// A token's log-probability and the likeliest tokens at its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// Of the token itself.
    pub logprob: f64,
    /// The likeliest, best first, ties to the lower id.
    pub top: Vec<Candidate>,
}

/// Logits that no token can be chosen from.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BadLogits {
    /// One that is NaN or plus infinity.
    #[error("the model's logit of token {id} is {value}: its weights are damaged, or training diverged")]
    NotFinite {
        /// The token.
        id: usize,
        /// What was computed.
        value: f32,
    },
    /// All are minus infinity.
    #[error("every token has probability zero")]
    AllZero,
}

/// The greatest logit. Minus infinity is allowed (probability zero), NaN and plus infinity are not.
pub(crate) fn greatest(logits: &[f32]) -> Result<f64, BadLogits> {
    let mut greatest = f32::NEG_INFINITY;
    for (id, value) in logits.iter().enumerate() {
        if value.is_nan() || *value == f32::INFINITY {
            return Err(BadLogits::NotFinite { id, value: *value });
        }
        greatest = greatest.max(*value);
    }
    if greatest == f32::NEG_INFINITY { Err(BadLogits::AllZero) } else { Ok(f64::from(greatest)) }
}

impl Logprobs {
    /// Of token `id` under one row of logits (V of them), with the `count` likeliest.
    pub fn of(logits: &[f32], id: u32, count: usize) -> Result<Self, BadLogits> {
        let greatest = greatest(logits)?;
        let sum: f64 = logits.iter().map(|l| (f64::from(*l) - greatest).exp()).sum();
        let denominator = greatest + sum.ln();
        let top = likeliest(logits, count);
        let logprob = |id: u32| f64::from(logits[id as usize]) - denominator;
        let top = top.into_iter().map(|id| Candidate { id, logprob: logprob(id) }).collect();
        Ok(Logprobs { logprob: logprob(id), top })
    }
}

/// Ids of the `count` greatest logits, greatest first, ties to the lower id.
fn likeliest(logits: &[f32], count: usize) -> Vec<u32> {
    let mut best: Vec<u32> = Vec::with_capacity(count + 1);
    for (id, value) in logits.iter().enumerate() {
        if best.len() == count && best.last().is_none_or(|last| logits[*last as usize] >= *value) {
            continue;
        }
        let place = best.partition_point(|other| logits[*other as usize] >= *value);
        best.insert(place, id as u32);
        best.truncate(count);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_probabilities_are_a_distribution() {
        let logits = [0.5, -1.0, 3.25, 3.25, f32::NEG_INFINITY, 1e4, -1e4];
        let all = Logprobs::of(&logits, 2, logits.len()).unwrap();
        let sum: f64 = all.top.iter().map(|c| c.logprob.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert_eq!(all.top.iter().map(|c| c.id).collect::<Vec<_>>(), [5, 2, 3, 0, 1, 6, 4]);
        assert_eq!(all.logprob, all.top[1].logprob);
        assert_eq!(Logprobs::of(&logits, 2, 2).unwrap().top, all.top[..2]);
        assert_eq!(Logprobs::of(&logits, 2, 0).unwrap(), Logprobs { logprob: all.logprob, top: vec![] });
    }

    #[test]
    fn what_is_no_distribution_is_an_error() {
        for bad in [f32::NAN, f32::INFINITY] {
            let error = Logprobs::of(&[0.0, bad], 0, 1).unwrap_err();
            assert!(matches!(error, BadLogits::NotFinite { id: 1, .. }), "{error}");
        }
        assert_eq!(Logprobs::of(&[f32::NEG_INFINITY; 2], 0, 1), Err(BadLogits::AllZero));
    }
}
