//! The signals that are numbers, by their names.

use super::Signals;

/// Name of the signal that is no number: the language that was detected.
pub const LANGUAGE: &str = "language";

/// A signal that is a number.
#[derive(Debug)]
pub struct Signal {
    /// Its name, as in filters and in the Parquet file.
    pub name: &'static str,
    /// What it says, in a line.
    pub about: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// Whether it is a whole number.
    pub whole: bool,
    value: fn(&Signals) -> f64,
}

impl Signal {
    /// Its value in a document.
    #[must_use]
    pub fn of(&self, signals: &Signals) -> f64 {
        (self.value)(signals)
    }

    /// The signal of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        Signals::NUMERIC.iter().find(|signal| signal.name == name)
    }

    /// The name that is most like one that is not known.
    #[must_use]
    pub fn like(name: &str) -> &'static str {
        let names = Signals::NUMERIC.iter().map(|signal| signal.name).chain([LANGUAGE]);
        let likeness = |known: &&str| strsim::jaro_winkler(known, name);
        names.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).unwrap_or(LANGUAGE)
    }
}

macro_rules! signals {
    ($($name:ident, $unit:literal, $whole:literal, $about:literal;)*) => {
        &[
            $(Signal {
                name: stringify!($name),
                about: $about,
                unit: $unit,
                whole: $whole,
                value: |signals| signals.$name as f64,
            },)*
            Signal {
                name: "num_pii",
                about: "spans of personal data and secrets",
                unit: "spans",
                whole: true,
                value: |signals| signals.pii.len() as f64,
            },
        ]
    };
}

impl Signals {
    /// Every signal that is a number, in the order of the Parquet file's columns.
    pub const NUMERIC: &[Signal] = signals! {
        num_characters, "characters", true, "length in characters";
        num_bytes, "bytes", true, "length in bytes of UTF-8";
        num_words, "words", true, "length in words";
        num_lines, "lines", true, "length in lines";
        num_sentences, "sentences", true, "words that end a sentence";
        readability, "grade", false, "Automated Readability Index, a school grade";
        log_type_token_ratio, "ratio", false, "variety of the words: log of different ones by log of all";
        frac_non_ascii, "share", false, "characters that are not ASCII";
        frac_alphabetic, "share", false, "characters that are letters";
        frac_digits, "share", false, "characters that are digits";
        frac_punctuation, "share", false, "characters that are punctuation or symbols";
        frac_whitespace, "share", false, "characters that are white space";
        frac_alphabetic_words, "share", false, "words with a letter";
        mean_word_length, "characters", false, "mean length of a word";
        symbol_word_ratio, "ratio", false, "# and ellipses for each word";
        stop_words, "words", true, "how many of eight common English words there are";
        mean_line_length, "characters", false, "mean length of a line that is not empty";
        max_line_length, "characters", true, "length of the longest line";
        frac_duplicate_lines, "share", false, "lines like an earlier one";
        frac_characters_in_duplicate_lines, "share", false, "characters in lines like an earlier one";
        frac_top_2gram, "share", false, "bytes in the most frequent run of 2 words";
        frac_top_3gram, "share", false, "bytes in the most frequent run of 3 words";
        frac_top_4gram, "share", false, "bytes in the most frequent run of 4 words";
        frac_duplicate_ngrams, "share", false, "bytes in runs of 5 words that came before";
        frac_bullet_lines, "share", false, "lines that begin with a bullet";
        frac_ellipsis_lines, "share", false, "lines that end in an ellipsis";
        frac_terminal_lines, "share", false, "lines that end as a sentence does";
        frac_short_lines, "share", false, "lines of fewer than 30 characters";
        compression_ratio, "ratio", false, "bytes for each byte of zstd";
        entropy, "bits", false, "entropy of the characters";
        frac_code, "share", false, "lines that look like code";
        language_confidence, "share", false, "how sure the language is";
        quality, "score", false, "documented rules put together, 0 to 1";
    };

    /// The value of a signal that is a number.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        Signal::named(name).map(|signal| signal.of(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_found_by_name() {
        let signals = super::super::measure("One two three. Mail ada@example.com, please.", None);
        for (name, value) in [("num_words", Some(6.0)), ("num_pii", Some(1.0)), ("num_wrods", None)] {
            assert_eq!(signals.get(name), value, "{name}");
        }
        assert_eq!((Signal::like("num_wrods"), Signal::like("lang")), ("num_words", "language"));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Signals::NUMERIC.iter().map(|signal| signal.name).chain([LANGUAGE]).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
