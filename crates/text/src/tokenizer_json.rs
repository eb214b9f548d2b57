//! Reading tokenizer.json, the format of the `tokenizers` library, and checking it before anything is built from it.

use std::collections::{HashMap, HashSet};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::byte_level;
use crate::error::TextError;
use crate::ranked::Ranked;
use crate::split::SplitPattern;

/// No vocabulary in use is a tenth of this.
const MAX_VOCABULARY: usize = 1 << 22;

const MISSING: &str = "no such file; where there is only a tokenizer.model, let transformers write it: \
    AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)";

/// A tokenizer.json whose vocabulary, merges and added tokens agree with each other.
pub(crate) struct TokenizerJson {
    pub(crate) path: PathBuf,
    /// The file as it was.
    pub(crate) text: String,
    pub(crate) json: Value,
    /// Id of each piece of the model.
    pub(crate) vocabulary: HashMap<String, u32>,
    pub(crate) added: Vec<Added>,
}

/// A token that the file adds to the model's vocabulary.
pub(crate) struct Added {
    pub(crate) id: u32,
    pub(crate) content: String,
    /// Never found in plain text.
    pub(crate) special: bool,
    pub(crate) lstrip: bool,
    pub(crate) rstrip: bool,
}

impl TokenizerJson {
    pub(crate) fn read(path: &Path) -> Result<Self, TextError> {
        let text = std::fs::read_to_string(path).map_err(|source| TextError::Io {
            path: path.to_owned(),
            action: "read",
            source: match source.kind() {
                ErrorKind::NotFound => Error::new(ErrorKind::NotFound, MISSING),
                _ => source,
            },
        })?;
        let json: Value =
            serde_json::from_str(&text).map_err(|source| TextError::Json { path: path.to_owned(), source })?;
        let vocabulary = vocabulary(path, &json["model"])?;
        let added = added(path, &json["added_tokens"], &vocabulary)?;
        let this = TokenizerJson { path: path.to_owned(), text, json, vocabulary, added };
        this.check_ids()?;
        this.check_merges()?;
        Ok(this)
    }

    /// Ids must be 0, 1, 2, … over vocabulary and added tokens: the libraries number added tokens in order, whatever the
    /// file says, so after a gap the file and the libraries would disagree.
    fn check_ids(&self) -> Result<(), TextError> {
        let mut owner: Vec<Option<&str>> = vec![None; self.vocabulary.len() + self.added.len()];
        let tokens = self.vocabulary.iter().map(|(token, &id)| (token.as_str(), id, "model.vocab"));
        let added = self.added.iter().map(|added| (added.content.as_str(), added.id, "added_tokens"));
        for (token, id, key) in tokens.chain(added) {
            match owner.get_mut(id as usize) {
                Some(place @ None) => *place = Some(token),
                Some(Some(other)) if *other == token => {}
                Some(Some(other)) => {
                    let problem =
                        format!("gives the id {id} to both {other:?} and {token:?}; every token needs its own");
                    return Err(TextError::key(&self.path, key, problem));
                }
                None => {} // beyond the end: there must be a gap below, found next
            }
        }
        let missing = owner.iter().position(Option::is_none).unwrap_or(owner.len());
        let highest = self.vocabulary.values().copied().chain(self.added.iter().map(|added| added.id)).max();
        if let Some(highest) = highest.filter(|&highest| highest as usize > missing) {
            let key =
                if self.vocabulary.values().any(|&id| id as usize > missing) { "model.vocab" } else { "added_tokens" };
            let problem = format!(
                "leaves a gap: no token has the id {missing}, though ids go up to {highest}; export the tokenizer again, \
                 or add a filler token under `added_tokens`"
            );
            return Err(TextError::key(&self.path, key, problem));
        }
        // Not in the vocabulary, so the library numbers them from its end.
        let new = self.added.iter().filter(|added| !self.vocabulary.contains_key(&added.content));
        for (expected, token) in (self.vocabulary.len() as u32..).zip(new) {
            if token.id != expected {
                let problem = format!(
                    "gives {:?} the id {}, but libraries number added tokens in the order of the list, which makes it \
                     {expected}: sort the list by id",
                    token.content, token.id
                );
                return Err(TextError::key(&self.path, "added_tokens", problem));
            }
        }
        Ok(())
    }

