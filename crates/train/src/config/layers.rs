//! Configuration in layers: defaults, a file, `key=value` words. Every value knows where it came from; a key that does
//! not exist is an error with the nearest that does.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// What can be wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{place}: not valid TOML: {reason}")]
    Toml {
        /// File and line.
        place: String,
        /// Why.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key {key:?}{hint}; `moeworks config show` lists all keys")]
    UnknownKey {
        /// File and line, or the word on the command line.
        place: String,
        /// The key, dotted.
        key: String,
        /// Did you mean.
        hint: String,
    },
    /// A value that cannot be.
    #[error("{place}: {key} {reason}")]
    Value {
        /// File and line, or the word on the command line.
        place: String,
        /// The key, dotted.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

/// One value with its origin.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The key, dotted.
    pub key: String,
    /// The value, as TOML writes it.
    pub value: String,
    /// `default`, file and line, or `command line`.
    pub origin: String,
}

/// A configuration that can be put together from layers.
pub trait Layered: Serialize + DeserializeOwned + Default {
    /// The lists of tables in it: the list's key, and an entry with every key that entries may have.
    fn entries() -> Vec<(&'static str, Table)>;
}

/// A configuration from its layers: a file (name and text), then `key=value` words. Defaults are the type's own.
pub fn resolve<T>(file: Option<(&str, &str)>, words: &[String]) -> Result<(T, Vec<Setting>), ConfigError>
where
    T: Layered,
{
    let defaults = Table::try_from(T::default()).expect("a configuration is TOML");
    let mut layers = Layers { values: defaults.clone(), defaults, entries: T::entries(), origins: Vec::new() };
    if let Some((name, text)) = file {
        let line = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
        let parsed = DeTable::parse(text).map_err(|e| ConfigError::Toml {
            place: format!("{name}:{}", e.span().map_or(1, |s| line(s.start))),
            reason: e.message().to_string(),
        })?;
        layers.file(name, parsed.get_ref(), "", &line)?;
    }
    for word in words {
        layers.word(word)?;
    }
    let place = |key: &str| layers.origin(key);
    let config = T::deserialize(Value::Table(layers.values.clone())).map_err(|e| {
        // Keys were checked: what is left is a value of a right type that means nothing.
        let message = e.message().trim().to_string();
        let set = layers.origins.iter().rev().find(|(k, _)| T::deserialize(layers.only(k)).is_err());
        let key = set.map_or("(some key)", |(k, _)| k.as_str());
        ConfigError::Value { place: place(key), key: key.to_string(), reason: format!("is wrong: {message}") }
    })?;
    let settings = layers.settings();
    Ok((config, settings))
}

struct Layers {
    defaults: Table,
    values: Table,
    /// Lists of tables, each with an entry that has every key.
    entries: Vec<(&'static str, Table)>,
    /// Keys that are no longer default, in the order they were set.
    origins: Vec<(String, String)>,
}

impl Layers {
    fn origin(&self, key: &str) -> String {
        self.origins.iter().rev().find(|(k, _)| k == key).map_or("default".into(), |(_, origin)| origin.clone())
    }

    /// The defaults with one key as it is set now.
    fn only(&self, key: &str) -> Value {
        let mut table = self.defaults.clone();
        if let (Some(value), Some(place)) = (find(&self.values, key), find_mut(&mut table, key)) {
            *place = value.clone();
        }
        Value::Table(table)
    }

    fn file(
        &mut self,
        name: &str,
        table: &DeTable,
        prefix: &str,
        line: &dyn Fn(usize) -> usize,
    ) -> Result<(), ConfigError> {
        for (key, value) in table.iter() {
            let full = format!("{prefix}{}", key.get_ref());
            let place = format!("{name}:{}", line(key.span().start));
            match (value.get_ref(), find(&self.defaults, &full)) {
                (DeValue::Table(inner), Some(Value::Table(_))) => {
                    self.file(name, inner, &format!("{full}."), line)?;
                }
                (found, Some(_)) => {
                    self.check_entries(name, &full, found, line)?;
                    self.set(&full, plain(value), place)?;
                }
                (_, None) => return Err(self.unknown(&full, place)),
            }
        }
        Ok(())
    }

    /// Checks the keys of the tables in a list, where it is one of tables.
    fn check_entries(
        &self,
        name: &str,
        key: &str,
        found: &DeValue,
        line: &dyn Fn(usize) -> usize,
    ) -> Result<(), ConfigError> {
        let (Some((_, entry)), DeValue::Array(list)) = (self.entries.iter().find(|(list, _)| *list == key), found)
        else {
            return Ok(());
        };
        for value in list.iter() {
            let place = |at: usize| format!("{name}:{}", line(at));
            let DeValue::Table(table) = value.get_ref() else {
                let reason = format!("holds a {}, must hold tables", plain(value).type_str());
                return Err(ConfigError::Value { place: place(value.span().start), key: key.to_string(), reason });
            };
            if let Some(wrong) = table.keys().find(|k| !entry.contains_key(k.get_ref().as_ref())) {
                return Err(self.unknown(&format!("{key}.{}", wrong.get_ref()), place(wrong.span().start)));
            }
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), ConfigError> {
        let place = format!("command line, {word:?}");
        let Some((key, text)) = word.split_once('=') else {
            let reason = "is not key=value".to_string();
            return Err(ConfigError::Value { place, key: word.to_string(), reason });
        };
        let (key, text) = (key.trim(), text.trim());
        match find(&self.defaults, key) {
            None => return Err(self.unknown(key, place)),
            Some(Value::Table(_)) => {
                let reason = format!("is a group of keys; set one of them, such as {}", self.keys_under(key));
                return Err(ConfigError::Value { place, key: key.to_string(), reason });
            }
            Some(_) => {}
        }
        // A word that is no TOML value is a string without its quotes.
        let parsed: Option<Table> = toml::from_str(&format!("v = {text}")).ok();
        let value = parsed.and_then(|mut t| t.remove("v")).unwrap_or_else(|| Value::String(text.to_string()));
        self.set(key, value, place)
    }

    fn set(&mut self, key: &str, value: Value, place: String) -> Result<(), ConfigError> {
        let default = find(&self.defaults, key).expect("the key was checked");
        let value = match (default, value) {
            (Value::Float(_), Value::Integer(n)) => Value::Float(n as f64),
            (default, value) if default.same_type(&value) => value,
            (default, value) => {
                let reason = format!("is a {}, must be a {}", value.type_str(), default.type_str());
                return Err(ConfigError::Value { place, key: key.to_string(), reason });
            }
        };
        *find_mut(&mut self.values, key).expect("values have the defaults' keys") = value;
        self.origins.push((key.to_string(), place));
        Ok(())
    }

    fn unknown(&self, key: &str, place: String) -> ConfigError {
        let mut known = Vec::new();
        keys(&self.defaults, "", &mut known);
        self.entries.iter().for_each(|(list, entry)| known.extend(entry.keys().map(|k| format!("{list}.{k}"))));
        // Both the whole key and its last part may be misspelt or misplaced.
        let last = |k: &str| k.rsplit('.').next().unwrap_or(k).to_string();
        let likeness = |k: &String| strsim::jaro_winkler(k, key).max(strsim::jaro_winkler(&last(k), &last(key)));
        let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let close = nearest.filter(|k| likeness(k) > 0.8);
        let hint = close.map_or(String::new(), |k| format!(", did you mean {k:?}?"));
        ConfigError::UnknownKey { place, key: key.to_string(), hint }
    }

    fn keys_under(&self, key: &str) -> String {
        let mut known = Vec::new();
        if let Some(Value::Table(table)) = find(&self.defaults, key) {
            keys(table, &format!("{key}."), &mut known);
        }
        known.first().cloned().unwrap_or_default()
    }

    fn settings(&self) -> Vec<Setting> {
        let mut all = Vec::new();
        keys(&self.defaults, "", &mut all);
        let value = |key: &str| find(&self.values, key).expect("a known key").to_string();
        let origin = |key: &str| match self.origin(key) {
            o if o.starts_with("command line") => "command line".to_string(),
            o => o,
        };
        all.iter().map(|k| Setting { key: k.clone(), value: value(k), origin: origin(k) }).collect()
    }
}

fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((first, rest)) => find(table.get(first)?.as_table()?, rest),
    }
}

fn find_mut<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    match key.split_once('.') {
        None => table.get_mut(key),
        Some((first, rest)) => find_mut(table.get_mut(first)?.as_table_mut()?, rest),
    }
}

fn keys(table: &Table, prefix: &str, out: &mut Vec<String>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => keys(inner, &format!("{prefix}{key}."), out),
            _ => out.push(format!("{prefix}{key}")),
        }
    }
}

