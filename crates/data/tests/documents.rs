//! Sources: what is read from them, what is rejected and why, and in which order.

mod support;

use flate2::write::GzEncoder;
use moeworks_data::{
    CargoRegistry, Corpus, DataError, DocumentId, Event, Fault, Reason, Recipe, RowFiles, Side, Source, Tree, documents,
};
use proptest::prelude::*;
use std::{fs, io::Write};
use support::{plant, plant_texts, read};

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}

#[test]
fn a_tree_is_read_in_order_and_its_faults_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("docs");
    plant(
        &root,
        &[
            ("b.md", b"# B\n"),
            ("a/z.rs", b"fn z() {}\n"),
            ("a/deep/y.py", "s = 'na\u{ef}ve'".as_bytes()),
            (".gitignore", b"skipped.txt\nbuild/\n"),
            ("skipped.txt", b"ignored"),
            ("a/build/out.rs", b"ignored as well"),
            (".hidden/file.txt", b"hidden"),
            ("bom.txt", b"\xef\xbb\xbftext"),
            ("c.txt.gz", &gz(b"in gzip")),
            ("d.txt.zst", &zst(b"in zstd")),
            ("image.png", b"\x89PNG\r\n\x1a\n\0\0"),
            ("latin1.txt", b"caf\xe9"),
            ("windows.txt", b"\xff\xfeh\0i\0"),
            ("long.txt", &[b'x'; 2000]),
            ("bomb.txt.zst", &zst(&[b'x'; 1 << 20])),
            ("broken.gz", b"\x1f\x8b\x08 is not really gzip"),
            ("empty.txt", b" \n"),
        ],
    );
    let tree = Tree { max_file_bytes: 1000, licence: Some("MIT".into()), ..Tree::new(root.clone()) };
    let (documents, rejects) = read(&Source::Tree(tree.clone())).unwrap();
    let found: Vec<_> =
        documents.iter().map(|d| (d.path.as_str(), d.text.as_str(), d.language.as_deref().unwrap_or("-"))).collect();
    assert_eq!(
        found,
        [
            ("a/deep/y.py", "s = 'naïve'", "Python"),
            ("a/z.rs", "fn z() {}\n", "Rust"),
            ("b.md", "# B\n", "Markdown"),
            ("bom.txt", "text", "-"),
            ("c.txt.gz", "in gzip", "-"),
            ("d.txt.zst", "in zstd", "-"),
        ]
    );
    for document in &documents {
        assert_eq!((document.source.as_str(), document.licence.as_deref()), ("docs", Some("MIT")));
        assert_eq!(document.id, DocumentId::of(&document.text));
    }
    let reasons: Vec<_> = rejects.iter().map(|reject| (reject.path.as_str(), reject.reason.clone())).collect();
    assert_eq!(
        reasons,
        [
            ("bomb.txt.zst", Reason::TooLarge { limit: 1000 }),
            ("broken.gz", Reason::Unreadable { detail: "invalid gzip header".into() }),
            ("empty.txt", Reason::Empty),
            ("image.png", Reason::Binary { offset: 8 }),
            ("latin1.txt", Reason::InvalidUtf8 { offset: 3 }),
            ("long.txt", Reason::TooLarge { limit: 1000 }),
            ("windows.txt", Reason::Utf16),
        ]
    );
    assert_eq!(rejects[4].to_string(), "docs: latin1.txt: invalid UTF-8 at byte 3");

    let rust = Tree { extensions: Some(vec!["rs".into(), "md".into()]), ..tree.clone() };
    let (documents, rejects) = read(&Source::Tree(rust)).unwrap();
    assert_eq!(documents.iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["a/z.rs", "b.md"]);
    assert!(rejects.is_empty());

    let (documents, _) = read(&Source::Tree(Tree::new(root.join("b.md")))).unwrap();
    assert_eq!((documents[0].source.as_str(), documents[0].path.as_str()), ("b.md", "b.md"));
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path(), &[("outside/secret.txt", b"secret"), ("docs/open.txt", b"open")]);
    let docs = folder.path().join("docs");
    std::os::unix::fs::symlink(folder.path().join("outside"), docs.join("folder")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("outside/secret.txt"), docs.join("file.txt")).unwrap();
    std::os::unix::fs::symlink(&docs, docs.join("circle")).unwrap();
    let (documents, rejects) = read(&Source::Tree(Tree::new(docs))).unwrap();
    assert_eq!(documents.iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["open.txt"]);
    assert!(rejects.is_empty());
}

