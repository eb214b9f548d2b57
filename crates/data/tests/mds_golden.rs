//! Shards that the reference writer (mosaicml-streaming) wrote, read and written again.

mod support;

use half::f16;
use moeworks_data::mds::{
    Compression, Dataset, Dtype, Encoding, HashAlgorithm, MdsError, NdArray, ReaderOptions, Value, Writer,
    WriterOptions,
};
use serde_json::Value as Json;
use std::{fs, path::Path};

fn open(folder: &Path) -> Dataset {
    Dataset::open(folder, ReaderOptions::default()).unwrap()
}

fn rows(path: &Path) -> Vec<Json> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn token_rows(golden: &Path) -> Vec<Vec<i32>> {
    let ids = |row: &Json| row["tokens"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap() as i32).collect();
    rows(&golden.join("tokens.expected.jsonl")).iter().map(ids).collect()
}

fn write_tokens(folder: &Path, golden: &Path, compression: Option<Compression>) {
    let mut options = WriterOptions::new(vec![("tokens".into(), Encoding::tokens())]);
    options.hashes = vec![HashAlgorithm::Sha1, HashAlgorithm::Xxh64];
    options.size_limit = Some(1200);
    options.compression = compression;
    let mut writer = Writer::create(folder, options).unwrap();
    for row in token_rows(golden) {
        writer.write(&[Value::NdArray(NdArray::from_i32(&row))]).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn token_shards_are_read_raw_and_compressed() {
    let Some(golden) = support::shared("eval-data/mds-golden") else { return };
    for folder in ["tokens", "tokens-zstd"] {
        let dataset = open(&golden.join(folder));
        let expected = token_rows(&golden);
        assert_eq!(dataset.len(), expected.len() as u64);
        for (sample, expected) in expected.iter().enumerate().rev() {
            let mut buffer = Vec::new();
            let array = dataset.array(sample as u64, "tokens", &mut buffer).unwrap();
            assert_eq!(array.dtype, Dtype::Int32);
            assert_eq!(array.shape, [expected.len() as u64]);
            let found: Vec<i32> = array.integers().unwrap().map(|id| id as i32).collect();
            assert_eq!(&found, expected, "{folder}, sample {sample}");
        }
        dataset.verify(|_| ()).unwrap();
    }
}

#[test]
fn token_shards_are_written_byte_for_byte() {
    let Some(golden) = support::shared("eval-data/mds-golden") else { return };
    let folder = tempfile::tempdir().unwrap();
    write_tokens(folder.path(), &golden, None);
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["index.json", "shard.00000.mds", "shard.00001.mds", "shard.00002.mds"]);
    for name in names {
        let (ours, theirs) = (folder.path().join(&name), golden.join("tokens").join(&name));
        assert_eq!(fs::read(ours).unwrap(), fs::read(theirs).unwrap(), "{name:?}");
    }
}

#[test]
fn compressed_shards_agree_in_all_but_the_compressor() {
    let Some(golden) = support::shared("eval-data/mds-golden") else { return };
    let folder = tempfile::tempdir().unwrap();
    write_tokens(folder.path(), &golden, Some(Compression::Zstd(Some(3))));
    let (ours, theirs) = (open(folder.path()), open(&golden.join("tokens-zstd")));
    for (ours, theirs) in ours.shards().zip(theirs.shards()) {
        assert_eq!(ours.raw_data, theirs.raw_data);
        assert_eq!(ours.zip_data.as_ref().map(|zip| &zip.basename), theirs.zip_data.as_ref().map(|zip| &zip.basename));
        assert_eq!((&ours.compression, ours.size_limit), (&theirs.compression, theirs.size_limit));
    }
}

fn floats(array: &NdArray) -> Vec<f64> {
    let chunks = array.data.chunks_exact(array.dtype.size());
    match array.dtype {
        Dtype::Float16 => chunks.map(|chunk| f16::from_le_bytes(chunk.try_into().unwrap()).into()).collect(),
        Dtype::Float32 => chunks.map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()).into()).collect(),
        _ => chunks.map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap())).collect(),
    }
}

