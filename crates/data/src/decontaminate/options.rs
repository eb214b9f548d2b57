use crate::DataError;
use serde::{Deserialize, Serialize};

/// What counts as an overlap with an evaluation set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecontaminationOptions {
    /// So many consecutive words that a document shares with a string of an evaluation set are an overlap.
    pub ngram_words: usize,
    /// A shorter string counts as a whole, if it has at least so many words. Still shorter ones cannot be looked for.
    pub least_words: usize,
    /// An n-gram in more documents than this is a common phrase (a proverb, a licence, a loop) and no contamination; it
    /// is reported as such. A number as large as the corpus switches that off.
    pub common_above: u64,
}

impl Default for DecontaminationOptions {
    /// The figures of GPT-3 (Brown et al. 2020, appendix C).
    fn default() -> Self {
        Self { ngram_words: 13, least_words: 8, common_above: 10 }
    }
}

impl DecontaminationOptions {
    /// Whether every value is one that can be worked with.
    ///
    /// # Errors
    /// The first key whose value cannot be.
    pub fn check(&self) -> Result<(), DataError> {
        let wrong = |key: &str, reason: String| Err(DataError::Recipe { key: key.into(), reason });
        if !(1..=256).contains(&self.ngram_words) {
            return wrong("ngram_words", format!("{} is not between 1 and 256", self.ngram_words));
        }
        if !(1..=self.ngram_words).contains(&self.least_words) {
            let most = self.ngram_words;
            return wrong("least_words", format!("{} is not between 1 and ngram_words = {most}", self.least_words));
        }
        if self.common_above == 0 {
            return wrong("common_above", "0 takes every n-gram for common, so that nothing is ever found".into());
        }
        Ok(())
    }
}
