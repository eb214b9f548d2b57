//! How a token is chosen: the choice. Deterministic: the same logits, options, seed and choice give the same token.

use crate::logprobs::{BadLogits, greatest};
use crate::sampling::Sampling;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The state of one sequence's choices.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    rng: Pcg64,
    /// Tokens of the prompt and the answer, with how often they are in the answer.
    seen: BTreeMap<u32, u32>,
    /// Logits after penalties and bias; kept to save an allocation a token.
    adjusted: Vec<f64>,
}

impl Sampler {
    /// A sampler at the end of a prompt. Each of a request's choices draws from its own stretch of the seed's numbers.
    pub fn new(sampling: &Sampling, seed: u64, choice: usize, prompt: &[u32]) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        rng.advance((choice as u128) << 64);
        let penalised = sampling.repetition_penalty != 1.0;
        let seen = if penalised { prompt.iter().map(|id| (*id, 0)).collect() } else { BTreeMap::new() };
        Sampler { sampling: sampling.clone(), rng, seen, adjusted: Vec::new() }
    }

    /// Chooses the next token from a row of logits (V of them).
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32, BadLogits> {
        greatest(logits)?;
        self.adjust(logits);
        let id = if self.sampling.temperature == 0.0 { self.likeliest() } else { self.draw() };
        *self.seen.entry(id).or_default() += 1;
        Ok(id)
    }

    fn adjust(&mut self, logits: &[f32]) {
        let s = &self.sampling;
        self.adjusted.clear();
        self.adjusted.extend(logits.iter().map(|l| f64::from(*l)));
        for (id, count) in &self.seen {
            let logit = &mut self.adjusted[*id as usize];
            *logit = if *logit > 0.0 { *logit / s.repetition_penalty } else { *logit * s.repetition_penalty };
            if *count > 0 {
                *logit -= s.presence_penalty + s.frequency_penalty * f64::from(*count);
            }
        }
        for (id, bias) in &s.logit_bias {
            self.adjusted[*id as usize] += bias;
        }
    }

    fn likeliest(&self) -> u32 {
        let mut best = 0;
        for (id, logit) in self.adjusted.iter().enumerate() {
            if *logit > self.adjusted[best] {
                best = id;
            }
        }
        best as u32
    }

    fn draw(&mut self) -> u32 {
        let s = &self.sampling;
        let greatest = self.adjusted.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
        // The greatest weight is 1 whatever the temperature, so neither a sum of 0 nor infinity can come out.
        let weight = |logit: f64| ((logit - greatest) / s.temperature).exp();
        let mut candidates: Vec<(u32, f64)> = (0..).zip(self.adjusted.iter().map(|l| weight(*l))).collect();
        let better = |a: &(u32, f64), b: &(u32, f64)| -> Ordering { b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)) };
        if s.top_k > 0 && s.top_k < candidates.len() {
            candidates.select_nth_unstable_by(s.top_k - 1, better);
            candidates.truncate(s.top_k);
        }
        if s.top_p < 1.0 {
            // All tokens below a V-th of what may be left out are left out together: what is sorted stays small.
            let total: f64 = candidates.iter().map(|c| c.1).sum();
            let negligible = (1.0 - s.top_p) * total / candidates.len() as f64;
            candidates.retain(|c| c.1 >= negligible);
            candidates.sort_unstable_by(better);
            let mut sum = 0.0;
            let reached = candidates.iter().position(|c| {
                sum += c.1;
                sum >= s.top_p * total
            });
            candidates.truncate(reached.map_or(candidates.len(), |last| last + 1));
        } else {
            // The order of what `select_nth` leaves is its own affair.
            candidates.sort_unstable_by_key(|c| c.0);
        }
        let total: f64 = candidates.iter().map(|c| c.1).sum();
        let mut left = self.rng.random::<f64>() * total;
        let mut chosen = candidates[0].0;
        for (id, weight) in candidates.into_iter().filter(|c| c.1 > 0.0) {
            chosen = id;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each token is drawn, of `n` draws that do not see each other.
    fn shares(sampling: &Sampling, prompt: &[u32], logits: &[f32], n: usize) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        let mut sampler = Sampler::new(sampling, 3, 0, prompt);
        for _ in 0..n {
            let mut one = sampler.clone();
            counts[one.sample(logits).unwrap() as usize] += 1.0;
            sampler.rng = one.rng;
        }
        counts.into_iter().map(|count: f64| count / n as f64).collect()
    }

    fn softmax(logits: &[f64]) -> Vec<f64> {
        let sum: f64 = logits.iter().map(|l| l.exp()).sum();
        logits.iter().map(|l| l.exp() / sum).collect()
    }

    #[test]
    fn options_make_the_distribution_they_say() {
        let logits = [2.0f32, 0.0, -1.0, 2.5, 1.0];
        let zero = f64::NEG_INFINITY;
        let d = Sampling::default;
        let cases: [(&str, Sampling, [f64; 5]); 11] = [
            ("plain", d(), [2.0, 0.0, -1.0, 2.5, 1.0]),
            ("temperature", Sampling { temperature: 0.5, ..d() }, [4.0, 0.0, -2.0, 5.0, 2.0]),
            ("top-k", Sampling { top_k: 2, ..d() }, [2.0, zero, zero, 2.5, zero]),
            ("top-k of all", Sampling { top_k: 9, ..d() }, [2.0, 0.0, -1.0, 2.5, 1.0]),
            // Probabilities 0.31, 0.04, 0.02, 0.52, 0.12: two reach 0.8, three 0.9.
            ("top-p", Sampling { top_p: 0.8, ..d() }, [2.0, zero, zero, 2.5, zero]),
            ("top-p", Sampling { top_p: 0.9, ..d() }, [2.0, zero, zero, 2.5, 1.0]),
            ("top-p tiny", Sampling { top_p: 1e-9, ..d() }, [zero, zero, zero, 2.5, zero]),
            // Of the two that top-k leaves, the first has 0.62.
            ("both", Sampling { top_k: 2, top_p: 0.6, ..d() }, [zero, zero, zero, 2.5, zero]),
            // Tokens 0 and 2 are in the prompt.
            ("repetition", Sampling { repetition_penalty: 2.0, ..d() }, [1.0, 0.0, -2.0, 2.5, 1.0]),
            // Only what is in the answer counts.
            ("presence", Sampling { presence_penalty: 2.0, frequency_penalty: 1.0, ..d() }, [2.0, 0.0, -1.0, 2.5, 1.0]),
            ("bias", Sampling { logit_bias: vec![(1, 3.0), (3, -1e4)], ..d() }, [2.0, 3.0, -1.0, zero, 1.0]),
        ];
        for (name, sampling, expected) in cases {
            let shares = shares(&sampling, &[0, 2, 2], &logits, 20_000);
            for (id, (share, expected)) in shares.iter().zip(softmax(&expected)).enumerate() {
                assert!((share - expected).abs() < 0.015, "{name}: token {id} has {share}, expected {expected}");
                assert!(expected > 0.0 || *share == 0.0, "{name}: token {id} cannot be");
            }
        }
    }

    #[test]
    fn penalties_follow_the_answer() {
        let run = |sampling: Sampling| -> Vec<u32> {
            let mut sampler = Sampler::new(&Sampling { temperature: 0.0, ..sampling }, 0, 0, &[2]);
            (0..6).map(|_| sampler.sample(&[1.0, 0.9, 0.5, -0.1]).unwrap()).collect()
        };
        let d = Sampling::default;
        assert_eq!(run(d()), [0; 6]);
        assert_eq!(run(Sampling { presence_penalty: 0.3, ..d() }), [0, 1, 0, 0, 0, 0]);
        assert_eq!(run(Sampling { frequency_penalty: 0.3, ..d() }), [0, 1, 0, 1, 2, 0]);
        // Token 2 is in the prompt, so it counts as seen from the beginning.
        assert_eq!(run(Sampling { repetition_penalty: 4.0, ..d() }), [0, 1, 0, 0, 0, 0]);
        assert_eq!(run(Sampling { repetition_penalty: 100.0, ..d() })[..2], [0, 1]);
    }

    #[test]
    fn ties_go_to_the_lower_id_and_bad_logits_are_errors() {
        let mut sampler = Sampler::new(&Sampling::greedy(), 0, 0, &[]);
        assert_eq!(sampler.sample(&[0.0, 2.0, 2.0, -0.0]), Ok(1));
        assert_eq!(sampler.sample(&[-0.0, 0.0]), Ok(0));
        assert!(sampler.sample(&[0.0, f32::NAN]).is_err());
        assert!(sampler.sample(&[f32::INFINITY]).is_err());
        let top = Sampling { top_k: 2, ..Sampling::default() };
        assert_eq!(shares(&top, &[], &[1.0; 5], 100)[2..], [0.0; 3]);
        let cold = Sampling { temperature: 1e-300, ..Sampling::default() };
        assert_eq!(shares(&cold, &[], &[1.0, 1.5, -3e38], 100), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn seeds_and_choices_decide() {
        let logits: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).sin()).collect();
        let run = |seed, choice| -> Vec<u32> {
            let mut sampler = Sampler::new(&Sampling::default(), seed, choice, &[]);
            (0..20).map(|_| sampler.sample(&logits).unwrap()).collect()
        };
        assert_eq!(run(1, 0), run(1, 0));
        assert_ne!(run(1, 0), run(2, 0));
        assert_ne!(run(1, 0), run(1, 1));
        assert_ne!(run(u64::MAX, 7), run(u64::MAX, 6));
    }
}
