//! The tokenizer: text to ids and back, special tokens, and the chat template that belongs to them.

use std::borrow::Cow;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::chat::ChatTemplate;
use crate::config_json::ROLES;
use crate::foreign::Foreign;
use crate::ranked::Ranked;
use crate::specials::{Special, Specials};
use crate::vocabulary::Vocabulary;

/// A tokenizer with its special tokens and chat template. Clones share everything; any number of threads may use one.
#[derive(Clone)]
pub struct Tokenizer(Arc<Parts>);

/// What a tokenizer is made of.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) specials: Specials,
    /// The ids of bos, eos, unk and pad, in the order of [`ROLES`].
    pub(crate) roles: [Option<u32>; 4],
    pub(crate) stop_ids: Vec<u32>,
    pub(crate) add_bos: bool,
    /// Whether a space at the very beginning of a decoded text is the tokenizer's and not the text's.
    pub(crate) drops_leading_space: bool,
    pub(crate) template: ChatTemplate,
    pub(crate) files: Files,
}

pub(crate) enum Engine {
    Ranked(Ranked),
    Foreign(Box<Foreign>),
}

/// The files the tokenizer was read from; empty if it was made here.
#[derive(Default)]
pub(crate) struct Files {
    /// tokenizer.json, to be written again as it was.
    pub(crate) tokenizer: Option<String>,
    /// tokenizer_config.json.
    pub(crate) config: serde_json::Map<String, serde_json::Value>,
}

/// Tokens that end a turn, by which the chat formats in use can be recognised.
const TURN_ENDS: [&str; 4] = ["<|im_end|>", "<|eot_id|>", "<|end_of_turn|>", "<end_of_turn>"];

impl Tokenizer {
    pub(crate) fn from_parts(mut parts: Parts) -> Self {
        parts.stop_ids.splice(0..0, parts.roles[1]);
        parts.stop_ids.extend(TURN_ENDS.iter().filter_map(|content| parts.specials.id(content)));
        let mut seen = std::collections::HashSet::new();
        parts.stop_ids.retain(|id| seen.insert(*id));
        Tokenizer(Arc::new(parts))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }

