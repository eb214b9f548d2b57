//! Damaged data sets: every fault is an error that names the shard, and the sample where there is one; nothing panics,
//! and nothing is allocated on the word of a damaged file.

use moeworks_data::mds::{
    Compression, Dataset, Encoding, MdsError, NdArray, ReaderOptions, Value, Verify, Writer, WriterOptions,
};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use std::{
    fs,
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};
use tempfile::TempDir;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The peak belongs to the whole process, so that the tests of this file take turns.
static TURN: Mutex<()> = Mutex::new(());

const SAMPLES: u64 = 9;

/// Three shards (of 4, 4 and 1 samples), each sample with an id and a run of tokens.
fn write(folder: &Path, compression: Option<Compression>) {
    let columns = vec![("id".into(), Encoding::Str), ("tokens".into(), Encoding::tokens())];
    let options = WriterOptions { compression, size_limit: Some(500), ..WriterOptions::new(columns) };
    let mut writer = Writer::create(folder, options).unwrap();
    for sample in 0..SAMPLES as i32 {
        let ids: Vec<i32> = (0..12).map(|at| 1000 * sample + at).collect();
        writer.write(&[Value::Str(format!("s{sample}")), Value::NdArray(NdArray::from_i32(&ids))]).unwrap();
    }
    assert_eq!(writer.finish().unwrap().shards.len(), 3);
}

/// A copy of such a data set that was written once: syncing files is slow.
fn copy(folder: &Path, compressed: bool) {
    static WRITTEN: OnceLock<[TempDir; 2]> = OnceLock::new();
    let written = WRITTEN.get_or_init(|| {
        [None, Some(Compression::Gz(None))].map(|compression| {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), compression);
            folder
        })
    });
    for entry in fs::read_dir(written[usize::from(compressed)].path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
}

fn read_all(folder: &Path, verify: Verify) -> Result<(), MdsError> {
    let dataset = Dataset::open(folder, ReaderOptions { verify, ..ReaderOptions::default() })?;
    for sample in 0..dataset.len() {
        dataset.get(sample)?;
        let _ = dataset.array(sample, "tokens", &mut Vec::new())?;
    }
    dataset.verify(|_| ())
}

type Change = fn(&Path);

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn edit_index(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join("index.json");
    let mut index = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut index);
    fs::write(&path, serde_json::to_vec(&index).unwrap()).unwrap();
}

