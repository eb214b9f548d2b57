use crate::mds::MdsError;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What can go wrong on the way from documents to batches.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A data set of shards cannot be read or written.
    #[error(transparent)]
    Mds(#[from] MdsError),
    /// Something that was named is not there.
    #[error("{path} is missing: {fix}")]
    Missing {
        /// The place looked at.
        path: PathBuf,
        /// What to do about it.
        fix: String,
    },
    /// The operating system refused to read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The operating system refused to write.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A recipe, or another setting, has a value that cannot be.
    #[error("{key}: {reason}")]
    Recipe {
        /// The key, or the recipe's file.
        key: String,
        /// What is wrong, and what is allowed.
        reason: String,
    },
    /// The recipe gives no documents, or too few.
    #[error("{0}")]
    TooLittle(String),
    /// The output folder already holds something.
    #[error("{path} is not empty, and a data set never overwrites one: choose another folder or remove this one")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Another build is writing to the same place.
    #[error("{path} is being written by another build: wait for it, or choose another output folder")]
    Busy {
        /// The folder of the unfinished build.
        path: PathBuf,
    },
    /// A built folder contradicts itself.
    #[error("{path}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, with both figures that disagree.
        reason: String,
    },
    /// The tokenizer cannot be used for building.
    #[error("tokenizer: {0}")]
    Encoder(String),
    /// A loader's saved state does not belong to this data or these settings.
    #[error("the saved position of the data does not fit: {what} was {saved}, now it is {now}; {fix}")]
    State {
        /// What differs.
        what: &'static str,
        /// Its value when the state was saved.
        saved: String,
        /// Its value now.
        now: String,
        /// What to do about it.
        fix: String,
    },
    /// The caller asked to stop; nothing unfinished was left behind.
    #[error("interrupted; {path} was not written, the same command goes on with the steps that were finished")]
    Interrupted {
        /// The output folder.
        path: PathBuf,
    },
}

/// The kind of a fault, for those who turn it into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The input is not what it should be.
    BadData,
    /// An input is not there.
    MissingInput,
    /// The output cannot be made.
    CannotWrite,
    /// Reading failed.
    Io,
    /// Stopped on request.
    Interrupted,
    /// A setting cannot be.
    BadConfiguration,
}

impl DataError {
    /// An error about reading a path; one that is not there becomes [`Self::Missing`].
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            Self::Missing { path: path.into(), fix: "check the path".into() }
        } else {
            Self::Read { path: path.into(), source }
        }
    }

    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    pub(crate) fn interrupted() -> Self {
        Self::Interrupted { path: "the data set".into() }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Mds(MdsError::Missing { .. }) | Self::Missing { .. } => Fault::MissingInput,
            Self::Mds(MdsError::Read { .. }) | Self::Read { .. } => Fault::Io,
            Self::Mds(MdsError::Write { .. } | MdsError::NotEmpty { .. })
            | Self::Write { .. }
            | Self::NotEmpty { .. }
            | Self::Busy { .. } => Fault::CannotWrite,
            Self::Mds(MdsError::Options(_)) | Self::Recipe { .. } | Self::Encoder(_) | Self::State { .. } => {
                Fault::BadConfiguration
            }
            Self::Mds(_) | Self::TooLittle(_) | Self::Damaged { .. } => Fault::BadData,
            Self::Interrupted { .. } => Fault::Interrupted,
        }
    }
}
