//! The account of a built data set: where a phrase comes from, where a document went, and taking documents out.

mod support;

use moeworks_data::{DataError, DataFolder, DocumentId, DocumentRecord, Recipe, Summary, Trace, build, remove};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use support::{ByteEncoder, END, plant, plant_texts, recipe};

const BYTES: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut at = 0;
    while at < 256 {
        bytes[at] = at as u8;
        at += 1;
    }
    bytes
};

/// What [`ByteEncoder`]'s tokens stand for.
fn bytes_of(id: u32) -> &'static [u8] {
    let at = id as usize;
    if at < 256 { &BYTES[at..=at] } else { &[] }
}

fn built(folder: &Path, recipe: &Recipe) -> Summary {
    build(recipe, &ByteEncoder, &folder.join("out"), &()).unwrap()
}

#[test]
fn a_phrase_leads_to_its_documents_and_a_document_to_its_shards() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 60);
    plant(&docs, &[("a-quote.txt", b"so it goes. And again: so it goes."), ("again.txt", b"text number 0 ")]);
    let recipe = Recipe { shard_bytes: 2000, ..recipe(&docs) };
    built(folder.path(), &recipe);
    let data = DataFolder::open(&folder.path().join("out")).unwrap();

    let found = data.find("so it goes", bytes_of).unwrap();
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((only.document.path.as_str(), only.times, only.offset), ("a-quote.txt", 2, 0));
    assert_eq!(data.find("nowhere at all", bytes_of).unwrap(), []);
    // On both sides of the split, and across the ends of samples.
    let every = data.find("number", bytes_of).unwrap();
    let held_out = every.iter().filter(|one| one.held_out).count() as u64;
    assert_eq!(held_out, data.summary().held_out.documents - u64::from(only.held_out));
    assert!(every.len() as u64 + 1 >= data.summary().train.documents, "{}", every.len());

    for document in data.documents().map(Result::unwrap) {
        let Some(Trace::Train { document: same, samples, shards }) = data.trace(&document.id).unwrap() else {
            panic!()
        };
        assert_eq!(same, document);
        for sample in samples {
            assert!(data.documents_in(sample).unwrap().iter().any(|span| span.document.id == document.id));
            let (shard, _) = data.train().locate(sample).unwrap();
            assert!(shards.contains(&format!("shard.{shard:05}.mds")));
        }
    }
    let held_out = data.held_out().unwrap().next().unwrap().unwrap();
    assert!(matches!(data.trace(&held_out.id).unwrap(), Some(Trace::HeldOut { .. })));
    assert_eq!(data.trace(&DocumentId::of("never read")).unwrap(), None);
}

/// The tokens that each document still has, in order.
fn tokens(data: &DataFolder) -> BTreeMap<DocumentId, Vec<i32>> {
    let mut tokens: BTreeMap<DocumentId, Vec<i32>> = BTreeMap::new();
    for sample in 0..data.summary().samples {
        let ids = data.sample(sample).unwrap();
        for span in data.documents_in(sample).unwrap() {
            tokens.entry(span.document.id).or_default().extend(&ids[span.positions]);
        }
    }
    tokens
}

fn shards(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder.join("train")).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

