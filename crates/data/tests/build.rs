//! From documents to a data set and back.

mod support;

use moeworks_data::{
    Corpus, Counts, DataError, DataFolder, Document, DocumentId, Drop, Encoder, Fault, Progress, Recipe, Side, Source,
    Stage, Tally, Target, Tree, build, mds::Dataset, mds::ReaderOptions,
};
use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};
use support::{ByteEncoder, END, plant, plant_texts, recipe};

fn side(recipe: &Recipe, side: Side) -> Vec<Document> {
    Corpus::open(recipe, &()).unwrap().documents(side).map(Result::unwrap).collect()
}

/// What lies in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

type Files = BTreeMap<String, Vec<u8>>;

/// All files below a folder with their contents.
fn contents(folder: &Path) -> Files {
    fn walk(folder: &Path, below: &str, files: &mut Files) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{below}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                walk(&entry.path(), &(path + "/"), files);
            } else {
                files.insert(path, fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(folder, "", &mut files);
    files
}

#[test]
fn every_token_can_be_traced_to_its_document() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 120);
    plant(
        &docs,
        &[("again.txt", b"text number 3 text number 3 text number 3 text number 3 "), ("bad.txt", b"\xff\xff\xff")],
    );
    let recipe = Recipe { shard_bytes: 4000, ..recipe(&docs) };
    let out = folder.path().join("out");
    let summary = build(&recipe, &ByteEncoder, &out, &()).unwrap();

    let train = side(&recipe, Side::Train);
    let stream: Vec<i32> = train.iter().flat_map(|d| d.text.bytes().map(i32::from).chain([END])).collect();
    let data = DataFolder::open(&out).unwrap();
    assert_eq!(data.summary(), &summary);
    assert_eq!(summary.samples, stream.len() as u64 / 32);
    assert_eq!(summary.dropped_tokens, stream.len() as u64 % 32);
    assert!(data.train().shards().len() > 3);
    for sample in 0..summary.samples {
        let begin = 32 * sample as usize;
        let ids = data.sample(sample).unwrap();
        assert_eq!(ids, stream[begin..begin + 32]);
        // The spans cover the sample, and each holds the text of its document at that place.
        let mut at = 0;
        for span in data.documents_in(sample).unwrap() {
            assert_eq!(span.positions.start, at);
            at = span.positions.end;
            let document = train.iter().find(|d| d.id == span.document.id).unwrap();
            assert_eq!((&document.path, &document.source), (&span.document.path, &span.document.source));
            let inside = begin + span.positions.start - span.document.tokens.start as usize;
            let expected: Vec<i32> = document.text.bytes().map(i32::from).chain([END]).collect();
            assert_eq!(ids[span.positions.clone()], expected[inside..inside + span.positions.len()]);
        }
        assert_eq!(at, 32);
    }
    let mut token = 0;
    for (record, document) in data.documents().map(Result::unwrap).zip(&train) {
        assert_eq!((record.id, record.tokens.start, record.bytes), (document.id, token, document.text.len() as u64));
        assert_eq!(data.document_at(record.tokens.start).unwrap(), record);
        assert_eq!(data.document_at(record.tokens.end - 1).unwrap(), record);
        token = record.tokens.end;
    }
    assert_eq!(token, stream.len() as u64);
    assert!(data.document_at(token).is_err() && data.sample(summary.samples).is_err());

    let held_out: Vec<Document> = data.held_out().unwrap().map(Result::unwrap).collect();
    assert_eq!(held_out, side(&recipe, Side::HeldOut));
    assert_eq!(data.rejects().unwrap().map(|r| r.unwrap().path).collect::<Vec<_>>(), ["bad.txt"]);
    let mut bytes = 0;
    data.verify(|shard| bytes += shard).unwrap();
    assert!(bytes > stream.len() as u64 * 4);
}

