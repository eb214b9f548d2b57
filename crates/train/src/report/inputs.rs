//! Everything a report is made of, read from the run directory and the data set's folder.

use super::{METRICS_NAME, Metrics, ReportError, lenient};
use moeworks_data::{DataFolder, SUMMARY_NAME, Summary, Work};
use serde::Deserialize;
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Name of the resolved configuration in a run directory.
pub const CONFIG_NAME: &str = "config.toml";

/// Name of the results in a run directory.
pub const RESULTS_NAME: &str = "results.json";

/// The inputs of a report.
#[derive(Clone, Debug, Default)]
pub struct ReportData {
    /// Name of the run directory; the name the run gives itself goes before it.
    pub name: String,
    /// `metrics.jsonl`.
    pub metrics: Metrics,
    /// `results.json`, where the run was evaluated.
    pub results: Option<Results>,
    /// `config.toml` as it is, where there is one.
    pub config: Option<String>,
    /// The data sets whose folders were given.
    pub data: Vec<DataAccount>,
}

/// What was measured after training, and how.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Results {
    /// Bits per byte on documents that were not trained on.
    pub held_out: Option<HeldOut>,
    /// Texts of the finished model.
    pub completions: Vec<Completion>,
    /// The command line.
    pub command: Option<String>,
    /// The machine.
    pub machine: Option<String>,
    /// Wall-clock time of the command.
    pub seconds: Option<f64>,
}

/// A comparison on held-out documents.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HeldOut {
    /// Bytes of their text.
    pub bytes: Option<u64>,
    /// Their number.
    pub documents: Option<u64>,
    /// Their tokens.
    pub tokens: Option<u64>,
    /// The model's result.
    pub model: Score,
    /// What others reach on the same bytes.
    pub baselines: Vec<Baseline>,
}

/// Bits per byte of the model.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct Score {
    /// Lower is better.
    #[serde(deserialize_with = "lenient::number")]
    pub bits_per_byte: f64,
    /// Over documents.
    pub standard_error: Option<f64>,
}

impl Default for Score {
    fn default() -> Self {
        Self { bits_per_byte: f64::NAN, standard_error: None }
    }
}

/// Bits per byte of something else.
#[derive(Clone, Debug, Deserialize)]
pub struct Baseline {
    /// What it is.
    pub name: String,
    /// Lower is better.
    #[serde(deserialize_with = "lenient::number")]
    pub bits_per_byte: f64,
}

/// A prompt and how the model went on.
#[derive(Clone, Debug, Deserialize)]
pub struct Completion {
    /// What it was given.
    pub prompt: String,
    /// How it went on.
    pub text: String,
}

/// A data set's account and the list that attribution needs.
#[derive(Clone, Debug)]
pub struct DataAccount {
    /// Its folder.
    pub folder: PathBuf,
    /// `data.json`.
    pub summary: Summary,
    /// Packages and folders with their licences, or why they could not be listed: the account outlives the shards.
    pub works: Result<Vec<Work>, String>,
}

impl ReportData {
    /// Reads a run directory and the folders of its data sets, or the `data.json` in each.
    ///
    /// # Errors
    /// If the metrics are missing or hold no step, or a file that is there is damaged.
    pub fn read(run: &Path, data: &[PathBuf]) -> Result<Self, ReportError> {
        let metrics = Metrics::open(&run.join(METRICS_NAME))?;
        let results = optional(&run.join(RESULTS_NAME))?;
        let config = optional(&run.join(CONFIG_NAME))?;
        let results = results.map(|text| parse(&run.join(RESULTS_NAME), &text, RESULTS_FIX)).transpose()?;
        let absolute = fs::canonicalize(run).unwrap_or_else(|_| run.into());
        let name = absolute.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
        let config = config.map(|text| String::from_utf8_lossy(&text).into_owned());
        let data = data.iter().map(|path| DataAccount::read(path)).collect::<Result<_, _>>()?;
        Ok(Self { name, metrics, results, config, data })
    }
}

const RESULTS_FIX: &str = "remove the file for a report without results, or run the evaluation again";

impl DataAccount {
    /// Reads the account in a folder, given the folder or the account in it.
    ///
    /// # Errors
    /// If the account is missing or damaged.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let folder = if path.ends_with(SUMMARY_NAME) { path.parent().unwrap_or(Path::new("")) } else { path };
        let file = folder.join(SUMMARY_NAME);
        let fix = "give the folder of a data set that `moeworks data build` wrote";
        let text = fs::read(&file).map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => {
                ReportError::Damaged { path: file.clone(), reason: "no such file".into(), fix }
            }
            _ => ReportError::Read { path: file.clone(), source: error },
        })?;
        let summary = parse(&file, &text, fix)?;
        let works = DataFolder::open(folder).and_then(|folder| folder.works()).map_err(|error| error.to_string());
        Ok(Self { folder: folder.into(), summary, works })
    }
}

fn optional(path: &Path) -> Result<Option<Vec<u8>>, ReportError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReportError::Read { path: path.into(), source }),
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &[u8], fix: &'static str) -> Result<T, ReportError> {
    serde_json::from_slice(text).map_err(|error| ReportError::Damaged {
        path: path.into(),
        reason: error.to_string(),
        fix,
    })
}
