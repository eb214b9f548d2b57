//! What CPython does with random numbers, sets and white space. Published prompts were made by Python programs, so the
//! same prompts need the same draws in the same order.
//! Sources: CPython 3.10 to 3.13, Lib/random.py, Objects/setobject.c, Objects/unicodectype.c. (The sets of 3.9 alone
//! did not take up the slots of removed members again.)

use rand_mt::Mt;

/// `random.Random(seed)`.
pub(crate) struct Random(Mt);

impl Random {
    pub(crate) fn new(seed: u32) -> Self {
        Random(Mt::new_with_key([seed]))
    }

    /// `randrange(n)`, for n between 1 and 2^32 - 1.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let n = u32::try_from(n).expect("fewer than 2^32 rows");
        let bits = u32::BITS - n.leading_zeros();
        loop {
            let r = self.0.next_u32() >> (u32::BITS - bits);
            if r < n {
                return r as usize;
            }
        }
    }

    /// `sample(range(n), k)`, for k up to n.
    pub(crate) fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        // Small populations are drawn from a shrinking pool, large ones by rejection; the border is the estimated size
        // of a list against that of a set.
        let powers = std::iter::successors(Some(1usize), |p| Some(p * 4));
        let set_size = if k > 5 { powers.skip_while(|p| *p < 3 * k).take(1).sum() } else { 0 };
        if n <= 21 + set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            let draw = |i| {
                let j = self.below(n - i);
                let taken = pool[j];
                pool[j] = pool[n - i - 1];
                taken
            };
            return (0..k).map(draw).collect();
        }
        let mut taken = Vec::with_capacity(k);
        while taken.len() < k {
            let j = self.below(n);
            if !taken.contains(&j) {
                taken.push(j);
            }
        }
        taken
    }
}

/// A `set` of small non-negative integers, which are their own hashes, iterated in the order of its table.
pub(crate) struct IntSet {
    table: Vec<Slot>,
    used: usize,
    /// Slots that are or were taken.
    fill: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Free,
    /// Held a member that was removed.
    Dummy,
    Taken(usize),
}

/// Neighbouring slots looked at before jumping on.
const LINEAR_PROBES: usize = 9;
const SMALLEST_TABLE: usize = 8;

impl IntSet {
    pub(crate) fn new(members: impl IntoIterator<Item = usize>) -> Self {
        let mut set = IntSet { table: vec![Slot::Free; SMALLEST_TABLE], used: 0, fill: 0 };
        members.into_iter().for_each(|member| set.add(member));
        set
    }

    pub(crate) fn len(&self) -> usize {
        self.used
    }

    pub(crate) fn contains(&self, member: usize) -> bool {
        self.table.contains(&Slot::Taken(member))
    }

    pub(crate) fn remove(&mut self, member: usize) {
        if let Some(slot) = self.table.iter_mut().find(|slot| **slot == Slot::Taken(member)) {
            *slot = Slot::Dummy;
            self.used -= 1;
        }
    }

    pub(crate) fn add(&mut self, member: usize) {
        if self.contains(member) {
            return;
        }
        self.used += 1;
        if !self.insert(member) {
            return;
        }
        self.fill += 1;
        let mask = self.table.len() - 1;
        if self.fill * 5 >= mask * 3 {
            let least = if self.used > 50_000 { self.used * 2 } else { self.used * 4 };
            let sizes = std::iter::successors(Some(SMALLEST_TABLE), |s| Some(s * 2));
            let size = sizes.skip_while(|s| *s <= least).take(1).sum();
            let old = std::mem::replace(&mut self.table, vec![Slot::Free; size]);
            self.fill = self.used;
            for slot in old {
                if let Slot::Taken(member) = slot {
                    self.insert(member);
                }
            }
        }
    }

    /// Follows a member's path through the table to the first free slot, and takes that or, if there was one on the
    /// way, the last dummy. Says whether it was the free slot.
    fn insert(&mut self, member: usize) -> bool {
        let mask = self.table.len() - 1;
        let (mut at, mut perturb) = (member & mask, member);
        let mut dummy = None;
        loop {
            let last = if at + LINEAR_PROBES <= mask { at + LINEAR_PROBES } else { at };
            for i in at..=last {
                match self.table[i] {
                    Slot::Taken(_) => {}
                    Slot::Dummy => dummy = Some(i),
                    Slot::Free => {
                        self.table[dummy.unwrap_or(i)] = Slot::Taken(member);
                        return dummy.is_none();
                    }
                }
            }
            perturb >>= 5;
            at = at.wrapping_mul(5).wrapping_add(1).wrapping_add(perturb) & mask;
        }
    }

    /// The members as `for` meets them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.table.iter().filter_map(|slot| if let Slot::Taken(member) = slot { Some(*member) } else { None })
    }
}

/// `str.isspace` of one character: Unicode's white space and the four information separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// `str.strip()`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.rstrip()`.
pub(crate) fn rstrip(text: &str) -> &str {
    text.trim_end_matches(is_space)
}
