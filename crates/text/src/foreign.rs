//! Tokenizers of other families, run by the `tokenizers` crate: SentencePiece-style BPE, unigram, WordPiece.

use serde_json::Value;
use tokenizers::Tokenizer as Engine;

use crate::specials::Specials;

/// Wraps the library so that plain text never yields a special token.
pub(crate) struct Foreign {
    engine: Engine,
    /// For text that does not begin the input, where the two differ: some tokenizers put a space before the first word only.
    inner: Option<Engine>,
    /// The id for what the vocabulary lacks; the only special id that text may yield.
    unknown: Option<u32>,
}

impl Foreign {
    /// Builds the engine from a checked tokenizer.json. The error is the library's.
    pub(crate) fn new(json: &Value, unknown: Option<u32>) -> Result<Self, String> {
        let mut json = json.clone();
        // These are for batches of a fixed length; here they would cut or lengthen documents.
        json["truncation"] = Value::Null;
        json["padding"] = Value::Null;
        let build = |json: &Value| {
            let mut engine = Engine::from_bytes(json.to_string()).map_err(|e| e.to_string())?;
            engine.set_encode_special_tokens(true);
            Ok::<_, String>(engine)
        };
        let engine = build(&json)?;
        let inner = never_prepend(&mut json["pre_tokenizer"]).then(|| build(&json)).transpose()?;
        Ok(Foreign { engine, inner, unknown })
    }

    /// Appends the ids of `text`; `begins` tells whether the text begins the input.
    pub(crate) fn encode(&self, text: &str, begins: bool, specials: &Specials, ids: &mut Vec<u32>) {
        let engine = match &self.inner {
            Some(inner) if !begins => inner,
            _ => &self.engine,
        };
        let forbidden = |id: u32| specials.contains(id) && Some(id) != self.unknown;
        let Ok(encoding) = engine.encode_fast(text, false) else {
            // The model refuses the text, as a word-level one without unknown token may: narrow it down.
            return match (text.len() / 2..text.len()).find(|&at| at > 0 && text.is_char_boundary(at)) {
                Some(half) => self.encode_parts(text, &[half], begins, specials, ids),
                None => ids.extend(self.unknown),
            };
        };
        if !encoding.get_ids().iter().copied().any(forbidden) {
            return ids.extend(encoding.get_ids());
        }
        // A unigram vocabulary holds its special tokens as ordinary pieces, so text can spell one. After a cut behind the
        // first character of each it cannot.
        let offsets = engine.encode(text, false).map(|e| e.get_offsets().to_vec()).unwrap_or_default();
        let spelled = encoding.get_ids().iter().zip(offsets).filter(|(id, _)| forbidden(**id));
        let cuts: Vec<usize> =
            spelled.filter_map(|(_, (start, end))| behind_first_char(text, start).filter(|&at| at < end)).collect();
        if cuts.is_empty() {
            let permitted = |&id: &u32| if forbidden(id) { self.unknown } else { Some(id) };
            return ids.extend(encoding.get_ids().iter().filter_map(permitted));
        }
        self.encode_parts(text, &cuts, begins, specials, ids);
    }

    fn encode_parts(&self, text: &str, cuts: &[usize], begins: bool, specials: &Specials, ids: &mut Vec<u32>) {
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([text.len()]);
        for (start, end) in starts.zip(ends) {
            self.encode(&text[start..end], begins && start == 0, specials, ids);
        }
    }
}

fn behind_first_char(text: &str, start: usize) -> Option<usize> {
    Some(start + text.get(start..)?.chars().next()?.len_utf8())
}

/// Turns `first` into `never` in every Metaspace step; tells whether there was one.
fn never_prepend(pre_tokenizer: &mut Value) -> bool {
    let mut changed = false;
    if pre_tokenizer["prepend_scheme"] == "first" {
        pre_tokenizer["prepend_scheme"] = "never".into();
        changed = true;
    }
    if let Some(steps) = pre_tokenizer.get_mut("pretokenizers").and_then(Value::as_array_mut) {
        for step in steps {
            changed |= never_prepend(step);
        }
    }
    changed
}