const ROWS: &[u8] = b"\xef\xbb\xbf{\"text\": \"one\", \"license\": \"MIT\", \"language\": \"en\"}\n\
    not json\n\
    \n\
    [1, 2]\n\
    {\"title\": \"no text\"}\n\
    {\"text\": 7}\n\
    {\"text\": \"caf\xe9\"}\n\
    {\"text\": \"  \"}\n\
    {\"text\": \"lone \\ud800\"}\n\
    {\"text\": \"two\", \"license\": [\"MIT\", \"BSD\"]}\r\n\
    {\"text\": \"far too long far too long far too long far too long far too long far too long far too long\"}\n\
    {\"text\": \"three\", \"path\": \"x/y.md\"}";

#[test]
fn rows_are_read_and_bad_ones_are_named_by_their_number() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    plant(root, &[("rows.jsonl", ROWS), ("rows.jsonl.gz", &gz(ROWS)), ("rows.jsonl.zst", &zst(ROWS))]);
    for file in ["rows.jsonl", "rows.jsonl.gz", "rows.jsonl.zst"] {
        let source = Source::at(&root.join(file)).unwrap();
        let Source::Jsonl(jsonl) = source else { panic!("{source:?}") };
        let jsonl = RowFiles { max_row_bytes: 80, licence: Some("CC0-1.0".into()), ..jsonl };
        let (documents, rejects) = read(&Source::Jsonl(jsonl)).unwrap();
        let found: Vec<_> = documents
            .iter()
            .map(|d| (d.text.as_str(), d.licence.as_deref().unwrap(), d.language.as_deref(), d.path.clone()))
            .collect();
        assert_eq!(
            found,
            [
                ("one", "MIT", Some("en"), format!("{file}#1")),
                ("two", "MIT, BSD", None, format!("{file}#10")),
                ("three", "CC0-1.0", None, format!("{file}#12 x/y.md")),
            ]
        );
        let reasons: Vec<_> = rejects.iter().map(|r| (r.row.unwrap(), r.reason.name())).collect();
        assert_eq!(
            reasons,
            [
                (2, "invalid-json"),
                (4, "invalid-json"),
                (5, "no-text"),
                (6, "no-text"),
                (7, "invalid-utf8"),
                (8, "empty"),
                (9, "invalid-json"),
                (11, "too-large"),
            ]
        );
        assert_eq!(rejects[2].to_string(), format!("{file}: {file}, row 5: no text: no key \"text\" among title"),);
    }
}

