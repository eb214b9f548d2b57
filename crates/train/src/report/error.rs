//! What can keep a report from being written.

use std::path::{Path, PathBuf};

/// An error of the report. Every message names the file and the way out.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// There is no such run.
    #[error(
        "{path}: no such file; every run directory holds one. `moeworks runs ls` lists the runs there are, and \
         `moeworks train CONFIG` or `moeworks quickstart` makes one"
    )]
    Missing {
        /// The file looked for.
        path: PathBuf,
    },
    /// A run that has not made a step.
    #[error(
        "{path}: no training step in its {lines} lines ({unreadable} of them unreadable), so there is nothing to \
         report; let the run make its first step with `moeworks train {run}/config.toml`"
    )]
    NoSteps {
        /// The metrics.
        path: PathBuf,
        /// The run directory.
        run: String,
        /// Lines in it.
        lines: usize,
        /// Lines that are no record.
        unreadable: usize,
    },
    /// The system could not read a file.
    #[error("{path}: cannot read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that does not say what it should.
    #[error("{path}: {reason}; {fix}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, column and cause.
        reason: String,
        /// What to do.
        fix: &'static str,
    },
    /// The system could not write the report; what was there before is untouched.
    #[error("{path}: cannot write the report: {source}; free some space or check the permissions of the folder")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl ReportError {
    pub(super) fn reading(path: &Path, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Self::Missing { path: path.into() },
            _ => Self::Read { path: path.into(), source },
        }
    }
}
