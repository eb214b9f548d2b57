//! Batches from a folder of shards, as fast as they come and are looked at.

use crate::cli::BenchLoader;
use crate::show;
use anyhow::Result;
use moeworks_data::mds::Verify;
use moeworks_data::{Loader, LoaderOptions};
use serde::Serialize;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Serialize)]
struct Answer {
    samples: u64,
    sequence_length: usize,
    /// From before the folder is opened to the last batch.
    seconds: f64,
    samples_per_second: f64,
    /// Of token ids, 4 bytes each.
    mb_per_second: f64,
    first_batch_seconds: f64,
    /// Whether every byte that was given out had been checked against a hash.
    hashes_checked: bool,
    shards_opened: u64,
    readers: usize,
    batch: usize,
    shuffle: bool,
}

/// What one reader has seen.
struct Seen {
    samples: u64,
    sequence_length: usize,
    first_batch: Duration,
    shards: u64,
    hashes: bool,
}

pub fn run(flags: &BenchLoader) -> Result<()> {
    let options = LoaderOptions {
        readers: flags.readers,
        shuffle: flags.shuffle,
        block_bytes: flags.block_mib << 20,
        verify: if flags.no_hashes { Verify::Sizes } else { Verify::Stated },
        ..LoaderOptions::new(flags.batch, i32::MAX as usize)
    };
    let began = Instant::now();
    let seen = thread::scope(|scope| -> Result<Vec<Seen>> {
        let start = |reader| {
            let options = LoaderOptions { reader, ..options.clone() };
            scope.spawn(move || read(flags, options, began))
        };
        let readers: Vec<_> = (0..flags.readers).map(start).collect();
        let joined =
            readers.into_iter().map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect()
    })?;
    let seconds = began.elapsed().as_secs_f64();
    let sequence_length = seen[0].sequence_length; // there is at least one reader
    let samples: u64 = seen.iter().map(|s| s.samples).sum();
    let rate = samples as f64 / seconds;
    let answer = Answer {
        samples,
        sequence_length,
        seconds,
        samples_per_second: rate,
        mb_per_second: rate * sequence_length as f64 * 4.0 / 1e6,
        first_batch_seconds: seen.iter().map(|s| s.first_batch.as_secs_f64()).fold(0.0, f64::max),
        hashes_checked: seen.iter().all(|s| s.hashes),
        shards_opened: seen.iter().map(|s| s.shards).sum(),
        readers: flags.readers,
        batch: flags.batch,
        shuffle: flags.shuffle,
    };
    if flags.json {
        return show::result(&serde_json::to_string_pretty(&answer)?);
    }
    show::result(&format!(
        "{} samples/s of {} tokens, {:.0} MB/s; {} samples in {:.2} s, first batch after {:.3} s; {} shards opened, \
         hashes {}checked",
        show::count(rate as u64),
        answer.sequence_length,
        answer.mb_per_second,
        samples,
        seconds,
        answer.first_batch_seconds,
        answer.shards_opened,
        if answer.hashes_checked { "" } else { "not " },
    ))
}

fn read(flags: &BenchLoader, options: LoaderOptions, began: Instant) -> Result<Seen> {
    let mut loader = Loader::open(&flags.folder, options)?;
    let (sequence_length, hashes) = (loader.sequence_length(), loader.checks_hashes());
    let mut seen = Seen { samples: 0, sequence_length, first_batch: Duration::ZERO, shards: 0, hashes };
    let mut sum = 0u64;
    let passes = flags.epochs.map(|epochs| (epochs * loader.samples_per_epoch() as f64) as u64);
    loop {
        let batch = loader.next_batch()?;
        // Every id is looked at: a batch that nobody reads may never have come into a cache.
        sum = batch.tokens.iter().fold(sum, |sum, id| sum.wrapping_add(*id as u64));
        if seen.samples == 0 {
            seen.first_batch = began.elapsed();
        }
        seen.samples += batch.samples.len() as u64;
        let ended = match passes {
            Some(samples) => seen.samples * flags.readers as u64 >= samples,
            None => began.elapsed().as_secs_f64() >= flags.seconds,
        };
        if ended {
            std::hint::black_box(sum);
            seen.shards = loader.shards_opened();
            return Ok(seen);
        }
    }
}