#[test]
fn json_inside_json_is_told_from_text() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        (r#""{\"text\": \"one\"}""#, Some("double-escaped")),
        (r#"{"text": "\"line\\nline\""}"#, Some("double-escaped")),
        (r#"{"text": "\"Quoted,\" he said, \"is not escaped.\""}"#, None),
        (r#"{"text": "\"quoted\""}"#, None),
        (r#"{"text": "a regular \\n expression"}"#, None),
        (r#""a string""#, Some("invalid-json")),
    ];
    for (row, expected) in rows {
        plant(folder.path(), &[("a.jsonl", row.as_bytes())]);
        let (documents, rejects) = read(&Source::Jsonl(RowFiles::new(folder.path().join("a.jsonl")))).unwrap();
        assert_eq!(rejects.first().map(|reject| reject.reason.name()), expected, "{row}");
        assert_eq!(documents.len() + rejects.len(), 1, "{row}");
    }
}

#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// The row would take 1 GB; it is passed over without being held, and the next is read.
#[test]
fn a_row_of_a_gigabyte_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.jsonl.zst");
    let mut file = zstd::Encoder::new(fs::File::create(&path).unwrap(), 1).unwrap();
    file.write_all(b"{\"text\": \"").unwrap();
    (0..1024).for_each(|_| file.write_all(&[b'x'; 1 << 20]).unwrap());
    file.write_all(b"\"}\r\n{\"text\": \"after\"}\r\n").unwrap();
    file.finish().unwrap();
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let (documents, rejects) =
        read(&Source::Jsonl(RowFiles { max_row_bytes: 1 << 20, ..RowFiles::new(path) })).unwrap();
    assert_eq!((rejects[0].row, &rejects[0].reason), (Some(1), &Reason::TooLarge { limit: 1 << 20 }));
    assert_eq!((documents[0].text.as_str(), documents[0].path.as_str()), ("after", "long.jsonl.zst#2"));
    // The other tests of this file run at the same time.
    let used = MEMORY.peak_usage() - before;
    assert!(used < 256 << 20, "{used}");
}

#[test]
fn licences_of_a_tree_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let mit = b"MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy of this \
        software and associated documentation files (the \"Software\"), to deal in the Software without restriction, \
        including ...\n\nThe above copyright notice and this permission notice shall be included in all copies or \
        substantial portions of the Software.\n";
    let bsd =
        b"Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided";
    plant(
        folder.path(),
        &[
            ("LICENSE", mit),
            ("main.rs", b"fn main() {}"),
            ("deep/er/lib.rs", b"// lib"),
            ("deep/own.rs", b"// SPDX-License-Identifier: ISC"),
            ("vendor/COPYING", bsd),
            ("vendor/x.c", b"int x;"),
            ("strange/LICENSE", b"Ask me."),
            ("strange/y.c", b"int y;"),
        ],
    );
    let tree = Tree {
        detect_licence: true,
        extensions: Some(vec!["rs".into(), "c".into()]),
        licence: Some("Proprietary".into()),
        ..Tree::new(folder.path().into())
    };
    let licences = |tree: &Tree| -> Vec<(String, Option<String>)> {
        let (documents, _) = read(&Source::Tree(tree.clone())).unwrap();
        documents.into_iter().map(|d| (d.path, d.licence)).collect()
    };
    let expected =
        |pairs: [(&str, &str); 5]| pairs.map(|(path, licence)| (path.to_owned(), Some(licence.to_owned()))).to_vec();
    let found = [
        ("deep/er/lib.rs", "MIT"),
        ("deep/own.rs", "ISC"),
        ("main.rs", "MIT"),
        ("strange/y.c", "MIT"),
        ("vendor/x.c", "BSD-2-Clause"),
    ];
    assert_eq!(licences(&tree), expected(found));
    fs::remove_file(folder.path().join("LICENSE")).unwrap();
    let found = found.map(|(path, licence)| (path, if licence == "MIT" { "Proprietary" } else { licence }));
    assert_eq!(licences(&tree), expected(found));
    let undetected = Tree { detect_licence: false, ..tree };
    assert!(licences(&undetected).iter().all(|(_, licence)| licence.as_deref() == Some("Proprietary")));
}

#[test]
fn stamps_list_what_is_read_and_change_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let stamp = |source: &Source| documents::stamp(source).unwrap();
    let paths = |source: &Source| stamp(source).into_iter().map(|file| file.path).collect::<Vec<_>>();
    plant(root, &[("a/x.rs", b"// x"), ("a/LICENSE", b"terms"), ("b.rs", b"// b"), ("c.md", b"# c"), (".h.rs", b"h")]);
    let tree = Tree { extensions: Some(vec!["rs".into()]), ..Tree::new(root.into()) };
    let source = Source::Tree(tree.clone());
    assert_eq!(paths(&source), ["a/x.rs", "b.rs"]);
    assert_eq!(paths(&Source::Tree(Tree { detect_licence: true, ..tree })), ["a/LICENSE", "a/x.rs", "b.rs"]);
    assert_eq!(paths(&Source::Tree(Tree::new(root.join("c.md")))), ["c.md"]);

    let before = stamp(&source);
    assert_eq!((before[0].bytes, stamp(&source)), (4, before.clone()));
    let file = fs::File::options().write(true).open(root.join("b.rs")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(9)).unwrap();
    let after = stamp(&source);
    assert_eq!((&after[0], &after[1].version), (&before[0], &documents::Version::Modified(9_000_000_000)));

    plant(root, &[("rows/2.jsonl", b""), ("rows/1.jsonl.gz", b""), ("rows/3.txt", b"")]);
    assert_eq!(paths(&Source::Jsonl(RowFiles::new(root.join("rows")))), ["1.jsonl.gz", "2.jsonl"]);

    let index = root.join("home/registry/src/index");
    plant(
        &index,
        &[
            ("b-1.0.0/Cargo.toml", &manifest("b", "license = \"MIT\"")),
            ("b-1.0.0/src/lib.rs", b"// b"),
            ("a-1.0.0/Cargo.toml", &manifest("a", "")),
            ("a-1.0.0/src/lib.rs", b"// a"),
        ],
    );
    let registry = CargoRegistry { cargo_home: Some(root.join("home")), ..CargoRegistry::default() };
    assert_eq!(
        paths(&Source::CargoRegistry(registry)),
        ["a-1.0.0/Cargo.toml", "b-1.0.0/Cargo.toml", "b-1.0.0/src/lib.rs"]
    );
}

#[test]
fn urls_of_files_are_paths_and_others_say_how_to_read_them() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path(), &[("a b.txt", b"text")]);
    let url = format!("file://{}/a%20b.txt", folder.path().display());
    let (documents, _) = read(&Source::at(url.as_ref()).unwrap()).unwrap();
    assert_eq!(documents[0].path, "a b.txt");
    #[cfg(not(feature = "remote"))]
    {
        let error = Source::at("s3://key:secret@bucket/x".as_ref()).unwrap_err();
        assert!(error.to_string().contains("cargo build --release -p moeworks --features remote"), "{error}");
        assert!(!error.to_string().contains("secret") && error.fault() == Fault::BadConfiguration);
    }
}

