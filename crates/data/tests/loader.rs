//! The loader: one order for one seed, every sample once per epoch, and the same batches after a stop at any point.

mod support;

use moeworks_data::{
    DataError, Fault, Loader, LoaderOptions, LoaderState, Position, build,
    mds::{Compression, Dtype, Encoding, NdArray, Value, Writer, WriterOptions},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, fs, path::Path, sync::OnceLock};
use support::{ByteEncoder, plant_texts, recipe};
use tempfile::TempDir;

const SAMPLES: u64 = 37;
const LENGTH: usize = 8;

/// Sample k holds the ids 8k to 8k + 7, in several shards.
fn data() -> &'static Path {
    static DATA: OnceLock<TempDir> = OnceLock::new();
    DATA.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), (0..SAMPLES as i32).map(|k| (8 * k..8 * k + 8).collect()));
        folder
    })
    .path()
}

fn write(folder: &Path, samples: impl Iterator<Item = Vec<i32>>) {
    write_compressed(folder, samples, None);
}

fn write_compressed(folder: &Path, samples: impl Iterator<Item = Vec<i32>>, compression: Option<Compression>) {
    let options = WriterOptions {
        size_limit: Some(600),
        compression,
        ..WriterOptions::new(vec![("tokens".into(), Encoding::tokens())])
    };
    let mut writer = Writer::create(folder, options).unwrap();
    for ids in samples {
        writer.write(&[Value::NdArray(NdArray::from_i32(&ids))]).unwrap();
    }
    writer.finish().unwrap();
}

fn options(batch: usize, seed: u64) -> LoaderOptions {
    LoaderOptions { seed, ..LoaderOptions::new(batch, 8 * SAMPLES as usize) }
}

fn at(epoch: u64, sample: u64) -> Position {
    Position { stage: 0, epoch, sample }
}

fn samples(loader: &mut Loader, count: usize) -> Vec<u64> {
    let mut samples = Vec::new();
    while samples.len() < count {
        let batch = loader.next_batch().unwrap();
        for (row, sample) in batch.tokens.chunks(LENGTH).zip(&batch.samples) {
            assert!(row.iter().copied().eq(8 * *sample as i32..8 * *sample as i32 + 8));
        }
        samples.extend(batch.samples);
    }
    samples.truncate(count);
    samples
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_stop_at_any_point_changes_nothing(
        batch in 1usize..50, seed: u64, shuffle: bool, prefetch in 0usize..4, stop in 0usize..20, other_batch in 1usize..9,
        block_bytes in 0u64..3000,
    ) {
        let options = LoaderOptions { shuffle, prefetch, block_bytes, ..options(batch, seed) };
        let whole = samples(&mut Loader::open(data(), options.clone()).unwrap(), 21 * batch);
        let mut first = Loader::open(data(), options.clone()).unwrap();
        for at in 0..stop {
            prop_assert_eq!(&first.next_batch().unwrap().samples, &whole[at * batch..(at + 1) * batch]);
        }
        let state = serde_json::to_string(&first.state()).unwrap();
        prop_assert_eq!(first.tokens_seen(), (stop * batch * LENGTH) as u64);
        drop(first);
        // Also with another batch size: the row of samples is the same.
        for batch_now in [batch, other_batch] {
            let mut second = Loader::open(data(), LoaderOptions { batch: batch_now, ..options.clone() }).unwrap();
            second.restore(&serde_json::from_str::<LoaderState>(&state).unwrap()).unwrap();
            prop_assert_eq!(samples(&mut second, batch), &whole[stop * batch..(stop + 1) * batch]);
        }
    }

    #[test]
    fn every_sample_comes_once_per_epoch(batch in 1usize..50, seed: u64, block_bytes in 0u64..3000) {
        let mut loader = Loader::open(data(), LoaderOptions { block_bytes, ..options(batch, seed) }).unwrap();
        let three = samples(&mut loader, 3 * SAMPLES as usize);
        let epochs: Vec<&[u64]> = three.chunks(SAMPLES as usize).collect();
        for epoch in &epochs {
            prop_assert_eq!(epoch.iter().copied().collect::<BTreeSet<_>>(), (0..SAMPLES).collect());
        }
        prop_assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        prop_assert!(!epochs[0].is_sorted());
    }
}

