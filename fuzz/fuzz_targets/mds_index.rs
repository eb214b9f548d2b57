//! Any bytes as index.json of an MDS folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::mds::{Dataset, ReaderOptions};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.json"), bytes).unwrap();
    std::fs::write(folder.path().join("shard.00000.mds"), [0; 64]).unwrap();
    if let Ok(set) = Dataset::open(folder.path(), ReaderOptions::default()) {
        let _ = set.get(0);
        let _ = set.verify(|_| {});
    }
});