/// Compares a value with its form in the file of expected values: numbers beyond 53 bits are strings there, bytes hex.
fn same(value: &Value, expected: &Json) -> bool {
    let number = || expected.as_str().map_or_else(|| expected.to_string(), str::to_owned);
    match value {
        Value::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            expected["hex"] == hex
        }
        Value::Str(text) => expected == text,
        Value::Int(n) | Value::Int64(n) => n.to_string() == number(),
        Value::UInt8(n) => n.to_string() == number(),
        Value::UInt16(n) => n.to_string() == number(),
        Value::UInt32(n) => n.to_string() == number(),
        Value::UInt64(n) => n.to_string() == number(),
        Value::Int8(n) => n.to_string() == number(),
        Value::Int16(n) => n.to_string() == number(),
        Value::Int32(n) => n.to_string() == number(),
        Value::Float16(x) => f64::from(*x) == expected.as_f64().unwrap(),
        Value::Float32(x) => f64::from(*x) == expected.as_f64().unwrap(),
        Value::Float64(x) => *x == expected.as_f64().unwrap(),
        Value::Decimal(text) => *text == number(),
        Value::Json(json) => json == expected,
        Value::NdArray(array) => {
            let shape: Vec<u64> = expected["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
            let values = expected["values"].as_array().unwrap();
            let view = array.view();
            let equal = match view.integers() {
                Some(integers) => integers.eq(values.iter().map(|value| i128::from(value.as_i64().unwrap()))),
                None => floats(array).into_iter().eq(values.iter().map(|value| value.as_f64().unwrap())),
            };
            expected["dtype"] == array.dtype.name() && shape == array.shape && equal
        }
    }
}

#[test]
fn every_encoding_is_read_and_written_byte_for_byte() {
    let Some(golden) = support::shared("eval-data/mds-golden") else { return };
    let dataset = open(&golden.join("all-encodings"));
    let expected = rows(&golden.join("all-encodings.expected.jsonl"));
    assert_eq!(dataset.len(), expected.len() as u64);

    let info = dataset.shards().next().unwrap().clone();
    let columns = info.column_names.iter().cloned();
    let encodings = info.column_encodings.iter().map(|encoding| encoding.parse().unwrap());
    let mut options = WriterOptions::new(columns.zip(encodings).collect());
    options.hashes = vec![HashAlgorithm::Sha256];
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), options).unwrap();

    for (number, expected) in expected.iter().enumerate() {
        let sample = dataset.get(number as u64).unwrap();
        assert_eq!(sample.iter().count(), expected.as_object().unwrap().len());
        for (column, value) in sample.iter() {
            assert!(same(value, &expected[column]), "sample {number}, {column}: {value:?}, not {}", expected[column]);
        }
        writer.write(&sample.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>()).unwrap();
    }
    writer.finish().unwrap();
    for name in ["index.json", "shard.00000.mds"] {
        let (ours, theirs) = (folder.path().join(name), golden.join("all-encodings").join(name));
        assert_eq!(fs::read(ours).unwrap(), fs::read(theirs).unwrap(), "{name}");
    }
}

#[test]
fn the_reference_projects_own_shards_are_read() {
    let Some(golden) = support::shared("eval-data/mds-golden") else { return };
    type Kind = fn(&Value) -> bool;
    let kinds: [(&str, &str, Kind); 4] = [
        ("color", "color", |value| matches!(value, Value::Str(_))),
        ("pet", "pet", |value| matches!(value, Value::Str(_))),
        ("x", "x", |value| matches!(value, Value::NdArray(array) if array.dtype == Dtype::Float64)),
        ("y", "y", |value| matches!(value, Value::Int64(_))),
    ];
    for (folder, column, kind) in kinds {
        let dataset = open(&golden.join("joining").join(folder));
        assert_eq!(dataset.len(), 100);
        for sample in 0..100 {
            let sample = dataset.get(sample).unwrap();
            assert!(matches!(sample.get("_id"), Some(Value::Int32(_))));
            assert!(kind(sample.get(column).unwrap()), "{folder}");
        }
    }
    // A merged index leads into folders, here with 26 before 25.
    let merged = open(&golden.join("naive"));
    let of = |sample| {
        let sample = merged.get(sample).unwrap();
        format!("{} {}", sample.text("dept").unwrap(), sample.text("id").unwrap())
    };
    assert_eq!(merged.len(), 5);
    assert_eq!(of(0), "Finance 36636");
    assert_eq!(of(2), "Sales 42114");
    assert!(matches!(merged.get(5), Err(MdsError::OutOfRange { sample: 5, samples: 5, .. })));
    let empty = open(&golden.join("naive/27"));
    assert!(empty.is_empty() && empty.get(0).is_err());
}

#[test]
fn every_compression_is_read() {
    let Some(golden) = support::shared("eval-data/mds-golden") else { return };
    for name in ["gz", "br", "bz2", "snappy"] {
        let dataset = open(&golden.join(format!("text-{name}")));
        for sample in 0..dataset.len() {
            let text = format!("line {sample} ").repeat(sample as usize + 1);
            assert_eq!(dataset.get(sample).unwrap().text("text"), Some(text.as_str()), "{name}");
        }
        assert!(dataset.len() > 2);
        dataset.verify(|_| ()).unwrap();
    }
}
