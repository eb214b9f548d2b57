//! How a token is chosen: the options.

/// Options of the choice of a token. The default is the model's own distribution.
///
/// They are applied in this order: repetition penalty, presence and frequency penalty, bias, temperature, top-k, top-p.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token (ties to the lower id).
    pub temperature: f64,
    /// Only the so many likeliest tokens can be chosen; 0 is no limit.
    pub top_k: usize,
    /// Only the likeliest tokens that together reach this probability can be chosen.
    pub top_p: f64,
    /// Positive logits of tokens in the prompt or the answer are divided by it, negative ones multiplied
    /// (transformers' `RepetitionPenaltyLogitsProcessor`); 1 changes nothing.
    pub repetition_penalty: f64,
    /// Taken off the logits of tokens in the answer (OpenAI).
    pub presence_penalty: f64,
    /// Taken off the logits of tokens in the answer, as often as they occur there (OpenAI).
    pub frequency_penalty: f64,
    /// Added to the logits of single tokens (OpenAI).
    pub logit_bias: Vec<(u32, f64)>,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
        }
    }
}

/// An option with a value that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field} is {value}, must be {must}")]
pub struct InvalidSampling {
    /// The option.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What it must be.
    pub must: String,
}

impl Sampling {
    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Sampling { temperature: 0.0, ..Sampling::default() }
    }

    /// What DBRX was shown with (`generate.py` of the `databricks/dbrx` repository).
    pub fn dbrx() -> Self {
        Sampling { temperature: 0.7, top_p: 0.95, top_k: 50, repetition_penalty: 1.01, ..Sampling::default() }
    }

    /// Checks every number, for a vocabulary of `vocab_size`.
    pub fn validate(&self, vocab_size: usize) -> Result<(), InvalidSampling> {
        // NaN is in no range.
        for (field, value, range, must) in [
            ("temperature", self.temperature, 0.0..=100.0, "between 0 and 100"),
            ("top_p", self.top_p, f64::MIN_POSITIVE..=1.0, "above 0 and at most 1"),
            ("repetition_penalty", self.repetition_penalty, 0.01..=100.0, "between 0.01 and 100"),
            ("presence_penalty", self.presence_penalty, -100.0..=100.0, "between -100 and 100"),
            ("frequency_penalty", self.frequency_penalty, -100.0..=100.0, "between -100 and 100"),
        ] {
            if !range.contains(&value) {
                return Err(InvalidSampling { field, value, must: must.into() });
            }
        }
        for (id, bias) in &self.logit_bias {
            let field = "logit_bias";
            if *id as usize >= vocab_size {
                let must = format!("for tokens below the vocabulary's {vocab_size}");
                return Err(InvalidSampling { field, value: f64::from(*id), must });
            }
            if !(-1e4..=1e4).contains(bias) {
                return Err(InvalidSampling { field, value: *bias, must: "between -10000 and 10000".into() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_numbers_are_named() {
        type Case = (fn(&mut Sampling, f64), &'static str, &'static [f64]);
        let cases: [Case; 6] = [
            (|s, v| s.temperature = v, "temperature", &[-1.0, 1e9, f64::INFINITY]),
            (|s, v| s.top_p = v, "top_p", &[0.0, -0.5, 1.1]),
            (|s, v| s.repetition_penalty = v, "repetition_penalty", &[0.0, -1.0, f64::INFINITY]),
            (|s, v| s.presence_penalty = v, "presence_penalty", &[101.0, f64::NEG_INFINITY]),
            (|s, v| s.frequency_penalty = v, "frequency_penalty", &[-101.0]),
            (|s, v| s.logit_bias = vec![(1, v)], "logit_bias", &[f64::INFINITY, 1e5]),
        ];
        for (set, field, values) in cases {
            for value in values.iter().chain(&[f64::NAN]) {
                let mut sampling = Sampling::dbrx();
                set(&mut sampling, *value);
                assert_eq!(sampling.validate(10).unwrap_err().field, field, "{value}");
            }
        }
        let beyond = Sampling { logit_bias: vec![(10, 1.0)], ..Sampling::default() };
        assert!(beyond.validate(10).unwrap_err().to_string().contains("below the vocabulary's 10"));
        assert!(Sampling::greedy().validate(10).is_ok() && Sampling::dbrx().validate(10).is_ok());
    }
}
