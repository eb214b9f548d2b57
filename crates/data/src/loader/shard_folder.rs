//! The folders that a loader reads, and what their accounts state.

use crate::{
    DataError, DataFolder,
    account::SUMMARY_NAME,
    finetune::{FINETUNE_NAME, FineTuneSummary},
    mds::{Dataset, ReaderOptions},
    pack::TRAIN,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder of tokenised shards: as [`crate::build`] or [`crate::finetune`] has written it, or plain MDS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardFolder {
    /// Folder of the shards themselves.
    pub shards: PathBuf,
    /// Fingerprint of the tokenizer and tokens of a sample, where there is an account that states them.
    pub stated: Option<(String, usize)>,
}

impl ShardFolder {
    /// Looks at a folder, and checks that its account and its shards belong together.
    ///
    /// # Errors
    /// If there is an account that is damaged, or does not belong to the shards.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        if folder.join(SUMMARY_NAME).exists() {
            let account = DataFolder::open(folder)?; // its indices belong to it
            let summary = account.summary();
            let stated = Some((summary.tokenizer.clone(), summary.sequence_length));
            return Ok(Self { shards: folder.join(TRAIN), stated });
        }
        let path = folder.join(FINETUNE_NAME);
        if !path.exists() {
            return Ok(Self { shards: folder.into(), stated: None });
        }
        let text = fs::read(&path).map_err(|error| DataError::reading(&path, error))?;
        let damaged = |reason| DataError::Damaged { path: path.clone(), reason };
        let summary: FineTuneSummary =
            serde_json::from_slice(&text).map_err(|error| damaged(format!("is no account of a data set: {error}")))?;
        let shards = folder.join(TRAIN);
        let found = Dataset::open(&shards, ReaderOptions::default())?.fingerprint().to_owned();
        if found != summary.train {
            let stated = &summary.train;
            return Err(damaged(format!(
                "is of shards with fingerprint {stated}, but {TRAIN} has {found}: pack it again"
            )));
        }
        Ok(Self { shards, stated: Some((summary.tokenizer, summary.sequence_length)) })
    }
}
