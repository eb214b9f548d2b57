//! Streams in one: shares, fresh passes, a curriculum that cannot be changed behind the reader's back, loss masks.

use moeworks_data::{
    Batch, DataError, Loader, LoaderOptions, LoaderState, Schedule, StageMix, StreamSource, Weight,
    mds::{Dtype, Encoding, NdArray, Value, Writer, WriterOptions},
};
use std::{collections::BTreeSet, path::Path};
use tempfile::TempDir;

/// Streams a (100 samples), b (40) and c (25); sample k of stream s holds the ids k and 100 + s.
fn data() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (stream, (name, samples)) in [("a", 100), ("b", 40), ("c", 25)].into_iter().enumerate() {
        write(&folder.path().join(name), (0..samples).map(|sample| vec![sample, 100 + stream as i32]));
    }
    folder
}

fn write(folder: &Path, samples: impl Iterator<Item = Vec<i32>>) {
    let options =
        WriterOptions { size_limit: Some(600), ..WriterOptions::new(vec![("tokens".into(), Encoding::tokens())]) };
    let mut writer = Writer::create(folder, options).unwrap();
    for ids in samples {
        writer.write(&[Value::NdArray(NdArray::from_i32(&ids))]).unwrap();
    }
    writer.finish().unwrap();
}

fn sources(folder: &Path, names: &[&str]) -> Vec<StreamSource> {
    names.iter().map(|&name| StreamSource { name: name.into(), path: folder.join(name) }).collect()
}

fn options() -> LoaderOptions {
    LoaderOptions { block_bytes: 1500, ..LoaderOptions::new(5, 200) }
}

fn rows(loader: &mut Loader, count: usize) -> Vec<(u32, u64)> {
    let mut rows = Vec::new();
    while rows.len() < count {
        let Batch { streams, samples, tokens, .. } = loader.next_batch().unwrap();
        for (row, (&stream, &sample)) in tokens.chunks(2).zip(streams.iter().zip(&samples)) {
            assert_eq!(row, [sample as i32, 100 + stream as i32]);
        }
        rows.extend(streams.into_iter().zip(samples));
    }
    rows
}

fn count(rows: &[(u32, u64)], stream: u32) -> usize {
    rows.iter().filter(|row| row.0 == stream).count()
}

#[test]
fn an_epoch_takes_what_the_weights_say_and_passes_are_fresh() {
    let folder = data();
    let [a, b, c] = <[StreamSource; 3]>::try_from(sources(folder.path(), &["a", "b", "c"])).unwrap();
    let mix = vec![(a, Weight::Repeat(0.5)), (b, Weight::Repeat(2.0)), (c, Weight::Choose(10))];
    let mut loader = Loader::open_schedule(&Schedule::mix(mix), options()).unwrap();
    assert_eq!(loader.samples_per_epoch(), 140);
    let epochs: Vec<Vec<(u32, u64)>> = (0..4).map(|_| rows(&mut loader, 140)).collect();
    let of = |epoch: usize, stream: u32| -> Vec<u64> {
        epochs[epoch].iter().filter(|row| row.0 == stream).map(|row| row.1).collect()
    };
    for epoch in 0..4 {
        assert_eq!([0, 1, 2].map(|stream| of(epoch, stream).len()), [50, 80, 10]);
        // Both passes of b are whole, and in orders of their own.
        let (first, second) = (&of(epoch, 1)[..40], &of(epoch, 1)[40..]);
        assert!(first != second && [first, second].iter().all(|pass| pass.iter().collect::<BTreeSet<_>>().len() == 40));
    }
    // Half of a is another half in the next epoch, and two epochs are all of it.
    let halves: BTreeSet<u64> = of(0, 0).into_iter().chain(of(1, 0)).collect();
    assert_eq!(halves.len(), 100);
    assert_ne!(of(0, 0), of(2, 0));
    assert_eq!(loader.tokens_by_stream(), [("a", 400), ("b", 640), ("c", 80)]);
}

