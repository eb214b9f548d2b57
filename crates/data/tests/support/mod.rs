//! What the integration tests share. Each of them uses a part of it.
#![allow(dead_code)]

use moeworks_data::{DataError, Document, Encoder, Recipe, Reject, Source, documents};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder of the shared reference data; `None`, said loudly, where this checkout has none.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MOEWORKS_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    let path = root.join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there; set MOEWORKS_SHARED to the folder that holds it", path.display());
    None
}

/// Bytes as ids, 256 at the end of a document.
pub(crate) struct ByteEncoder;

pub(crate) const END: i32 = 256;

impl Encoder for ByteEncoder {
    fn encode(&self, text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    fn start_of_document(&self) -> Option<u32> {
        None
    }

    fn end_of_document(&self) -> Option<u32> {
        Some(256)
    }

    fn vocab_size(&self) -> usize {
        257
    }

    fn fingerprint(&self) -> String {
        "bytes".into()
    }
}

/// Writes files below a folder.
pub(crate) fn plant(folder: &Path, files: &[(&str, &[u8])]) {
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Everything that a source yields.
pub(crate) fn read(source: &Source) -> Result<(Vec<Document>, Vec<Reject>), DataError> {
    let (mut found, mut rejects) = (Vec::new(), Vec::new());
    for item in documents::open(source)? {
        match item? {
            documents::Found::Document(document) => found.push(document),
            documents::Found::Reject(reject) => rejects.push(reject),
        }
    }
    Ok((found, rejects))
}

/// A folder of `count` different texts.
pub(crate) fn plant_texts(folder: &Path, count: usize) {
    let files: Vec<(String, String)> = (0..count)
        .map(|n| (format!("d{}/t{n:04}.txt", n % 3), format!("text number {n} ").repeat(1 + n % 7)))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (path.as_str(), text.as_bytes())).collect();
    plant(folder, &files);
}

/// A recipe over one folder of texts.
pub(crate) fn recipe(folder: &Path) -> Recipe {
    Recipe {
        sequence_length: 32,
        held_out: 0.1,
        seed: 5,
        sources: vec![Source::at(folder).unwrap()],
        ..Recipe::default()
    }
}
