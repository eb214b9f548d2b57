//! Special tokens: control symbols that have an id of their own and that text can never spell.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, MatchKind};

/// One special token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Special {
    pub(crate) id: u32,
    pub(crate) content: String,
    /// Swallows the white space before it.
    pub(crate) lstrip: bool,
    /// Swallows the white space after it.
    pub(crate) rstrip: bool,
}

impl Special {
    pub(crate) fn new(id: u32, content: impl Into<String>) -> Self {
        Special { id, content: content.into(), lstrip: false, rstrip: false }
    }
}

/// All special tokens of a tokenizer.
#[derive(Debug)]
pub(crate) struct Specials {
    by_id: BTreeMap<u32, Special>,
    /// Finds contents; pattern numbers follow the order of `by_id`.
    finder: AhoCorasick,
}

impl Specials {
    pub(crate) fn new(specials: impl IntoIterator<Item = Special>) -> Self {
        let by_id: BTreeMap<u32, Special> = specials.into_iter().map(|special| (special.id, special)).collect();
        let finder = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(by_id.values().map(|special| &special.content))
            .expect("far fewer specials than the automaton can hold");
        Specials { by_id, finder }
    }

    pub(crate) fn contains(&self, id: u32) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn content(&self, id: u32) -> Option<&str> {
        self.by_id.get(&id).map(|special| special.content.as_str())
    }

    pub(crate) fn id(&self, content: &str) -> Option<u32> {
        self.iter().find(|special| special.content == content).map(|special| special.id)
    }

    /// In the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Special> {
        self.by_id.values()
    }

    /// The special tokens that stand in `text`, leftmost and longest first, each with its place.
    pub(crate) fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (std::ops::Range<usize>, &'a Special)> {
        let in_order: Vec<&Special> = self.by_id.values().collect();
        self.finder.find_iter(text).map(move |found| (found.range(), in_order[found.pattern().as_usize()]))
    }
}
