//! Whatever is written comes back, under every encoding, size limit and compression.

use half::f16;
use moeworks_data::mds::{
    Compression, Dataset, Dtype, Encoding, HashAlgorithm, MdsError, NdArray, ReaderOptions, Value, Verify, Writer,
    WriterOptions,
};
use proptest::prelude::*;
use std::fs;

/// A column: its encoding and a way to make values for it.
fn column() -> impl Strategy<Value = (Encoding, BoxedStrategy<Value>)> {
    let fixed = |name: &str| name.parse::<Encoding>().unwrap();
    let array = prop::collection::vec(1u64..5, 1..4).prop_flat_map(|shape| {
        let count = shape.iter().product::<u64>() as usize;
        prop::collection::vec(any::<u8>(), 2 * count)
            .prop_map(move |data| Value::NdArray(NdArray { dtype: Dtype::UInt16, shape: shape.clone(), data }))
    });
    let plain = prop::collection::vec(any::<i32>(), 1..300).prop_map(|ids| Value::NdArray(NdArray::from_i32(&ids)));
    let shaped = prop::collection::vec(any::<i32>(), 6)
        .prop_map(|ids| Value::NdArray(NdArray { shape: vec![2, 3], ..NdArray::from_i32(&ids) }));
    let json = prop::collection::vec(("\\PC{0,8}", any::<i64>()), 0..4).prop_map(|pairs| {
        Value::Json(serde_json::Value::Object(pairs.into_iter().map(|(k, v)| (k, v.into())).collect()))
    });
    prop::sample::select(vec![
        (fixed("bytes"), prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes).boxed()),
        (fixed("jpeg"), prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes).boxed()),
        (fixed("str"), any::<String>().prop_map(Value::Str).boxed()),
        (fixed("int"), any::<i64>().prop_map(Value::Int).boxed()),
        (fixed("uint8"), any::<u8>().prop_map(Value::UInt8).boxed()),
        (fixed("int16"), any::<i16>().prop_map(Value::Int16).boxed()),
        (fixed("uint64"), any::<u64>().prop_map(Value::UInt64).boxed()),
        (fixed("float16"), (-1000i16..1000).prop_map(|n| Value::Float16(f16::from_f32(n.into()))).boxed()),
        (fixed("float64"), (-1e300..1e300).prop_map(Value::Float64).boxed()),
        (fixed("str_int"), "-?[0-9]{1,40}".prop_map(Value::Decimal).boxed()),
        (fixed("str_decimal"), "-?[0-9]{1,40}\\.[0-9]{1,5}".prop_map(Value::Decimal).boxed()),
        (fixed("json"), json.boxed()),
        (fixed("ndarray"), array.clone().boxed()),
        (fixed("ndarray:uint16"), array.boxed()),
        (fixed("ndarray:int32"), plain.boxed()),
        (fixed("ndarray:int32:2,3"), shaped.boxed()),
    ])
}