#[test]
fn every_fault_names_its_place() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let table: [(&str, Verify, Change, &[&str]); 22] = [
        ("no index", Verify::Stated, |f| fs::remove_file(f.join("index.json")).unwrap(), &["index.json is missing"]),
        ("empty index", Verify::Stated, |f| edit(&f.join("index.json"), Vec::clear), &["index.json: is no MDS index"]),
        (
            "index cut short",
            Verify::Stated,
            |f| edit(&f.join("index.json"), |bytes| bytes.truncate(300)),
            &["index.json: is no MDS index"],
        ),
        ("other version", Verify::Stated, |f| edit_index(f, |i| i["version"] = 3.into()), &["version 3"]),
        (
            "other format",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][1]["format"] = "jsonl".into()),
            &["shard 1", "\"jsonl\""],
        ),
        (
            "pickle",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][2]["column_encodings"][0] = "pkl".into()),
            &["shard 2", "\"pkl\"", "pickle"],
        ),
        (
            "size against encoding",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][0]["column_sizes"][1] = 4.into()),
            &["shard 0", "\"tokens\"", "Some(4)"],
        ),
        (
            "columns do not match up",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][0]["column_names"] = serde_json::json!(["id"])),
            &["shard 0", "1 column names, 2 encodings"],
        ),
        (
            "path out of the folder",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][0]["raw_data"]["basename"] = "../secret".into()),
            &["shard 0", "\"../secret\"", "leads out"],
        ),
        (
            "absolute path",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][0]["raw_data"]["basename"] = "/etc/passwd".into()),
            &["shard 0", "leads out"],
        ),
        (
            "shard listed twice",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][1] = i["shards"][0].clone()),
            &["shard 1", "shard.00000.mds", "twice"],
        ),
        (
            "more than 4 GiB",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][0]["raw_data"]["bytes"] = (1u64 << 32).into()),
            &["shard 0", "4294967296 bytes"],
        ),
        (
            "more samples than bytes",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][0]["samples"] = u64::MAX.into()),
            &["shard 0", "18446744073709551615 samples"],
        ),
        (
            "other number of samples",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][1]["samples"] = 2.into()),
            &["shard.00001.mds", "4 samples", "index says 2"],
        ),
        (
            "hash taken out",
            Verify::Stated,
            |f| edit_index(f, |i| i["shards"][1]["raw_data"]["hashes"] = serde_json::json!({})),
            &["shard 1", "no xxh3_64"],
        ),
        (
            "missing shard",
            Verify::Stated,
            |f| fs::remove_file(f.join("shard.00001.mds")).unwrap(),
            &["shard.00001.mds is missing"],
        ),
        (
            "shard cut short",
            Verify::Sizes,
            |f| edit(&f.join("shard.00002.mds"), |bytes| bytes.truncate(bytes.len() - 1)),
            &["shard.00002.mds", "bytes long, the index says"],
        ),
        (
            "shard too long",
            Verify::Sizes,
            |f| edit(&f.join("shard.00002.mds"), |bytes| bytes.push(0)),
            &["shard.00002.mds", "bytes long, the index says"],
        ),
        (
            "flipped bit",
            Verify::Stated,
            |f| edit(&f.join("shard.00001.mds"), |bytes| *bytes.last_mut().unwrap() ^= 1),
            &["shard.00001.mds", "xxh3_64", "content has changed"],
        ),
        (
            "shards swapped",
            Verify::Stated,
            |f| {
                fs::rename(f.join("shard.00000.mds"), f.join("x")).unwrap();
                fs::rename(f.join("shard.00001.mds"), f.join("shard.00000.mds")).unwrap();
                fs::rename(f.join("x"), f.join("shard.00001.mds")).unwrap();
            },
            &["shard.00000.mds", "content has changed"],
        ),
        (
            "offset out of range",
            Verify::Sizes,
            |f| edit(&f.join("shard.00001.mds"), |bytes| bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes())),
            &["shard.00001.mds, sample 0", "4294967295"],
        ),
        (
            "column longer than its sample",
            Verify::Sizes,
            |f| {
                edit(&f.join("shard.00001.mds"), |bytes| {
                    let begin = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
                    bytes[begin..begin + 4].copy_from_slice(&u32::MAX.to_le_bytes());
                });
            },
            &["shard.00001.mds, sample 1", "\"id\" claims 4294967295 bytes"],
        ),
    ];
    for (name, verify, change, expected) in table {
        let folder = tempfile::tempdir().unwrap();
        copy(folder.path(), false);
        read_all(folder.path(), Verify::Required).unwrap();
        change(folder.path());
        let error = read_all(folder.path(), verify).expect_err(name).to_string();
        for part in expected {
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}

#[test]
fn a_shard_without_hashes_is_read_unless_hashes_are_required() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let options = WriterOptions { hashes: vec![], ..WriterOptions::new(vec![("tokens".into(), Encoding::tokens())]) };
    let mut writer = Writer::create(folder.path(), options).unwrap();
    writer.write(&[Value::NdArray(NdArray::from_i32(&[1, 2]))]).unwrap();
    writer.finish().unwrap();
    read_all(folder.path(), Verify::Stated).unwrap();
    let error = read_all(folder.path(), Verify::Required).unwrap_err().to_string();
    assert!(error.contains("shard.00000.mds: the index states no hash"), "{error}");
}

#[test]
fn a_compressed_shard_that_swells_is_stopped() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Some(Compression::Zstd(None)));
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
    edit_index(folder.path(), |index| index["shards"][0]["zip_data"]["bytes"] = bomb.len().into());
    fs::write(folder.path().join("shard.00000.mds.zstd"), bomb).unwrap();
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let error = read_all(folder.path(), Verify::Sizes).unwrap_err().to_string();
    assert!(error.contains("shard.00000.mds.zstd") && error.contains("decompresses to more than"), "{error}");
    assert!(MEMORY.peak_usage() - before < 16 << 20, "{} bytes", MEMORY.peak_usage() - before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Bytes are overwritten anywhere, with hashes ignored so that the damage reaches the parsers.
    #[test]
    fn mutations_never_panic_or_allocate_beyond_the_files(
        compressed in any::<bool>(),
        victim in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        copy(folder.path(), compressed);
        let suffix = if compressed { ".gz" } else { "" };
        let name = if victim == 3 { "index.json".into() } else { format!("shard.{victim:05}.mds{suffix}") };
        edit(&folder.path().join(name), |bytes| {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
        });
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let _ = read_all(folder.path(), Verify::Sizes);
        let _ = read_all(folder.path(), Verify::Stated);
        prop_assert!(MEMORY.peak_usage() - before < 2 << 20, "{} bytes for files of 2 kB", MEMORY.peak_usage() - before);
    }
}
