//! A scan from documents to its three files.

use moeworks_data::{
    DataError, Document, DocumentId,
    scan::{FIGURES_NAME, PAGE_NAME, SIGNALS_NAME, Scan, ScanSummary},
    signals::{Filter, Signals, measure},
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row, RowAccessor},
};
use std::{fs, fs::File, path::Path};

fn document(path: &str, text: &str, licence: Option<&str>, language: Option<&str>) -> Document {
    Document {
        id: DocumentId::of(text),
        text: text.into(),
        source: "made".into(),
        path: path.into(),
        licence: licence.map(Into::into),
        language: language.map(Into::into),
    }
}

/// Prose, code, noise, and documents that try to break out of the page.
fn documents() -> Vec<Document> {
    let prose = "The keeper of the light climbed the stairs every evening with a lamp and a book. When the fog came in, he \
                 listened to the sea, and that was the better story of the two. Nobody asked him which one he meant. ";
    let code =
        "fn add(a: u32, b: u32) -> u32 {\n    a + b\n}\n\n/// Nothing else.\nfn main() {\n    let x = add(1, 2);\n}\n";
    let mut documents = vec![
        document("letters/1.txt", "Write to ada@example.org or call +44 20 7946 0958 today.", Some("CC0-1.0"), None),
        document("<img src=x>", "</pre><script>alert(1)</script> \u{202e} & \"quotes\"", Some("<b>MIT</b>"), None),
        document("keys.env", "password = \"zq81LmT0kX\"\n", None, None),
        document("repeat.txt", &"buy now! ".repeat(80), None, None),
        document("leer.txt", "\n", None, None),
        document("main.rs", code, Some("Apache-2.0"), Some("Rust")),
    ];
    for number in 1..40 {
        let text = format!("Chapter {number}. {}", prose.repeat(1 + number % 3));
        documents.push(document(&format!("book.txt#{number}"), &text, Some("CC-BY-4.0"), Some("en")));
    }
    documents
}

fn scan(out: &Path, filters: &[Filter]) -> ScanSummary {
    let mut scan = Scan::create(out, filters).unwrap();
    for document in documents() {
        scan.push(&document, &measure(&document.text, document.language.as_deref())).unwrap();
    }
    scan.finish().unwrap()
}

fn filters() -> Vec<Filter> {
    vec![
        Filter::new("num_words", Some(20.0), None).unwrap().only_code(false),
        Filter::new("frac_duplicate_ngrams", None, Some(0.5)).unwrap(),
    ]
}

#[test]
fn a_scan_counts_what_filters_would_drop() {
    let folder = tempfile::tempdir().unwrap();
    let summary = scan(&folder.path().join("scan"), &filters());
    assert_eq!(summary.all.documents, 45);
    assert_eq!(summary.all.bytes, documents().iter().map(|document| document.text.len() as u64).sum::<u64>());
    let dropped: Vec<_> =
        summary.filters.iter().map(|found| (found.dropped.documents, found.first.documents)).collect();
    // Three short ones that are not code; the repeated advertisement and the chapters that say the same three times.
    assert_eq!(dropped, [(3, 3), (14, 14)]);
    assert_eq!(summary.dropped.documents, 17);
    assert_eq!(summary.filters[0].examples[0].0, "num_words 10 < 20");
    // An assignment alone is code, too.
    assert_eq!((summary.code.documents, summary.with_pii.documents), (2, 2));
    let languages: Vec<_> = summary.languages.iter().map(|named| named.name.as_str()).collect();
    assert!(languages.contains(&"en") && languages.contains(&"Rust") && languages.contains(&"TOO_SHORT"));
    for found in &summary.signals {
        assert_eq!(found.histogram.counts.iter().sum::<u64>(), 45, "{}", found.name);
        assert!(found.lowest[0].value == found.min && found.highest[0].value == found.max, "{}", found.name);
        assert!(found.quantiles.is_sorted(), "{}", found.name);
    }
}

#[test]
fn the_table_holds_every_document_and_its_spans() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("scan");
    scan(&out, &[]);
    let reader = SerializedFileReader::new(File::open(out.join(SIGNALS_NAME)).unwrap()).unwrap();
    let rows: Vec<Row> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    let documents = documents();
    assert_eq!(rows.len(), documents.len());
    for (row, document) in rows.iter().zip(&documents) {
        let signals = measure(&document.text, document.language.as_deref());
        let named = |name: &str| row.get_column_iter().find(|(column, _)| *column == name).unwrap().1;
        let string = |text: &str| Field::Str(text.into());
        assert_eq!(named("id"), &string(&document.id.to_string()));
        assert_eq!(named("path"), &string(&document.path));
        assert_eq!(named("licence"), &document.licence.as_deref().map_or(Field::Null, string));
        assert_eq!(named("stated_language"), &document.language.as_deref().map_or(Field::Null, string));
        assert_eq!(named("language"), &string(signals.language));
        assert_eq!(named("is_code"), &Field::Bool(signals.is_code));
        for signal in Signals::NUMERIC {
            let value = signal.of(&signals);
            let expected = if signal.whole { Field::Long(value as i64) } else { Field::Double(value) };
            assert_eq!(named(signal.name), &expected, "{}", signal.name);
        }
        let Field::ListInternal(spans) = named("pii") else { panic!("pii is no list") };
        let spans: Vec<_> = spans
            .elements()
            .iter()
            .map(|span| match span {
                Field::Group(span) => {
                    (span.get_string(0).unwrap().clone(), span.get_long(1).unwrap(), span.get_long(2).unwrap())
                }
                other => panic!("{other:?} is no span"),
            })
            .collect();
        let expected: Vec<_> =
            signals.pii.iter().map(|span| (span.kind.name().to_owned(), span.start as i64, span.end as i64)).collect();
        assert_eq!(spans, expected, "{}", document.path);
    }
}

#[test]
fn the_page_shows_no_secret_and_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("scan");
    scan(&out, &filters());
    for name in [PAGE_NAME, FIGURES_NAME] {
        let content = fs::read_to_string(out.join(name)).unwrap();
        for secret in ["ada@example.org", "7946 0958", "zq81LmT0kX", "\u{202e}"] {
            assert!(!content.contains(secret), "{name} shows {secret}");
        }
    }
    let page = fs::read_to_string(out.join(PAGE_NAME)).unwrap();
    for markup in ["<script", "<img", "<b>MIT", "http://", "https://", "style=", "onerror=\""] {
        assert!(!page.contains(markup), "{markup}");
    }
    for shown in
        ["&lt;img src=x&gt;", "&lt;b&gt;MIT&lt;/b&gt;", "ada•••••rg", "num_words ≥ 20 (not code)", "MassiveText"]
    {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn the_same_documents_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| {
        let out = folder.path().join(name);
        scan(&out, &filters());
        [SIGNALS_NAME, FIGURES_NAME, PAGE_NAME].map(|name| fs::read(out.join(name)).unwrap())
    });
    assert!(one == two);
}

#[test]
fn an_empty_scan_is_one_too_and_an_unfinished_one_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("scan");
    let begun = Scan::create(&out, &[]).unwrap();
    drop(begun);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let summary = Scan::create(&out, &[]).unwrap().finish().unwrap();
    assert_eq!((summary.all.documents, summary.signals[0].max), (0, 0.0));
    assert!(fs::read_to_string(out.join(PAGE_NAME)).unwrap().contains("0 documents from 0 sources"));
    assert!(matches!(Scan::create(&out, &[]), Err(DataError::NotEmpty { .. })));
}