#[test]
fn a_folder_of_rows_is_read_in_order_and_a_cut_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("rows");
    let many: String = (0..20_000).map(|n| format!("{{\"content\": \"row {n} {}\"}}\n", n * n)).collect();
    let whole = zst(many.as_bytes());
    let cut = &whole[..whole.len() * 3 / 4];
    plant(
        &root,
        &[
            ("b.jsonl", b"{\"content\": \"b\"}\n"),
            ("a/x.ndjson", b"{\"content\": \"x\"}\n"),
            ("c.jsonl.zst", cut),
            ("d.jsonl.gz", b"no gzip"),
            ("e.jsonl", b"{\"content\": \"e\"}"),
            ("readme.txt", b"not rows"),
        ],
    );
    let jsonl = RowFiles { text_key: "content".into(), ..RowFiles::new(root.clone()) };
    let (documents, rejects) = read(&Source::Jsonl(jsonl)).unwrap();
    let paths: Vec<&str> = documents.iter().map(|d| d.path.as_str()).collect();
    assert_eq!((paths[0], paths[1], *paths.last().unwrap()), ("a/x.ndjson#1", "b.jsonl#1", "e.jsonl#1"));
    assert!(paths.len() > 3 && paths[2] == "c.jsonl.zst#1");
    let unreadable: Vec<_> = rejects.iter().map(|r| (r.path.as_str(), r.reason.name(), r.row)).collect();
    assert_eq!(unreadable, [("c.jsonl.zst", "unreadable", None), ("d.jsonl.gz", "unreadable", None)]);
    assert!(rejects[0].to_string().contains(&format!("after {} rows", paths.len() - 3)), "{}", rejects[0]);

    for (path, expected) in [("nothing", "check the path"), ("a", "no .jsonl")] {
        fs::remove_file(root.join("a/x.ndjson")).ok();
        let error = read(&Source::Jsonl(RowFiles::new(root.join(path)))).unwrap_err();
        assert!(matches!(error, DataError::Missing { .. }) && error.to_string().contains(expected), "{error}");
        assert_eq!(error.fault(), Fault::MissingInput);
    }
}

#[test]
fn what_a_path_is_can_be_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    plant(root, &[("rows/a.jsonl.zst", b""), ("rows/.cache", b""), ("mixed/a.jsonl", b""), ("mixed/b.md", b"")]);
    fs::create_dir(root.join("empty")).unwrap();
    for (path, rows) in
        [("rows", true), ("rows/a.jsonl.zst", true), ("mixed", false), ("mixed/b.md", false), ("empty", false)]
    {
        assert_eq!(matches!(Source::at(&root.join(path)).unwrap(), Source::Jsonl(_)), rows, "{path}");
    }
    assert_eq!(Source::at(&root.join("absent")).unwrap_err().fault(), Fault::MissingInput);
}

fn manifest(name: &str, rest: &str) -> Vec<u8> {
    format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\n{rest}\n").into_bytes()
}

