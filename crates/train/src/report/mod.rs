//! The report of a training run: `report.html`, one self-contained page for people.
//!
//! The way of the data: [`ReportData::read`] takes in the run directory (and the data set's account), [`render`] makes
//! the page of it, [`write`] does both and puts the page into the run directory. What the page shows of one run in a
//! browser, [`sparkline`] and [`load_strip`] show in a terminal.
//!
//! Everything on the page goes through templates that escape it (`maud`); what a model or a stranger's file says is
//! text and never markup, and the page's own policy forbids scripts and connections besides.

mod conditions;
mod curve;
mod error;
mod experts;
mod foreign;
mod heat;
mod inputs;
mod lenient;
mod metrics;
mod numbers;
mod overview;
mod page;
mod plot;
mod samples;
mod sources;
mod terminal;
#[cfg(test)]
mod tests;
mod ticks;
mod training;

pub use error::ReportError;
pub use inputs::{Baseline, CONFIG_NAME, Completion, DataAccount, HeldOut, RESULTS_NAME, ReportData, Results, Score};
pub use metrics::{Event, METRICS_NAME, Metrics, Model, Sample, Start, Step, Validation};
pub use page::render;
pub use terminal::{load_strip, sparkline};

use moeworks_data::mds::replace_file;
use std::path::{Path, PathBuf};

/// Name of the report in a run directory.
pub const REPORT_NAME: &str = "report.html";

/// Writes the report of a run into its directory, whole or not at all, and returns its path.
///
/// `data` are the folders of its data sets, or the `data.json` in each.
///
/// # Errors
/// If the run has no step yet, a file of it is damaged, or the page cannot be written.
pub fn write(run: &Path, data: &[PathBuf]) -> Result<PathBuf, ReportError> {
    let page = render(&ReportData::read(run, data)?);
    let path = run.join(REPORT_NAME);
    replace_file(&path, page.as_bytes()).map_err(|source| ReportError::Write { path: path.clone(), source })?;
    Ok(path)
}
