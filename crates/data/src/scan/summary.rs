//! The figures of a scan: what `scan.json` holds and the page shows.

use super::{
    ends::Extreme,
    histogram::Histogram,
    tally::{Amount, FilterFound, Named, PiiFound, SuggestionFound},
};
use serde::Serialize;

/// What a scan has found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScanSummary {
    /// All documents.
    pub all: Amount,
    /// About how many tokens they are, at four bytes each.
    pub tokens_estimate: u64,
    /// Documents that quantiles and histograms are of: all, or an even sample of them.
    pub sampled: u64,
    /// Documents that are code.
    pub code: Amount,
    /// Documents in which personal data or secrets were found.
    pub with_pii: Amount,
    /// What the filters together would drop.
    pub dropped: Amount,
    /// By source, the largest first, as the lists below are.
    pub sources: Vec<Named>,
    /// By detected language; documents that are code are named after the language they state, or `CODE`.
    pub languages: Vec<Named>,
    /// By licence.
    pub licences: Vec<Named>,
    /// By kind.
    pub pii: Vec<PiiFound>,
    /// Each filter, in the order given.
    pub filters: Vec<FilterFound>,
    /// Thresholds that others have published.
    pub suggestions: Vec<SuggestionFound>,
    /// Each signal that is a number.
    pub signals: Vec<SignalFound>,
}

/// How one signal is distributed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignalFound {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub about: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// The least value of all documents; 0 if there are none.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// Quantiles of the sample, at 1, 5, 25, 50, 75, 95 and 99 in a hundred.
    pub quantiles: [f64; 7],
    /// Of the sample.
    pub histogram: Histogram,
    /// Documents with the least values, the least first.
    pub lowest: Vec<Extreme>,
    /// Documents with the greatest values, the greatest first.
    pub highest: Vec<Extreme>,
}

/// Where [`SignalFound::quantiles`] are.
pub(super) const QUANTILES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];
