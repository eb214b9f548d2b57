//! Any bytes as a compressed shard whose index states its true size and no hash; the first byte chooses the compression.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::mds::{Dataset, ReaderOptions};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, shard)) = bytes.split_first() else { return };
    let compression = ["zstd", "gz", "br", "bz2", "snappy"][usize::from(first) % 5];
    let folder = tempfile::tempdir().unwrap();
    let file = format!("shard.00000.mds.{compression}");
    let index = serde_json::json!({"version": 2, "shards": [{
        "column_encodings": ["str"], "column_names": ["text"], "column_sizes": [null], "compression": compression,
        "format": "mds", "hashes": [], "raw_data": {"basename": "shard.00000.mds", "bytes": 200, "hashes": {}},
        "samples": 3, "size_limit": 67108864, "version": 2,
        "zip_data": {"basename": file, "bytes": shard.len(), "hashes": {}}}]});
    std::fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.path().join(file), shard).unwrap();
    if let Ok(set) = Dataset::open(folder.path(), ReaderOptions::default()) {
        let _ = set.get(0);
    }
});
