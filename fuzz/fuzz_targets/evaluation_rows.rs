//! Any bytes as the rows of an evaluation set, and as a document that is checked against it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::decontaminate::{Benchmarks, Contamination, DecontaminationOptions};

fuzz_target!(|input: (&[u8], &str)| {
    let (rows, text) = input;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, rows).unwrap();
    let options = DecontaminationOptions { ngram_words: 3, least_words: 2, common_above: 1 };
    let Ok(benchmarks) = Benchmarks::load(&[path], options) else { return };
    let overlaps = benchmarks.check(text);
    assert!(overlaps.iter().all(|overlap| text.get(overlap.span.clone()).is_some()));
    let mut contamination = Contamination::new(&benchmarks);
    contamination.add(0, "document", text, &overlaps);
    assert_eq!(contamination.finish().dropped.is_empty(), overlaps.is_empty());
});
