//! How much of a text is said again: words, and runs of words, that came before.
//!
//! The rules are those of MassiveText (Rae et al. 2021, "Scaling Language Models", arXiv 2112.11446, appendix A1.1).

/// Words and lines after so many are not looked at: a document that long has shown by then whether it repeats.
pub(super) const LIMIT: usize = 1 << 16;

/// Words in the runs of [`Repeats::duplicate`].
const RUN: usize = 5;

/// A word as these rules see it.
#[derive(Clone, Copy)]
pub(super) struct Word {
    /// Hash of its letters.
    pub(super) hash: u64,
    /// Its length in bytes.
    pub(super) bytes: u32,
}

/// A counting hash table of hashes. It holds 32 bits of each and its place; two of 65,536 that meet are one chance in
/// hundreds of thousands.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<(u32, u32)>,
}

impl Table {
    /// Empties the table, and makes room for so many different hashes.
    pub(super) fn clear(&mut self, most: usize) {
        self.slots.clear();
        self.slots.resize((most * 2).next_power_of_two().max(16), (0, 0));
    }

    /// Counts a hash; how often it has now been seen, and its slot.
    #[inline]
    pub(super) fn count(&mut self, hash: u64) -> (u32, usize) {
        let mask = self.slots.len() - 1;
        let (tag, mut at) = ((hash >> 32) as u32, hash as usize & mask);
        loop {
            let slot = &mut self.slots[at];
            if slot.1 == 0 || slot.0 == tag {
                *slot = (tag, slot.1 + 1);
                return (slot.1, at);
            }
            at = (at + 1) & mask;
        }
    }
}

/// Shares of repetition, each of the bytes of all words looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Repeats {
    /// log of the number of different words by log of the number of words (Herdan's C).
    pub(super) log_type_token_ratio: f64,
    /// In the most frequent run of 2, 3 and 4 words, if it comes at least twice.
    pub(super) top: [f64; 3],
    /// In runs of five words that came before.
    pub(super) duplicate: f64,
}

/// Memory that is kept from one text to the next.
#[derive(Default)]
pub(super) struct Tables {
    table: Table,
    /// Runs that may be repeated: place of the first word, hash.
    runs: Vec<(u32, u64)>,
    /// Their slots in the table.
    slots: Vec<usize>,
}