#[test]
fn the_account_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    plant_texts(&a, 60);
    plant(
        &b,
        &[("one.md", b"text number 0 "), ("two/x.rs", b"fn two() {}"), ("two/y.rs", b"fn too() {}"), ("n.bin", b"\0")],
    );
    let licensed = Tree { licence: Some("MIT".into()), ..Tree::new(b) };
    let recipe = Recipe { sources: vec![Source::at(&a).unwrap(), Source::Tree(licensed)], ..recipe(&a) };
    let out = folder.path().join("out");
    let summary = build(&recipe, &ByteEncoder, &out, &()).unwrap();

    let duplicates = summary.dropped_by("duplicate");
    assert_eq!((duplicates.documents, duplicates.bytes), (1, 14));
    assert_eq!(summary.rejects, BTreeMap::from([("binary".to_owned(), 1)]));
    assert_eq!(summary.train.documents + summary.held_out.documents, 62);
    assert_eq!(summary.train.tokens, summary.train.bytes + summary.train.documents);
    for parts in [&summary.sources, &summary.licences, &summary.languages] {
        let sum = parts.values().fold((Tally::default(), Tally::default()), |(train, held_out), sides| {
            let add = |a: Tally, b: &Tally| Tally {
                documents: a.documents + b.documents,
                bytes: a.bytes + b.bytes,
                tokens: a.tokens + b.tokens,
            };
            (add(train, sides.of(Side::Train)), add(held_out, sides.of(Side::HeldOut)))
        });
        assert_eq!(sum, (summary.train, summary.held_out));
    }
    let mit = summary.licences["MIT"];
    assert_eq!(mit.train.documents + mit.held_out.documents, 2);
    assert_eq!(summary.licences.keys().collect::<Vec<_>>(), ["MIT", "not stated"]);
    let rust = summary.languages["Rust"];
    assert_eq!(rust, mit);
    let data = DataFolder::open(&out).unwrap();
    let works = data.works().unwrap();
    let counted: u64 = works.iter().map(|work| work.amount.documents).sum();
    assert_eq!(counted, summary.train.documents);
    assert!(works.iter().any(|work| (work.source.as_str(), work.name.as_str()) == ("a", "d1")));
}

#[test]
fn the_same_recipe_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 200);
    plant(&docs, &[("bad.txt", b"\xff")]);
    let recipe =
        Recipe { shard_bytes: 5000, compression: Some("zstd:1".into()), max_bytes: Some(6000), ..recipe(&docs) };
    let built = ["first", "second"].map(|name| {
        let out = folder.path().join(name);
        build(&recipe, &ByteEncoder, &out, &()).unwrap();
        contents(&out)
    });
    assert_eq!(built[0], built[1]);
    assert!(built[0].keys().any(|name| name == "train/shard.00001.mds.zstd"));
    assert!(!built[0].contains_key("BUILDING"));
}

/// Counts the stages that a build goes through.
fn stages(recipe: &Recipe, target: impl Into<Target>) -> Result<Vec<Stage>, DataError> {
    let stages = std::sync::Mutex::new(Vec::new());
    build(recipe, &ByteEncoder, target, &|counts: &Counts| {
        stages.lock().unwrap().push(counts.stage);
        ControlFlow::Continue(())
    })?;
    let mut stages = stages.into_inner().unwrap();
    stages.dedup();
    Ok(stages)
}

