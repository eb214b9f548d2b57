use super::{Benchmarks, Overlap};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Examples kept for each evaluation set.
const EXAMPLES: usize = 5;
/// Documents remembered as possible examples: some may turn out to hold common phrases only.
const CANDIDATES: usize = 50;
/// Common phrases in the report, the most frequent first.
const MOST_PHRASES: usize = 100;

/// Collects the overlaps of a corpus. What they mean is known at the end only: which n-grams are common phrases depends
/// on all documents.
#[derive(Debug)]
pub struct Contamination<'a> {
    benchmarks: &'a Benchmarks,
    checked: u64,
    /// Documents with overlaps: their numbers, and the different n-grams in them.
    documents: Vec<(u64, Vec<usize>)>,
    /// In how many documents an n-gram is; its text once it is common.
    seen: HashMap<usize, (u64, Option<String>)>,
    /// For each evaluation set.
    candidates: Vec<Vec<Candidate>>,
}

#[derive(Debug)]
struct Candidate {
    ngram: usize,
    example: Example,
}

/// What is to be left out, and the account of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decontamination {
    /// Numbers of the documents to leave out, in order, each with the evaluation sets that it holds parts of.
    pub dropped: Vec<(u64, String)>,
    /// The account.
    pub report: ContaminationReport,
}

/// How a corpus overlaps with evaluation sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContaminationReport {
    /// Words of an n-gram.
    pub ngram_words: usize,
    /// Documents that were checked.
    pub documents: u64,
    /// Documents that hold a part of an evaluation set.
    pub contaminated: u64,
    /// The evaluation sets, in the order of their names.
    pub benchmarks: Vec<BenchmarkReport>,
    /// N-grams that were found in too many documents to mean anything, the most frequent first; at most 100.
    pub common: Vec<CommonPhrase>,
    /// How many there are.
    pub common_phrases: u64,
}

/// How a corpus overlaps with one evaluation set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkReport {
    /// Path of the file below the given folder, without its ending.
    pub name: String,
    /// Rows of the set.
    pub rows: u64,
    /// Rows that are too short, or say too little, to be looked for.
    pub unusable_rows: u64,
    /// Rows of which a part is in the corpus.
    pub contaminated_rows: u64,
    /// Share of the contaminated among the usable rows.
    pub contaminated_share: f64,
    /// Documents that hold a part of the set.
    pub documents: u64,
    /// A few of them; fewer, or none, where those first met turned out to be common phrases.
    pub examples: Vec<Example>,
}

/// An overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The document, as the caller calls it.
    pub document: String,
    /// The row of the evaluation set, from 1.
    pub row: u64,
    /// The words in the document.
    pub text: String,
}

/// An n-gram of an evaluation set that is in many documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommonPhrase {
    /// Its words, as one of the documents has them.
    pub text: String,
    /// In how many documents it is.
    pub documents: u64,
    /// The evaluation sets that hold it.
    pub benchmarks: Vec<String>,
}

