//! Decontamination: documents that hold parts of evaluation sets are found, reported, and left out of training.
//!
//! An overlap is a run of 13 words, as in GPT-3 (Brown et al. 2020, appendix C) and the decontamination of EleutherAI's
//! lm-evaluation-harness. Words are compared in lower case and without punctuation; what punctuation separates are
//! words of their own here, so that code counts the same however it is laid out. As there, a string of 8 to 12 words
//! counts as a whole, and n-grams in more than 10 documents are taken for common phrases. Unlike there, runs of numbers
//! and of the same few words over and over are not looked for, for they are in any code; and the whole document is left
//! out, not 200 characters around the overlap: what surrounds a test question is often its answer.

mod evaluation_files;
mod options;
mod report;
mod table;

use crate::{
    DataError,
    words::{Windows, for_each_word, run_hash},
};
use std::{ops::Range, path::PathBuf};
use table::Table;

/// A run of words says something if it has so many different words that are no numbers.
const LEAST_DIFFERENT: usize = 4;

pub use options::DecontaminationOptions;
pub use report::{BenchmarkReport, CommonPhrase, Contamination, ContaminationReport, Decontamination, Example};

/// The n-grams of evaluation sets.
#[derive(Debug)]
pub struct Benchmarks {
    options: DecontaminationOptions,
    sets: Vec<EvaluationSet>,
    ngrams: Table,
    /// The first words of strings shorter than an n-gram; its "rows" are places in `short`.
    prefixes: Table,
    short: Vec<ShortString>,
}

/// One file.
#[derive(Debug)]
struct EvaluationSet {
    name: String,
    /// Rows are numbered through all files.
    first_row: u32,
    rows: u32,
    /// Rows none of whose strings can be looked for: they are too short, or say too little.
    unusable: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ShortString {
    hash: u64,
    words: u32,
    row: u32,
}

/// A place where a document holds an n-gram, or a whole short string, of an evaluation set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Number of the n-gram among those of all sets.
    ngram: usize,
    /// Where in the document, in bytes.
    pub span: Range<usize>,
}

/// The overlaps of a document with one evaluation set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit<'a> {
    /// Name of the set.
    pub benchmark: &'a str,
    /// Number of overlaps.
    pub ngrams: u64,
    /// The first of them, in bytes.
    pub first: Range<usize>,
}

impl Benchmarks {
    /// Reads evaluation sets: files of JSON lines (optionally .gz or .zst), or folders of them. Every string of a row
    /// is taken, however deep it lies.
    ///
    /// # Errors
    /// If an option cannot be, a path is not there or holds no such file, or a row is no JSON.
    pub fn load(paths: &[PathBuf], options: DecontaminationOptions) -> Result<Self, DataError> {
        options.check()?;
        let mut builder = Builder::new(&options);
        for (name, path) in evaluation_files::list(paths)? {
            builder.begin(name);
            let mut overflow = false;
            evaluation_files::for_each_row(&path, |texts| overflow |= !builder.add_row(texts))?;
            if overflow {
                let reason = format!("with it there are more than {} rows; leave some sets out", u32::MAX);
                return Err(DataError::Damaged { path, reason });
            }
        }
        Ok(builder.finish(options))
    }

    /// From rows in memory: each set has a name and rows of strings.
    ///
    /// # Errors
    /// If an option cannot be.
    pub fn of_rows<'a>(
        sets: impl IntoIterator<Item = (&'a str, Vec<Vec<String>>)>,
        options: DecontaminationOptions,
    ) -> Result<Self, DataError> {
        options.check()?;
        let mut builder = Builder::new(&options);
        for (name, rows) in sets {
            builder.begin(name.into());
            for row in rows {
                builder.add_row(&row);
            }
        }
        Ok(builder.finish(options))
    }

    /// Where a text overlaps with evaluation sets, in the order of the text. Empty for nearly every document.
    #[must_use]
    pub fn check(&self, text: &str) -> Vec<Overlap> {
        let mut words = Vec::with_capacity(text.len() / 5);
        for_each_word(text, |hash, _, _| words.push(hash));
        // (number, first word, words)
        let mut found: Vec<(usize, usize, usize)> = Vec::new();
        Windows::new(self.options.ngram_words).for_each(&words, |hash, at| {
            if let Some(ngram) = self.ngrams.find(hash) {
                found.push((ngram, at, self.options.ngram_words));
            }
        });
        if !self.short.is_empty() {
            Windows::new(self.options.least_words).for_each(&words, |hash, at| {
                if let Some(prefix) = self.prefixes.find(hash) {
                    self.find_short(prefix, &words[at..], |ngram, length| found.push((ngram, at, length)));
                }
            });
        }
        if found.is_empty() {
            return Vec::new();
        }
        found.sort_unstable_by_key(|(ngram, at, _)| (*at, *ngram));
        let mut spans = Vec::with_capacity(words.len());
        for_each_word(text, |_, start, end| spans.push((start, end)));
        let span = |at: usize, length: usize| spans[at].0..spans[(at + length).min(spans.len()) - 1].1;
        found.into_iter().map(|(ngram, at, length)| Overlap { ngram, span: span(at, length) }).collect()
    }