#[test]
fn only_what_has_changed_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    plant_texts(&a, 30);
    plant(&b, &[("x.txt", b"one text"), ("y.txt", b"another text")]);
    let sources = vec![Source::at(&a).unwrap(), Source::at(&b).unwrap()];
    let base = Recipe { sources, held_out: 0.0, ..recipe(&a) };
    let out = folder.path().join("out");
    let steps = || names(&folder.path().join("out.steps"));
    assert_eq!(stages(&base, &out).unwrap(), [Stage::Read, Stage::Tokenise]);
    let (first, made) = (contents(&out), steps());
    assert_eq!(stages(&base, &out).unwrap(), [], "nothing has changed");

    // Another tokenisation of the same documents replaces only when asked to, and reads nothing again.
    let longer = Recipe { sequence_length: 64, ..base.clone() };
    let replace = Target { replace: true, ..Target::from(&out) };
    assert!(matches!(stages(&longer, &out), Err(DataError::NotEmpty { .. })));
    assert_eq!(contents(&out), first);
    assert_eq!(stages(&longer, replace.clone()).unwrap(), [Stage::Tokenise]);
    assert_eq!(DataFolder::open(&out).unwrap().summary().sequence_length, 64);
    assert_eq!(names(folder.path()), ["a", "b", "out", "out.steps"]);
    assert_eq!(steps(), made);

    // Of two sources only the changed one is read, and its old snapshot goes.
    plant(&b, &[("y.txt", b"a third text")]);
    assert_eq!(stages(&base, replace.clone()).unwrap(), [Stage::Read, Stage::Tokenise]);
    let changed = steps();
    assert_eq!((changed.len(), changed.iter().filter(|name| made.contains(name)).count()), (3, 2));
    plant(&b, &[("y.txt", b"another text")]);
    stages(&base, replace).unwrap();
    assert_eq!(contents(&out), first);

    // Whatever becomes of the folder of steps, the bytes are the same.
    fs::remove_dir_all(folder.path().join("out.steps")).unwrap();
    stages(&base, &folder.path().join("again")).unwrap();
    assert_eq!(contents(&folder.path().join("again")), first);
}

#[test]
fn excluded_and_dropped_documents_are_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 30);
    plant(&docs, &[("again.txt", b"text number 0 ")]);
    let base = recipe(&docs);
    let leave_out = DocumentId::of("text number 7 ");
    let recipe = Recipe { exclude: vec![leave_out], held_out: 0.0, ..base };
    let out = folder.path().join("out");
    let summary = build(&recipe, &ByteEncoder, &out, &()).unwrap();
    let data = DataFolder::open(&out).unwrap();
    assert!(data.documents().all(|document| document.unwrap().id != leave_out));
    let dropped: Vec<Drop> = data.dropped().unwrap().map(Result::unwrap).collect();
    let lines: Vec<_> = dropped.iter().map(|drop| (drop.path.as_str(), drop.step.as_str())).collect();
    assert_eq!(lines, [("d0/t0000.txt", "duplicate"), ("d1/t0007.txt", "excluded")]);
    assert_eq!((summary.dropped_by("excluded").bytes, summary.dropped_by("duplicate").documents), (14, 1));
}

#[test]
fn other_settings_do_not_move_documents_between_the_sides() {
    let folder = tempfile::tempdir().unwrap();
    plant_texts(folder.path(), 100);
    let base = recipe(folder.path());
    let held_out: Vec<_> = side(&base, Side::HeldOut).iter().map(|d| d.id).collect();
    plant(folder.path(), &[("new.txt", b"one more document")]);
    let changed = Recipe { sequence_length: 64, shard_bytes: 9999, ..base };
    let now: Vec<_> = side(&changed, Side::HeldOut).iter().map(|d| d.id).collect();
    assert!(!held_out.is_empty() && held_out.iter().all(|id| now.contains(id)));
}

/// Stops at the n-th call.
struct StopAt(AtomicU64);

impl Progress for StopAt {
    fn update(&self, _: &Counts) -> ControlFlow<()> {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn an_interrupted_build_leaves_nothing_and_progress_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 200);
    let recipe = Recipe { max_bytes: Some(6000), ..recipe(&docs) };
    let out = folder.path().join("out");
    // One call while reading, four while surveying 200 documents, then one for the batch.
    for (stop, left) in [(1, vec!["docs", "out.steps"]), (2, vec!["docs", "out.steps"]), (5, vec!["docs", "out.steps"])]
    {
        let error = build(&recipe, &ByteEncoder, &out, &StopAt(AtomicU64::new(stop))).unwrap_err();
        assert!(error.fault() == Fault::Interrupted && error.to_string().contains("out"), "{error}");
        assert_eq!(names(folder.path()), left);
    }
    let seen = std::sync::Mutex::new(Vec::new());
    let summary = build(&recipe, &ByteEncoder, &out, &|counts: &Counts| {
        seen.lock().unwrap().push(*counts);
        ControlFlow::Continue(())
    })
    .unwrap();
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen[0].stage, Stage::Survey, "the documents had been read before");
    let last = seen.last().unwrap();
    assert_eq!((last.stage, Some(last.bytes)), (Stage::Tokenise, last.total_bytes));
    assert_eq!(last.tokens, summary.train.tokens + summary.held_out.tokens);
}

