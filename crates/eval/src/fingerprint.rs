//! Which file, and which model, a figure was measured with.

use crate::error::EvalError;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// XXH3-128 of a file's bytes as they lie on disk, in hexadecimal. Tells files apart; no protection against forgery.
pub fn fingerprint_file(path: &Path) -> Result<String, EvalError> {
    let mut hash = Xxh3::new();
    add(&mut hash, path)?;
    Ok(format!("{:032x}", hash.digest128()))
}

/// XXH3-128 over name, length and bytes of a model directory's config.json and weight files, in hexadecimal.
pub fn fingerprint_model(dir: &Path) -> Result<String, EvalError> {
    let entries = std::fs::read_dir(dir).map_err(|source| EvalError::reading(dir, source))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| EvalError::reading(dir, source))?.path();
        if path.file_name().is_some_and(|name| name == "config.json")
            || path.extension().is_some_and(|extension| extension == "safetensors")
        {
            files.push(path);
        }
    }
    files.sort();
    let mut hash = Xxh3::new();
    for file in &files {
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        hash.update(&(name.len() as u64).to_le_bytes());
        hash.update(name);
        let length = add(&mut hash, file)?;
        hash.update(&length.to_le_bytes());
    }
    Ok(format!("{:032x}", hash.digest128()))
}

/// Hashes a file's bytes and returns their number.
fn add(hash: &mut Xxh3, path: &Path) -> Result<u64, EvalError> {
    let failed = |source| EvalError::reading(path, source);
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(length),
            Ok(n) => {
                hash.update(&buffer[..n]);
                length += n as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_configuration_decide() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| std::fs::write(dir.path().join(name), content).unwrap();
        write("config.json", "{}");
        write("model.safetensors", "weights");
        let before = fingerprint_model(dir.path()).unwrap();
        assert_eq!(before.len(), 32);
        write("README.md", "words");
        assert_eq!(fingerprint_model(dir.path()).unwrap(), before);
        write("model.safetensors", "Weights");
        assert_ne!(fingerprint_model(dir.path()).unwrap(), before);
        write("model.safetensors", "weights");
        write("config.json", "{ }");
        assert_ne!(fingerprint_model(dir.path()).unwrap(), before);
        // XXH3-128 of nothing, as the algorithm's specification gives it.
        write("empty", "");
        assert_eq!(fingerprint_file(&dir.path().join("empty")).unwrap(), "99aa06d3014798d86001c324468d497f");
        assert!(fingerprint_file(&dir.path().join("none")).unwrap_err().to_string().contains("no such file"));
    }
}
