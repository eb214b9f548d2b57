//! The fast engine: byte-level BPE in rank order, with a known split pattern.

use bpe::byte_pair_encoding::{BytePairEncoding, find_hash_factor_for_dictionary};

use crate::merges::merges_of_ranks;
use crate::split::SplitPattern;

/// Encodes in time linear in the text, whatever the text is.
pub(crate) struct Ranked {
    engine: Engine,
    pattern: SplitPattern,
    /// Id of each rank, where the two differ.
    ids: Option<Vec<u32>>,
}

enum Engine {
    Cl100k(&'static bpe_openai::Tokenizer),
    Own(Box<bpe_openai::Tokenizer>),
}

impl Ranked {
    /// GPT-4's vocabulary, which comes built into the library.
    pub(crate) fn cl100k() -> Self {
        Ranked { engine: Engine::Cl100k(bpe_openai::cl100k_base()), pattern: SplitPattern::Cl100k, ids: None }
    }

    /// Builds the engine from tokens in rank order, the 256 single bytes first, and the id of each rank. Gives back also
    /// the pair of ranks that makes each token; fails with the rank of a token that nothing makes.
    pub(crate) fn new(
        tokens: Vec<Vec<u8>>,
        ids: Vec<u32>,
        pattern: SplitPattern,
    ) -> Result<(Self, Vec<(u32, u32)>), usize> {
        // The engine below checks its input with assertions; after this they hold.
        let merges = merges_of_ranks(&tokens)?;
        let ids = Some(ids).filter(|ids| !ids.iter().copied().eq(0..tokens.len() as u32));
        let cl100k = bpe_openai::cl100k_base();
        let is_cl100k = pattern == SplitPattern::Cl100k
            && tokens.len() == cl100k.bpe.num_tokens()
            && (0..).zip(&tokens).all(|(rank, token)| cl100k.bpe.token_bytes(rank) == token);
        let engine = if is_cl100k {
            Engine::Cl100k(cl100k)
        } else {
            // Tokens are found by a 32-bit hash, so the hash needs a factor under which no two collide.
            let factor = find_hash_factor_for_dictionary(tokens.iter().cloned());
            let bpe = BytePairEncoding::from_dictionary(tokens, Some(factor));
            let alternatives = pattern.alternatives();
            let patterns: Vec<(&str, bool)> = alternatives.iter().map(|(p, back)| (p.as_str(), *back)).collect();
            let own = bpe_openai::Tokenizer::new_lookahead(bpe, &patterns, false).expect("the patterns are constants");
            Engine::Own(Box::new(own))
        };
        Ok((Ranked { engine, pattern, ids }, merges))
    }

    fn engine(&self) -> &bpe_openai::Tokenizer {
        match &self.engine {
            Engine::Cl100k(engine) => engine,
            Engine::Own(engine) => engine,
        }
    }

    pub(crate) fn pattern(&self) -> SplitPattern {
        self.pattern
    }

    /// Tokens by rank, each with its id.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let bpe = &self.engine().bpe;
        (0..bpe.num_tokens() as u32).map(move |rank| (self.id(rank), bpe.token_bytes(rank)))
    }

    fn id(&self, rank: u32) -> u32 {
        self.ids.as_ref().map_or(rank, |ids| ids[rank as usize])
    }

    /// Appends the ids of `text`.
    pub(crate) fn encode(&self, text: &str, ids: &mut Vec<u32>) {
        let engine = self.engine();
        for piece in engine.split(text) {
            ids.extend(engine.bpe.encode_via_backtracking(piece.as_bytes()).into_iter().map(|rank| self.id(rank)));
        }
    }
}

/// The pieces into which GPT-4's pattern cuts `text`.
pub(crate) fn cl100k_pieces(text: &str) -> impl Iterator<Item = &str> {
    bpe_openai::cl100k_base().split(text)
}
