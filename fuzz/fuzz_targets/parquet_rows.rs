//! Any bytes as a Parquet file of texts: rows or rejects, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::{RowFiles, Source, documents};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    std::fs::write(&path, bytes).unwrap();
    let rows = documents::open(&Source::Parquet(RowFiles::new(path))).unwrap();
    rows.take(1000).for_each(|row| drop(row.unwrap()));
});