#[test]
fn what_a_killed_build_left_is_cleared_but_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 50);
    let recipe = recipe(&docs);
    let out = folder.path().join("out");

    plant(folder.path(), &[("out.partial/BUILDING", b""), ("out.partial/train/shard.00000.mds", b"half")]);
    build(&recipe, &ByteEncoder, &out, &()).unwrap();
    assert!(!folder.path().join("out.partial").exists());
    DataFolder::open(&out).unwrap().verify(|_| ()).unwrap();

    let other = Recipe { seed: 6, ..recipe.clone() };
    let error = build(&other, &ByteEncoder, &out, &()).unwrap_err();
    assert!(matches!(error, DataError::NotEmpty { .. }) && error.fault() == Fault::CannotWrite, "{error}");

    plant(folder.path(), &[("mine.partial/thesis.txt", b"do not remove")]);
    let error = build(&recipe, &ByteEncoder, &folder.path().join("mine"), &()).unwrap_err();
    assert!(matches!(error, DataError::NotEmpty { .. }), "{error}");
    assert!(folder.path().join("mine.partial/thesis.txt").exists());

    plant(folder.path(), &[("other.partial/BUILDING", b"")]);
    let lock = fs::File::open(folder.path().join("other.partial/BUILDING")).unwrap();
    lock.lock().unwrap();
    let error = build(&recipe, &ByteEncoder, &folder.path().join("other"), &()).unwrap_err();
    assert!(matches!(error, DataError::Busy { .. }), "{error}");
    drop(lock);
    fs::create_dir(folder.path().join("other")).unwrap();
    build(&recipe, &ByteEncoder, &folder.path().join("other"), &()).unwrap();
}

#[test]
fn too_little_is_said_with_what_would_be_enough() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 6);
    let out = folder.path().join("out");
    let fail = |recipe: &Recipe| {
        let error = build(recipe, &ByteEncoder, &out, &()).unwrap_err();
        assert_eq!(error.fault(), Fault::BadData);
        assert_eq!(names(folder.path()), ["docs", "out.steps"], "something was left behind");
        error.to_string()
    };
    let base = recipe(&docs);
    // The share that the message advises is enough.
    for (share, part) in [(0.001, "held out"), (0.999, "left to train on")] {
        let error = fail(&Recipe { held_out: share, ..base.clone() });
        assert!(error.contains(part), "{error}");
        let advised: f64 = error.split("a share of ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let advised = Recipe { held_out: advised, sequence_length: 4, ..base.clone() };
        build(&advised, &ByteEncoder, &out, &()).unwrap();
        fs::remove_dir_all(&out).unwrap();
    }
    let error = fail(&Recipe { sequence_length: 100_000, held_out: 0.0, ..base.clone() });
    assert!(error.contains("tokens, one sample takes 100000"), "{error}");
    let nothing = Tree { extensions: Some(vec!["xyz".into()]), ..Tree::new(docs.clone()) };
    let error = fail(&Recipe { sources: vec![Source::Tree(nothing)], ..base.clone() });
    assert!(error.contains("no document in docs (nothing was rejected)"), "{error}");
    let tiny = Tree { max_file_bytes: 2, ..Tree::new(docs.clone()) };
    let error = fail(&Recipe { sources: vec![Source::Tree(tiny)], ..base.clone() });
    assert!(error.contains("6 too-large"), "{error}");

    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let latin = Tree::new(std::ffi::OsStr::from_bytes(b"d\xf6cs").into());
        let error = Recipe { sources: vec![Source::Tree(latin)], ..base.clone() }.check().unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }

    let all = Recipe { held_out: 0.0, ..base };
    build(&all, &ByteEncoder, &out, &()).unwrap();
    assert_eq!(DataFolder::open(&out).unwrap().held_out().unwrap().count(), 0);
}

