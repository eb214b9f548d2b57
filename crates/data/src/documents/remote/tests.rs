use super::{super::*, *};
use crate::{RowFiles, Tree};
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, memory::InMemory,
};
use proptest::prelude::*;
use std::{
    fmt, fs,
    sync::atomic::{AtomicUsize, Ordering},
};

const FILES: [(&str, &str); 12] = [
    ("b.md", "# B\n"),
    ("a/z.rs", "fn z() {}\n"),
    ("a/.gitignore", "*.log\n!keep.log\n"),
    ("a/x.log", "left out"),
    ("a/keep.log", "kept"),
    ("a-b/y.txt", "sorts after a/ by parts and before it by bytes"),
    (".gitignore", "build/\n/b.txt\n"),
    ("a/build/out.rs", "left out"),
    ("b.txt", "left out"),
    ("a/b.txt", "kept, for the pattern is anchored"),
    (".hidden/c.txt", "hidden"),
    ("a/LICENSE", "GNU GENERAL PUBLIC LICENSE\n Version 2, June 1991"),
];

fn put(store: &dyn ObjectStore, runtime: &Runtime, path: &str, text: &str) {
    let text = text.as_bytes().to_vec();
    runtime.block_on(store.put(&Path::from(path), text.into())).unwrap();
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn store(files: &[(&str, &str)]) -> Arc<InMemory> {
    let (store, runtime) = (Arc::new(InMemory::new()), runtime());
    for (path, text) in files {
        put(store.as_ref(), &runtime, &format!("docs/{path}"), text);
    }
    store
}

fn bucket(store: Arc<dyn ObjectStore>, prefix: &str) -> Result<Root, DataError> {
    Bucket::list_all("memory:///docs", store, Path::from(prefix)).map(Root::Remote)
}

fn read(stream: Stream) -> Result<Vec<Found>, String> {
    stream.map(|found| found.map_err(|error| error.to_string())).collect()
}

#[test]
fn a_tree_reads_the_same_from_a_store_as_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in FILES {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let tree = Tree { detect_licence: true, ..Tree::new(folder.path().into()) };
    let local = read(tree::open("docs".into(), &tree, &Root::at(folder.path()).unwrap()).unwrap()).unwrap();
    let root = bucket(store(&FILES), "docs").unwrap();
    let remote = read(tree::open("docs".into(), &tree, &root).unwrap()).unwrap();
    assert_eq!(local, remote);
    let paths: Vec<_> = remote
        .iter()
        .map(|found| match found {
            Found::Document(document) => (document.path.as_str(), document.licence.as_deref()),
            Found::Reject(reject) => panic!("{reject}"),
        })
        .collect();
    let gpl = Some("GPL-2.0-only");
    assert_eq!(
        paths,
        [
            ("a/LICENSE", gpl),
            ("a/b.txt", gpl),
            ("a/keep.log", gpl),
            ("a/z.rs", gpl),
            ("a-b/y.txt", None),
            ("b.md", None)
        ]
    );
    let names = |steps: Steps<FileStamp>| -> Vec<(String, u64)> {
        steps.map(|step| if let Step::Work(file) = step { (file.path, file.bytes) } else { panic!() }).collect()
    };
    let local = names(tree::list("docs".into(), &tree, &Root::at(folder.path()).unwrap()).unwrap());
    assert_eq!(local, names(tree::list("docs".into(), &tree, &root).unwrap()));
    assert_eq!(
        local.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
        paths.iter().map(|(path, _)| *path).collect::<Vec<_>>()
    );
}

#[test]
fn a_single_object_marks_of_folders_and_nothing_at_all() {
    let store = store(&[("rows.jsonl", "{\"text\": \"one\"}\n"), ("marked", ""), ("marked/a.txt", "a")]);
    let root = bucket(store.clone(), "docs/rows.jsonl").unwrap();
    let jsonl = RowFiles::new("x".into());
    let found = read(jsonl::open("s".into(), &jsonl, &root).unwrap()).unwrap();
    assert!(matches!(&found[..], [Found::Document(document)] if document.path == "rows.jsonl#1"), "{found:?}");

    let tree = Tree::new("x".into());
    let found = read(tree::open("s".into(), &tree, &bucket(store.clone(), "docs/marked").unwrap()).unwrap()).unwrap();
    assert!(matches!(&found[..], [Found::Document(document)] if document.path == "a.txt"), "{found:?}");
    let found = read(tree::open("s".into(), &tree, &bucket(store.clone(), "docs").unwrap()).unwrap()).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");

    assert!(matches!(bucket(store, "elsewhere"), Err(DataError::Missing { .. })));
}

#[test]
fn an_object_that_changes_or_goes_ends_the_source() {
    for (what, expected) in [("change", "listed were 4 bytes"), ("go", "it was listed and is gone")] {
        let store = store(&[("a.txt", "aaaa"), ("b.txt", "bbbb"), ("c.txt", "cccc")]);
        let root = bucket(store.clone(), "docs").unwrap();
        match what {
            "change" => put(store.as_ref(), &runtime(), "docs/b.txt", "BBBB"),
            _ => runtime().block_on(store.delete(&Path::from("docs/b.txt"))).unwrap(),
        }
        let stream = tree::open("s".into(), &Tree::new("x".into()), &root).unwrap();
        let found: Vec<_> = stream.collect();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(matches!(&found[0], Ok(Found::Document(document)) if document.text == "aaaa"));
        let error = found[1].as_ref().unwrap_err();
        assert!(matches!(error, DataError::Changed { .. }) && error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_stream_that_is_dropped_ends_its_thread() {
    let texts: Vec<(String, String)> = (0..200).map(|n| (format!("{n:03}.txt"), "x".repeat(100_000))).collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let Root::Remote(bucket) = bucket(store(&texts), "docs").unwrap() else { unreachable!() };
    let weak = Arc::downgrade(&bucket.0);
    let mut stream = tree::open("s".into(), &Tree::new("x".into()), &Root::Remote(bucket)).unwrap();
    assert!(stream.next().unwrap().is_ok());
    drop(stream);
    let gone = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        weak.strong_count() == 0
    });
    assert!(gone);
}

/// A store whose answers break off after some bytes, so often.
struct Breaking {
    inner: Arc<InMemory>,
    after: usize,
    left: AtomicUsize,
}

impl fmt::Debug for Breaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Breaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Breaking")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Breaking {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let is_head = options.head;
        let result = self.inner.get_opts(location, options).await?;
        let spend = |left: usize| left.checked_sub(1);
        if is_head || self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_err() {
            return Ok(result);
        }
        let (meta, range) = (result.meta.clone(), result.range.clone());
        let (attributes, extensions) = (result.attributes.clone(), result.extensions.clone());
        let bytes = result.bytes().await?;
        let head = bytes.slice(..self.after.min(bytes.len()));
        let broken = Error::Generic { store: "Breaking", source: "cut https://host/x?sig=secret".into() };
        let payload = GetResultPayload::Stream(Box::pin(futures_util::stream::iter([Ok(head), Err(broken)])));
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(paths)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[test]
fn what_breaks_off_is_resumed_and_given_up_after_three_failures_without_a_byte() {
    let text: String = (0..100).map(|n| format!("{n} ")).collect();
    for (after, times, expected) in [(70, 9, Ok(())), (0, 2, Ok(())), (0, 3, Err(()))] {
        let inner = store(&[("a.txt", &text)]);
        let root = bucket(Arc::new(Breaking { inner, after, left: times.into() }), "docs").unwrap();
        let found = read(tree::open("s".into(), &Tree::new("x".into()), &root).unwrap());
        match (found, expected) {
            (Ok(found), Ok(())) => assert!(matches!(&found[0], Found::Document(document) if document.text == text)),
            (Err(error), Err(())) => {
                assert!(error.contains("cut https://host/x?…") && !error.contains("secret"), "{error}")
            }
            (found, _) => panic!("{after} {times}: {found:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the keys, the order is that of a walk through folders.
    #[test]
    fn objects_come_in_the_order_of_a_walk(
        keys in prop::collection::btree_set("[ab.-]{1,2}(/[ab.-]{1,2}){0,2}", 1..12),
    ) {
        let keys: Vec<String> = keys.into_iter().filter(|key| !key.split('/').any(|part| part == "." || part == "..")).collect();
        // In a folder no name is both a file and a folder.
        let is_folder = |key: &String| keys.iter().any(|other| other.starts_with(&format!("{key}/")));
        let files: Vec<(&str, &str)> = keys.iter().filter(|key| !is_folder(key)).map(|key| (key.as_str(), "text")).collect();
        prop_assume!(!files.is_empty());
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in &files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let tree = Tree::new("x".into());
        let local = read(tree::open("s".into(), &tree, &Root::at(folder.path()).unwrap()).unwrap()).unwrap();
        let remote = read(tree::open("s".into(), &tree, &bucket(store(&files), "docs").unwrap()).unwrap()).unwrap();
        prop_assert_eq!(local, remote);
    }
}
