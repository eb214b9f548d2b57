//! Damaged data sets: every fault is an error that names the shard, and the sample where there is one; nothing wrong is
//! handed out before it, nothing panics, and nothing is allocated on the word of a damaged file.

use moeworks_data::mds::{
    Compression, Dataset, Encoding, MdsError, NdArray, ReaderOptions, Value, Verify, Writer, WriterOptions,
};
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};
use tempfile::TempDir;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The peak belongs to the whole process, so that the tests of this file take turns.
static TURN: Mutex<()> = Mutex::new(());

const SAMPLES: u64 = 9;

fn tokens_of(sample: u64) -> Vec<i32> {
    (0..12).map(|at| 1000 * sample as i32 + at).collect()
}

/// Three shards (of 4, 4 and 1 samples), each sample with an id and a run of tokens.
fn write(folder: &Path, compression: Option<Compression>) {
    let columns = vec![("id".into(), Encoding::Str), ("tokens".into(), Encoding::tokens())];
    let options = WriterOptions { compression, size_limit: Some(500), ..WriterOptions::new(columns) };
    let mut writer = Writer::create(folder, options).unwrap();
    for sample in 0..SAMPLES {
        let tokens = NdArray::from_i32(&tokens_of(sample));
        writer.write(&[Value::Str(format!("s{sample}")), Value::NdArray(tokens)]).unwrap();
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

/// Reads as training does; whatever is handed out before the first error has to be what was written.
fn train(folder: &Path, verify: Verify) -> Result<(), MdsError> {
    let dataset = Dataset::open(folder, ReaderOptions { verify, ..ReaderOptions::default() })?;
    for sample in 0..dataset.len() {
        let mut buffer = Vec::new();
        let tokens = dataset.array(sample, "tokens", &mut buffer)?;
        let written = tokens_of(sample).into_iter().map(i128::from);
        assert!(tokens.integers().unwrap().eq(written), "sample {sample} is wrong, and no error said so");
    }
    Ok(())
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

/// Changes an offset in the header of a shard.
fn set_offset(shard: &Path, number: usize, change: impl FnOnce(u32) -> u32) {
    edit(shard, |bytes| {
        let place = 4 + 4 * number..8 + 4 * number;
        let offset = u32::from_le_bytes(bytes[place.clone()].try_into().unwrap());
        bytes[place].copy_from_slice(&change(offset).to_le_bytes());
    });
}

/// What is done to a data set, how it is then read, and what the error has to say.
type Case = (&'static str, Verify, Change, &'static [&'static str]);

fn check(compressed: bool, table: &[Case]) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, verify, change, expected) in table {
        let folder = tempfile::tempdir().unwrap();
        copy(folder.path(), compressed);
        read_all(folder.path(), Verify::Required).unwrap();
        change(folder.path());
        train(folder.path(), *verify).expect_err(name);
        let error = read_all(folder.path(), *verify).expect_err(name).to_string();
        for part in *expected {
            assert!(error.contains(part), "{name}: {error}");
        }
    }
}

#[test]
fn every_fault_names_its_place() {
    check(
        false,
        &[
            (
                "no index",
                Verify::Stated,
                |f| fs::remove_file(f.join("index.json")).unwrap(),
                &["index.json is missing"],
            ),
            (
                "empty index",
                Verify::Stated,
                |f| edit(&f.join("index.json"), Vec::clear),
                &["index.json: is no MDS index"],
            ),
            (
                "index cut short",
                Verify::Stated,
                |f| edit(&f.join("index.json"), |bytes| bytes.truncate(300)),
                &["index.json: is no MDS index"],
            ),
            (
                "garbage index",
                Verify::Stated,
                |f| edit(&f.join("index.json"), |b| b.fill(0xfe)),
                &["index.json: is no MDS index"],
            ),
            (
                "index of another kind",
                Verify::Stated,
                |f| fs::write(f.join("index.json"), "[[[[]]]]").unwrap(),
                &["index.json: is no MDS index"],
            ),
            (
                "index without shards",
                Verify::Stated,
                |f| fs::write(f.join("index.json"), r#"{"version": 2}"#).unwrap(),
                &["index.json: is no MDS index", "missing field `shards`"],
            ),
            (
                "index that says a thing twice",
                Verify::Stated,
                |f| fs::write(f.join("index.json"), r#"{"shards": [], "shards": [], "version": 2}"#).unwrap(),
                &["index.json: is no MDS index", "duplicate field `shards`"],
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
                "shard listed twice, spelt in two ways",
                Verify::Stated,
                |f| edit_index(f, |i| i["shards"][1]["raw_data"]["basename"] = "shard.00000.mds/".into()),
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
                "other hash",
                Verify::Stated,
                |f| edit_index(f, |i| i["shards"][1]["raw_data"]["hashes"]["xxh3_64"] = "0123456789abcdef".into()),
                &["shard.00001.mds", "the index says 0123456789abcdef", "content has changed"],
            ),
            (
                "a hash that nobody knows",
                Verify::Stated,
                |f| {
                    edit_index(f, |i| {
                        i["shards"][1]["hashes"] = serde_json::json!(["sm3"]);
                        i["shards"][1]["raw_data"]["hashes"] = serde_json::json!({"sm3": "00"});
                    });
                },
                &["unsupported hash \"sm3\"", "shard.00001.mds", "xxh3_64"],
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
                "first offset before the samples",
                Verify::Sizes,
                |f| set_offset(&f.join("shard.00001.mds"), 0, |_| 8),
                &["shard.00001.mds", "offsets run from 8"],
            ),
            (
                "last offset before the end",
                Verify::Sizes,
                |f| set_offset(&f.join("shard.00001.mds"), 4, |end| end - 4),
                &["shard.00001.mds", "offsets run from"],
            ),
            (
                "offsets that do not ascend",
                Verify::Sizes,
                |f| set_offset(&f.join("shard.00001.mds"), 2, |_| 30),
                &["shard.00001.mds, sample 1", "..30 are not a range"],
            ),
            (
                "samples that overlap",
                Verify::Sizes,
                |f| set_offset(&f.join("shard.00001.mds"), 1, |end| end + 4),
                &["shard.00001.mds, sample 0", "its columns take"],
            ),
            (
                "number of samples in the shard",
                Verify::Sizes,
                |f| edit(&f.join("shard.00001.mds"), |bytes| bytes[0] = 3),
                &["shard.00001.mds", "3 samples, the index says 4"],
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
        ],
    );
}

#[test]
fn every_fault_of_compressed_shards_names_its_place() {
    check(
        true,
        &[
            (
                "missing shard",
                Verify::Stated,
                |f| fs::remove_file(f.join("shard.00001.mds.gz")).unwrap(),
                &["shard.00001.mds.gz is missing"],
            ),
            (
                "shard cut short",
                Verify::Sizes,
                |f| edit(&f.join("shard.00001.mds.gz"), |bytes| bytes.truncate(bytes.len() / 2)),
                &["shard.00001.mds.gz", "bytes long, the index says"],
            ),
            (
                "flipped bit",
                Verify::Stated,
                |f| edit(&f.join("shard.00001.mds.gz"), |bytes| bytes[60] ^= 4),
                &["shard.00001.mds.gz", "content has changed"],
            ),
            (
                "flipped bit, hashes ignored",
                Verify::Sizes,
                |f| edit(&f.join("shard.00001.mds.gz"), |bytes| bytes[60] ^= 4),
                &["shard.00001.mds.gz", "cannot be decompressed"],
            ),
            (
                "other content under a good hash",
                Verify::Stated,
                |f| {
                    edit_index(f, |i| i["shards"][0]["zip_data"] = i["shards"][1]["zip_data"].clone());
                    edit_index(f, |i| i["shards"][1] = i["shards"][2].clone());
                    edit_index(f, |i| drop(i["shards"].as_array_mut().unwrap().pop()));
                },
                &["shard.00000.mds", "content has changed"],
            ),
            (
                "compressed file listed twice",
                Verify::Stated,
                |f| edit_index(f, |i| i["shards"][1]["zip_data"] = i["shards"][0]["zip_data"].clone()),
                &["shard 1", "shard.00000.mds.gz", "twice"],
            ),
            (
                "unknown compression",
                Verify::Stated,
                |f| edit_index(f, |i| i["shards"][2]["compression"] = "lz4".into()),
                &["shard 2", "unsupported compression \"lz4\""],
            ),
            (
                "no compression",
                Verify::Stated,
                |f| edit_index(f, |i| i["shards"][2]["compression"] = serde_json::Value::Null),
                &["shard 2", "no compression is named"],
            ),
            (
                "another compression",
                Verify::Stated,
                |f| edit_index(f, |i| i["shards"][0]["compression"] = "zstd".into()),
                &["shard.00000.mds.gz", "cannot be decompressed"],
            ),
        ],
    );
}

/// Exhaustive: every bit of every shard, and every length.
#[test]
fn no_flipped_bit_and_no_cut_of_a_hashed_shard_is_read() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for compressed in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        copy(folder.path(), compressed);
        for (number, first) in [(0, 0), (2, 8)] {
            let name = format!("shard.{number:05}.mds{}", if compressed { ".gz" } else { "" });
            let path = folder.path().join(&name);
            let good = fs::read(&path).unwrap();
            // Changed in place: emptying a file and writing it anew waits for the disk on some systems.
            let mut file = fs::File::options().write(true).open(&path).unwrap();
            let mut put = |at: usize, byte: u8| {
                file.seek(SeekFrom::Start(at as u64)).unwrap();
                file.write_all(&[byte]).unwrap();
            };
            let refused = |what: &str| {
                let dataset = Dataset::open(folder.path(), ReaderOptions::default()).unwrap();
                let error = dataset.get(first).err().unwrap_or_else(|| panic!("{name}, {what}: read")).to_string();
                assert!(error.contains(&name), "{name}, {what}: {error}");
            };
            for bit in 0..8 * good.len() {
                put(bit / 8, good[bit / 8] ^ (1 << (bit % 8)));
                refused(&format!("bit {bit} flipped"));
                put(bit / 8, good[bit / 8]);
            }
            read_all(folder.path(), Verify::Required).unwrap();
            for length in (0..good.len()).rev() {
                file.set_len(length as u64).unwrap();
                refused(&format!("cut to {length} bytes"));
            }
            file.rewind().unwrap();
            file.write_all(&good).unwrap();
        }
        read_all(folder.path(), Verify::Required).unwrap();
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
    for name in ["zstd", "gz", "br:1", "bz2", "snappy"] {
        let compression: Compression = name.parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), Some(compression));
        let file = format!("shard.00000.mds.{}", compression.extension());
        // A shard of 64 MiB in the place of one of 500 bytes.
        let bomb = {
            let bombs = tempfile::tempdir().unwrap();
            let columns = vec![("zeros".into(), Encoding::Bytes)];
            let options = WriterOptions { compression: Some(compression), ..WriterOptions::new(columns) };
            let mut writer = Writer::create(bombs.path(), options).unwrap();
            writer.write(&[Value::Bytes(vec![0; 64 << 20])]).unwrap();
            writer.finish().unwrap();
            fs::read(bombs.path().join(&file)).unwrap()
        };
        edit_index(folder.path(), |index| index["shards"][0]["zip_data"]["bytes"] = bomb.len().into());
        fs::write(folder.path().join(&file), bomb).unwrap();
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let error = read_all(folder.path(), Verify::Sizes).unwrap_err().to_string();
        assert!(error.contains(&file) && error.contains("decompresses to more than"), "{error}");
        assert!(MEMORY.peak_usage() - before < 16 << 20, "{name}: {} bytes", MEMORY.peak_usage() - before);
    }
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
