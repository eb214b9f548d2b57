//! The fast engine: byte-level BPE in rank order, with a known split pattern.
//!
//! Text is cut into pieces. Most are found in a cache of the pieces seen last; of the others, most are a token as a whole;
//! the rest are joined from bytes.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use thread_local::ThreadLocal;

use crate::cache::Cache;
use crate::join::Joiner;
use crate::key::Key;
use crate::lookup::Lookup;
use crate::merges::Merges;
use crate::pieces::Cutter;
use crate::split::SplitPattern;
use crate::vocabulary::Vocabulary;

/// Encodes in time linear in the text, but for a logarithm in the length of long pieces, whatever the text is.
#[derive(Clone)]
pub(crate) struct Ranked(Arc<Parts>);

struct Parts {
    pattern: SplitPattern,
    /// By rank.
    tokens: Vocabulary,
    lookup: Lookup,
    merges: Merges,
    /// Id of each rank, where the two differ.
    ids: Option<Vec<u32>>,
    /// What each thread remembers and works with.
    threads: ThreadLocal<RefCell<Memory>>,
}

struct Memory {
    cache: Cache,
    joiner: Joiner,
}

impl Ranked {
    /// GPT-4's vocabulary, which comes built into the library.
    pub(crate) fn cl100k() -> Self {
        static CL100K: LazyLock<Ranked> = LazyLock::new(|| {
            let bpe = &bpe_openai::cl100k_base().bpe;
            let ranks = 0..bpe.num_tokens() as u32;
            let tokens: Vec<&[u8]> = ranks.clone().map(|rank| bpe.token_bytes(rank)).collect();
            Ranked::new(&tokens, ranks.collect(), SplitPattern::Cl100k).expect("merges make its tokens")
        });
        CL100K.clone()
    }

    /// Builds the engine from tokens in rank order, the 256 single bytes first, and the id of each rank. Fails
    /// with the rank of a token that nothing makes.
    pub(crate) fn new(tokens: &[impl AsRef<[u8]>], ids: Vec<u32>, pattern: SplitPattern) -> Result<Self, usize> {
        let merges = Merges::of_ranks(tokens)?;
        let tokens: Vocabulary = tokens.iter().collect();
        let ids = Some(ids).filter(|ids| !ids.iter().copied().eq(0..tokens.len() as u32));
        let lookup = Lookup::new(&tokens);
        let parts = Parts { pattern, tokens, lookup, merges, ids, threads: ThreadLocal::new() };
        Ok(Ranked(Arc::new(parts)))
    }

    pub(crate) fn pattern(&self) -> SplitPattern {
        self.0.pattern
    }

    /// Tokens by rank, each with its id.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..self.0.tokens.len() as u32).map(|rank| (self.0.id(rank), self.0.tokens.get(rank)))
    }

    /// The pair of ranks that makes each token from rank 256 on.
    pub(crate) fn merges(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.merges.in_order().into_iter()
    }

    /// Appends the ids of `text`.
    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let memory = self.0.threads.get_or(|| RefCell::new(Memory { cache: Cache::new(), joiner: Joiner::default() }));
        let (memory, cutter) = (&mut memory.borrow_mut(), Cutter::new(text));
        match self.0.pattern {
            SplitPattern::Cl100k => self.0.encode(text, |start| cutter.cl100k(start), memory, ids),
            SplitPattern::Gpt2 => self.0.encode(text, |start| cutter.gpt2(start), memory, ids),
        }
    }
}

impl Parts {
    fn id(&self, rank: u32) -> u32 {
        self.ids.as_ref().map_or(rank, |ids| ids[rank as usize])
    }

    #[inline]
    fn encode(&self, text: &str, end_of: impl Fn(usize) -> usize, memory: &mut Memory, ids: &mut Vec<u32>) {
        // A few ids at a time are written with fixed sizes into room on the stack, without asking the vector for each.
        let (mut room, mut count) = ([0; 1024], 0);
        let mut start = 0;
        while start < text.len() {
            let end = end_of(start);
            let key = Key::of(text.as_bytes(), start, end);
            if let Some((found, more)) = key.and_then(|key| memory.cache.get(key)) {
                if count + found.len() > room.len() {
                    ids.extend_from_slice(&room[..count]);
                    count = 0;
                }
                room[count..count + found.len()].copy_from_slice(&found);
                count += more;
            } else {
                ids.extend_from_slice(&room[..count]);
                count = 0;
                self.encode_piece(&text.as_bytes()[start..end], key, memory, ids);
            }
            start = end;
        }
        ids.extend_from_slice(&room[..count]);
    }

    #[inline(never)]
    fn encode_piece(&self, piece: &[u8], key: Option<Key>, memory: &mut Memory, ids: &mut Vec<u32>) {
        let first = ids.len();
        match self.lookup.get(piece, key) {
            Some(rank) => ids.push(self.id(rank)),
            None => ids.extend(memory.joiner.join(&self.merges, piece).iter().map(|&rank| self.id(rank))),
        }
        if let Some(key) = key {
            memory.cache.insert(key, &ids[first..]);
        }
    }
}
