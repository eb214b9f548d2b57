//! Near-duplicate search on made corpora whose similarities are known.

use moeworks_data::{Clusters, DataError, NearDuplicateOptions, NearDuplicates};
use proptest::prelude::*;
use std::{collections::HashSet, fs, ops::ControlFlow, path::Path};

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.share() * bound as f64) as usize
    }

    /// A word: the rarer, the larger its number and its length, as in real text (Zipf's law).
    fn word(&mut self) -> String {
        let mut rank = 20_000f64.powf(self.share()) as usize;
        let mut word = String::new();
        while rank > 0 || word.is_empty() {
            word.push_str(["ta", "re", "no", "li", "su", "ke", "mo", "di", "va", "ro"][rank % 10]);
            rank /= 10;
        }
        word
    }

    fn words(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.word()).collect()
    }
}

/// Words as text: capitals, commas, full stops and lines come where they like.
fn text(words: &[String], random: &mut Random) -> String {
    let mut text = String::new();
    for word in words {
        match random.below(12) {
            0 => text.push_str(&word.to_uppercase()),
            _ => text.push_str(word),
        }
        text.push_str([" ", " ", " ", " ", " ", ", ", ". ", "\n"][random.below(8)]);
    }
    text
}

fn shingles(words: &[String]) -> HashSet<&[String]> {
    words.windows(5).collect()
}

fn jaccard(one: &[String], two: &[String]) -> f64 {
    let (one, two) = (shingles(one), shingles(two));
    let shared = one.intersection(&two).count();
    shared as f64 / (one.len() + two.len() - shared) as f64
}

/// Edits words (replaces, removes and inserts them all over, then adds at the end) until the similarity has come down
/// to `level`; it is as little above that as one word allows.
fn edited(words: &[String], level: f64, random: &mut Random) -> Vec<String> {
    let spread = random.share();
    // An edit of one word touches five shingles on either side; where words repeat it may be more.
    let mut edits = (words.len() as f64 * (1.0 - level) / (5.0 * (1.0 + level)) * spread) as usize;
    let mut edited = loop {
        let mut edited = words.to_vec();
        for _ in 0..edits {
            let at = random.below(edited.len());
            match random.below(3) {
                0 => edited[at] = random.word() + "x",
                1 => drop(edited.remove(at)),
                _ => edited.insert(at, random.word() + "x"),
            }
        }
        if edits == 0 || jaccard(words, &edited) >= level {
            break edited;
        }
        edits /= 2;
    };
    let shared = shingles(words).intersection(&shingles(&edited)).count();
    let union = shingles(words).len() + shingles(&edited).len() - shared;
    let more = (shared as f64 / level - union as f64 + 1e-9) as usize;
    let added: Vec<String> = (0..more).map(|number| format!("{}{number}", random.word())).collect();
    edited.extend(added);
    edited
}

fn search(texts: &[String], batch: usize, options: NearDuplicateOptions) -> Clusters {
    let folder = tempfile::tempdir().unwrap();
    let mut search = NearDuplicates::create(options, folder.path()).unwrap();
    for texts in texts.chunks(batch) {
        search.push(texts).unwrap();
    }
    assert_eq!(search.documents(), texts.len() as u64);
    let clusters = search.finish(&|_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "scratch files are left");
    clusters
}

/// Documents of 60 to 8,000 words, each with one edited copy. What is printed goes into BENCHMARKS.md.
#[test]
fn recall_and_precision_by_similarity() {
    const PAIRS: usize = 100;
    let levels: Vec<f64> = (0..9).map(|step| 0.6 + 0.05 * f64::from(step)).collect();
    let mut random = Random(1);
    let (mut originals, mut copies, mut exact) = (Vec::new(), Vec::new(), Vec::new());
    for level in &levels {
        for _ in 0..PAIRS {
            let length = 60.0 * (8000.0f64 / 60.0).powf(random.share());
            let words = random.words(length as usize);
            let copy = edited(&words, *level, &mut random);
            exact.push(jaccard(&words, &copy));
            originals.push(text(&words, &mut random));
            copies.push(text(&copy, &mut random));
        }
    }
    let offset = originals.len() as u64;
    let texts = [originals, copies].concat();
    let clusters = search(&texts, 1000, NearDuplicateOptions::default());

    println!("| Jaccard | pairs | mean exact Jaccard | found | share |\n|---|---|---|---|---|");
    let mut found_at = Vec::new();
    for (at, level) in levels.iter().enumerate() {
        let pairs = at * PAIRS..(at + 1) * PAIRS;
        let mean = exact[pairs.clone()].iter().sum::<f64>() / PAIRS as f64;
        let found = pairs.filter(|pair| clusters.of(*pair as u64 + offset) == Some(*pair as u64)).count();
        println!("| {level:.2} | {PAIRS} | {mean:.3} | {found} | {:.3} |", found as f64 / PAIRS as f64);
        found_at.push(found as f64 / PAIRS as f64);
    }
    let found: Vec<f64> = clusters
        .members()
        .filter(|(document, cluster)| document != cluster)
        .map(|(document, cluster)| if document == cluster + offset { exact[cluster as usize] } else { 0.0 })
        .collect();
    let right = found.iter().filter(|jaccard| **jaccard >= 0.85 - 1e-9).count();
    let similar = exact.iter().filter(|jaccard| **jaccard >= 0.85 - 1e-9).count();
    println!(
        "at 0.85: {right} of {} found are near duplicates (precision {:.3}); {right} of {similar} are found (recall {:.3})",
        found.len(),
        right as f64 / found.len() as f64,
        right as f64 / similar as f64
    );

    // 0.60 to 0.80 must not be found, 0.85 is the threshold itself, above it the bands promise 0.994 and more.
    assert!(found_at[..5].iter().all(|share| *share == 0.0), "{found_at:?}");
    // Of documents of more than 4,096 words, one in seven here, the similarity is an estimate.
    assert!(found_at[5] >= 0.88, "{found_at:?}");
    assert!(found_at[6..8].iter().all(|share| *share >= 0.98), "{found_at:?}");
    assert_eq!(found_at[8], 1.0);
    assert!(right as f64 >= 0.98 * found.len() as f64);
    for (level, mean) in levels
        .iter()
        .enumerate()
        .map(|(at, level)| (level, exact[at * PAIRS..][..PAIRS].iter().sum::<f64>() / PAIRS as f64))
    {
        assert!((level - mean).abs() < 0.01, "the corpus is not what it should be: {mean} instead of {level}");
    }
}