#[test]
fn removing_a_document_rewrites_its_shards_only() {
    let folder = tempfile::tempdir().unwrap();
    let docs = folder.path().join("docs");
    plant_texts(&docs, 200);
    let recipe = Recipe { shard_bytes: 1500, ..recipe(&docs) };
    let before = built(folder.path(), &recipe);
    let out = folder.path().join("out");
    let data = DataFolder::open(&out).unwrap();
    let documents: Vec<DocumentRecord> = data.documents().map(Result::unwrap).collect();
    let held_out = data.held_out().unwrap().next().unwrap().unwrap().id;
    let (old_tokens, old_shards) = (tokens(&data), shards(&out));
    let gone = [documents[20].id, held_out, DocumentId::of("never there")];
    fs::write(out.join("notes.txt"), "stays").unwrap();

    let removal = remove(&out, &BTreeSet::from(gone)).unwrap();
    assert_eq!(removal.train, [documents[20].clone()]);
    assert_eq!((removal.held_out.len(), removal.absent.as_slice()), (1, &gone[2..]));
    let (rewritten, all) = removal.shards;
    assert!((1..=2).contains(&rewritten) && all > 10, "{rewritten} of {all}");
    let now = shards(&out);
    assert_eq!(old_shards.iter().filter(|(name, bytes)| now.get(*name) != Some(bytes)).count() as u64, rewritten + 1);

    let data = DataFolder::open(&out).unwrap();
    data.verify(|_| ()).unwrap();
    let summary = data.summary().clone();
    assert_eq!(Some(&summary), removal.summary.as_ref());
    assert_eq!(summary.dropped_by("removed").documents, 2);
    assert_eq!(summary.recipe.exclude, gone[..2]);
    assert_eq!(summary.former.len(), 1);
    assert_eq!(
        summary.train.documents + summary.held_out.documents,
        before.train.documents + before.held_out.documents - 2
    );
    assert_eq!(fs::read_to_string(out.join("notes.txt")).unwrap(), "stays");
    let new_tokens = tokens(&data);
    assert!(!new_tokens.contains_key(&documents[20].id));
    assert!(
        data.find(&"text number 20 ".repeat(3), bytes_of)
            .unwrap()
            .iter()
            .all(|one| one.document.id != documents[20].id)
    );
    let lost: usize = old_tokens.iter().map(|(id, old)| old.len() - new_tokens.get(id).map_or(0, Vec::len)).sum();
    assert_eq!(lost as u64, removal.lost_tokens + removal.train[0].tokens.end - removal.train[0].tokens.start);
    assert!(removal.lost_tokens < rewritten * 32);
    assert!(matches!(data.trace(&gone[0]).unwrap(), Some(Trace::Dropped { .. })));

    // The same again finds nothing to do, and a recipe that knows of it does not bring them back.
    assert_eq!(remove(&out, &BTreeSet::from(gone)).unwrap().summary, None);
    let again = folder.path().join("again");
    build(&summary.recipe, &ByteEncoder, &again, &()).unwrap();
    let trace = DataFolder::open(&again).unwrap().trace(&gone[0]).unwrap();
    assert!(matches!(trace, Some(Trace::Dropped { .. })), "{trace:?}");
    let error = build(&recipe, &ByteEncoder, &out, &()).unwrap_err();
    assert!(matches!(error, DataError::NotEmpty { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Whatever is removed: the rest keeps its order and its tokens, but for less than a sample a shard.
    #[test]
    fn what_is_left_adds_up(picks in prop::collection::btree_set(0usize..70, 1..40), shard_bytes in 400u64..3000, compressed: bool) {
        let folder = tempfile::tempdir().unwrap();
        let docs = folder.path().join("docs");
        plant_texts(&docs, 70);
        let compression = compressed.then(|| "zstd:1".to_owned());
        let recipe = Recipe { shard_bytes, compression, held_out: 0.0, ..recipe(&docs) };
        built(folder.path(), &recipe);
        let out = folder.path().join("out");
        let data = DataFolder::open(&out).unwrap();
        let old = tokens(&data);
        let documents: Vec<DocumentRecord> = data.documents().map(Result::unwrap).collect();
        let gone: BTreeSet<DocumentId> = picks.iter().map(|&at| documents[at].id).collect();
        let removal = remove(&out, &gone).unwrap();
        let data = DataFolder::open(&out).unwrap();
        data.verify(|_| ()).unwrap();
        prop_assert_eq!(removal.train.len(), gone.len());
        let order: Vec<DocumentId> = data.documents().map(|document| document.unwrap().id).collect();
        let expected: Vec<DocumentId> = documents.iter().map(|d| d.id).filter(|id| order.contains(id)).collect();
        prop_assert_eq!(order, expected);
        for (id, tokens) in tokens(&data) {
            prop_assert!(!gone.contains(&id));
            // A subsequence of what it was: nothing of another document.
            let mut all = old[&id].iter();
            prop_assert!(tokens.iter().all(|token| all.any(|one| one == token)));
        }
        let summary = data.summary();
        prop_assert_eq!(summary.train.tokens, 32 * summary.samples + summary.dropped_tokens);
        prop_assert!((0..summary.samples).all(|sample| data.sample(sample).unwrap().iter().all(|&id| (0..=END).contains(&id))));
    }
}
