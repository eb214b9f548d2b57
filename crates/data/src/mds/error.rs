use std::{io, path::PathBuf};

/// What can be wrong with an MDS folder, or with an attempt to write one.
#[derive(Debug, thiserror::Error)]
pub enum MdsError {
    /// A file that has to be there is not.
    #[error("{path} is missing: {fix}")]
    Missing {
        /// The file looked for.
        path: PathBuf,
        /// What to do about it.
        fix: String,
    },
    /// The operating system refused to read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The operating system refused to write.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// `index.json` is not what the format says.
    #[error("{path}: {reason}")]
    Index {
        /// The index file.
        path: PathBuf,
        /// What is wrong, with the shard's number where there is one.
        reason: String,
    },
    /// A shard does not agree with the index or with itself.
    #[error("shard {path}: {reason}; restore this file from a copy, or build the data set again")]
    Shard {
        /// The shard file.
        path: PathBuf,
        /// What is wrong, with both figures that disagree.
        reason: String,
    },
    /// One sample of a shard cannot be read.
    #[error("shard {path}, sample {sample}: {reason}; restore this file from a copy, or build the data set again")]
    Sample {
        /// The shard file.
        path: PathBuf,
        /// Number of the sample in this shard.
        sample: u64,
        /// What is wrong.
        reason: String,
    },
    /// A sample number beyond the end of the data set.
    #[error("sample {sample} asked for, but {path} holds {samples} samples")]
    OutOfRange {
        /// Number asked for.
        sample: u64,
        /// Number of samples there are.
        samples: u64,
        /// The folder.
        path: PathBuf,
    },
    /// A legal part of the format that this program does not read or write.
    #[error("unsupported {what} {name:?}: {fix}")]
    Unsupported {
        /// "encoding", "compression" or "hash".
        what: &'static str,
        /// As it was spelt.
        name: String,
        /// What can be used instead.
        fix: String,
    },
    /// The output folder already holds something.
    #[error("{path} is not empty, and a data set never overwrites one: choose another folder or remove this one")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A value does not fit the column it is written to, or the shard it should go to.
    #[error("cannot write sample {sample}, column {column:?}: {reason}")]
    Value {
        /// Number of the sample in the data set being written.
        sample: u64,
        /// The column.
        column: String,
        /// What is wrong.
        reason: String,
    },
    /// The options of a writer contradict themselves or the format.
    #[error("writer options: {0}")]
    Options(String),
}
