//! Documents that hold parts of evaluation sets.

use flate2::{Compression, write::GzEncoder};
use moeworks_data::{
    DataError,
    decontaminate::{Benchmarks, Contamination, ContaminationReport, DecontaminationOptions},
};
use std::{fs, io::Write, path::PathBuf};

const LONG: &str =
    "The quick brown fox jumps over the lazy dog while seven wizards make toxic brew for the evil queen and Jack.";
const SHORT: &str = "What is the capital of the old kingdom?";

fn options() -> DecontaminationOptions {
    DecontaminationOptions::default()
}

fn benchmarks(rows: &[&[&str]]) -> Benchmarks {
    let rows = rows.iter().map(|texts| texts.iter().map(ToString::to_string).collect()).collect();
    Benchmarks::of_rows([("set", rows)], options()).unwrap()
}

/// Text of the overlaps.
fn overlaps(benchmarks: &Benchmarks, text: &str) -> Vec<String> {
    benchmarks.check(text).into_iter().map(|overlap| text[overlap.span].to_string()).collect()
}

fn check(benchmarks: &Benchmarks, documents: &[&str]) -> (Vec<u64>, ContaminationReport) {
    let mut contamination = Contamination::new(benchmarks);
    for (number, text) in documents.iter().enumerate() {
        contamination.add(number as u64, &format!("doc {number}"), text, &benchmarks.check(text));
    }
    let outcome = contamination.finish();
    assert!(outcome.dropped.iter().all(|(_, sets)| sets.contains(" row ")));
    (outcome.dropped.into_iter().map(|(number, _)| number).collect(), outcome.report)
}

#[test]
fn thirteen_words_in_any_dress_are_an_overlap() {
    let benchmarks = benchmarks(&[&[LONG]]);
    let thirteen = "jumps OVER\nthe lazy-dog; while (seven) wizards, make toxic brew for the";
    assert_eq!(overlaps(&benchmarks, &format!("So it {thirteen}, and so on.")), [thirteen]);
    for none in [
        "",
        "So it jumps over the lazy dog while seven wizards make toxic brew for a queen", // twelve
        "jumps over the lazy dog while seven wizards make toxic brew fort the evil queen",
        "queen evil the for brew toxic make wizards seven while dog lazy the over jumps",
    ] {
        assert_eq!(overlaps(&benchmarks, none), [""; 0], "{none}");
    }
    let hits = benchmarks.check(LONG);
    assert_eq!(hits.len(), LONG.split(' ').count() - 12);
    let hits = benchmarks.hits(&hits);
    assert_eq!((hits.len(), hits[0].benchmark, hits[0].ngrams, hits[0].first.start), (1, "set", 9, 0));
}

#[test]
fn short_strings_count_as_a_whole() {
    let benchmarks = benchmarks(&[&[SHORT, "yes"], &["What is the capital of the old town?"], &["too short"]]);
    let text = format!("Q: {SHORT} A: I do not know.");
    assert_eq!(overlaps(&benchmarks, &text), [SHORT.trim_end_matches('?')]);
    assert_eq!(overlaps(&benchmarks, SHORT), [SHORT.trim_end_matches('?')]);
    assert_eq!(overlaps(&benchmarks, "yes, too short. What is the capital of the old"), [""; 0]);
    let (dropped, report) = check(&benchmarks, &["nothing", &text]);
    assert_eq!(dropped, [1]);
    let set = &report.benchmarks[0];
    assert_eq!((set.rows, set.unusable_rows, set.contaminated_rows, set.documents), (3, 1, 1, 1));
    assert_eq!(set.contaminated_share, 0.5);
    assert_eq!((set.examples[0].document.as_str(), set.examples[0].row), ("doc 1", 1));
}

/// Strings of eight to twelve words that begin alike do not hide each other.
#[test]
fn strings_with_the_same_beginning_are_told_apart() {
    let strings = ["a b c d e f g h", "a b c d e f g h i", "a b c d e f g h i j k l", "a b c d e f g h x"];
    let rows: Vec<&[&str]> = strings.iter().map(std::slice::from_ref).collect();
    let benchmarks = benchmarks(&rows);
    let mut found = overlaps(&benchmarks, "0 a b c d e f g h i j k");
    found.sort();
    assert_eq!(found, ["a b c d e f g h", "a b c d e f g h i"]);
    let (_, report) = check(&benchmarks, &["a b c d e f g h x", "a b c d e f g h x"]);
    assert_eq!((report.benchmarks[0].contaminated_rows, report.benchmarks[0].documents), (2, 2));
}