/// The way of the quickstart: a tokenizer learns from the training side, then the shards are built with it.
#[test]
fn a_trained_tokenizer_builds_shards_that_read_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 80);
    plant(&docs, &[("special.md", b"the text <|endoftext|> and <|im_start|> are no special tokens")]);
    let recipe = Recipe { held_out: 0.05, ..recipe(&docs) };
    let documents = side(&recipe, Side::Train);
    let options = moeworks_text::TrainOptions { vocab_size: 300, min_frequency: 2 };
    let tokenizer = moeworks_text::train(documents.iter(), &options, |_| ()).unwrap();
    let out = folder.path().join("out");
    let summary = build(&recipe, &tokenizer, &out, &()).unwrap();
    assert_eq!((summary.tokenizer, summary.vocab_size), (tokenizer.fingerprint(), tokenizer.vocab_size()));
    let data = DataFolder::open(&out).unwrap();
    let mut ids: Vec<u32> = Vec::new();
    for sample in 0..summary.samples {
        ids.extend(data.sample(sample).unwrap().iter().map(|&id| id as u32));
    }
    let eos = tokenizer.eos().unwrap();
    let texts: Vec<String> = ids.split(|&id| id == eos).map(|ids| tokenizer.decode(ids)).collect();
    let (last, whole) = texts.split_last().unwrap();
    assert!(whole.len() > 60 && whole.iter().zip(&documents).all(|(text, document)| *text == document.text));
    assert!(documents[whole.len()..].first().is_none_or(|document| document.text.starts_with(last)));
    assert!(documents.iter().any(|document| document.path == "special.md"));
    assert_eq!(ids.iter().filter(|&&id| tokenizer.is_special(id)).count(), whole.len());
}

/// Gives ids and marks that it should not.
struct Odd {
    id: u32,
    end: Option<u32>,
}

impl Encoder for Odd {
    fn encode(&self, _: &str) -> Vec<u32> {
        vec![1, self.id]
    }

    fn start_of_document(&self) -> Option<u32> {
        Some(7)
    }

    fn end_of_document(&self) -> Option<u32> {
        self.end
    }

    fn vocab_size(&self) -> usize {
        10
    }

    fn fingerprint(&self) -> String {
        "odd".into()
    }
}

#[test]
fn tokenizers_are_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 50);
    let recipe = Recipe { sequence_length: 4, ..recipe(&docs) };
    let out = folder.path().join("out");
    for (odd, expected) in [
        (Odd { id: 2, end: None }, "no end-of-text token"),
        (Odd { id: 2, end: Some(10) }, "gave the id 10"),
        (Odd { id: 10, end: Some(9) }, "gave the id 10, but says that it has only 10"),
        (Odd { id: u32::MAX, end: Some(9) }, "gave the id 4294967295"),
    ] {
        let error = build(&recipe, &odd, &out, &()).unwrap_err();
        assert!(matches!(error, DataError::Encoder(_)) && error.to_string().contains(expected), "{error}");
        assert!(!out.exists());
    }
    build(&recipe, &Odd { id: 2, end: Some(9) }, &out, &()).unwrap();
    assert_eq!(DataFolder::open(&out).unwrap().sample(0).unwrap(), [7, 1, 2, 9]);
}

