//! How much of a text is said again: words, and runs of words, that came before.
//!
//! The rules are those of MassiveText (Rae et al. 2021, "Scaling Language Models", arXiv 2112.11446, appendix A1.1).

/// Words and lines after so many are not looked at: a document that long has shown by then whether it repeats.
pub(super) const LIMIT: usize = 1 << 16;

/// Length in words of the runs of [`Repeats::duplicate`].
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

    /// Counts a hash; how often it has now been seen.
    #[inline]
    pub(super) fn count(&mut self, hash: u64) -> u32 {
        let mask = self.slots.len() - 1;
        let (tag, mut at) = ((hash >> 32) as u32, hash as usize & mask);
        loop {
            let slot = &mut self.slots[at];
            if slot.1 == 0 || slot.0 == tag {
                *slot = (tag, slot.1 + 1);
                return slot.1;
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

#[derive(Default)]
pub(super) struct Tables {
    words: Table,
    tops: [Table; 3],
    runs: Table,
}

/// A hash of a run from that of the run without its last word.
#[inline]
fn extend(run: u64, word: u64) -> u64 {
    let mixed = (run.rotate_left(25) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

/// Measures at most [`LIMIT`] words.
pub(super) fn measure(words: &[Word], tables: &mut Tables) -> Repeats {
    let Tables { words: types, tops, runs } = tables;
    types.clear(words.len());
    runs.clear(words.len());
    for table in tops.iter_mut() {
        table.clear(words.len());
    }
    let all: u64 = words.iter().map(|word| u64::from(word.bytes)).sum();
    let (mut different, mut duplicate, mut covered) = (0_u64, 0_u64, 0);
    let mut best = [(1_u32, 0_u64); 3]; // times, bytes of one
    for (at, word) in words.iter().enumerate() {
        different += u64::from(types.count(word.hash) == 1);
        let (mut hash, mut bytes) = (word.hash, u64::from(word.bytes));
        for (next, (table, best)) in words[at + 1..].iter().zip(tops.iter_mut().zip(&mut best)) {
            hash = extend(hash, next.hash);
            bytes += u64::from(next.bytes);
            let times = table.count(hash);
            if times > 1 && (times, bytes) > *best {
                *best = (times, bytes);
            }
        }
        if let Some(last) = words.get(at + RUN - 1) {
            if runs.count(extend(hash, last.hash)) > 1 {
                let fresh = &words[at.max(covered)..at + RUN];
                duplicate += fresh.iter().map(|word| u64::from(word.bytes)).sum::<u64>();
                covered = at + RUN;
            }
        }
    }
    let share = |bytes: u64| if all == 0 { 0.0 } else { (bytes as f64 / all as f64).min(1.0) };
    let count = words.len() as f64;
    Repeats {
        log_type_token_ratio: if words.len() < 2 { 1.0 } else { (different as f64).ln() / count.ln() },
        top: best.map(|(times, bytes)| share(u64::from(times) * bytes)),
        duplicate: share(duplicate),
    }
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
}
