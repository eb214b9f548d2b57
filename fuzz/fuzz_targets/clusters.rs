//! Any bytes as a file of clusters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::Clusters;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clusters");
    std::fs::write(&path, bytes).unwrap();
    if let Ok(clusters) = Clusters::read(&path) {
        assert!(clusters.members().all(|(document, cluster)| clusters.of(document) == Some(cluster)));
    }
});