    /// Ids of `text`. Text never becomes a special token, whatever it says: see [`ChatTemplate::encode_chat`] and
    /// [`Tokenizer::special`] for how special tokens get among the ids. No bos token is added.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4);
        self.encode_part(text, &mut ids);
        ids
    }

    /// Appends the ids of `text`, which continues what `ids` stand for.
    pub(crate) fn encode_part(&self, text: &str, ids: &mut Vec<u32>) {
        if text.is_empty() {
            return;
        }
        match &self.0.engine {
            Engine::Ranked(ranked) => ranked.encode(text, ids),
            Engine::Foreign(foreign) => foreign.encode(text, ids.is_empty(), &self.0.specials, ids),
        }
    }

    /// Text of `ids`, special tokens shown as their content. Bytes that are no UTF-8 become U+FFFD. For byte-level
    /// tokenizers, which are all that Moeworks makes, `decode(encode(text))` is `text`.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.text(ids, false)
    }

    /// Text of `ids` without the special tokens among them.
    pub fn decode_without_special(&self, ids: &[u32]) -> String {
        self.text(ids, true)
    }

    fn text(&self, ids: &[u32], skip: bool) -> String {
        let shown = ids.iter().filter(|id| !(skip && self.is_special(**id)));
        let bytes: Vec<u8> = shown.flat_map(|&id| self.token_bytes(id)).copied().collect();
        let bytes = match bytes.strip_prefix(b" ") {
            Some(rest) if self.0.drops_leading_space => rest,
            _ => &bytes,
        };
        match String::from_utf8_lossy(bytes) {
            Cow::Borrowed(text) => text.to_owned(),
            Cow::Owned(text) => text,
        }
    }

    /// The exact bytes of one token, which need not be whole characters: for streaming, logprobs and bits per byte. A
    /// special token has the bytes of its content. An id beyond the vocabulary, such as a padded row of the embedding,
    /// has none.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        self.0.vocabulary.get(id)
    }

    /// One past the highest id. Models may have more rows: round up with [`usize::next_multiple_of`].
    pub fn vocab_size(&self) -> usize {
        self.0.vocabulary.len()
    }

    /// The id of a special token such as `<|im_end|>`.
    pub fn special(&self, content: &str) -> Option<u32> {
        self.0.specials.id(content)
    }

    /// Whether `id` is a special token.
    pub fn is_special(&self, id: u32) -> bool {
        self.0.specials.contains(id)
    }

    /// Every special token's id and content, by id.
    pub fn special_tokens(&self) -> impl Iterator<Item = (u32, &str)> {
        self.0.specials.iter().map(|special| (special.id, special.content.as_str()))
    }

    /// The token at which a text begins, where the tokenizer has one. It belongs before a text if [`Tokenizer::add_bos`].
    pub fn bos(&self) -> Option<u32> {
        self.0.roles[0]
    }

    /// The end of a document: the separator in training data.
    pub fn eos(&self) -> Option<u32> {
        self.0.roles[1]
    }

    /// The token that fills up batches.
    pub fn pad(&self) -> Option<u32> {
        self.0.roles[3]
    }

    /// All ids that end generation: eos, the `eos_token_id`s of generation_config.json, and `<|im_end|>` or its like.
    pub fn stop_ids(&self) -> &[u32] {
        &self.0.stop_ids
    }

    /// Whether plain text is to be given to the model with bos before it, as Llama's tokenizers want. Rendered
    /// conversations carry bos already where the template has it.
    pub fn add_bos(&self) -> bool {
        self.0.add_bos
    }

    /// The template for conversations.
    pub fn chat_template(&self) -> &ChatTemplate {
        &self.0.template
    }

    pub(crate) fn specials(&self) -> &Specials {
        &self.0.specials
    }

    /// The roles that are taken, with the content of their tokens.
    pub(crate) fn role_contents(&self) -> impl Iterator<Item = (&'static str, &str)> {
        ROLES.into_iter().zip(self.0.roles).filter_map(|(role, id)| Some((role, self.0.specials.content(id?)?)))
    }

    /// Whether the fast engine runs this tokenizer, in time linear in the text. It does for what is made here and for
    /// byte-level BPE files with GPT-4's or GPT-2's split pattern; others are run by the `tokenizers` crate.
    pub fn is_fast(&self) -> bool {
        matches!(self.0.engine, Engine::Ranked(_))
    }

    /// SHA-256, in hexadecimal, over everything that decides ids: vocabulary, merges, split, special tokens, bos, eos and
    /// chat templates. Equal after saving and loading; for checkpoints and shards.
    pub fn fingerprint(&self) -> String {
        let parts = self.parts();
        let mut hash = Fields(Sha256::new());
        match &parts.engine {
            Engine::Ranked(ranked) => {
                hash.add(b"ranked 1");
                hash.add(ranked.pattern().regex().as_bytes());
                // The order of the tokens is the order of the merges.
                for (id, token) in ranked.tokens() {
                    hash.add(&id.to_le_bytes());
                    hash.add(token);
                }
            }
            Engine::Foreign(_) => {
                hash.add(b"foreign 1");
                let json = parts.files.tokenizer.as_deref().unwrap_or_default();
                hash.add(json.as_bytes());
            }
        }
        for id in 0..parts.vocabulary.len() as u32 {
            hash.add(parts.vocabulary.get(id));
        }
        for Special { id, content, lstrip, rstrip } in parts.specials.iter() {
            hash.add(&id.to_le_bytes());
            hash.add(content.as_bytes());
            hash.add(&[u8::from(*lstrip), u8::from(*rstrip)]);
        }
        for id in [self.bos(), self.eos()] {
            hash.add(&id.unwrap_or(u32::MAX).to_le_bytes());
        }
        hash.add(&[u8::from(parts.add_bos)]);
        for (name, source) in parts.template.sources() {
            hash.add(name.as_bytes());
            hash.add(source.as_bytes());
        }
        hash.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("fast", &self.is_fast())
            .field("roles", &self.role_contents().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Hashes fields so that no two lists of fields give the same bytes.
struct Fields(Sha256);

impl Fields {
    fn add(&mut self, field: &[u8]) {
        self.0.update((field.len() as u64).to_le_bytes());
        self.0.update(field);
    }
}