#[test]
fn the_registry_gives_crates_by_name_with_their_licences() {
    let home = tempfile::tempdir().unwrap();
    let first = home.path().join("registry/src/index.example-0123456789abcdef");
    let second = home.path().join("registry/src/mirror.example-fedcba9876543210");
    plant(
        &first,
        &[
            ("zeta-1.0.0/Cargo.toml", &manifest("zeta", "license = \"MIT/Apache-2.0\"")),
            ("zeta-1.0.0/src/lib.rs", b"// zeta"),
            ("zeta-1.0.0/README.md", b"# zeta"),
            ("zeta-1.0.0/.cargo_vcs_info.json", b"{}"),
            ("zeta-1.0.0/data.bin", b"\0"),
            ("zeta-1.0.0/.gitignore", b"src"),
            ("own-2.0.0/Cargo.toml", &manifest("own", "license-file = \"TERMS.txt\"")),
            ("own-2.0.0/TERMS.txt", b"terms"),
            ("own-2.0.0/src/own.rs", b"// own"),
            ("lost-1.0.0/Cargo.toml", &manifest("lost", "license-file = \"gone\"")),
            ("lost-1.0.0/src/lib.rs", b"// lost"),
            ("none-1.0.0/Cargo.toml", &manifest("none", "")),
            ("none-1.0.0/src/lib.rs", b"// none"),
            ("broken-1.0.0/Cargo.toml", b"[package"),
            ("bare-1.0.0/src/lib.rs", b"// no manifest"),
        ],
    );
    plant(
        &second,
        &[
            ("alpha-0.1.0/Cargo.toml", &manifest("alpha", "license = \"ISC\"")),
            ("alpha-0.1.0/src/b.rs", b"// b"),
            ("alpha-0.1.0/src/a.rs", b"// a"),
            ("zeta-1.0.0/Cargo.toml", &manifest("zeta", "license = \"GPL-3.0\"")),
            ("zeta-1.0.0/src/lib.rs", b"// zeta again"),
        ],
    );
    let registry = CargoRegistry { cargo_home: Some(home.path().into()), ..CargoRegistry::default() };
    let (documents, rejects) = read(&Source::CargoRegistry(registry)).unwrap();
    let found: Vec<_> = documents.iter().map(|d| (d.path.as_str(), d.licence.as_deref().unwrap())).collect();
    assert_eq!(
        found,
        [
            ("alpha-0.1.0/src/a.rs", "ISC"),
            ("alpha-0.1.0/src/b.rs", "ISC"),
            ("own-2.0.0/src/own.rs", "LicenseRef-own"),
            ("zeta-1.0.0/README.md", "MIT OR Apache-2.0"),
            ("zeta-1.0.0/src/lib.rs", "MIT OR Apache-2.0"),
        ]
    );
    assert!(documents.iter().all(|d| d.source == "cargo-registry"));
    let passed_over: Vec<_> = rejects.iter().map(|r| (r.path.as_str(), r.reason.name())).collect();
    assert_eq!(
        passed_over,
        ["bare-1.0.0", "broken-1.0.0", "lost-1.0.0", "none-1.0.0"].map(|path| (path, "no-licence"))
    );
    let elsewhere = CargoRegistry { cargo_home: Some(home.path().join("x")), ..CargoRegistry::default() };
    let error = read(&Source::CargoRegistry(elsewhere)).unwrap_err();
    assert!(error.fault() == Fault::MissingInput && error.to_string().contains("cargo has unpacked no crates"));
}

fn recipe(sources: Vec<Source>) -> Recipe {
    Recipe { sources, ..Recipe::default() }
}

#[test]
fn the_same_text_comes_once_and_belongs_to_the_first_source() {
    let folder = tempfile::tempdir().unwrap();
    plant(folder.path(), &[("a/1.txt", b"same"), ("a/2.txt", b"same"), ("a/3.txt", b"other"), ("b/4.txt", b"same")]);
    let sources = ["a", "b"].map(|name| Source::Tree(Tree::new(folder.path().join(name)))).to_vec();
    let recipe = recipe(sources);
    let events: Vec<Event> = Corpus::open(&recipe, &()).unwrap().events().map(Result::unwrap).collect();
    let kept: Vec<_> =
        events.iter().filter_map(|event| if let Event::Kept(d, ..) = event { Some(&d.path) } else { None }).collect();
    assert_eq!(kept, ["1.txt", "3.txt"]);
    assert_eq!(
        events.iter().filter(|event| matches!(event, Event::Dropped(drop) if drop.step == "duplicate")).count(),
        2
    );
}

