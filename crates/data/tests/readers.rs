//! Elastic readers: one order for any number of them that divides the batch, also when it changes at a stop.

use moeworks_data::{
    DataError, Loader, LoaderOptions, Schedule, StreamSource, Weight,
    mds::{Encoding, NdArray, Value, Writer, WriterOptions},
};
use proptest::prelude::*;
use std::{path::Path, sync::OnceLock};
use tempfile::TempDir;

const BATCH: usize = 16;

fn data() -> &'static Path {
    static DATA: OnceLock<TempDir> = OnceLock::new();
    DATA.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for (name, samples) in [("web", 150), ("code", 37)] {
            let columns = vec![("tokens".into(), Encoding::tokens())];
            let options = WriterOptions { size_limit: Some(600), ..WriterOptions::new(columns) };
            let mut writer = Writer::create(&folder.path().join(name), options).unwrap();
            for sample in 0..samples {
                writer.write(&[Value::NdArray(NdArray::from_i32(&[sample, samples]))]).unwrap();
            }
            writer.finish().unwrap();
        }
        folder
    })
    .path()
}

fn schedule() -> Schedule {
    let stream = |name: &str| StreamSource { name: name.into(), path: data().join(name) };
    Schedule::mix(vec![(stream("web"), Weight::Repeat(0.5)), (stream("code"), Weight::Repeat(2.0))])
}

fn open(options: &LoaderOptions, reader: usize, readers: usize) -> Loader {
    Loader::open_schedule(&schedule(), LoaderOptions { reader, readers, ..options.clone() }).unwrap()
}

/// Tokens of so many global batches, from a state on or from the beginning, and the state behind them.
fn read(options: &LoaderOptions, readers: usize, batches: usize, from: Option<&str>) -> (Vec<i32>, String) {
    let mut loaders: Vec<Loader> = (0..readers).map(|reader| open(options, reader, readers)).collect();
    if let Some(state) = from {
        loaders.iter_mut().for_each(|loader| loader.restore(&serde_json::from_str(state).unwrap()).unwrap());
    }
    let tokens = (0..batches)
        .flat_map(|_| loaders.iter_mut().flat_map(|loader| loader.next_batch().unwrap().tokens).collect::<Vec<_>>())
        .collect();
    let states: Vec<String> = loaders.iter().map(|loader| serde_json::to_string(&loader.state()).unwrap()).collect();
    assert!(states.windows(2).all(|pair| pair[0] == pair[1]), "all readers stand at one place");
    (tokens, states[0].clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_does_not_depend_on_the_number_of_readers(
        seed: u64, shuffle: bool, block_bytes in 0u64..6000, stop in 0usize..25, before in 0usize..5, after in 0usize..5,
    ) {
        let options = LoaderOptions { seed, shuffle, block_bytes, ..LoaderOptions::new(BATCH, 200) };
        let (whole, _) = read(&options, 1, 40, None);
        let order: Vec<(usize, u64)> = open(&options, 0, 1).order().take(40 * BATCH).collect();
        let found: Vec<(usize, u64)> =
            whole.chunks(2).map(|row| (usize::from(row[1] == 37), row[0] as u64)).collect();
        prop_assert_eq!(order, found);
        let numbers = [1, 2, 4, 8, 16];
        let (mut parts, state) = read(&options, numbers[before], stop, None);
        parts.extend(read(&options, numbers[after], 40 - stop, Some(&state)).0);
        prop_assert!(parts == whole, "{} readers, after batch {stop} {}", numbers[before], numbers[after]);
    }
}

#[test]
fn readers_that_cannot_share_a_batch_are_told_which_can() {
    for (reader, readers, expected) in [
        (0, 3, "3 readers cannot share a batch of 16: it can be 1, 2, 4, 8, 16"),
        (0, 0, "0 readers cannot share"),
        (4, 4, "4 is none of the 4 readers"),
    ] {
        let options = LoaderOptions { reader, readers, ..LoaderOptions::new(BATCH, 200) };
        let error = Loader::open_schedule(&schedule(), options).unwrap_err();
        assert!(matches!(error, DataError::Recipe { .. }) && error.to_string().contains(expected), "{error}");
    }
}