#[test]
fn proportions_hold_in_every_stretch() {
    let folder = data();
    let weights = [6.0, 3.0, 1.0].map(Weight::Proportion);
    let mix = sources(folder.path(), &["a", "b", "c"]).into_iter().zip(weights).collect();
    let mut loader = Loader::open_schedule(&Schedule::mix(mix), options()).unwrap();
    assert_eq!(loader.samples_per_epoch(), 165);
    let epoch = rows(&mut loader, 165);
    assert_eq!([0, 1, 2].map(|stream| count(&epoch, stream)), [99, 50, 16]);
}

fn curriculum(folder: &Path, stages: &[(Option<u64>, [f64; 3])]) -> Schedule {
    let weight = |share: f64| (share > 0.0).then_some(Weight::Proportion(share));
    let stages = stages.iter().map(|&(samples, shares)| StageMix { samples, weights: shares.map(weight).into() });
    Schedule { streams: sources(folder, &["a", "b", "c"]), stages: stages.collect() }
}

#[test]
fn stages_follow_each_other_and_streams_go_on_where_they_were() {
    let folder = data();
    let plan = curriculum(folder.path(), &[(Some(60), [1.0, 1.0, 0.0]), (Some(40), [1.0, 0.0, 1.0]), (None, [1.0; 3])]);
    let open = || Loader::open_schedule(&plan, options()).unwrap();
    let mut loader = open();
    let whole = rows(&mut loader, 200);
    // The shares hold over windows of an epoch, which these stages are a part of: near enough is right here.
    for (stretch, expected) in [(0..60, [30, 30, 0]), (60..100, [20, 0, 20]), (100..200, [33; 3])] {
        for (stream, expected) in (0..).zip(expected) {
            let found = count(&whole[stretch.clone()], stream);
            assert!(found.abs_diff(expected) <= expected / 3, "{stretch:?}: {found} of stream {stream}");
        }
    }
    // No sample of a comes twice before all have come, across the stages.
    let first: Vec<u64> = whole.iter().filter(|row| row.0 == 0).map(|row| row.1).collect();
    assert!(first.len() > 70 && first.iter().collect::<BTreeSet<_>>().len() == first.len().min(100));
    // From any batch on, also at the ends of stages, the rest is the same.
    for stop in [0, 5, 55, 60, 65, 100, 105, 150] {
        let mut first = open();
        rows(&mut first, stop);
        let mut second = open();
        second.restore(&serde_json::from_str(&serde_json::to_string(&first.state()).unwrap()).unwrap()).unwrap();
        assert_eq!(rows(&mut second, 200 - stop), whole[stop..], "stop at {stop}");
    }
}

#[test]
fn what_was_trained_on_cannot_be_changed() {
    let folder = data();
    let open = |stages: &[(Option<u64>, [f64; 3])]| {
        Loader::open_schedule(&curriculum(folder.path(), stages), options()).unwrap()
    };
    let (first, second, third) = ([1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]);
    let mut loader = open(&[(Some(60), first), (Some(40), second), (None, third)]);
    rows(&mut loader, 80);
    let state: LoaderState = loader.state();
    let restore = |stages: &[(Option<u64>, [f64; 3])]| {
        let mut loader = open(stages);
        loader.restore(&state).map(|()| (loader.position().stage, loader.tokens_seen()))
    };
    // What is still to come may be changed, to the very end of what was read.
    assert_eq!(restore(&[(Some(60), first), (Some(40), second), (None, first)]).unwrap(), (1, 160));
    assert_eq!(restore(&[(Some(60), first), (Some(100), second), (None, third)]).unwrap(), (1, 160));
    assert_eq!(restore(&[(Some(60), first), (None, second)]).unwrap(), (1, 160));
    assert_eq!(restore(&[(Some(60), first), (Some(20), second), (None, third)]).unwrap(), (2, 160));
    for (stages, expected) in [
        (vec![(Some(65), first), (None, second)], "was 60 samples in stage 1, now it is 65 samples in stage 1"),
        (vec![(Some(60), second), (None, second)], "stage 1: 70 samples an epoch of a"),
        (vec![(Some(60), first), (None, third)], "the mix of a stage that has begun"),
        (vec![(Some(60), first), (Some(15), second), (None, third)], "in a stage of 15 samples"),
        (vec![(None, first)], "in stage 2 of 3, now it is a schedule of 1"),
    ] {
        let error = restore(&stages).unwrap_err();
        assert!(
            matches!(error, DataError::State { .. }) && error.to_string().contains(expected),
            "{expected}: {error}"
        );
    }
}