#[test]
fn a_limit_takes_an_even_sample_that_does_not_depend_on_the_order() {
    let folder = tempfile::tempdir().unwrap();
    plant_texts(folder.path(), 600);
    let all = recipe(vec![Source::at(folder.path()).unwrap()]);
    let total: u64 = Corpus::open(&all, &())
        .unwrap()
        .events()
        .map(|event| if let Event::Kept(d, ..) = event.unwrap() { d.text.len() as u64 } else { 0 })
        .sum();
    let limit = total / 4;
    let ids = |sources: Vec<Source>| {
        let recipe = Recipe { max_bytes: Some(limit), ..recipe(sources) };
        let corpus = Corpus::open(&recipe, &()).unwrap();
        let (mut ids, mut bytes, mut left_out) = (Vec::new(), 0, 0);
        for event in corpus.events() {
            match event.unwrap() {
                Event::Kept(document, ..) => {
                    bytes += document.text.len() as u64;
                    ids.push((document.id, document.path));
                }
                Event::Dropped(drop) => left_out += drop.bytes,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((corpus.total_bytes(), bytes + left_out), (Some(bytes), total));
        assert!(bytes <= limit && bytes > limit - 200, "{bytes} of {limit}");
        ids
    };
    let forward = ids(vec![Source::at(folder.path()).unwrap()]);
    // Not the first ones, but some of each stretch of the corpus.
    for stretch in 0..6 {
        let digit = (b'0' + stretch) as char;
        let taken = forward.iter().filter(|(_, path)| path.chars().rev().nth(6) == Some(digit)).count();
        assert!((10..45).contains(&taken), "{taken} of 100 in stretch {stretch}");
    }
    let parts = |order: [&str; 3]| order.map(|part| Source::Tree(Tree::new(folder.path().join(part)))).to_vec();
    let mut backward: Vec<_> = ids(parts(["d2", "d1", "d0"])).into_iter().map(|(id, _)| id).collect();
    let mut forward: Vec<_> = forward.into_iter().map(|(id, _)| id).collect();
    forward.sort();
    backward.sort();
    assert_eq!(forward, backward);

    let tight = Recipe { max_bytes: Some(3), ..all };
    let error = Corpus::open(&tight, &()).unwrap_err();
    assert!(error.to_string().contains("of 600 documents the smallest has 14 bytes"), "{error}");
}

#[test]
fn sides_are_disjoint_and_together_everything() {
    let folder = tempfile::tempdir().unwrap();
    plant_texts(folder.path(), 300);
    let recipe = Recipe { held_out: 0.2, ..recipe(vec![Source::at(folder.path()).unwrap()]) };
    let corpus = Corpus::open(&recipe, &()).unwrap();
    let side = |side| corpus.documents(side).map(|d| d.unwrap().id).collect::<std::collections::BTreeSet<_>>();
    let (train, held_out) = (side(Side::Train), side(Side::HeldOut));
    assert_eq!(train.len() + held_out.len(), 300);
    assert!(train.is_disjoint(&held_out) && (40..80).contains(&held_out.len()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Rows made of pieces that are good, bad, or both once they are joined.
    #[test]
    fn every_row_is_a_document_a_reject_or_blank(
        pieces in prop::collection::vec(
            prop_oneof![
                Just(b"{\"text\": \"good\"}".to_vec()),
                Just(b"\n".to_vec()),
                Just(b"{\"text\":".to_vec()),
                prop::collection::vec(any::<u8>(), 0..12),
            ],
            0..30,
        ),
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let bytes = pieces.concat();
        let packed = zst(&bytes);
        plant(folder.path(), &[("a.jsonl", &bytes), ("b.jsonl.zst", &packed[..cut.index(packed.len() + 1)])]);
        let (documents, rejects) = read(&Source::Jsonl(RowFiles::new(folder.path().join("a.jsonl")))).unwrap();
        let rows = bytes.split(|&byte| byte == b'\n').filter(|row| !row.trim_ascii().is_empty()).count();
        prop_assert_eq!(documents.len() + rejects.len(), rows);
        let (cut_documents, _) = read(&Source::Jsonl(RowFiles::new(folder.path().join("b.jsonl.zst")))).unwrap();
        prop_assert!(cut_documents.len() <= documents.len() + 1);
    }
}