#[test]
fn counts_and_positions() {
    let mut loader = Loader::open(data(), LoaderOptions { shuffle: false, ..options(10, 0) }).unwrap();
    assert_eq!((loader.sequence_length(), loader.samples_per_epoch(), loader.tokens_per_epoch()), (8, 37, 296));
    assert_eq!(loader.position(), Position::default());
    for _ in 0..4 {
        let batch = loader.next_batch().unwrap();
        assert_eq!((batch.tokens.len(), batch.sequence_length, batch.next), (80, 8, loader.position()));
    }
    // The fourth batch took its last three samples from the second epoch.
    assert_eq!((loader.position(), loader.tokens_seen()), (at(1, 3), 320));
    loader.seek(at(7, 36)).unwrap();
    assert_eq!(samples(&mut loader, 3), [36, 0, 1]);
}

#[test]
fn another_seed_is_another_order() {
    let order = |seed| samples(&mut Loader::open(data(), options(5, seed)).unwrap(), 37);
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn a_state_of_other_data_or_another_order_is_refused() {
    let mut loader = Loader::open(data(), options(4, 1)).unwrap();
    let state = loader.state();
    let mut other_data = state.clone();
    other_data.stages[0].streams[0].data = "other".into();
    let wrong = [
        (other_data, "fingerprint"),
        (LoaderState { block_bytes: 1, ..state.clone() }, "the bytes of a block was 1"),
        (LoaderState { position: Position { stage: 1, ..state.position }, ..state.clone() }, "in stage 2 of 1"),
        (LoaderState { seed: 2, ..state.clone() }, "the seed of the order was 2, now it is 1"),
        (LoaderState { shuffle: false, ..state.clone() }, "shuffle was false"),
        (LoaderState { position: at(0, 37), ..state.clone() }, "number 37 of epoch 0"),
        (LoaderState { position: at(u64::MAX, 0), ..state.clone() }, "an epoch of 37 samples"),
    ];
    for (state, expected) in wrong {
        let error = loader.restore(&state).unwrap_err();
        assert!(matches!(error, DataError::State { .. }) && error.to_string().contains(expected), "{error}");
    }
    loader.restore(&state).unwrap();
}

#[test]
fn wrong_samples_are_named_and_never_given() {
    let fail = |data: &[Vec<i32>], vocab_size| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), data.iter().cloned());
        let options = LoaderOptions { shuffle: false, ..LoaderOptions::new(2, vocab_size) };
        let mut loader = Loader::open(folder.path(), options).unwrap();
        assert_eq!(loader.next_batch().unwrap().samples, [0, 1]);
        let first = loader.next_batch().unwrap_err();
        assert_eq!(loader.position(), at(0, 2));
        // It stays where it is, and says the same again.
        assert_eq!(loader.next_batch().unwrap_err().to_string(), first.to_string());
        assert_eq!(first.fault(), Fault::BadData);
        first.to_string()
    };
    let good = vec![1, 2, 3];
    let error = fail(&[good.clone(), good.clone(), good.clone(), vec![1, 50, 60]], 50);
    assert!(
        error.contains("shard.00000.mds, sample 3: column \"tokens\", position 1: token id 50 is outside 0..50"),
        "{error}"
    );
    let error = fail(&[good.clone(), good.clone(), vec![1, 2, -1]], 50);
    assert!(error.contains("sample 2: column \"tokens\", position 2: token id -1"), "{error}");
    let error = fail(&[good.clone(), good.clone(), vec![1, 2]], 50);
    assert!(error.contains("sample 2: column \"tokens\", 2 tokens, but the data set's first sample has 3"), "{error}");
}

/// Blocks of two shards of about 12 samples: the first batches come, the error waits until its block is needed.
#[test]
fn a_damaged_shard_is_an_error_that_names_it_when_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), (0..SAMPLES as i32).map(|k| (8 * k..8 * k + 8).collect()));
    let path = folder.path().join("shard.00002.mds");
    let bytes = fs::read(&path).unwrap();
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    type Damage<'a> = (&'a str, &'a [&'a str], Option<&'a [u8]>);
    let damages: [Damage<'_>; 3] = [
        ("a flipped bit", &["xxh3_64", "the content has changed"], Some(&flipped)),
        ("cut off", &["bytes long, the index says"], Some(&bytes[..100])),
        ("gone", &["is missing"], None),
    ];
    for (what, expected, damage) in damages {
        for block_bytes in [0, 1100] {
            match damage {
                Some(damaged) => fs::write(&path, damaged).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let options = LoaderOptions { shuffle: false, block_bytes, ..options(1, 0) };
            let mut loader = Loader::open(folder.path(), options).unwrap();
            let error = loop {
                if let Err(error) = loader.next_batch() {
                    break error.to_string();
                }
            };
            assert!(
                expected.iter().all(|part| error.contains(part)) && error.contains("shard.00002.mds"),
                "{what}: {error}"
            );
            let at = loader.position();
            assert!(at.sample > 10, "{what}: two good shards come before");
            assert_eq!(loader.next_batch().unwrap_err().to_string(), error);
            // Mended, it goes on where it stopped.
            fs::write(&path, &bytes).unwrap();
            assert_eq!(loader.next_batch().unwrap().samples, [at.sample]);
        }
    }
}

