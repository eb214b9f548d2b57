//! Building a tokenizer from the files of a model.

use std::path::Path;

use crate::chat::ChatTemplate;
use crate::config_json::{Config, Named, ROLES};
use crate::decoder::Decoder;
use crate::error::TextError;
use crate::foreign::Foreign;
use crate::specials::{Special, Specials};
use crate::tokenizer::{Engine, Files, Parts, Tokenizer};
use crate::tokenizer_json::TokenizerJson;
use crate::vocabulary::Vocabulary;

/// Tokens that end a document, by which a bare tokenizer.json is understood.
const USUAL_EOS: [&str; 4] = ["<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>"];
/// Tokens that begin a text, likewise.
const USUAL_BOS: [&str; 4] = ["<|endoftext|>", "<s>", "<|begin_of_text|>", "<bos>"];

impl Tokenizer {
    /// Reads a tokenizer.json and nothing else. Which token is eos and bos is known for the usual names; the chat template
    /// is ChatML if the tokenizer has `<|im_start|>` and `<|im_end|>`, else none.
    pub fn from_file(path: &Path) -> Result<Tokenizer, TextError> {
        build(TokenizerJson::read(path)?, Config::default())
    }

    /// Reads the tokenizer of a Hugging Face model folder: tokenizer.json and, as far as they are there,
    /// tokenizer_config.json, special_tokens_map.json, chat_template.jinja and generation_config.json.
    pub fn from_dir(dir: &Path) -> Result<Tokenizer, TextError> {
        build(TokenizerJson::read(&dir.join("tokenizer.json"))?, Config::read(dir)?)
    }
}

fn build(mut file: TokenizerJson, config: Config) -> Result<Tokenizer, TextError> {
    let named_special = |content: &str| {
        let is_role = config.roles.iter().flatten().any(|role| role.content == content);
        is_role || config.special.contains(content)
    };
    let mut specials: Vec<Special> = Vec::new();
    for added in file.added.iter().filter(|added| added.special || named_special(&added.content)) {
        let content = added.content.clone();
        specials.push(Special { id: added.id, content, lstrip: added.lstrip, rstrip: added.rstrip });
    }
    for (content, &id) in file.vocabulary.iter().filter(|(content, _)| named_special(content)) {
        if specials.iter().all(|special| special.id != id) {
            specials.push(Special::new(id, content.clone()));
        }
    }
    let specials = Specials::new(specials);

    let roles = roles(&config, &specials, &file)?;
    let decoder = Decoder::new(&file.path, &file.json["decoder"])?;
    let vocabulary = vocabulary(&file, &specials, &decoder);
    let engine = match file.ranked(named_special) {
        Some(ranked) => Engine::Ranked(ranked),
        None => {
            let added = file.json.get_mut("added_tokens").and_then(serde_json::Value::as_array_mut);
            for entry in added.into_iter().flatten() {
                if entry["content"].as_str().is_some_and(|content| specials.id(content).is_some()) {
                    entry["special"] = true.into();
                }
            }
            let refused = |reason| TextError::key(&file.path, "(the whole file)", format!("is refused: {reason}"));
            Engine::Foreign(Box::new(Foreign::new(&file.json, roles[2]).map_err(refused)?))
        }
    };
    if let Some(&id) = config.eos_ids.iter().find(|&&id| id as usize >= vocabulary.len()) {
        let problem = format!("names the id {id}, but the tokenizer's highest id is {}", vocabulary.len() - 1);
        return Err(TextError::key(&config.eos_ids_path, "eos_token_id", problem));
    }
    Ok(Tokenizer::from_parts(Parts {
        add_bos: roles[0]
            .is_some_and(|bos| config.add_bos.unwrap_or_else(|| post_processor_adds(&file, &specials, bos))),
        engine,
        vocabulary,
        roles,
        stop_ids: config.eos_ids.clone(),
        drops_leading_space: decoder.drops_leading_space,
        template: template(&config, &specials)?,
        specials,
        files: Files { tokenizer: Some(file.text), config: config.json },
    }))
}

/// The ids of the roles, from the configuration or by their usual names.
fn roles(config: &Config, specials: &Specials, file: &TokenizerJson) -> Result<[Option<u32>; 4], TextError> {
    let mut roles = [None; 4];
    for ((role, named), id) in ROLES.iter().zip(&config.roles).zip(&mut roles) {
        if let Some(Named { content, path }) = named {
            *id = specials.id(content);
            if id.is_none() {
                let problem = format!(
                    "names the token {content:?}, which {} does not have: add it to `added_tokens` there, or set this to null",
                    file.path.display()
                );
                return Err(TextError::key(path, *role, problem));
            }
        }
    }
    if config.json.is_empty() {
        let usual = |names: [&str; 4]| names.iter().find_map(|name| specials.id(name));
        roles[0] = roles[0].or_else(|| usual(USUAL_BOS));
        roles[1] = roles[1].or_else(|| usual(USUAL_EOS));
    }
    // The model itself may name the token for what it does not know.
    roles[2] = roles[2].or_else(|| {
        let model = &file.json["model"];
        let id = model["unk_id"].as_u64().map(|id| id as u32);
        id.or_else(|| file.vocabulary.get(model["unk_token"].as_str()?).copied()).filter(|&id| specials.contains(id))
    });
    Ok(roles)
}

fn vocabulary(file: &TokenizerJson, specials: &Specials, decoder: &Decoder) -> Vocabulary {
    let mut tokens: Vec<Vec<u8>> = vec![Vec::new(); file.vocabulary.len() + file.added.len()];
    for (piece, &id) in &file.vocabulary {
        tokens[id as usize] = decoder.bytes(piece);
    }
    for added in &file.added {
        tokens[added.id as usize] = added.content.clone().into_bytes();
    }
    for special in specials.iter() {
        tokens[special.id as usize] = special.content.clone().into_bytes();
    }
    // Added tokens that the model knows too were counted twice.
    let highest = file.vocabulary.values().copied().chain(file.added.iter().map(|added| added.id)).max();
    tokens.truncate(highest.map_or(0, |highest| highest as usize + 1));
    tokens.iter().collect()
}

/// Whether tokenizer.json itself puts bos before a single text.
fn post_processor_adds(file: &TokenizerJson, specials: &Specials, bos: u32) -> bool {
    let processor = &file.json["post_processor"];
    let steps = processor["processors"].as_array().map_or(std::slice::from_ref(processor), Vec::as_slice);
    steps.iter().filter(|step| step["type"] == "TemplateProcessing").any(|step| {
        let first = step["single"][0]["SpecialToken"]["id"].as_str();
        first.is_some_and(|first| specials.content(bos) == Some(first))
    })
}

fn template(config: &Config, specials: &Specials) -> Result<ChatTemplate, TextError> {
    let Some((path, key)) = &config.template_place else {
        let is_chatml = specials.id("<|im_start|>").is_some() && specials.id("<|im_end|>").is_some();
        return Ok(if is_chatml { ChatTemplate::chatml() } else { ChatTemplate::none() });
    };
    ChatTemplate::named(config.templates.clone())
        .map_err(|error| TextError::key(path, *key, format!("is no template: {error}")))
}