    /// The short strings with a prefix that `words` begin with, each different one once.
    fn find_short(&self, prefix: usize, words: &[u64], mut take: impl FnMut(usize, usize)) {
        let mut last = None;
        for at in self.prefixes.rows(prefix) {
            let short = self.short[*at as usize];
            let length = short.words as usize;
            let matches = words.get(..length).is_some_and(|words| run_hash(words) == short.hash);
            if matches && last != Some(short.hash) {
                take(self.ngrams.len() + *at as usize, length);
                last = Some(short.hash);
            }
        }
    }

    /// Overlaps by evaluation set, in the order of the sets' names.
    #[must_use]
    pub fn hits(&self, overlaps: &[Overlap]) -> Vec<Hit<'_>> {
        let mut hits: Vec<Option<Hit>> = vec![None; self.sets.len()];
        for overlap in overlaps {
            let mut sets: Vec<usize> = self.rows(overlap.ngram).map(|row| self.set_of(row)).collect();
            sets.dedup();
            for set in sets {
                let (benchmark, first) = (self.sets[set].name.as_str(), overlap.span.clone());
                hits[set].get_or_insert(Hit { benchmark, ngrams: 0, first }).ngrams += 1;
            }
        }
        hits.into_iter().flatten().collect()
    }

    /// The rows that hold an n-gram, in order.
    fn rows(&self, ngram: usize) -> impl Iterator<Item = u32> {
        let (long, short): (&[u32], &[ShortString]) = match ngram.checked_sub(self.ngrams.len()) {
            None => (self.ngrams.rows(ngram), &[]),
            Some(at) => {
                let same = self.short[at..].iter().take_while(|short| short.hash == self.short[at].hash).count();
                (&[], &self.short[at..at + same])
            }
        };
        long.iter().copied().chain(short.iter().map(|short| short.row))
    }

    fn set_of(&self, row: u32) -> usize {
        self.sets.partition_point(|set| set.first_row <= row) - 1
    }
}

/// Whether a run of words (none where it is a number) has enough different ones.
fn says_something(words: &[Option<u64>]) -> bool {
    let mut different = [0; LEAST_DIFFERENT];
    let mut found = 0;
    for word in words.iter().flatten() {
        if !different[..found].contains(word) {
            different[found] = *word;
            found += 1;
            if found == LEAST_DIFFERENT {
                return true;
            }
        }
    }
    false
}

/// Takes rows and makes tables of them.
struct Builder {
    windows: Windows,
    ngram_words: usize,
    least_words: usize,
    sets: Vec<EvaluationSet>,
    rows: u32,
    ngrams: Vec<(u64, u32)>,
    /// With the hash of the first `least_words` words.
    short: Vec<(ShortString, u64)>,
}

impl Builder {
    fn new(options: &DecontaminationOptions) -> Self {
        let DecontaminationOptions { ngram_words, least_words, .. } = *options;
        let windows = Windows::new(ngram_words);
        Self { windows, ngram_words, least_words, sets: vec![], rows: 0, ngrams: vec![], short: vec![] }
    }

    fn begin(&mut self, name: String) {
        self.sets.push(EvaluationSet { name, first_row: self.rows, rows: 0, unusable: 0 });
    }

    /// Whether there was a number for the row.
    fn add_row(&mut self, texts: &[String]) -> bool {
        let (Some(set), Some(next)) = (self.sets.last_mut(), self.rows.checked_add(1)) else { return false };
        let mut usable = false;
        for text in texts {
            let (mut words, mut telling) = (Vec::new(), Vec::new());
            for_each_word(text, |hash, start, end| {
                words.push(hash);
                telling.push((!text[start..end].bytes().all(|byte| byte.is_ascii_digit())).then_some(hash));
            });
            if words.len() >= self.ngram_words {
                self.windows.for_each(&words, |hash, at| {
                    if says_something(&telling[at..at + self.ngram_words]) {
                        self.ngrams.push((hash, self.rows));
                        usable = true;
                    }
                });
            } else if words.len() >= self.least_words && says_something(&telling) {
                let short = ShortString { hash: run_hash(&words), words: words.len() as u32, row: self.rows };
                self.short.push((short, run_hash(&words[..self.least_words])));
                usable = true;
            }
        }
        set.rows += 1;
        set.unusable += u32::from(!usable);
        self.rows = next;
        true
    }

    fn finish(mut self, options: DecontaminationOptions) -> Benchmarks {
        self.short.sort_unstable();
        self.short.dedup();
        let prefixes = self.short.iter().enumerate().map(|(at, (_, prefix))| (*prefix, at as u32)).collect();
        Benchmarks {
            options,
            sets: self.sets,
            ngrams: Table::new(self.ngrams),
            prefixes: Table::new(prefixes),
            short: self.short.into_iter().map(|(short, _)| short).collect(),
        }
    }
}
