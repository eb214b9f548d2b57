//! Steps whose results are kept, so that a step whose inputs did not change is not run again.
//!
//! The result of a step is a folder `NAME-KEY`, the key a hash of all that decides what is in it. It appears whole or
//! not at all, so a build that was killed goes on with the steps that it had finished. Everything here can be deleted
//! at any time; it is only made again.

use crate::{DataError, mds::HashAlgorithm, partial::PartialFolder};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Results of steps, in one folder.
#[derive(Debug)]
pub(crate) struct Steps {
    folder: PathBuf,
    used: BTreeSet<String>,
}

/// Says what decides the result of a step.
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// `version` changes whenever the code of the step gives other results.
    pub(crate) fn of(step: &str, version: u32) -> Self {
        Self(Vec::new()).and(&(step, version))
    }

    pub(crate) fn and(mut self, part: &impl Serialize) -> Self {
        // `Recipe::check` has refused what has no form in JSON.
        let text = serde_json::to_vec(part).unwrap_or_default();
        self.0.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.0.extend_from_slice(&text);
        self
    }

    pub(crate) fn hex(&self) -> String {
        let mut digest = HashAlgorithm::Sha256.hex(&self.0);
        digest.truncate(24);
        digest
    }
}

impl Steps {
    pub(crate) fn open(folder: &Path) -> Self {
        Self { folder: folder.into(), used: BTreeSet::new() }
    }

    /// The folder of a step's result; `make` fills it if it is not there yet.
    pub(crate) fn result(
        &mut self,
        name: &str,
        key: &Key,
        make: impl FnOnce(&Path) -> Result<(), DataError>,
    ) -> Result<PathBuf, DataError> {
        let name = format!("{}-{}", plain(name), key.hex());
        let path = self.folder.join(&name);
        self.used.insert(name);
        if !path.exists() {
            let partial = PartialFolder::create(&path)?;
            make(partial.path())?;
            partial.complete()?;
        }
        Ok(path)
    }

    /// Deletes the results that no step of this recipe has asked for.
    pub(crate) fn delete_unused(&self) -> Result<(), DataError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(DataError::writing(&self.folder))?,
        };
        for entry in entries {
            let entry = entry.map_err(DataError::writing(&self.folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Folders of another kind are not ours, and one that is being written belongs to another build.
            if is_result(&name) && !self.used.contains(&name) {
                fs::remove_dir_all(entry.path()).map_err(DataError::writing(&entry.path()))?;
            }
        }
        Ok(())
    }
}

/// Letters, digits and dashes only, and not many of them: names of sources are free texts.
fn plain(name: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.chars().take(40).map(keep).collect()
}

fn is_result(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(_, key)| key.len() == 24 && key.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(part: &str) -> Key {
        Key::of("test", 1).and(&part)
    }

    #[test]
    fn a_result_is_made_once_and_a_failed_one_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut made = 0;
        for part in ["a", "a", "b", "a"] {
            let mut steps = Steps::open(folder.path());
            let path = steps
                .result("read a/b", &key(part), |folder| {
                    made += 1;
                    fs::write(folder.join("x"), part).map_err(DataError::writing(folder))
                })
                .unwrap();
            assert_eq!(fs::read_to_string(path.join("x")).unwrap(), part);
            assert!(path.file_name().unwrap().to_str().unwrap().starts_with("read-a-b-"));
        }
        assert_eq!(made, 2);
        let fail = |_: &Path| Err(DataError::TooLittle("no".into()));
        assert!(Steps::open(folder.path()).result("bad", &key("c"), fail).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_results_that_nobody_uses_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let make = |part: &str| {
            let mut steps = Steps::open(folder.path());
            steps.result("step", &key(part), |_| Ok(())).unwrap();
            steps
        };
        make("old");
        fs::create_dir(folder.path().join("mine")).unwrap();
        fs::create_dir(folder.path().join(format!("{}.partial", "step-0123456789abcdef01234567"))).unwrap();
        make("new").delete_unused().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        Steps::open(&folder.path().join("none")).delete_unused().unwrap();
    }
}
