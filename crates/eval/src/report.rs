//! Results with their conditions, for people and for programs.

use crate::bits_per_byte::{FirstToken, TextResult};
use crate::estimate::Estimate;
use crate::suite_run::{CategoryResult, SuiteResult};
use crate::table::Table;
use crate::task_run::TaskResult;
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What only the caller knows of a measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The model's name or folder.
    pub model: String,
    /// [`crate::fingerprint_model`] of its folder.
    pub fingerprint: String,
    /// Processor or accelerator, and the path taken on it.
    pub machine: String,
    /// Version or commit of the program.
    pub version: String,
    /// The command line.
    pub command: String,
}

/// The conditions of every figure of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// What the caller said.
    #[serde(flatten)]
    pub origin: Origin,
    /// Fingerprint of the tokenizer.
    pub tokenizer: String,
    /// Number format of the multiplications.
    pub precision: String,
    /// Tokens of one sequence.
    pub context: usize,
    /// Rows of one pass.
    pub rows: usize,
}

/// Results under one set of conditions; there is no way to write one without the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How everything was measured.
    pub conditions: Conditions,
    /// Bits per byte.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<TextResult>,
    /// Single tasks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskResult>,
    /// Suites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suites: Vec<SuiteResult>,
}

impl Report {
    /// A report without results yet.
    pub fn new(conditions: Conditions) -> Self {
        Report { conditions, texts: Vec::new(), tasks: Vec::new(), suites: Vec::new() }
    }

    /// As JSON, over several lines.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has text keys and finite numbers")
    }

    /// As tables for a terminal.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        if !self.texts.is_empty() {
            text.push_str(&texts(&self.texts));
            text.push('\n');
        }
        if !self.tasks.is_empty() {
            let mut table = task_table();
            self.tasks.iter().for_each(|result| table.row(task_row(result, "")));
            text.push_str(&table.render());
            text.push_str(&task_notes(self.tasks.iter()));
            text.push('\n');
        }
        for result in &self.suites {
            text.push_str(&suite(result));
            text.push('\n');
        }
        text + &self.conditions.to_text()
    }
}

impl Conditions {
    /// As a few lines.
    pub fn to_text(&self) -> String {
        let Origin { model, fingerprint, machine, version, command } = &self.origin;
        format!(
            "model      {model} ({fingerprint})\ntokenizer  {}\nrun        {}, context {}, {} rows a pass\n\
             machine    {machine}\nversion    {version}\ncommand    {command}\n",
            self.tokenizer, self.precision, self.context, self.rows
        )
    }
}

/// Cells of a figure and its standard error.
fn estimate(estimate: Estimate) -> [String; 2] {
    let error = estimate.standard_error.map_or_else(|| "-".to_owned(), |error| format!("{error:.4}"));
    [format!("{:.4}", estimate.value), error]
}

fn texts(results: &[TextResult]) -> String {
    let mut table =
        Table::new(1, &["text", "documents", "bytes", "tokens", "bits/byte", "± s.e.", "nats/token", "perplexity"]);
    let mut notes = String::new();
    for result in results {
        let [value, error] = estimate(result.bits_per_byte);
        table.row(vec![
            result.name.clone(),
            result.documents.to_string(),
            result.bytes.to_string(),
            result.tokens.to_string(),
            value,
            error,
            format!("{:.4}", result.nats_per_token),
            format!("{:.3}", result.perplexity),
        ]);
        let start = match result.first_token {
            FirstToken::After(token) => format!("predicted from token {token}"),
            FirstToken::Uniform => "charged as drawn blindly".to_owned(),
        };
        let (name, window, stride) = (&result.name, result.window, result.stride);
        let altered = match result.altered_documents {
            0 => String::new(),
            n => format!("; the tokenizer ALTERS {n} documents, so their bytes are not all paid for"),
        };
        writeln!(notes, "{name}: windows of {window} tokens every {stride}; first tokens {start}{altered}")
            .expect("strings take what is written");
    }
    table.render() + &notes
}

fn task_table() -> Table {
    Table::new(2, &["task", "type", "shots", "rows", "accuracy", "± s.e.", "baseline", "rescaled", "± s.e."])
}

fn task_row(result: &TaskResult, indent: &str) -> Vec<String> {
    let [accuracy, error] = estimate(result.accuracy);
    let [rescaled, rescaled_error] = estimate(result.rescaled);
    let rows = match result.partial {
        true => format!("{} of {}", result.rows, result.rows_in_file),
        false => result.rows.to_string(),
    };
    vec![
        format!("{indent}{}", result.task.name),
        result.task.kind.to_string(),
        result.task.shots.to_string(),
        rows,
        accuracy,
        error,
        format!("{:.4}", result.baseline),
        rescaled,
        rescaled_error,
    ]
}

/// What a reader must know beside the figures.
fn task_notes<'r>(results: impl Iterator<Item = &'r TaskResult> + Clone) -> String {
    let mut notes = String::new();
    if results.clone().any(|result| result.partial) {
        notes.push_str("PARTIAL: rows were left out, so these are not the scores of the whole tasks.\n");
    }
    for result in results.filter(|result| result.truncated_prompts > 0) {
        let (name, cut, prompts) = (&result.task.name, result.truncated_prompts, result.prompts);
        writeln!(notes, "{name}: {cut} of {prompts} prompts were cut from the left to fit the context")
            .expect("strings take what is written");
    }
    notes
}

fn suite(result: &SuiteResult) -> String {
    let mut table = task_table();
    let mean = |name: &str, mean: Option<Estimate>| {
        let [value, error] = mean.map_or(["-".to_owned(), "-".to_owned()], estimate);
        let blank = || vec![String::new(); 6];
        [vec![name.to_owned()], blank(), vec![value, error]].concat()
    };
    for category in &result.categories {
        table.row(mean(&category.name, category.mean));
        category.tasks.iter().for_each(|result| table.row(task_row(result, "  ")));
    }
    table.row(mean(&format!("{} average", result.suite), result.average));
    let mut text = table.render() + &task_notes(result.categories.iter().flat_map(|category| &category.tasks));
    let incomplete = |category: &&CategoryResult| category.mean.is_none();
    for category in result.categories.iter().filter(incomplete) {
        writeln!(text, "{}: no mean, because tasks are absent:", category.name).expect("strings take what is written");
        for absent in &category.absent {
            writeln!(text, "  {}: {}", absent.task, absent.reason).expect("strings take what is written");
        }
    }
    text
}
