//! Filters: which documents are left out, by a signal's value.

use super::{LANGUAGE, Signal, Signals};
use crate::documents::Document;
use serde::{Deserialize, Serialize};

/// Leaves out documents by one signal. In a recipe:
///
/// ```toml
/// [[filter]]
/// signal = "num_words"      # a number: at least `min`, at most `max`, or both
/// min = 50
/// code = false              # only documents that are not code
///
/// [[filter]]
/// signal = "language"       # one of these, as detected
/// keep = ["en", "de", "CODE"]
/// sources = ["web"]         # only documents of these sources
/// ```
///
/// A filter passes over the documents that its `sources`, `languages` or `code` do not name; it never drops them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Keys", into = "Keys")]
pub struct Filter {
    keys: Keys,
}

/// A filter as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    signal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    languages: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<bool>,
}

impl From<Filter> for Keys {
    fn from(filter: Filter) -> Self {
        filter.keys
    }
}

impl TryFrom<Keys> for Filter {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let Keys { signal, min, max, keep, .. } = &keys;
        if signal == LANGUAGE {
            if min.or(*max).is_some() {
                return Err("signal \"language\" has no min and max: name the languages to keep = [\"en\", …]".into());
            }
            if keep.as_ref().is_none_or(Vec::is_empty) {
                return Err("signal \"language\" takes keep = [\"en\", …], the languages to keep".into());
            }
            return Ok(Self { keys });
        }
        if Signal::named(signal).is_none() {
            return Err(format!("there is no signal {signal:?}; is {:?} meant?", Signal::like(signal)));
        }
        if keep.is_some() {
            return Err(format!("signal {signal:?} is a number: it takes min or max, not keep"));
        }
        match (min, max) {
            (None, None) => Err(format!("the filter of {signal:?} has neither min nor max, so it would drop nothing")),
            (Some(bound), _) | (_, Some(bound)) if !bound.is_finite() => {
                Err(format!("{bound} is no bound for {signal:?}"))
            }
            (Some(min), Some(max)) if min > max => {
                Err(format!("min {min} of {signal:?} is above its max {max}, so it would drop everything"))
            }
            _ => Ok(Self { keys }),
        }
    }
}

impl Filter {
    /// A filter of a number for all documents.
    ///
    /// # Errors
    /// If there is no such signal, no bound, or the bounds exclude each other.
    pub fn new(signal: &str, min: Option<f64>, max: Option<f64>) -> Result<Self, String> {
        Keys { signal: signal.into(), min, max, ..Keys::default() }.try_into()
    }

    /// The same filter, for code only or for everything else only.
    #[must_use]
    pub fn only_code(mut self, code: bool) -> Self {
        self.keys.code = Some(code);
        self
    }

    /// Name of its signal.
    #[must_use]
    pub fn signal(&self) -> &str {
        &self.keys.signal
    }

    /// The least and the greatest value that it lets pass.
    #[must_use]
    pub fn bounds(&self) -> (Option<f64>, Option<f64>) {
        (self.keys.min, self.keys.max)
    }

    /// Whether a document is of those that the filter looks at.
    fn looks_at(&self, document: &Document, signals: &Signals) -> bool {
        let named = |list: &Option<Vec<String>>, name: &str| {
            list.as_ref().is_none_or(|list| list.iter().any(|entry| entry.eq_ignore_ascii_case(name)))
        };
        let keys = &self.keys;
        let stated = document.language.as_deref().unwrap_or_default();
        keys.code.is_none_or(|code| code == signals.is_code)
            && keys.sources.as_ref().is_none_or(|sources| sources.contains(&document.source))
            && (named(&keys.languages, signals.language) || named(&keys.languages, stated))
    }

    /// Why the filter leaves a document out, if it does. A language counts for `languages` as detected and as stated.
    #[must_use]
    pub fn drops(&self, document: &Document, signals: &Signals) -> Option<String> {
        if !self.looks_at(document, signals) {
            return None;
        }
        let Keys { signal, min, max, keep, .. } = &self.keys;
        if let Some(keep) = keep {
            let kept = keep.iter().any(|language| language.eq_ignore_ascii_case(signals.language));
            return (!kept).then(|| format!("language {} is not kept", signals.language));
        }
        let value = signals.get(signal)?;
        match (min, max) {
            (Some(min), _) if value < *min => Some(format!("{signal} {} < {min}", rounded(value))),
            (_, Some(max)) if value > *max => Some(format!("{signal} {} > {max}", rounded(value))),
            _ => None,
        }
    }

