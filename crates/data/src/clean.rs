//! What a recipe does to documents between reading and tokenising.

use crate::{
    DataError,
    decontaminate::DecontaminationOptions,
    near_duplicates::NearDuplicateOptions,
    repair::RepairOptions,
    signals::{Filter, pii::PiiKind},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The table `[clean]` of a recipe. Exact duplicates are always dropped.
///
/// ```toml
/// [clean]
/// repair = {}
/// redact = ["email_address", "secret"]
///
/// [clean.decontaminate]
/// evaluation_sets = ["eval-data"]
///
/// [clean.near_duplicates]
/// jaccard = 0.85
///
/// [[clean.filter]]
/// signal = "num_words"
/// min = 50
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clean {
    /// Texts are repaired: wrong encodings, control and invisible characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<RepairOptions>,
    /// Kinds of personal data that are replaced by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<PiiKind>,
    /// Documents that do not pass all of these are dropped.
    #[serde(rename = "filter", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// Documents that hold parts of evaluation sets are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decontaminate: Option<Decontaminate>,
    /// Of documents that are nearly the same the first is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<NearDuplicateOptions>,
}

/// Against which evaluation sets, and what counts as an overlap; the figures as in [`DecontaminationOptions`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decontaminate {
    /// Files of JSON lines, or folders of them, optionally .gz or .zst.
    pub evaluation_sets: Vec<PathBuf>,
    /// Words of an n-gram.
    #[serde(default = "defaults::ngram_words")]
    pub ngram_words: usize,
    /// Words that a shorter string must have.
    #[serde(default = "defaults::least_words")]
    pub least_words: usize,
    /// Documents beyond which an n-gram is a common phrase.
    #[serde(default = "defaults::common_above")]
    pub common_above: u64,
}

mod defaults {
    use crate::decontaminate::DecontaminationOptions as Options;

    pub(super) fn ngram_words() -> usize {
        Options::default().ngram_words
    }

    pub(super) fn least_words() -> usize {
        Options::default().least_words
    }

    pub(super) fn common_above() -> u64 {
        Options::default().common_above
    }
}

impl Decontaminate {
    pub(crate) fn options(&self) -> DecontaminationOptions {
        let Self { ngram_words, least_words, common_above, .. } = *self;
        DecontaminationOptions { ngram_words, least_words, common_above }
    }
}

impl Clean {
    pub(crate) fn check(&self) -> Result<(), DataError> {
        if let Some(settings) = &self.decontaminate {
            settings.options().check()?;
            if settings.evaluation_sets.is_empty() {
                let reason = "names no file or folder; leave the table out to check nothing".into();
                return Err(DataError::Recipe { key: "clean.decontaminate.evaluation_sets".into(), reason });
            }
        }
        self.near_duplicates.as_ref().map_or(Ok(()), NearDuplicateOptions::check)
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
