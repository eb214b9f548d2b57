//! The run directory: configuration, metrics, checkpoints, model and report of one training, and the lock that keeps a
//! second one out.

use crate::config::TrainConfig;
use crate::error::TrainError;
use moeworks_data::mds::replace_file;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A run's folder, locked while this lives.
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
    _lock: File,
}

impl Run {
    /// Opens or makes the folder of a configuration. With `fresh`, what an earlier training left there is deleted first.
    pub fn open(config: &TrainConfig, fresh: bool) -> Result<Self, TrainError> {
        let path = Path::new(&config.run.folder).join(&config.run.name);
        std::fs::create_dir_all(&path).map_err(TrainError::io(&path))?;
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(TrainError::io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(TrainError::Locked { path }),
            Err(std::fs::TryLockError::Error(e)) => return Err(TrainError::Io { path: lock_path, source: e }),
        }
        let run = Run { path, _lock: lock };
        if fresh {
            for old in [run.checkpoints(), run.model()].iter().filter(|p| p.exists()) {
                std::fs::remove_dir_all(old).map_err(TrainError::io(old))?;
            }
            for old in [run.metrics(), run.report(), run.results()].iter().filter(|p| p.exists()) {
                std::fs::remove_file(old).map_err(TrainError::io(old))?;
            }
        }
        Ok(run)
    }

    /// Writes the configuration into the folder, once it is known to fit what the folder holds.
    pub fn write_config(&self, config: &TrainConfig) -> Result<(), TrainError> {
        let text = toml::to_string_pretty(config).expect("a configuration is TOML");
        let file = self.path.join("config.toml");
        replace_file(&file, text.as_bytes()).map_err(TrainError::io(&file))
    }

    /// Whether a training holds this folder now.
    pub fn is_locked(path: &Path) -> bool {
        let lock = File::open(path.join("lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// Its name: the folder's.
    pub fn name(&self) -> String {
        self.path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// metrics.jsonl
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The exported model.
    pub fn model(&self) -> PathBuf {
        self.path.join("model")
    }

    /// report.html
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// results.json: what was measured after training.
    pub fn results(&self) -> PathBuf {
        self.path.join("results.json")
    }
}

/// The time, UTC, RFC 3339 to the second.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_training_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = TrainConfig::default();
        config.run.folder = dir.path().display().to_string();
        config.run.name = "one".into();
        let first = Run::open(&config, false).unwrap();
        assert!(matches!(Run::open(&config, false), Err(TrainError::Locked { .. })));
        drop(first);
        assert_eq!(Run::open(&config, false).unwrap().name(), "one");
    }
}