impl<'a> Contamination<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new(benchmarks: &'a Benchmarks) -> Self {
        let candidates = benchmarks.sets.iter().map(|_| Vec::new()).collect();
        Self { benchmarks, checked: 0, documents: Vec::new(), seen: HashMap::new(), candidates }
    }

    /// Takes the next document with what [`Benchmarks::check`] found in it: its number (larger than those before), what
    /// it is to be called in examples, and its text.
    pub fn add(&mut self, number: u64, name: &str, text: &str, overlaps: &[Overlap]) {
        self.checked += 1;
        if overlaps.is_empty() {
            return;
        }
        let mut ngrams = BTreeSet::new();
        let mut shown = BTreeSet::new();
        for overlap in overlaps.iter().filter(|overlap| ngrams.insert(overlap.ngram)) {
            let words = || text.get(overlap.span.clone()).unwrap_or_default().to_string();
            let (documents, phrase) = self.seen.entry(overlap.ngram).or_default();
            *documents += 1;
            if *documents > self.benchmarks.options.common_above {
                phrase.get_or_insert_with(words);
                continue;
            }
            for row in self.benchmarks.rows(overlap.ngram) {
                let set = self.benchmarks.set_of(row);
                if self.candidates[set].len() < CANDIDATES && shown.insert(set) {
                    let row = u64::from(row - self.benchmarks.sets[set].first_row) + 1;
                    let example = Example { document: name.into(), row, text: words() };
                    self.candidates[set].push(Candidate { ngram: overlap.ngram, example });
                }
            }
        }
        self.documents.push((number, ngrams.into_iter().collect()));
    }

    /// Says which documents are to be left out.
    #[must_use]
    pub fn finish(self) -> Decontamination {
        let Self { benchmarks, checked, documents, seen, candidates } = self;
        let is_common = |ngram: &usize| seen.get(ngram).is_some_and(|(_, phrase)| phrase.is_some());
        let mut dropped = Vec::new();
        let mut documents_of = vec![0u64; benchmarks.sets.len()];
        let mut rows = BTreeSet::new();
        for (number, ngrams) in documents {
            // The sets, each with the first row that was met.
            let mut sets: BTreeMap<usize, u32> = BTreeMap::new();
            for ngram in ngrams.into_iter().filter(|ngram| !is_common(ngram)) {
                for row in benchmarks.rows(ngram) {
                    sets.entry(benchmarks.set_of(row)).or_insert(row);
                    rows.insert(row);
                }
            }
            if !sets.is_empty() {
                let place = |(&set, &row): (&usize, &u32)| {
                    format!("{} row {}", benchmarks.sets[set].name, row - benchmarks.sets[set].first_row + 1)
                };
                dropped.push((number, sets.iter().map(place).collect::<Vec<_>>().join(", ")));
            }
            for set in sets.into_keys() {
                documents_of[set] += 1;
            }
        }
        let mut contaminated_rows: BTreeMap<usize, u64> = BTreeMap::new();
        for row in rows {
            *contaminated_rows.entry(benchmarks.set_of(row)).or_default() += 1;
        }
        let of_set = |(at, candidates): (usize, Vec<Candidate>)| {
            let set = &benchmarks.sets[at];
            let contaminated_rows = contaminated_rows.get(&at).copied().unwrap_or(0);
            let examples = candidates.into_iter().filter(|candidate| !is_common(&candidate.ngram));
            BenchmarkReport {
                name: set.name.clone(),
                rows: set.rows.into(),
                unusable_rows: set.unusable.into(),
                contaminated_rows,
                contaminated_share: contaminated_rows as f64 / f64::from((set.rows - set.unusable).max(1)),
                documents: documents_of[at],
                examples: examples.take(EXAMPLES).map(|candidate| candidate.example).collect(),
            }
        };
        let report = ContaminationReport {
            ngram_words: benchmarks.options.ngram_words,
            documents: checked,
            contaminated: dropped.len() as u64,
            benchmarks: candidates.into_iter().enumerate().map(of_set).collect(),
            common_phrases: seen.values().filter(|(_, phrase)| phrase.is_some()).count() as u64,
            common: common_phrases(benchmarks, seen),
        };
        Decontamination { dropped, report }
    }
}

fn common_phrases(benchmarks: &Benchmarks, seen: HashMap<usize, (u64, Option<String>)>) -> Vec<CommonPhrase> {
    let mut common: Vec<_> =
        seen.into_iter().filter_map(|(ngram, (documents, phrase))| Some((documents, ngram, phrase?))).collect();
    common.sort_unstable_by_key(|(documents, ngram, _)| (u64::MAX - documents, *ngram));
    common.truncate(MOST_PHRASES);
    let phrase = |(documents, ngram, text)| {
        let sets: BTreeSet<usize> = benchmarks.rows(ngram).map(|row| benchmarks.set_of(row)).collect();
        let benchmarks = sets.into_iter().map(|set| benchmarks.sets[set].name.clone()).collect();
        CommonPhrase { text, documents, benchmarks }
    };
    common.into_iter().map(phrase).collect()
}