/// Short documents are compared whole, scripts without spaces by characters, and documents without words not at all.
#[test]
fn documents_of_every_kind() {
    let han = "床前明月光疑是地上霜举头望明月低头思故乡李白静夜思唐诗三百首五言绝句其一";
    let texts = [
        "Hello, world!",
        "hello world",
        "hello there world",
        "!!! ???",
        "... ---",
        "",
        han,
        &han.replace('唐', "，唐"),
        &han.chars().rev().collect::<String>(),
        &"word ".repeat(5000),
        &"Word\n".repeat(4000),
    ]
    .map(String::from);
    let clusters = search(&texts, 4, NearDuplicateOptions::default());
    assert_eq!(clusters.members().collect::<Vec<_>>(), [(0, 0), (1, 0), (6, 6), (7, 6), (9, 9), (10, 9)]);
}

#[test]
fn a_chain_is_one_cluster() {
    let mut random = Random(3);
    let mut words = random.words(400);
    let mut texts = vec![text(&words, &mut random)];
    for _ in 0..5 {
        words = edited(&words, 0.93, &mut random);
        texts.push(text(&words, &mut random));
    }
    texts.push(text(&random.words(400), &mut random));
    let clusters = search(&texts, 2, NearDuplicateOptions::default());
    assert_eq!(clusters.sizes(), [(0, 6)]);
    assert_eq!(clusters.of(6), None);
}

/// More documents than the memory holds, half of them the same.
#[test]
fn little_memory_gives_the_same_clusters() {
    let mut random = Random(4);
    let mut texts: Vec<String> = (0..70_000).map(|number| format!("one two {} three", number / 2)).collect();
    texts.extend((0..70_000).map(|_| "the same words over and over again in every document".to_string()));
    texts.sort_by_cached_key(|_| random.next());
    let little = NearDuplicateOptions { memory_bytes: 1 << 20, permutations: 32, ..Default::default() };
    let much = NearDuplicateOptions { memory_bytes: 1 << 30, ..little.clone() };
    let clusters = search(&texts, 10_000, little);
    assert_eq!(clusters.dropped(), 35_000 + 69_999);
    assert_eq!(clusters, search(&texts, 10_000, much));
}

#[test]
fn a_search_that_is_stopped_or_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let begin = || {
        let mut search = NearDuplicates::create(NearDuplicateOptions::default(), folder.path()).unwrap();
        search.push(&["some text", "some text"]).unwrap();
        search
    };
    drop(begin());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let error = begin().finish(&|done, _| if done == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
    assert!(matches!(error, Err(DataError::Interrupted { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let nowhere = NearDuplicates::create(NearDuplicateOptions::default(), Path::new("/nowhere/at/all"));
    assert!(matches!(nowhere.err(), Some(DataError::Write { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn threads_and_batches_do_not_matter(seed: u64, documents in 1usize..200, batch in 1usize..70, threads in 1usize..5) {
        let mut random = Random(seed);
        let mut written: Vec<Vec<String>> = Vec::new();
        for _ in 0..documents {
            let length = 1 + random.below(300);
            let words = if written.is_empty() || random.below(3) == 0 {
                random.words(length)
            } else {
                let like = random.below(written.len());
                let level = 0.7 + 0.3 * random.share();
                edited(&written[like].clone(), level, &mut random)
            };
            written.push(words);
        }
        let texts: Vec<String> = written.iter().map(|words| text(words, &mut random)).collect();
        let expected = search(&texts, texts.len(), NearDuplicateOptions::default());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| search(&texts, batch, NearDuplicateOptions::default()));
        prop_assert_eq!(found, expected);
    }
}