#[test]
fn streams_that_do_not_belong_together_are_named() {
    let folder = data();
    let path = folder.path();
    write(&path.join("long"), [vec![1, 2, 3]].into_iter());
    let open = |names: [&str; 2], paths: [&str; 2]| {
        let source = |at: usize| StreamSource { name: names[at].into(), path: path.join(paths[at]) };
        let mix = vec![(source(0), Weight::All), (source(1), Weight::All)];
        Loader::open_schedule(&Schedule::mix(mix), options()).unwrap_err().to_string()
    };
    for (names, paths, expected) in [
        (["a", "long"], ["a", "long"], "stream long: has 3 tokens a sample, stream a has 2"),
        (["a", "a"], ["a", "b"], "stream a: is the name of two streams"),
        (["x", "y"], ["a", "a"], "stream y: is the same data as stream x"),
        (["x", "y"], ["a", "nowhere"], "nowhere"),
    ] {
        let error = open(names, paths);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

fn packed(folder: &Path, tokens: &[i32], loss: &[u8], lengths: &[i32]) {
    let columns = [("tokens", "ndarray:int32"), ("loss", "ndarray:uint8"), ("lengths", "ndarray:int32")];
    let columns = columns.map(|(name, encoding)| (name.to_owned(), encoding.parse().unwrap()));
    let mut writer = Writer::create(folder, WriterOptions::new(columns.into())).unwrap();
    // Columns are stored by name; the writer takes them in the order given.
    let loss = NdArray { dtype: Dtype::UInt8, shape: vec![loss.len() as u64], data: loss.into() };
    let row = [NdArray::from_i32(tokens), loss, NdArray::from_i32(lengths)].map(Value::NdArray);
    writer.write(&row).unwrap();
    writer.finish().unwrap();
}

#[test]
fn masks_and_lengths_come_along_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    packed(&folder.path().join("chat"), &[1, 2, 3, 4, 5, 0], &[0, 1, 1, 0, 1, 0], &[3, 2]);
    write(&folder.path().join("text"), [vec![7; 6]].into_iter());
    let mix = sources(folder.path(), &["chat", "text"]).into_iter().map(|s| (s, Weight::All)).collect();
    let mut loader = Loader::open_schedule(&Schedule::mix(mix), LoaderOptions::new(2, 10)).unwrap();
    for _ in 0..4 {
        let batch = loader.next_batch().unwrap();
        let chat = batch.streams.iter().position(|&stream| stream == 0).unwrap();
        let (loss, lengths) = (batch.loss.unwrap(), batch.lengths.unwrap());
        assert_eq!(&loss[6 * chat..][..6], [0, 1, 1, 0, 1, 0]);
        assert_eq!(&loss[6 * (1 - chat)..][..6], [1; 6]);
        assert_eq!((&lengths[chat][..], &lengths[1 - chat][..]), (&[3, 2][..], &[][..]));
    }
    let plain = Loader::open(&folder.path().join("text"), LoaderOptions::new(1, 10)).unwrap().next_batch().unwrap();
    assert_eq!((plain.loss, plain.lengths), (None, None));
}

#[test]
fn wrong_masks_and_lengths_are_named() {
    for (loss, lengths, expected) in [
        (&[0, 2, 1][..], &[3][..], "column \"loss\", position 1: 2 is neither 0 nor 1"),
        (&[0, 1][..], &[3][..], "column \"loss\", 2 values of type uint8, must be 3"),
        (&[0, 1, 1][..], &[2, 2][..], "column \"lengths\", example 1 of 2 tokens"),
        (&[0, 1, 1][..], &[-1][..], "column \"lengths\", example 0 of -1 tokens"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        packed(folder.path(), &[1, 2, 3], loss, lengths);
        let mut loader = Loader::open(folder.path(), LoaderOptions::new(1, 10)).unwrap();
        let error = loader.next_batch().unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("shard.00000.mds, sample 0"), "{error}");
    }
}
