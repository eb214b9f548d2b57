//! The split patterns for which there is a fast, linear-time splitter, which is in `pieces.rs`.

/// A split pattern known to the fast engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SplitPattern {
    /// GPT-4's pattern, also DBRX's and Llama 3's.
    Cl100k,
    /// GPT-2's pattern, also MPT's.
    Gpt2,
}

const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

impl SplitPattern {
    /// The pattern as tokenizer.json spells it.
    pub(crate) fn regex(self) -> &'static str {
        match self {
            SplitPattern::Cl100k => CL100K,
            SplitPattern::Gpt2 => GPT2,
        }
    }

    /// Recognises a pattern of a tokenizer.json.
    pub(crate) fn of_regex(regex: &str) -> Option<Self> {
        [SplitPattern::Cl100k, SplitPattern::Gpt2].into_iter().find(|pattern| pattern.regex() == regex)
    }
}
