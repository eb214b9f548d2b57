//! Files: reading at an offset without moving a cursor, and writing that happens wholly or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// A file that many threads read at offsets of their choice.
#[derive(Debug)]
pub(crate) struct RandomAccessFile {
    file: File,
    #[cfg(not(unix))]
    cursor: std::sync::Mutex<()>,
}

impl RandomAccessFile {
    pub(crate) fn new(file: File) -> Self {
        Self {
            file,
            #[cfg(not(unix))]
            cursor: std::sync::Mutex::new(()),
        }
    }

    /// Fills `buffer` from `offset` on, or fails if the file ends before.
    pub(crate) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        #[cfg(unix)]
        {
            std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
        }
        #[cfg(not(unix))]
        {
            use std::io::{Read, Seek, SeekFrom};
            let _cursor = self.cursor.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            (&self.file).seek(SeekFrom::Start(offset))?;
            (&self.file).read_exact(buffer)
        }
    }
}

/// Writes `path` so that it holds either what it held before or all of `content`: a temporary file in the same
/// folder is written, synced and renamed.
///
/// # Errors
/// Whatever the operating system reports; the temporary file is then removed.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Makes the names in a folder durable. Systems without such a call (Windows) need none.
///
/// # Errors
/// Whatever the operating system reports.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