/// A value without its places in the file.
fn plain(value: &Spanned<DeValue>) -> Value {
    match value.get_ref() {
        DeValue::String(s) => Value::String(s.to_string()),
        DeValue::Integer(n) => {
            i64::from_str_radix(n.as_str(), n.radix()).map_or(Value::Float(f64::NAN), Value::Integer)
        }
        DeValue::Float(f) => f.as_str().parse().map_or(Value::Float(f64::NAN), Value::Float),
        DeValue::Boolean(b) => Value::Boolean(*b),
        DeValue::Datetime(d) => Value::Datetime(*d),
        DeValue::Array(list) => Value::Array(list.iter().map(plain).collect()),
        DeValue::Table(table) => Value::Table(table.iter().map(|(k, v)| (k.get_ref().to_string(), plain(v))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Duration, TrainConfig};

    fn read(text: &str, words: &[&str]) -> Result<(TrainConfig, Vec<Setting>), ConfigError> {
        let words: Vec<String> = words.iter().map(|w| w.to_string()).collect();
        resolve(Some(("run.toml", text)), &words)
    }

    #[test]
    fn later_layers_win_and_are_remembered() {
        let text = "[train]\nbatch = 8\nduration = '10ba'\n[optimizer]\nlearning_rate = 1\n";
        let (config, settings) =
            read(text, &["train.batch=4", "model.preset=tiny", "evaluate.prompts=['a', 'b']"]).unwrap();
        assert_eq!((config.train.batch, config.train.duration), (4, Duration::Batches(10)));
        assert_eq!((config.optimizer.learning_rate, config.model.preset.as_str()), (1.0, "tiny"));
        assert_eq!(config.evaluate.prompts, ["a", "b"]);
        let origin = |key: &str| settings.iter().find(|s| s.key == key).unwrap().origin.clone();
        assert_eq!(origin("train.batch"), "command line");
        assert_eq!(origin("train.duration"), "run.toml:3");
        assert_eq!(origin("optimizer.clip"), "default");
    }

    #[test]
    fn every_mistake_names_place_and_way_out() {
        for (text, words, expected) in [
            ("[train]\nbatsh = 8", vec![], vec!["run.toml:2", "train.batsh", "did you mean \"train.batch\""]),
            ("[optimiser]\nlr = 1", vec![], vec!["run.toml:1", "optimiser"]),
            ("[train]\nlearning_rate = 1", vec![], vec!["did you mean \"optimizer.learning_rate\""]),
            ("[train]\n\nbatch = 'x'", vec![], vec!["run.toml:3", "train.batch is a string, must be a integer"]),
            ("[train\nbatch = 1", vec![], vec!["run.toml:1", "not valid TOML"]),
            ("train = 3", vec![], vec!["run.toml:1", "train"]),
            ("[train]\nduration = 'soon'", vec![], vec!["run.toml:2", "train.duration", "30min"]),
            ("[data]\ndocuments = 'mixed'", vec![], vec!["data.documents", "apart"]),
            ("[train]\nbatch = -1", vec![], vec!["run.toml:2", "train.batch"]),
            ("", vec!["batch=3"], vec!["command line", "did you mean \"train.batch\""]),
            ("", vec!["train=3"], vec!["group of keys"]),
            ("", vec!["train.batch"], vec!["not key=value"]),
            ("", vec!["train.batch=many"], vec!["train.batch is a string, must be a integer"]),
        ] {
            let message = read(text, &words).unwrap_err().to_string();
            for part in expected {
                assert!(message.contains(part), "{text:?} {words:?}: no {part:?} in {message}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = TrainConfig::default();
        let text = toml::to_string(&config).unwrap();
        assert_eq!(read(&text, &[]).unwrap().0, config);
    }
}
