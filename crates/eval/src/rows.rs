//! JSON lines, row by row, with typed keys and errors that name file, row and key.

use crate::error::EvalError;
use crate::python::strip;
use crate::source;
use serde_json::{Map, Value};
use std::fmt;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

/// Where something stands: a file, and its row (counted from 1, blank lines included) where it has rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or the name of what was given otherwise.
    pub file: Arc<Path>,
    /// The row.
    pub row: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "{}: row {row}", self.file.display()),
            None => write!(f, "{}", self.file.display()),
        }
    }
}

/// One JSON object.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) place: Place,
    fields: Map<String, Value>,
}

impl Row {
    fn parse(place: Place, line: &[u8]) -> Result<Self, EvalError> {
        let line = match std::str::from_utf8(line) {
            Ok(line) => line.trim_start_matches('\u{feff}'),
            Err(error) => return Err(EvalError::NotUtf8 { place, offset: error.valid_up_to() }),
        };
        match serde_json::from_str(line) {
            Ok(fields) => Ok(Row { place, fields }),
            Err(error) => {
                let reason = error.to_string();
                let reason = reason.strip_suffix(&format!(" at line 1 column {}", error.column())).unwrap_or(&reason);
                Err(EvalError::Json { place, reason: format!("{reason} (column {})", error.column()) })
            }
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    /// A text as it stands.
    pub(crate) fn text(&self, key: &str) -> Result<&str, EvalError> {
        let value = self.value(key)?;
        value.as_str().ok_or_else(|| self.wrong(key, format!("is {}, must be text", kind(value))))
    }

    /// A text without white space around it, as LLM Foundry loads it (`strip_dataset`).
    pub(crate) fn stripped(&self, key: &str) -> Result<String, EvalError> {
        Ok(strip(self.text(key)?).to_owned())
    }

    /// A list of texts as they stand, at least one.
    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, EvalError> {
        let value = self.value(key)?;
        let Some(list) = value.as_array() else {
            return Err(self.wrong(key, format!("is {}, must be a list of texts", kind(value))));
        };
        if list.is_empty() {
            return Err(self.wrong(key, "is an empty list, must hold at least one text".into()));
        }
        let text = |(i, value): (usize, &Value)| match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(self.wrong(&format!("{key}[{i}]"), format!("is {}, must be text", kind(value)))),
        };
        list.iter().enumerate().map(text).collect()
    }

    /// The number of one of `count` things.
    pub(crate) fn index(&self, key: &str, count: usize) -> Result<usize, EvalError> {
        let value = self.value(key)?;
        let index = value.as_u64().and_then(|index| usize::try_from(index).ok()).filter(|index| *index < count);
        index.ok_or_else(|| {
            let found = if value.is_number() { value.to_string() } else { kind(value).to_owned() };
            self.wrong(key, format!("is {found}, must be a whole number from 0 to {}", count - 1))
        })
    }

    fn value(&self, key: &str) -> Result<&Value, EvalError> {
        self.fields.get(key).ok_or_else(|| {
            let keys: Vec<_> = self.keys().take(8).collect();
            self.wrong(key, format!("is missing; the row has {}", keys.join(", ")))
        })
    }

    fn wrong(&self, key: &str, problem: String) -> EvalError {
        EvalError::Key { place: self.place.clone(), key: key.to_owned(), problem }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The rows of a file, plain, `.gz` or `.zst`. Blank lines are skipped. Ends at the first error.
pub(crate) fn rows(path: &Path) -> Result<impl Iterator<Item = Result<Row, EvalError>> + use<>, EvalError> {
    let mut reader = source::open(path)?;
    let file: Arc<Path> = path.into();
    let mut number = 0;
    let mut failed = false;
    let next = move || {
        while !failed {
            let mut line = Vec::new();
            number += 1;
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => return None,
                Ok(_) if line.trim_ascii().is_empty() => continue,
                Ok(_) => {
                    let row = Row::parse(Place { file: file.clone(), row: Some(number) }, &line);
                    failed = row.is_err();
                    return Some(row);
                }
                Err(source) => {
                    failed = true;
                    return Some(Err(EvalError::reading(&file, source)));
                }
            }
        }
        None
    };
    Ok(std::iter::from_fn(next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(line: &str) -> Result<Row, EvalError> {
        Row::parse(Place { file: Path::new("t.jsonl").into(), row: Some(3) }, line.as_bytes())
    }

    #[test]
    fn keys_have_types_and_errors_name_them() {
        let good = row(r#"{"a": " x\u001c", "l": [" p ", ""], "g": 1, "n": null}"#).unwrap();
        assert_eq!((good.text("a").unwrap(), good.stripped("a").unwrap().as_str()), (" x\u{1c}", "x"));
        assert_eq!(good.texts("l").unwrap(), [" p ", ""]);
        assert_eq!(good.index("g", 2).unwrap(), 1);
        assert_eq!(good.keys().collect::<Vec<_>>(), ["a", "l", "g", "n"]);
        let messages = [
            (good.stripped("b").map(|_| ()), "t.jsonl: row 3: `b` is missing; the row has a, l, g, n"),
            (good.stripped("n").map(|_| ()), "`n` is null, must be text"),
            (good.texts("a").map(|_| ()), "`a` is text, must be a list of texts"),
            (good.index("g", 1).map(|_| ()), "`g` is 1, must be a whole number from 0 to 0"),
            (good.index("a", 1).map(|_| ()), "`a` is text, must be a whole number"),
            (row(r#"{"l": []}"#).unwrap().texts("l").map(|_| ()), "`l` is an empty list"),
            (row(r#"{"l": ["a", 2]}"#).unwrap().texts("l").map(|_| ()), "`l[1]` is a number, must be text"),
            (row(r#"{"g": -1}"#).unwrap().index("g", 2).map(|_| ()), "`g` is -1, must be a whole number from 0 to 1"),
            (row(r#"{"g": 1.0}"#).unwrap().index("g", 2).map(|_| ()), "`g` is 1.0"),
            (row("[1]").map(|_| ()), "t.jsonl: row 3: not a JSON object: invalid type: sequence"),
            (row(r#"{"a": "#).map(|_| ()), "not a JSON object: EOF while parsing a value (column 6)"),
        ];
        for (result, words) in messages {
            let message = result.unwrap_err().to_string();
            assert!(message.contains(words), "{message}\nlacks {words}");
        }
        let place = Place { file: Path::new("t.jsonl").into(), row: Some(3) };
        let message = Row::parse(place, b"{\"a\": \"\xff\"}").unwrap_err().to_string();
        assert!(message.contains("row 3: byte 7 is not UTF-8"), "{message}");
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line: Vec<u8>) {
            let place = Place { file: Path::new("t.jsonl").into(), row: None };
            if let Ok(row) = Row::parse(place, &line) {
                let _ = (row.stripped("a"), row.texts("a"), row.index("a", 1));
            }
        }
    }
}