    fn check_merges(&self) -> Result<(), TextError> {
        if self.json["model"]["type"] != "BPE" {
            return Ok(());
        }
        for (i, merge) in self.merges()?.enumerate() {
            let key = || format!("model.merges[{i}]");
            let (left, right) = merge.ok_or_else(|| {
                TextError::key(&self.path, key(), "must be a pair of tokens, `[\"a\", \"b\"]` or `\"a b\"`")
            })?;
            let inside =
                right.strip_prefix(self.model_text("continuing_subword_prefix").unwrap_or("")).unwrap_or(right);
            for token in [left, right, &format!("{left}{inside}")] {
                if !self.vocabulary.contains_key(token) {
                    let problem = format!(
                        "names the token {token:?}, which `model.vocab` does not have: export the tokenizer again"
                    );
                    return Err(TextError::key(&self.path, key(), problem));
                }
            }
        }
        Ok(())
    }

    /// The merges of a BPE model; `None` for an entry that is no pair.
    fn merges(&self) -> Result<impl Iterator<Item = Option<(&str, &str)>>, TextError> {
        let merges = self.json["model"]["merges"].as_array();
        let merges = merges.ok_or_else(|| TextError::key(&self.path, "model.merges", "must be a list of pairs"))?;
        let is_header = |merge: &&Value| merge.as_str().is_some_and(|line| line.starts_with("#version"));
        Ok(merges.iter().filter(move |merge| !is_header(merge)).map(|merge| match merge {
            Value::String(pair) => pair.split_once(' ').filter(|(_, right)| !right.contains(' ')),
            Value::Array(pair) => match pair.as_slice() {
                [Value::String(left), Value::String(right)] => Some((left.as_str(), right.as_str())),
                _ => None,
            },
            _ => None,
        }))
    }

    /// A text option of the model; `None` if absent or empty.
    fn model_text(&self, key: &str) -> Option<&str> {
        self.json["model"][key].as_str().filter(|text| !text.is_empty())
    }

    /// The fast engine, if this is byte-level BPE in rank order with a known split pattern and the engine is certain to
    /// give the library's ids. `is_special` adds to the tokens that the file itself calls special.
    pub(crate) fn ranked(&self, is_special: impl Fn(&str) -> bool) -> Option<Ranked> {
        let model = &self.json["model"];
        let plain = model["type"] == "BPE"
            && model["dropout"].as_f64().unwrap_or(0.0) == 0.0
            && self.model_text("continuing_subword_prefix").is_none()
            && self.model_text("end_of_word_suffix").is_none()
            && self.json["normalizer"].is_null()
            && self.json["decoder"]["type"] == "ByteLevel"
            && self.added.iter().all(|added| added.special || is_special(&added.content));
        let pattern = self.split_pattern().filter(|_| plain)?;

        let mut pieces: Vec<String> = (0..=u8::MAX).map(|byte| byte_level::to_char(byte).into()).collect();
        let unknown_last = |piece: &String| self.vocabulary.get(piece).copied().unwrap_or(u32::MAX);
        pieces.sort_by_key(unknown_last);
        let mut ranks: HashMap<String, u32> = pieces.iter().cloned().zip(0..).collect();
        // Several pairs may be listed for one token, but side by side: then all of them have the token's priority, and the
        // one that can be applied is found below. A pair with a part that is made later can never be applied.
        let mut listed = HashSet::new();
        for (left, right) in self.merges().ok()?.flatten() {
            let piece = format!("{left}{right}");
            let parts = ranks.get(left).copied().zip(ranks.get(right).copied());
            let next = pieces.len() as u32;
            let rank = *ranks.entry(piece.clone()).or_insert(next);
            if rank == next {
                pieces.push(piece);
            } else if rank + 1 != next {
                return None;
            }
            listed.extend(parts.map(|(left, right)| (left, right, rank)));
        }

        let ids: Vec<u32> = pieces.iter().map(|piece| self.vocabulary.get(piece).copied()).collect::<Option<_>>()?;
        let tokens: Vec<Vec<u8>> = pieces.iter().map(|piece| byte_level::to_bytes(piece)).collect::<Option<_>>()?;
        // A token that no merge makes is reached by `ignore_merges` all the same, when it is a whole piece of text.
        if model["ignore_merges"] == true && self.vocabulary.len() > tokens.len() {
            return None;
        }
        let added: HashSet<&str> = self.added.iter().map(|added| added.content.as_str()).collect();
        if pieces.iter().any(|piece| is_special(piece) || added.contains(piece.as_str())) {
            return None;
        }
        let ranked = Ranked::new(&tokens, ids, pattern).ok()?;
        let made = (256..).zip(ranked.merges()).all(|(rank, (left, right))| listed.contains(&(left, right, rank)));
        made.then_some(ranked)
    }

