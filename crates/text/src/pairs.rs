//! Which token a pair of tokens makes.

/// A hash table from pairs of ranks to the rank of the token that they make. Open addressing; nothing is removed.
pub(crate) struct Pairs {
    /// Left, right, made; a slot whose last is [`NONE`] is free.
    slots: Vec<[u32; 3]>,
    /// 64 less the bits of an index.
    shift: u32,
}

/// No rank.
pub(crate) const NONE: u32 = u32::MAX;

impl Pairs {
    /// An empty table for up to `count` pairs.
    pub(crate) fn with_capacity(count: usize) -> Self {
        let slots = (2 * count).next_power_of_two().max(2);
        Pairs { slots: vec![[0, 0, NONE]; slots], shift: 64 - slots.trailing_zeros() }
    }

    /// Slots in the order in which the pair is looked for.
    #[inline]
    fn probe(&self, left: u32, right: u32) -> impl Iterator<Item = usize> {
        // Fibonacci hashing: the golden ratio in 64 bits; the highest bits of the product are mixed best.
        let key = u64::from(left) << 32 | u64::from(right);
        let first = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        let mask = self.slots.len() - 1;
        (0..=mask).map(move |step| (first + step) & mask)
    }

    /// The rank that the pair makes, or [`NONE`].
    #[inline]
    pub(crate) fn get(&self, left: u32, right: u32) -> u32 {
        for at in self.probe(left, right) {
            let [l, r, made] = self.slots[at];
            if made == NONE || (l == left && r == right) {
                return made;
            }
        }
        NONE
    }

    /// Each pair with what it makes, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = [u32; 3]> {
        self.slots.iter().copied().filter(|&[_, _, made]| made != NONE)
    }

    /// Adds a pair that is not there.
    pub(crate) fn insert(&mut self, left: u32, right: u32, made: u32) {
        let free =
            self.probe(left, right).find(|&at| self.slots[at][2] == NONE).expect("the table is at most half full");
        self.slots[free] = [left, right, made];
    }
}
