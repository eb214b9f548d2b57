//! Thresholds that others have published for these signals, to start a recipe from.

use super::Filter;

/// A published threshold.
#[derive(Debug)]
pub struct Suggestion {
    /// Whose it is.
    pub source: &'static str,
    signal: &'static str,
    min: Option<f64>,
    max: Option<f64>,
    code: bool,
}

impl Suggestion {
    /// The filter that it makes.
    #[must_use]
    pub fn filter(&self) -> Filter {
        // The table below is checked by a test.
        let filter = Filter::new(self.signal, self.min, self.max).unwrap_or_else(|reason| unreachable!("{reason}"));
        filter.only_code(self.code)
    }
}

const fn prose(source: &'static str, signal: &'static str, min: Option<f64>, max: Option<f64>) -> Suggestion {
    Suggestion { source, signal, min, max, code: false }
}

const fn code(source: &'static str, signal: &'static str, min: Option<f64>, max: Option<f64>) -> Suggestion {
    Suggestion { source, signal, min, max, code: true }
}

/// Rae et al. 2021, arXiv 2112.11446, appendix A1.1 and table A1.
const GOPHER: &str = "MassiveText (Gopher)";
/// Raffel et al. 2020, arXiv 1910.10683, section 2.2.
const C4: &str = "C4";
/// Penedo et al. 2024, arXiv 2406.17557, section 3.6.
const FINEWEB: &str = "FineWeb";
/// Lengths of lines: Chen et al. 2021, arXiv 2107.03374, section 3.1; share of letters: Li et al. 2023, arXiv 2305.06161.
const CODE: &str = "Codex, StarCoder";

/// All of them, prose first.
pub const SUGGESTIONS: &[Suggestion] = &[
    prose(GOPHER, "num_words", Some(50.0), Some(100_000.0)),
    prose(GOPHER, "mean_word_length", Some(3.0), Some(10.0)),
    prose(GOPHER, "symbol_word_ratio", None, Some(0.1)),
    prose(GOPHER, "frac_bullet_lines", None, Some(0.9)),
    prose(GOPHER, "frac_ellipsis_lines", None, Some(0.3)),
    prose(GOPHER, "frac_alphabetic_words", Some(0.8), None),
    prose(GOPHER, "stop_words", Some(2.0), None),
    prose(GOPHER, "frac_duplicate_lines", None, Some(0.3)),
    prose(GOPHER, "frac_characters_in_duplicate_lines", None, Some(0.2)),
    prose(GOPHER, "frac_top_2gram", None, Some(0.2)),
    prose(GOPHER, "frac_top_3gram", None, Some(0.18)),
    prose(GOPHER, "frac_top_4gram", None, Some(0.16)),
    prose(GOPHER, "frac_duplicate_ngrams", None, Some(0.15)),
    prose(C4, "num_sentences", Some(3.0), None),
    prose(FINEWEB, "frac_terminal_lines", Some(0.12), None),
    prose(FINEWEB, "frac_characters_in_duplicate_lines", None, Some(0.1)),
    prose(FINEWEB, "frac_short_lines", None, Some(0.67)),
    code(CODE, "mean_line_length", None, Some(100.0)),
    code(CODE, "max_line_length", None, Some(1000.0)),
    code(CODE, "frac_alphabetic", Some(0.25), None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suggestion_makes_a_filter() {
        for suggestion in SUGGESTIONS {
            let filter = suggestion.filter();
            assert!(filter.describe().starts_with(filter.signal()) && filter.bounds() != (None, None));
        }
    }
}
