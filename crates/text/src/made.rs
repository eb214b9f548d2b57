//! Tokenizers made by Moeworks: GPT-4's vocabulary, and what is trained, both with DBRX's special tokens.

use crate::chat::ChatTemplate;
use crate::ranked::Ranked;
use crate::specials::{Special, Specials};
use crate::tokenizer::{Engine, Files, Parts, Tokenizer};
use crate::vocabulary::Vocabulary;

const END_OF_TEXT: &str = "<|endoftext|>";
const PAD: &str = "<|pad|>";

/// DBRX's special tokens with their ids over GPT-4's vocabulary.
const DBRX_SPECIALS: [(u32, &str); 8] = [
    (100_257, END_OF_TEXT),
    (100_258, "<|fim_prefix|>"),
    (100_259, "<|fim_middle|>"),
    (100_260, "<|fim_suffix|>"),
    (100_276, "<|endofprompt|>"),
    (100_277, PAD),
    (100_278, "<|im_start|>"),
    (100_279, "<|im_end|>"),
];
const CL100K_TOKENS: u32 = 100_256;

/// How many special tokens a trained tokenizer has.
pub(crate) const TRAINED_SPECIALS: usize = DBRX_SPECIALS.len();

impl Tokenizer {
    /// GPT-4's tokens (cl100k_base) with DBRX's special tokens: `<|endoftext|>` 100257, which is also bos, to `<|im_end|>`
    /// 100279. The ids between that DBRX leaves free are fillers, `<||_unused_0_||>` and so on, because tokenizer.json
    /// cannot leave gaps. DBRX models have 100352 rows: `vocab_size()` rounded up to a multiple of 128.
    pub fn cl100k() -> Tokenizer {
        let mut unused = 0;
        let special = |id| match DBRX_SPECIALS.iter().find(|(special, _)| *special == id) {
            Some((_, content)) => Special::new(id, *content),
            None => {
                unused += 1;
                Special::new(id, format!("<||_unused_{}_||>", unused - 1))
            }
        };
        let specials = (CL100K_TOKENS..=DBRX_SPECIALS[TRAINED_SPECIALS - 1].0).map(special).collect();
        made(Ranked::cl100k(), specials)
    }

    /// A tokenizer from trained tokens, with DBRX's special tokens after them.
    pub(crate) fn trained(ranked: Ranked) -> Tokenizer {
        let first = ranked.tokens().count() as u32;
        let specials = (first..).zip(DBRX_SPECIALS).map(|(id, (_, content))| Special::new(id, content));
        made(ranked, specials.collect())
    }
}

fn made(ranked: Ranked, specials: Vec<Special>) -> Tokenizer {
    let tokens = ranked.tokens().map(|(_, token)| token);
    let vocabulary: Vocabulary = tokens.chain(specials.iter().map(|special| special.content.as_bytes())).collect();
    let specials = Specials::new(specials);
    let end = specials.id(END_OF_TEXT);
    Tokenizer::from_parts(Parts {
        roles: [end, end, end, specials.id(PAD)],
        engine: Engine::Ranked(ranked),
        vocabulary,
        specials,
        stop_ids: Vec::new(),
        add_bos: false,
        drops_leading_space: false,
        template: ChatTemplate::chatml(),
        files: Files::default(),
    })
}