#[test]
fn numbers_and_repetitions_are_not_looked_for() {
    let numbers = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14";
    let repeated = "hello world, hello world, hello world, hello world, hello world, hello world, hello world";
    let benchmarks =
        benchmarks(&[&[numbers, repeated, &numbers[..30]], &["one 2 three 4 five 6 seven 8 nine 10 11 12 13"]]);
    for text in [numbers, repeated] {
        assert_eq!(overlaps(&benchmarks, text), [""; 0]);
    }
    let (dropped, report) = check(&benchmarks, &[numbers, "one 2 three 4 five 6 seven 8 nine 10 11 12 13"]);
    assert_eq!((dropped, report.benchmarks[0].unusable_rows, report.benchmarks[0].contaminated_rows), (vec![1], 1, 1));
}

#[test]
fn common_phrases_are_reported_and_drop_nothing() {
    let benchmarks = benchmarks(&[&[LONG], &[SHORT]]);
    let licence = &LONG[..LONG.find(" make").unwrap() + " make toxic".len()]; // 14 words, two n-grams
    let mut documents = vec![licence; 11];
    documents.push(SHORT);
    documents.push(LONG);
    let (dropped, report) = check(&benchmarks, &documents);
    // The last one holds rarer n-grams besides.
    assert_eq!(dropped, [11, 12]);
    assert_eq!((report.documents, report.contaminated, report.common_phrases), (13, 2, 2));
    assert_eq!((report.common[0].documents, report.common[0].benchmarks.as_slice()), (12, &["set".to_string()][..]));
    assert!(LONG.contains(&report.common[0].text));
    assert_eq!(report.benchmarks[0].contaminated_rows, 2);
    assert!(
        report.benchmarks[0]
            .examples
            .iter()
            .all(|example| !report.common.iter().any(|phrase| phrase.text == example.text))
    );
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<ContaminationReport>(&json).unwrap(), report);
}

#[test]
fn files_are_read_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("inner")).unwrap();
    let row = serde_json::json!({"id": 1, "turns": [{"deep": LONG}], "answer": null}).to_string();
    fs::write(path("plain.jsonl"), format!("\u{feff}{row}\n\n{{\"text\": \"too short\"}}")).unwrap();
    let mut gz = GzEncoder::new(fs::File::create(path("inner/packed.jsonl.gz")).unwrap(), Compression::fast());
    gz.write_all(format!("{row}\n{row}\n").as_bytes()).unwrap();
    gz.finish().unwrap();
    fs::write(path("inner/z.jsonl.zst"), zstd::encode_all(row.as_bytes(), 1).unwrap()).unwrap();
    fs::write(path("notes.txt"), "not a set").unwrap();

    let benchmarks = Benchmarks::load(&[folder.path().into()], options()).unwrap();
    let (dropped, report) = check(&benchmarks, &[LONG]);
    assert_eq!(dropped, [0]);
    let sets: Vec<_> =
        report.benchmarks.iter().map(|set| (set.name.as_str(), set.rows, set.contaminated_rows)).collect();
    assert_eq!(sets, [("inner/packed", 2, 2), ("inner/z", 1, 1), ("plain", 2, 1)]);

    let single = Benchmarks::load(&[path("inner/z.jsonl.zst")], options()).unwrap();
    assert_eq!(single.hits(&single.check(LONG))[0].benchmark, "z");
}

#[test]
fn bad_sets_are_errors_that_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| -> Vec<PathBuf> {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        vec![path]
    };
    let load = |paths: &[PathBuf]| Benchmarks::load(paths, options()).unwrap_err();
    for (content, says) in [
        (&b"{\"a\": \"b\"}\n{\"a\": "[..], "row 2: EOF"),
        (b"{\"a\": \"\xff\"}", "row 1: invalid unicode"),
        (b"[1] 2", "row 1: trailing"),
    ] {
        let error = load(&write("bad.jsonl", content));
        assert!(matches!(error, DataError::Damaged { .. }) && error.to_string().contains(says), "{error}");
    }
    let error = load(&write("bad.jsonl.gz", b"no gzip"));
    assert!(matches!(error, DataError::Damaged { .. }), "{error}");
    fs::remove_file(folder.path().join("bad.jsonl.gz")).unwrap();
    assert!(matches!(load(&[folder.path().join("none")]), DataError::Missing { .. }));
    assert!(matches!(load(&write("text.txt", b"a")), DataError::Missing { .. }));
    let twice = [write("x.jsonl", b"1"), write("x.ndjson", b"2")].concat();
    assert!(load(&twice).to_string().contains("would both be called \"x\""));
    for (key, options) in [
        ("ngram_words", DecontaminationOptions { ngram_words: 0, ..options() }),
        ("least_words", DecontaminationOptions { least_words: 14, ..options() }),
        ("common_above", DecontaminationOptions { common_above: 0, ..options() }),
    ] {
        let error = Benchmarks::load(&write("x.jsonl", b"1"), options).unwrap_err().to_string();
        assert!(error.starts_with(key), "{error}");
    }
}