    fn split_pattern(&self) -> Option<SplitPattern> {
        let byte_level = |step: &Value, use_regex: bool| {
            step["type"] == "ByteLevel"
                && step["add_prefix_space"] == false
                && step["use_regex"].as_bool().unwrap_or(true) == use_regex
        };
        let steps = &self.json["pre_tokenizer"];
        if byte_level(steps, true) {
            return Some(SplitPattern::Gpt2);
        }
        match steps["pretokenizers"].as_array().filter(|_| steps["type"] == "Sequence")?.as_slice() {
            [split, bytes] if byte_level(bytes, false) => {
                let isolated = split["type"] == "Split" && split["behavior"] == "Isolated" && split["invert"] != true;
                SplitPattern::of_regex(split["pattern"]["Regex"].as_str().filter(|_| isolated)?)
            }
            _ => None,
        }
    }
}

/// Reads `model.vocab`: a map from piece to id, or for unigram models a list of pieces with scores.
fn vocabulary(path: &Path, model: &Value) -> Result<HashMap<String, u32>, TextError> {
    if !model.is_object() {
        return Err(TextError::key(path, "model", "must be an object with `type` and `vocab`"));
    }
    let kinds = ["BPE", "Unigram", "WordPiece", "WordLevel"];
    if !model["type"].as_str().is_some_and(|kind| kinds.contains(&kind)) {
        return Err(TextError::key(
            path,
            "model.type",
            format!("is {}; known are {}", model["type"], kinds.join(", ")),
        ));
    }
    let mut vocabulary = HashMap::new();
    match &model["vocab"] {
        Value::Object(pieces) => {
            for (piece, id) in pieces {
                let id = id.as_u64().filter(|&id| id < MAX_VOCABULARY as u64).ok_or_else(|| {
                    let problem = format!("is {id}; an id is a whole number below {MAX_VOCABULARY}");
                    TextError::key(path, format!("model.vocab[{piece:?}]"), problem)
                })?;
                vocabulary.insert(piece.clone(), id as u32);
            }
        }
        Value::Array(pieces) => {
            for (id, entry) in pieces.iter().enumerate() {
                let key = || format!("model.vocab[{id}]");
                let (piece, score) = (entry[0].as_str(), entry[1].as_f64());
                let (Some(piece), Some(_)) = (piece, score) else {
                    return Err(TextError::key(path, key(), "must be a pair of piece and score, `[\"a\", -1.5]`"));
                };
                if let Some(first) = vocabulary.insert(piece.to_owned(), id as u32) {
                    return Err(TextError::key(path, key(), format!("repeats {piece:?}, which has the id {first}")));
                }
            }
        }
        _ => return Err(TextError::key(path, "model.vocab", "must map pieces to ids, or list pieces with scores")),
    }
    Ok(vocabulary)
}

fn added(path: &Path, added: &Value, vocabulary: &HashMap<String, u32>) -> Result<Vec<Added>, TextError> {
    let list = match added {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        _ => return Err(TextError::key(path, "added_tokens", "must be a list")),
    };
    let mut tokens = Vec::with_capacity(list.len());
    let mut contents = HashSet::with_capacity(list.len());
    for (i, entry) in list.iter().enumerate() {
        let key = |name: &str| format!("added_tokens[{i}].{name}");
        let flag = |name: &str| match &entry[name] {
            Value::Bool(flag) => Ok(*flag),
            Value::Null => Ok(false),
            other => Err(TextError::key(path, key(name), format!("is {other}, must be true or false"))),
        };
        let id = entry["id"].as_u64().filter(|&id| id < MAX_VOCABULARY as u64);
        let id = id.ok_or_else(|| {
            TextError::key(
                path,
                key("id"),
                format!("is {}; an id is a whole number below {MAX_VOCABULARY}", entry["id"]),
            )
        })? as u32;
        let content = entry["content"].as_str().filter(|content| !content.is_empty());
        let content = content.ok_or_else(|| {
            TextError::key(path, key("content"), format!("is {}, must be a text that is not empty", entry["content"]))
        })?;
        if let Some(&other) = vocabulary.get(content).filter(|&&other| other != id) {
            let problem = format!("is {id} for {content:?}, but `model.vocab` gives it the id {other}");
            return Err(TextError::key(path, key("id"), problem));
        }
        if !contents.insert(content) {
            return Err(TextError::key(path, key("content"), format!("repeats {content:?}")));
        }
        let (special, lstrip, rstrip) = (flag("special")?, flag("lstrip")?, flag("rstrip")?);
        tokens.push(Added { id, content: content.to_owned(), special, lstrip, rstrip });
    }
    Ok(tokens)
}
