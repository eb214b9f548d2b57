//! Any bytes as a shard whose index states its true size and no hash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::mds::{Dataset, ReaderOptions};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let index = serde_json::json!({"version": 2, "shards": [{
        "column_encodings": ["ndarray:int32", "str", "int"], "column_names": ["tokens", "text", "n"],
        "column_sizes": [null, null, 8], "compression": null, "format": "mds", "hashes": [],
        "raw_data": {"basename": "shard.00000.mds", "bytes": bytes.len(), "hashes": {}},
        "samples": 3, "size_limit": 67108864, "version": 2, "zip_data": null}]});
    std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.path().join("shard.00000.mds"), bytes).unwrap();
    if let Ok(set) = Dataset::open(folder.path(), ReaderOptions::default()) {
        (0..set.len().min(8)).for_each(|i| drop(set.get(i)));
    }
});
