//! A look at a corpus before it is built: every document's signals in a Parquet file, and a page that shows how they are
//! distributed, what lies at their ends, and what filters would drop.
//!
//! Memory does not grow with the number of documents: figures are summed as documents pass, distributions are those of an
//! even sample of 20,000, and the Parquet file is written in groups of rows.

mod ends;
mod excerpt;
mod histogram;
mod page;
mod sample;
mod summary;
mod table;
mod tally;

pub use ends::Extreme;
pub use excerpt::Example;
pub use histogram::Histogram;
pub use summary::{ScanSummary, SignalFound};
pub use table::ScanWriter;
pub use tally::{Amount, FilterFound, Named, PiiFound, SuggestionFound};

use crate::{
    DataError,
    account::NOT_STATED,
    documents::Document,
    partial::PartialFolder,
    signals::{Filter, SUGGESTIONS, Signals, pii::PiiKind},
};
use ends::Range;
use histogram::quantile;
use sample::Sample;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};
use tally::ByName;

/// The Parquet file of a scan's folder.
pub const SIGNALS_NAME: &str = "signals.parquet";
/// The figures.
pub const FIGURES_NAME: &str = "scan.json";
/// The page.
pub const PAGE_NAME: &str = "index.html";

/// A scan under way.
pub struct Scan {
    folder: PartialFolder,
    table: (PathBuf, ScanWriter<File>),
    all: Amount,
    code: Amount,
    with_pii: Amount,
    dropped: Amount,
    sources: ByName,
    languages: ByName,
    licences: ByName,
    pii: Vec<PiiFound>,
    filters: Vec<FilterFound>,
    suggestions: Vec<SuggestionFound>,
    sample: Sample,
    ranges: Vec<Range>,
}

impl Scan {
    /// Begins a scan whose folder appears, whole, when it is finished. The filters drop nothing yet; what they would is
    /// counted.
    ///
    /// # Errors
    /// If the folder exists and holds anything, or cannot be written.
    pub fn create(out: &Path, filters: &[Filter]) -> Result<Self, DataError> {
        let folder = PartialFolder::create(out)?;
        let path = folder.path().join(SIGNALS_NAME);
        let file = File::create(&path).map_err(DataError::writing(&path))?;
        let writer = ScanWriter::new(file).map_err(|error| DataError::writing(&path)(io::Error::other(error)))?;
        let suggestion = |suggestion: &crate::signals::Suggestion| SuggestionFound {
            source: suggestion.source,
            filter: suggestion.filter(),
            dropped: Amount::default(),
        };
        Ok(Self {
            folder,
            table: (path, writer),
            all: Amount::default(),
            code: Amount::default(),
            with_pii: Amount::default(),
            dropped: Amount::default(),
            sources: ByName::default(),
            languages: ByName::default(),
            licences: ByName::default(),
            pii: PiiKind::ALL.map(PiiFound::none).into(),
            filters: filters.iter().cloned().map(FilterFound::none).collect(),
            suggestions: SUGGESTIONS.iter().map(suggestion).collect(),
            sample: Sample::default(),
            ranges: Signals::NUMERIC.iter().map(|_| Range::default()).collect(),
        })
    }

    /// Adds a document and what [`crate::signals::measure`] says of it.
    ///
    /// # Errors
    /// If the Parquet file cannot be written.
    pub fn push(&mut self, document: &Document, signals: &Signals) -> Result<(), DataError> {
        let (path, writer) = &mut self.table;
        writer.push(document, signals).map_err(|error| DataError::writing(path)(io::Error::other(error)))?;
        self.all.add(signals);
        if signals.is_code {
            self.code.add(signals);
        }
        if !signals.pii.is_empty() {
            self.with_pii.add(signals);
            self.pii.iter_mut().for_each(|found| found.add(&document.text, signals));
        }
        let stated = document.language.as_deref().filter(|_| signals.is_code);
        self.languages.add(stated.unwrap_or(signals.language), signals);
        self.sources.add(&document.source, signals);
        self.licences.add(document.licence.as_deref().unwrap_or(NOT_STATED), signals);
        let mut is_kept = true;
        for filter in &mut self.filters {
            is_kept &= !filter.add(document, signals, is_kept);
        }
        if !is_kept {
            self.dropped.add(signals);
        }
        for suggestion in &mut self.suggestions {
            if suggestion.filter.drops(document, signals).is_some() {
                suggestion.dropped.add(signals);
            }
        }
        self.sample.add(document.id, signals);
        for (range, signal) in self.ranges.iter_mut().zip(Signals::NUMERIC) {
            range.add(signal.of(signals), document, signals);
        }
        Ok(())
    }

    /// Writes what is left, and gives the folder its name.
    ///
    /// # Errors
    /// If a file cannot be written; then there is no folder.
    pub fn finish(self) -> Result<ScanSummary, DataError> {
        let (path, writer) = self.table;
        let file = writer.finish().map_err(|error| DataError::writing(&path)(io::Error::other(error)))?;
        file.sync_all().map_err(DataError::writing(&path))?;
        let distribution = |(at, range): (usize, Range)| distribution(at, range, &self.sample, self.all.documents);
        let summary = ScanSummary {
            all: self.all,
            tokens_estimate: self.all.tokens_estimate(),
            sampled: self.sample.len() as u64,
            code: self.code,
            with_pii: self.with_pii,
            dropped: self.dropped,
            sources: self.sources.finish(),
            languages: self.languages.finish(),
            licences: self.licences.finish(),
            pii: self.pii,
            filters: self.filters,
            suggestions: self.suggestions,
            signals: self.ranges.into_iter().enumerate().map(distribution).collect(),
        };
        let figures = serde_json::to_string_pretty(&summary).map_err(io::Error::other);
        for (name, content) in [(FIGURES_NAME, figures), (PAGE_NAME, Ok(page::render(&summary)))] {
            let path = self.folder.path().join(name);
            let written = content.and_then(|content| {
                fs::write(&path, content)?;
                File::open(&path)?.sync_all()
            });
            written.map_err(DataError::writing(&path))?;
        }
        self.folder.complete()?;
        Ok(summary)
    }
}

fn distribution(at: usize, range: Range, sample: &Sample, documents: u64) -> SignalFound {
    let signal = &Signals::NUMERIC[at];
    let sorted = sample.sorted(at);
    let of_some = |value: f64| if documents == 0 { 0.0 } else { value };
    SignalFound {
        name: signal.name,
        about: signal.about,
        unit: signal.unit,
        min: of_some(range.min),
        max: of_some(range.max),
        mean: of_some(range.sum / documents as f64),
        quantiles: summary::QUANTILES.map(|part| quantile(&sorted, part)),
        histogram: Histogram::of(&sorted, signal.whole),
        lowest: range.lowest.finish(),
        highest: range.highest.finish(),
    }
}
