//! `bench tokenize`: how fast text becomes ids, with one thread and more.

use super::measure::median;
use crate::cli::BenchTokenize;
use crate::commands::tokenizer::open;
use crate::exit::{BAD_DATA, coded, io_at};
use crate::show::{self, table};
use anyhow::Result;
use moeworks_text::Tokenizer;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Serialize)]
struct Answer {
    tokenizer: String,
    documents: usize,
    bytes: usize,
    tokens: usize,
    /// SHA-256 over the documents' ids: of each, their number and then they themselves, 32 bits each, little-endian.
    ids_sha256: String,
    runs: Vec<Run>,
}

/// Passes over all documents with so many threads.
#[derive(Serialize)]
struct Run {
    threads: usize,
    seconds: Vec<f64>,
    mb_s: f64,
    slowest_mb_s: f64,
    fastest_mb_s: f64,
    tokens_s: f64,
}

pub fn run(flags: &BenchTokenize) -> Result<()> {
    let tokenizer = open(&flags.tokenizer)?;
    let mut documents = Vec::new();
    for path in &flags.text {
        let bytes = std::fs::read(path).map_err(|e| io_at(path, e))?;
        let text = String::from_utf8(bytes)
            .map_err(|e| coded(BAD_DATA, format!("{}: {}; give UTF-8 text", path.display(), e.utf8_error())))?;
        documents.extend(chunks(&text, flags.chunk));
    }
    if documents.is_empty() {
        return Err(coded(BAD_DATA, "the files have no text: give files that have some"));
    }
    let (mut tokens, mut hash) = (0, Sha256::new());
    for document in &documents {
        let ids = tokenizer.encode(document);
        tokens += ids.len();
        hash.update((ids.len() as u32).to_le_bytes());
        ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
    }
    let bytes = documents.iter().map(String::len).sum();
    let most = flags.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let run = |threads| {
        let seconds = passes(&tokenizer, &documents, threads, Duration::from_secs_f64(flags.seconds));
        let mb_s = |seconds: f64| bytes as f64 / seconds / 1e6;
        Run {
            threads,
            mb_s: mb_s(median(&seconds)),
            slowest_mb_s: mb_s(seconds.iter().copied().fold(0.0, f64::max)),
            fastest_mb_s: mb_s(seconds.iter().copied().fold(f64::INFINITY, f64::min)),
            tokens_s: tokens as f64 / median(&seconds),
            seconds,
        }
    };
    let answer = Answer {
        tokenizer: flags.tokenizer.clone(),
        documents: documents.len(),
        bytes,
        tokens,
        ids_sha256: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        runs: (1..=most).map(run).collect(),
    };
    if flags.json {
        return show::result(&serde_json::to_string_pretty(&answer)?);
    }
    show::result(&format!(
        "{} documents, {}, {} tokens, {:.2} bytes a token",
        answer.documents,
        show::bytes(bytes as u64),
        show::count(tokens as u64),
        bytes as f64 / tokens as f64
    ))?;
    let head = ["threads", "MB/s", "slowest", "fastest", "tokens/s"].map(String::from).to_vec();
    let cells = |run: &Run| {
        let mut cells = vec![run.threads.to_string()];
        cells.extend([run.mb_s, run.slowest_mb_s, run.fastest_mb_s].map(|mb| format!("{mb:.1}")));
        cells.push(show::count(run.tokens_s as u64));
        cells
    };
    show::result(&table(&std::iter::once(head).chain(answer.runs.iter().map(cells)).collect::<Vec<_>>()))
}

/// `text` cut after every `length` characters.
fn chunks(text: &str, length: usize) -> impl Iterator<Item = String> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
        let (chunk, after) = rest.split_at(end);
        rest = after;
        (!chunk.is_empty()).then(|| chunk.to_owned())
    })
}

/// Seconds of each pass over the documents, as many as fit into `time`, and three at least.
fn passes(tokenizer: &Tokenizer, documents: &[String], threads: usize, time: Duration) -> Vec<f64> {
    let (began, mut seconds) = (Instant::now(), Vec::new());
    while seconds.len() < 3 || began.elapsed() < time {
        let (start, next) = (Instant::now(), AtomicUsize::new(0));
        let work = || {
            while let Some(document) = documents.get(next.fetch_add(1, Ordering::Relaxed)) {
                black_box(tokenizer.encode(document));
            }
        };
        thread::scope(|scope| {
            (1..threads).for_each(|_| drop(scope.spawn(work)));
            work();
        });
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::chunks;

    #[test]
    fn chunks_are_counted_in_characters() {
        assert_eq!(chunks("añb你c", 2).collect::<Vec<_>>(), ["añ", "b你", "c"]);
        assert_eq!(chunks("", 2).count(), 0);
    }
}