    /// The filter in a line, such as `num_words 50 to 100000 (not code)`.
    #[must_use]
    pub fn describe(&self) -> String {
        let Keys { signal, min, max, keep, sources, languages, code } = &self.keys;
        let what = match (min, max, keep) {
            (Some(min), Some(max), _) => format!("{signal} {min} to {max}"),
            (Some(min), None, _) => format!("{signal} ≥ {min}"),
            (None, Some(max), _) => format!("{signal} ≤ {max}"),
            (None, None, keep) => format!("{signal} in {}", keep.as_deref().unwrap_or_default().join(", ")),
        };
        let only = [
            code.map(|code| if code { "code".into() } else { "not code".into() }),
            sources.as_ref().map(|sources| format!("sources {}", sources.join(", "))),
            languages.as_ref().map(|languages| format!("languages {}", languages.join(", "))),
        ];
        let only: Vec<String> = only.into_iter().flatten().collect();
        if only.is_empty() { what } else { format!("{what} ({})", only.join("; ")) }
    }
}

/// At most four decimals, none that say nothing.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::{super::measure, *};
    use crate::DocumentId;

    fn document(text: &str, source: &str, language: Option<&str>) -> Document {
        Document {
            id: DocumentId::of(text),
            text: text.into(),
            source: source.into(),
            path: "p".into(),
            licence: None,
            language: language.map(Into::into),
        }
    }

    fn read(toml: &str) -> Result<Filter, String> {
        toml::from_str(toml).map_err(|error| error.to_string())
    }

    #[test]
    fn filters_drop_what_is_out_of_bounds_with_the_reason() {
        let text = "All human beings are born free and equal in dignity and rights.";
        for (filter, source, language, reason) in [
            ("signal='num_words'\nmin=50", "web", None, Some("num_words 12 < 50")),
            ("signal='num_words'\nmin=12\nmax=12", "web", None, None),
            ("signal='frac_digits'\nmax=0", "web", None, None),
            ("signal='mean_word_length'\nmax=4.2", "web", None, Some("mean_word_length 4.3333 > 4.2")),
            ("signal='num_words'\nmin=50\nsources=['books']", "web", None, None),
            ("signal='num_words'\nmin=50\nsources=['books','web']", "web", None, Some("num_words 12 < 50")),
            ("signal='num_words'\nmin=50\nlanguages=['de']", "web", None, None),
            ("signal='num_words'\nmin=50\nlanguages=['EN']", "web", None, Some("num_words 12 < 50")),
            ("signal='num_words'\nmin=50\nlanguages=['rust']", "web", Some("Rust"), Some("num_words 12 < 50")),
            ("signal='num_words'\nmin=50\ncode=true", "web", None, None),
            ("signal='num_words'\nmin=50\ncode=true", "web", Some("Rust"), Some("num_words 12 < 50")),
            ("signal='language'\nkeep=['en']", "web", None, None),
            ("signal='language'\nkeep=['de','fr']", "web", None, Some("language en is not kept")),
        ] {
            let document = document(text, source, language);
            let signals = measure(text, language);
            assert_eq!(read(filter).unwrap().drops(&document, &signals).as_deref(), reason, "{filter}");
        }
    }

    #[test]
    fn wrong_filters_are_refused_with_the_fix() {
        for (filter, part) in [
            ("signal='num_word'\nmin=1", "is \"num_words\" meant?"),
            ("signal='num_words'", "neither min nor max"),
            ("signal='num_words'\nmin=2\nmax=1", "min 2 of \"num_words\" is above its max 1"),
            ("signal='num_words'\nmin=nan", "NaN is no bound"),
            ("signal='num_words'\nmaximum=1", "unknown field `maximum`"),
            ("signal='num_words'\nmin=1\nkeep=['en']", "takes min or max"),
            ("signal='language'\nmin=1", "keep ="),
            ("signal='language'\nkeep=[]", "the languages to keep"),
        ] {
            let error = read(filter).unwrap_err();
            assert!(error.contains(part), "{filter}: {error}");
        }
    }

    #[test]
    fn filters_are_written_as_they_were_read() {
        let filter = read("signal = 'num_words'\nmin = 50\nmax = 100000\nlanguages = ['en']\ncode = false").unwrap();
        assert_eq!(filter.describe(), "num_words 50 to 100000 (not code; languages en)");
        assert_eq!(read(&toml::to_string(&filter).unwrap()).unwrap(), filter);
    }
}
