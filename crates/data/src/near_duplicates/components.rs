/// Which documents hang together: union-find in which a document's parent is never larger than itself, so that the
/// root of a component is its smallest document.
pub(super) struct Components {
    parents: Vec<u32>,
}

impl Components {
    pub(super) fn new(documents: u32) -> Self {
        Self { parents: (0..documents).collect() }
    }

    /// Joins the pairs; afterwards every document points at its root.
    pub(super) fn join(&mut self, pairs: &[(u32, u32)]) {
        if pairs.is_empty() {
            return;
        }
        for &(one, two) in pairs {
            let (one, two) = (self.climb(one), self.climb(two));
            self.parents[one.max(two) as usize] = one.min(two);
        }
        for document in 0..self.parents.len() {
            self.parents[document] = self.parents[self.parents[document] as usize];
        }
    }

    fn climb(&mut self, mut document: u32) -> u32 {
        while self.parents[document as usize] != document {
            let grandparent = self.parents[self.parents[document as usize] as usize];
            self.parents[document as usize] = grandparent;
            document = grandparent;
        }
        document
    }

    /// The smallest document of a document's component.
    pub(super) fn root(&self, document: u32) -> u32 {
        self.parents[document as usize]
    }

    /// The root of every document, in order.
    pub(super) fn roots(&self) -> &[u32] {
        &self.parents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn roots_are_the_smallest_that_can_be_reached(pairs in prop::collection::vec((0u32..40, 0u32..40), 0..60), cut: prop::sample::Index) {
            // The slow way: the smaller label spreads until nothing changes.
            let mut labels: Vec<u32> = (0..40).collect();
            for _ in 0..40 {
                for &(one, two) in &pairs {
                    let least = labels[one as usize].min(labels[two as usize]);
                    labels[one as usize] = least;
                    labels[two as usize] = least;
                }
            }
            let mut components = Components::new(40);
            let (early, late) = pairs.split_at(cut.index(pairs.len() + 1));
            components.join(early);
            components.join(late);
            prop_assert_eq!(components.roots(), labels);
        }
    }
}
