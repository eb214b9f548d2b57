//! What a recipe does to documents between reading and tokenising.

use crate::{
    DataError,
    near_duplicates::NearDuplicateOptions,
    signals::{Filter, pii::PiiKind},
};
use serde::{Deserialize, Serialize};

/// The table `[clean]` of a recipe. Exact duplicates are always dropped.
///
/// ```toml
/// [clean]
/// redact = ["email_address", "secret"]
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
    /// Kinds of personal data that are replaced by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<PiiKind>,
    /// Documents that do not pass all of these are dropped.
    #[serde(rename = "filter", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// Of documents that are nearly the same the first is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<NearDuplicateOptions>,
}

impl Clean {
    pub(crate) fn check(&self) -> Result<(), DataError> {
        self.near_duplicates.as_ref().map_or(Ok(()), NearDuplicateOptions::check)
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