#[test]
fn a_recipe_is_read_strictly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        Recipe::read(&path)
    };
    let good = "sequence_length = 512\nheld_out = 0.05\nmax_bytes = 1000\n\n[[source]]\nkind = \"cargo-registry\"\n\n\
                [[source]]\nkind = \"tree\"\npath = \"docs\"\nextensions = [\"md\"]\n\n\
                [[source]]\nkind = \"jsonl\"\npath = \"rows.jsonl.zst\"\nname = \"rows\"\nlicence = \"CC0-1.0\"\n";
    let recipe = read(good).unwrap();
    assert_eq!(recipe.sources.iter().map(Source::name).collect::<Vec<_>>(), ["cargo-registry", "docs", "rows"]);
    assert_eq!(read(&toml::to_string(&recipe).unwrap()).unwrap(), recipe);

    let source = "\n[[source]]\nkind = \"tree\"\npath = \"docs\"\n";
    let table: [(String, &str); 14] = [
        ("seqence_length = 5".to_owned() + source, "seqence_length"),
        ("sequence_length = 1".to_owned() + source, "sequence_length: 1 is not between"),
        ("held_out = 1.0".to_owned() + source, "held_out: 1 is not a share"),
        ("held_out = nan".to_owned() + source, "held_out: NaN is not a share"),
        ("max_bytes = 0".to_owned() + source, "max_bytes"),
        ("compression = \"lz4\"".to_owned() + source, "compression: unsupported compression \"lz4\""),
        ("hashes = [\"crc32\"]".to_owned() + source, "hashes: unsupported hash \"crc32\""),
        ("shard_bytes = 4294967296".to_owned() + source, "shard_bytes"),
        (source.to_owned() + source, "\"docs\" is used twice"),
        (source.to_owned() + "text_key = \"t\"\n", "text_key"),
        ("[[source]]\nkind = \"csv\"\npath = \"x\"".into(), "csv"),
        ("[[source]]\nkind = \"tree\"".into(), "path"),
        ("seed = 1".into(), "there is none; add a [[source]]"),
        ("seed = ".into(), "recipe.toml"),
    ];
    for (text, expected) in table {
        let error = read(&text).unwrap_err();
        assert!(error.fault() == Fault::BadConfiguration && error.to_string().contains(expected), "{text}: {error}");
    }
}

#[test]
fn a_changed_folder_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 60);
    let whole = folder.path().join("whole");
    build(&recipe(&docs), &ByteEncoder, &whole, &()).unwrap();
    let files = contents(&whole);
    let copy = |name: &str, change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        let folder = folder.path().join(name);
        for (path, content) in &files {
            plant(&folder, &[(path, content)]);
        }
        DataFolder::open(&folder).and_then(|data| data.verify(|_| ()))
    };
    copy("same", &|_| ()).unwrap();
    let error = copy("no account", &|files| drop(files.remove("data.json"))).unwrap_err();
    assert!(error.fault() == Fault::MissingInput && error.to_string().contains("moeworks data build"), "{error}");
    for name in
        ["train/index.json", "documents/index.json", "held-out/index.json", "rejects.jsonl", "dropped.jsonl.zst"]
    {
        let error =
            copy(&format!("changed {}", name.replace('/', " ")), &|files| files.get_mut(name).unwrap().push(b' '));
        let error = error.unwrap_err();
        assert!(matches!(error, DataError::Damaged { .. }) && error.to_string().contains(name), "{error}");
    }
    for name in ["train/shard.00000.mds", "documents/shard.00000.mds.zstd", "held-out/shard.00000.mds.zstd"] {
        let flip = |files: &mut Files| *files.get_mut(name).unwrap().last_mut().unwrap() ^= 1;
        let error = copy(&format!("flipped {}", name.replace('/', " ")), &flip).unwrap_err();
        assert!(error.fault() == Fault::BadData && error.to_string().contains(name), "{error}");
    }
    // Every set of shards in it is one that any reader of the format can open.
    for name in ["train", "documents", "held-out"] {
        assert!(!Dataset::open(&whole.join(name), ReaderOptions::default()).unwrap().is_empty());
    }
}
