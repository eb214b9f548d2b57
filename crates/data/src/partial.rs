//! The folder of a build under way: `OUT.partial`, which becomes `OUT` when all is written.

use crate::{DataError, mds::sync_folder};
use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Says that the folder is an unfinished build, which the next build may remove; locked while one is at work.
const MARKER: &str = "BUILDING";

pub(crate) struct PartialFolder {
    out: PathBuf,
    partial: PathBuf,
    /// Whether `out` may hold a data set, which is then replaced.
    replace: bool,
    /// Holds the lock. `None` once the folder was renamed.
    marker: Option<File>,
}

impl PartialFolder {
    /// Refuses if `out` holds anything; clears what an interrupted build has left.
    pub(crate) fn create(out: &Path) -> Result<Self, DataError> {
        match fs::read_dir(out).map(|mut entries| entries.next().is_none()) {
            Ok(true) => {}
            Ok(false) => return Err(DataError::NotEmpty { path: out.into() }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(DataError::Write { path: out.into(), source }),
        }
        Self::beside(out, false)
    }

    /// What is in `out` stays until [`Self::complete`], and is gone then.
    pub(crate) fn replacing(out: &Path) -> Result<Self, DataError> {
        Self::beside(out, true)
    }

    fn beside(out: &Path, replace: bool) -> Result<Self, DataError> {
        let partial = sibling(out, ".partial");
        let failed = |source| DataError::Write { path: partial.clone(), source };
        if partial.exists() && !partial.join(MARKER).exists() {
            // Not a folder of ours: nothing of it is touched unless it is empty.
            fs::remove_dir(&partial).map_err(|_| DataError::NotEmpty { path: partial.clone() })?;
        }
        fs::create_dir_all(&partial).map_err(failed)?;
        let marker =
            File::options().create(true).truncate(false).write(true).open(partial.join(MARKER)).map_err(failed)?;
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataError::Busy { path: partial }),
            // A file system without locks: two builds at once are then up to the user.
            Err(TryLockError::Error(_)) => {}
        }
        let folder = Self { out: out.into(), partial: partial.clone(), replace, marker: Some(marker) };
        for entry in fs::read_dir(&partial).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name() == MARKER {
                continue;
            }
            let is_folder = entry.file_type().map_err(failed)?.is_dir();
            let removed = if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
            removed.map_err(failed)?;
        }
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives the folder its final name.
    pub(crate) fn complete(mut self) -> Result<(), DataError> {
        let complete = || {
            if self.replace && self.out.exists() {
                // The marker makes the old one a folder that may be cleared, once it has the name of the partial one.
                File::create(self.out.join(MARKER))?;
                exchange(&self.partial, &self.out)?;
                settle(&self.out)?;
                fs::remove_dir_all(&self.partial)?;
            } else {
                if self.out.exists() {
                    fs::remove_dir(&self.out)?; // empty, or this fails
                }
                fs::rename(&self.partial, &self.out)?;
                // Only now, so that a build killed at any moment leaves a folder that the next one knows as unfinished.
                settle(&self.out)?;
            }
            sync_folder(self.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
        };
        complete().map_err(DataError::writing(&self.out))?;
        self.marker = None;
        Ok(())
    }
}

impl Drop for PartialFolder {
    /// A build that fails leaves nothing behind.
    fn drop(&mut self) {
        if self.marker.is_some() {
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Takes the marker away from a folder that has its final name, and so is whole.
pub(crate) fn settle(out: &Path) -> io::Result<()> {
    match fs::remove_file(out.join(MARKER)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The path with something behind its name.
pub(crate) fn sibling(out: &Path, suffix: &str) -> PathBuf {
    let mut name = out.file_name().map_or_else(|| "data".into(), ToOwned::to_owned);
    name.push(suffix);
    out.with_file_name(name)
}

/// Two folders change names, at once where the system can: there is never a moment without `out`.
fn exchange(new: &Path, out: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, new, CWD, out, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    let old = sibling(out, ".old");
    fs::rename(out, &old)?;
    fs::rename(new, out)?;
    fs::rename(&old, new)
}