#[test]
fn every_shard_is_opened_once_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    let samples_of = (0..400).map(|k| (8 * k..8 * k + 8).collect());
    write_compressed(folder.path(), samples_of, Some("zstd:1".parse().unwrap()));
    let shards = fs::read_dir(folder.path()).unwrap().count() as u64 - 1;
    assert!(shards > 20);
    // Blocks of two, of four, and of all shards, which are then never opened again.
    for (block_bytes, passes) in [(0, 3), (2400, 3), (1 << 20, 1)] {
        let options = LoaderOptions { block_bytes, prefetch: 0, ..LoaderOptions::new(4, 8 * 400) };
        let mut loader = Loader::open(folder.path(), options).unwrap();
        let three: Vec<u64> = (0..300).flat_map(|_| loader.next_batch().unwrap().samples).collect();
        assert_eq!(three.iter().collect::<BTreeSet<_>>().len(), 400);
        let opened = loader.shards_opened();
        // Two blocks more may have been opened ahead; what two blocks share where passes meet is not opened again.
        let block = if block_bytes == 0 { 2 } else { 4 };
        let expected = passes * shards - (passes - 1) * block..=passes * shards + 2 * block;
        assert!(expected.contains(&opened), "{opened} for {passes} passes over {shards} shards");
    }
}

#[test]
fn other_integer_types_are_read_and_other_columns_are_not() {
    let write = |encoding: &str, column: &str, value: Value| {
        let folder = tempfile::tempdir().unwrap();
        let mut writer =
            Writer::create(folder.path(), WriterOptions::new(vec![(column.into(), encoding.parse().unwrap())]))
                .unwrap();
        writer.write(&[value]).unwrap();
        writer.finish().unwrap();
        folder
    };
    let first = |folder: TempDir| {
        Loader::open(folder.path(), LoaderOptions::new(1, 70_000)).and_then(|mut loader| loader.next_batch())
    };
    let int64: Vec<u8> = [5i64, 69_999].iter().flat_map(|id| id.to_le_bytes()).collect();
    let int64 = NdArray { dtype: Dtype::Int64, shape: vec![2], data: int64 };
    let uint16 = NdArray { dtype: Dtype::UInt16, shape: vec![2], data: vec![1, 0, 255, 255] };
    let float = NdArray { dtype: Dtype::Float32, shape: vec![1], data: vec![0; 4] };
    assert_eq!(first(write("ndarray", "tokens", Value::NdArray(int64))).unwrap().tokens, [5, 69_999]);
    assert_eq!(first(write("ndarray:uint16:2", "tokens", Value::NdArray(uint16))).unwrap().tokens, [1, 65_535]);
    for (folder, expected) in [
        (write("ndarray", "tokens", Value::NdArray(float)), "float32 is no type for tokens"),
        (write("str", "text", Value::Str("x".into())), "no column \"tokens\", only text"),
        (write("str", "tokens", Value::Str("x".into())), "holds str and no arrays"),
    ] {
        let error = first(folder).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path, batch| Loader::open(path, LoaderOptions::new(batch, 300)).unwrap_err();
    assert_eq!(open(folder.path(), 1).fault(), Fault::MissingInput);
    assert_eq!(open(data(), 0).fault(), Fault::BadConfiguration);
    write(&folder.path().join("empty"), std::iter::empty());
    let error = open(&folder.path().join("empty"), 1);
    assert!(error.fault() == Fault::BadData && error.to_string().contains("holds no samples"), "{error}");
}

#[test]
fn a_built_folder_is_opened_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    plant_texts(&folder.path().join("docs"), 80);
    let out = folder.path().join("out");
    let summary = build(&recipe(&folder.path().join("docs")), &ByteEncoder, &out, &()).unwrap();
    let mut loader = Loader::open(&out, LoaderOptions::new(4, summary.vocab_size)).unwrap();
    assert_eq!((loader.sequence_length(), loader.samples_per_epoch()), (32, summary.samples));
    assert_eq!(loader.next_batch().unwrap().tokens.len(), 4 * 32);
    fs::write(out.join("train/index.json"), "{}").unwrap();
    assert!(matches!(Loader::open(&out, LoaderOptions::new(4, 257)), Err(DataError::Damaged { .. })));
}