/// Columns, and rows that fit them.
fn table() -> impl Strategy<Value = (Vec<Encoding>, Vec<Vec<Value>>)> {
    prop::collection::vec(column(), 1..5).prop_flat_map(|columns| {
        let (encodings, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        (Just(encodings), prop::collection::vec(values, 0..12))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_comes_back(
        (encodings, rows) in table(),
        size_limit in prop_oneof![Just(None), (0u64..3000).prop_map(Some)],
        compression in prop::option::of(prop::sample::select(vec!["zstd", "gz:1", "br:4", "bz2", "snappy"])),
        hash in prop::sample::select(HashAlgorithm::ALL.to_vec()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let compression = compression.map(|name| name.parse::<Compression>().unwrap());
        // Names in an order that is not the sorted one.
        let names: Vec<String> = (0..encodings.len()).map(|at| format!("c{}", (at * 3 + 1) % 5)).collect();
        let columns = names.iter().cloned().zip(encodings).collect();
        let mut writer = Writer::create(folder.path(), WriterOptions { columns, compression, hashes: vec![hash], size_limit }).unwrap();
        for row in &rows {
            writer.write(row).unwrap();
        }
        let index = writer.finish().unwrap();
        if let Some(limit) = size_limit {
            prop_assert!(index.shards.iter().all(|shard| shard.raw_data.bytes <= limit || shard.samples == 1));
        }
        let options = ReaderOptions { verify: Verify::Required, cache_bytes: 2000, open_files: 2 };
        let dataset = Dataset::open(folder.path(), options).unwrap();
        prop_assert_eq!(dataset.len(), rows.len() as u64);
        for (number, row) in rows.iter().enumerate().rev() {
            let sample = dataset.get(number as u64).unwrap();
            for (name, value) in names.iter().zip(row) {
                prop_assert_eq!(sample.get(name), Some(value));
            }
        }
        dataset.verify(|_| ()).unwrap();
    }
}

#[test]
fn an_oversized_sample_takes_a_shard_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let options = WriterOptions { size_limit: Some(400), ..WriterOptions::new(vec![("t".into(), Encoding::Str)]) };
    let mut writer = Writer::create(folder.path(), options).unwrap();
    for length in [1000, 3, 4, 1000, 5] {
        writer.write(&[Value::Str("x".repeat(length))]).unwrap();
    }
    let samples: Vec<u64> = writer.finish().unwrap().shards.iter().map(|shard| shard.samples).collect();
    assert_eq!(samples, [1, 2, 1, 1]);
}

#[test]
fn a_value_that_does_not_fit_is_refused_and_leaves_no_trace() {
    let columns: Vec<(String, Encoding)> = vec![("n".into(), Encoding::Int), ("t".into(), Encoding::tokens())];
    let tokens = |ids: &[i32]| Value::NdArray(NdArray::from_i32(ids));
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), WriterOptions::new(columns)).unwrap();
    let wrong: [(Vec<Value>, &str); 4] = [
        (vec![Value::Str("7".into()), tokens(&[1])], "column \"n\": a value of kind str does not fit the encoding int"),
        (vec![Value::Int(7), tokens(&[])], "column \"t\": shape [0] is not allowed"),
        (
            vec![Value::Int(7), Value::NdArray(NdArray { dtype: Dtype::Int64, shape: vec![1], data: vec![0; 8] })],
            "column \"t\": the column holds int32 arrays, the value is int64",
        ),
        (vec![Value::Int(7)], "1 values for 2 columns"),
    ];
    for (row, expected) in wrong {
        let error = writer.write(&row).unwrap_err();
        assert!(matches!(error, MdsError::Value { sample: 0, .. }) && error.to_string().contains(expected), "{error}");
    }
    writer.write(&[Value::Int(7), tokens(&[1, 2])]).unwrap();
    writer.finish().unwrap();
    let dataset = Dataset::open(folder.path(), ReaderOptions::default()).unwrap();
    assert_eq!(dataset.len(), 1);
    assert_eq!(dataset.get(0).unwrap().get("n"), Some(&Value::Int(7)));
}

#[test]
fn a_writer_spares_what_is_there_and_leaves_no_index_unless_it_finishes() {
    let folder = tempfile::tempdir().unwrap();
    let options = || WriterOptions { size_limit: Some(300), ..WriterOptions::new(vec![("t".into(), Encoding::Str)]) };
    let mut writer = Writer::create(folder.path(), options()).unwrap();
    for _ in 0..20 {
        writer.write(&[Value::Str("something".into())]).unwrap();
    }
    drop(writer);
    assert!(fs::read_dir(folder.path()).unwrap().count() > 0);
    assert!(matches!(Dataset::open(folder.path(), ReaderOptions::default()), Err(MdsError::Missing { .. })));
    assert!(matches!(Writer::create(folder.path(), options()), Err(MdsError::NotEmpty { .. })));
    let twice = vec![("t".to_owned(), Encoding::Str), ("t".to_owned(), Encoding::Int)];
    for (options, expected) in [
        (WriterOptions::new(vec![]), "at least one column"),
        (WriterOptions::new(twice), "\"t\" is given twice"),
        (WriterOptions { size_limit: Some(1 << 32), ..options() }, "beyond 4 GiB"),
    ] {
        let error = Writer::create(&folder.path().join("new"), options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
