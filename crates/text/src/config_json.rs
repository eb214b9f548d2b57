//! Reading the files beside tokenizer.json that say what its tokens are for.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::TextError;

/// The tokens with a role of their own, in the order of transformers' special_tokens_map.json.
pub(crate) const ROLES: [&str; 4] = ["bos_token", "eos_token", "unk_token", "pad_token"];

/// What tokenizer_config.json, special_tokens_map.json, chat_template.jinja and generation_config.json say together.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// tokenizer_config.json as it was.
    pub(crate) json: Map<String, Value>,
    /// Content of the token of each role of [`ROLES`], with the file and key that names it.
    pub(crate) roles: [Option<Named>; 4],
    /// Contents of further tokens that must not be found in plain text.
    pub(crate) special: HashSet<String>,
    /// Whether a text begins with the bos token; `None` leaves it to tokenizer.json.
    pub(crate) add_bos: Option<bool>,
    /// Name and source of each chat template.
    pub(crate) templates: Vec<(String, String)>,
    /// Where the templates stand, for messages.
    pub(crate) template_place: Option<(PathBuf, &'static str)>,
    /// Ids that end generation, with their file.
    pub(crate) eos_ids: Vec<u32>,
    pub(crate) eos_ids_path: PathBuf,
}

/// A token named in a file.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) content: String,
    pub(crate) path: PathBuf,
}

impl Config {
    /// Reads whatever of the files the folder has.
    pub(crate) fn read(dir: &Path) -> Result<Self, TextError> {
        let mut this = Config::default();
        let path = dir.join("tokenizer_config.json");
        if let Some(json) = read_object(&path)? {
            this.add_bos = flag(&path, &json, "add_bos_token")?;
            this.read_roles(&path, &json)?;
            this.read_special(&path, &json)?;
            this.read_templates(&path, &json)?;
            this.json = json;
        }
        let path = dir.join("special_tokens_map.json");
        if let Some(json) = read_object(&path)? {
            this.read_roles(&path, &json)?;
            this.read_special(&path, &json)?;
        }
        let path = dir.join("chat_template.jinja");
        if let Some(source) = read_text(&path)? {
            this.templates.retain(|(name, _)| name != "default");
            this.templates.insert(0, ("default".to_owned(), source));
            this.template_place = Some((path, "chat_template"));
        }
        let path = dir.join("generation_config.json");
        if let Some(json) = read_object(&path)? {
            this.eos_ids = ids(&path, &json, "eos_token_id")?;
            this.eos_ids_path = path;
        }
        Ok(this)
    }

    fn read_roles(&mut self, path: &Path, json: &Map<String, Value>) -> Result<(), TextError> {
        for (role, named) in ROLES.iter().zip(&mut self.roles) {
            if let Some(value) = json.get(*role).filter(|value| named.is_none() && !value.is_null()) {
                *named = Some(Named { content: content(path, role, value)?, path: path.to_owned() });
            }
        }
        Ok(())
    }

    fn read_special(&mut self, path: &Path, json: &Map<String, Value>) -> Result<(), TextError> {
        for key in ["additional_special_tokens", "extra_special_tokens"] {
            match json.get(key) {
                None | Some(Value::Null) => {}
                Some(Value::Array(tokens)) => {
                    for (i, token) in tokens.iter().enumerate() {
                        self.special.insert(content(path, &format!("{key}[{i}]"), token)?);
                    }
                }
                Some(Value::Object(tokens)) => {
                    for (name, token) in tokens {
                        self.special.insert(content(path, &format!("{key}.{name}"), token)?);
                    }
                }
                Some(_) => return Err(TextError::key(path, key, "must be a list of tokens")),
            }
        }
        match json.get("added_tokens_decoder") {
            None | Some(Value::Null) => {}
            Some(Value::Object(tokens)) => {
                for (id, token) in tokens.iter().filter(|(_, token)| token["special"] == true) {
                    self.special.insert(content(path, &format!("added_tokens_decoder.{id}"), token)?);
                }
            }
            Some(_) => return Err(TextError::key(path, "added_tokens_decoder", "must map ids to tokens")),
        }
        Ok(())
    }

    fn read_templates(&mut self, path: &Path, json: &Map<String, Value>) -> Result<(), TextError> {
        const KEY: &str = "chat_template";
        match json.get(KEY) {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::String(source)) => self.templates.push(("default".to_owned(), source.clone())),
            Some(Value::Array(list)) => {
                for (i, entry) in list.iter().enumerate() {
                    let (Some(name), Some(source)) = (entry["name"].as_str(), entry["template"].as_str()) else {
                        let problem = "must have a `name` and a `template`, both text";
                        return Err(TextError::key(path, format!("{KEY}[{i}]"), problem));
                    };
                    self.templates.push((name.to_owned(), source.to_owned()));
                }
            }
            Some(_) => return Err(TextError::key(path, KEY, "must be text, or a list of named templates")),
        }
        self.template_place = Some((path.to_owned(), KEY));
        Ok(())
    }
}

/// A token is written as text, or as an object with a `content`.
fn content(path: &Path, key: &str, token: &Value) -> Result<String, TextError> {
    let content = token.as_str().or_else(|| token["content"].as_str()).filter(|content| !content.is_empty());
    content.map(str::to_owned).ok_or_else(|| {
        TextError::key(path, key, format!("is {token}; a token is a text, or an object with its text under `content`"))
    })
}

fn flag(path: &Path, json: &Map<String, Value>, key: &str) -> Result<Option<bool>, TextError> {
    match json.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(TextError::key(path, key, format!("is {other}, must be true or false"))),
    }
}

/// One id or a list of ids.
fn ids(path: &Path, json: &Map<String, Value>, key: &str) -> Result<Vec<u32>, TextError> {
    let list = match json.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    list.iter().map(id).collect::<Option<_>>().ok_or_else(|| {
        TextError::key(path, key, format!("is {}, must be a token id or a list of token ids", json[key]))
    })
}

fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, TextError> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    match serde_json::from_str(&text).map_err(|source| TextError::Json { path: path.to_owned(), source })? {
        Value::Object(object) => Ok(Some(object)),
        _ => Err(TextError::key(path, "(the whole file)", "must be a JSON object")),
    }
}

fn read_text(path: &Path) -> Result<Option<String>, TextError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TextError::Io { path: path.to_owned(), action: "read", source }),
    }
}