/// A hash of a run from that of the run without its last word.
#[inline]
fn extend(run: u64, word: u64) -> u64 {
    let mixed = (run.rotate_left(25) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// Measures at most [`LIMIT`] words.
///
/// Runs grow by a word at a time, and only those are looked at whose first words and whose last words are both repeated
/// runs: no other can be. In ordinary prose few are left after three words.
pub(super) fn measure(words: &[Word], tables: &mut Tables) -> Repeats {
    let Tables { table, runs, slots } = tables;
    table.clear(words.len());
    let different = words.iter().filter(|word| table.count(word.hash).0 == 1).count();
    let mut repeats = Repeats {
        log_type_token_ratio: if words.len() < 2 { 1.0 } else { (different as f64).ln() / (words.len() as f64).ln() },
        ..Repeats::default()
    };
    let all: u64 = words.iter().map(|word| u64::from(word.bytes)).sum();
    let share = |bytes: u64| if all == 0 { 0.0 } else { (bytes as f64 / all as f64).min(1.0) };
    let bytes = |words: &[Word]| words.iter().map(|word| u64::from(word.bytes)).sum::<u64>();
    runs.clear();
    runs.extend((0_u32..).zip(words).take(words.len().saturating_sub(1)).map(|(at, word)| (at, word.hash)));
    for length in 2..=RUN {
        table.clear(runs.len());
        slots.clear();
        let mut best = (1, 0);
        let (mut duplicate, mut covered) = (0, 0);
        for (at, hash) in runs.iter_mut() {
            let (from, to) = (*at as usize, *at as usize + length);
            *hash = extend(*hash, words[to - 1].hash);
            let (times, slot) = table.count(*hash);
            slots.push(slot);
            if times > 1 {
                best = best.max((times, bytes(&words[from..to])));
                duplicate += bytes(&words[from.max(covered)..to]);
                covered = to;
            }
        }
        match repeats.top.get_mut(length - 2) {
            Some(top) => *top = share(u64::from(best.0) * best.1),
            None => repeats.duplicate = share(duplicate),
        }
        // A longer run begins where this one and the next are both repeated.
        let repeated = |run: usize| table.slots[slots[run]].1 > 1;
        let mut kept = 0;
        for run in 1..runs.len() {
            if runs[run].0 == runs[run - 1].0 + 1 && repeated(run - 1) && repeated(run) {
                runs[kept] = runs[run - 1];
                kept += 1;
            }
        }
        runs.truncate(kept);
    }
    repeats
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Repeats {
        let hash = |word: &str| xxhash_rust::xxh3::xxh3_64(word.as_bytes());
        let words: Vec<_> = text.split(' ').map(|word| Word { hash: hash(word), bytes: word.len() as u32 }).collect();
        measure(&words, &mut Tables::default())
    }

    #[test]
    fn repetition_is_the_share_of_bytes_in_repeated_runs() {
        let none = of("a b c d e f g h");
        assert_eq!((none.top, none.duplicate, none.log_type_token_ratio), ([0.0; 3], 0.0, 1.0));
        // "a b" twice is 4 of 10 bytes, "a b c" twice is 6 of 10.
        let some = of("a b c x y a b c z w");
        assert_eq!((some.top, some.duplicate), ([0.4, 0.6, 0.0], 0.0));
        // The second "a b c d e" is 5 of 12 bytes.
        let run = of("a b c d e x y a b c d e");
        assert!((run.duplicate - 5.0 / 12.0).abs() < 1e-12, "{run:?}");
        // Ever the same word: all runs but the first five words came before.
        let same = of(&vec!["a"; 100].join(" "));
        assert_eq!((same.top, same.duplicate), ([1.0; 3], 0.99));
        assert_eq!(same.log_type_token_ratio, 0.0);
    }

    #[test]
    fn no_words_repeat_nothing() {
        let none = measure(&[], &mut Tables::default());
        assert_eq!((none.top, none.duplicate, none.log_type_token_ratio), ([0.0; 3], 0.0, 1.0));
    }

    proptest::proptest! {
        /// Few different words, so that much is repeated, against the rules as they are written down.
        #[test]
        fn repetition_is_what_counting_every_run_gives(numbers in proptest::collection::vec(0_u8..4, 0..60)) {
            let word = |number: u8| Word { hash: xxhash_rust::xxh3::xxh3_64(&[number]), bytes: u32::from(number) + 1 };
            let words: Vec<Word> = numbers.iter().map(|number| word(*number)).collect();
            let measured = measure(&words, &mut Tables::default());
            let bytes = |run: &[u8]| run.iter().map(|number| u64::from(*number) + 1).sum::<u64>();
            let all = bytes(&numbers).max(1) as f64;
            for length in 2..=4 {
                let times = |run: &[u8]| numbers.windows(length).filter(|other| *other == run).count() as u64;
                let best = numbers.windows(length).map(|run| (times(run), bytes(run))).filter(|(times, _)| *times > 1).max();
                let share = best.map_or(0.0, |(times, bytes)| ((times * bytes) as f64 / all).min(1.0));
                proptest::prop_assert_eq!(measured.top[length - 2], share);
            }
            let mut covered = vec![false; numbers.len()];
            for (at, run) in numbers.windows(RUN).enumerate() {
                if numbers.windows(RUN).take(at).any(|other| other == run) {
                    covered[at..at + RUN].fill(true);
                }
            }
            let duplicate: u64 = numbers.iter().zip(covered).filter(|(_, is)| *is).map(|(number, _)| bytes(&[*number])).sum();
            proptest::prop_assert_eq!(measured.duplicate, duplicate as f64 / all);
        }
    }
}
