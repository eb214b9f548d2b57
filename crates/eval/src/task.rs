//! The description of a task.

use crate::error::EvalError;
use crate::rows::rows;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// LLM Foundry's task types (`icl_task_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `{query, choices[], gold}`: the choice with the smallest perplexity.
    MultipleChoice,
    /// `{context, continuation}`: every token of the continuation is the likeliest.
    LanguageModeling,
    /// `{context_options[], continuation, gold}`: the context after which the continuation has the smallest perplexity.
    Schema,
    /// `{context, answer, aliases[]}`: greedy generation. Described, not run yet.
    GenerationTaskWithAnswers,
}

impl Kind {
    /// All of them.
    const ALL: [Kind; 4] =
        [Kind::MultipleChoice, Kind::LanguageModeling, Kind::Schema, Kind::GenerationTaskWithAnswers];

    /// Keys that every row has.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Kind::MultipleChoice => &["query", "choices", "gold"],
            Kind::LanguageModeling => &["context", "continuation"],
            Kind::Schema => &["context_options", "continuation", "gold"],
            Kind::GenerationTaskWithAnswers => &["context", "answer"],
        }
    }

    /// Whether this version can run it.
    pub fn is_supported(self) -> bool {
        self != Kind::GenerationTaskWithAnswers
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::MultipleChoice => "multiple choice",
            Kind::LanguageModeling => "language modelling",
            Kind::Schema => "schema",
            Kind::GenerationTaskWithAnswers => "generation",
        })
    }
}

/// A task: a file of rows, and how its prompts are built. Names and defaults are LLM Foundry's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Name in results.
    pub name: String,
    /// Its file, relative to the data folder, without `.gz` or `.zst`.
    pub file: String,
    /// Its type.
    pub kind: Kind,
    /// Rows shown as examples before each row.
    #[serde(default)]
    pub shots: usize,
    /// Stands before every example, and before the row itself, unless nothing precedes it.
    #[serde(default = "line_feed")]
    pub example_delimiter: String,
    /// Stands between context and answer.
    #[serde(default = "space")]
    pub continuation_delimiter: String,
    /// Stands before every context (`question_prelimiter`).
    #[serde(default)]
    pub prelimiter: String,
    /// Stands once before everything.
    #[serde(default)]
    pub prompt_string: String,
    /// Whether rows have a `category`: each category is then a set of its own, and the score is their unweighted mean.
    #[serde(default)]
    pub has_categories: bool,
    /// Accuracy of guessing, at least 0 and below 1. Not given: one over the number of choices, averaged over the rows;
    /// 0 for language modelling.
    #[serde(default)]
    pub random_baseline: Option<f64>,
}

fn line_feed() -> String {
    "\n".to_owned()
}

fn space() -> String {
    " ".to_owned()
}

impl Task {
    /// A task with LLM Foundry's defaults and no examples.
    pub fn new(name: impl Into<String>, file: impl Into<String>, kind: Kind) -> Self {
        Task {
            name: name.into(),
            file: file.into(),
            kind,
            shots: 0,
            example_delimiter: line_feed(),
            continuation_delimiter: space(),
            prelimiter: String::new(),
            prompt_string: String::new(),
            has_categories: false,
            random_baseline: None,
        }
    }

    /// A task for a file of one's own, its type told by the keys of its first row. Keys that fit none or several types
    /// are an error.
    pub fn guess(path: &Path) -> Result<Self, EvalError> {
        let row = rows(path)?.next().ok_or_else(|| EvalError::Empty { path: path.to_path_buf() })??;
        let fits = |kind: &Kind| kind.keys().iter().all(|key| row.has(key));
        let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(fits).collect();
        let [kind] = kinds[..] else {
            let candidates = match kinds.len() {
                0 => "they fit no type".to_owned(),
                _ => format!("they fit {}", kinds.iter().map(Kind::to_string).collect::<Vec<_>>().join(" and ")),
            };
            let keys = row.keys().collect::<Vec<_>>().join(", ");
            return Err(EvalError::Ambiguous { path: path.to_path_buf(), keys, candidates });
        };
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = crate::source::plain_name(&file);
        Ok(Task::new(name.strip_suffix(".jsonl").unwrap_or(name), name, kind))
    }

    /// Checks what the types cannot say; `place` is named in the error.
    pub(crate) fn check(&self, place: &str) -> Result<(), EvalError> {
        let wrong = |key: &str, problem: String| {
            Err(EvalError::Description { place: format!("{place}: task {:?}", self.name), key: key.into(), problem })
        };
        if self.name.is_empty() {
            return wrong("name", "is empty".into());
        }
        if self.file.is_empty() {
            return wrong("file", "is empty; give the name of its JSONL file".into());
        }
        match self.random_baseline {
            Some(b) if !(0.0..1.0).contains(&b) => {
                wrong("random_baseline", format!("is {b}, must be at least 0 and below 1"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(line: &str) -> Result<Task, EvalError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.jsonl");
        std::fs::write(&path, line).unwrap();
        Task::guess(&path)
    }

    #[test]
    fn the_keys_tell_the_type() {
        for (line, kind) in [
            (r#"{"query": "q", "choices": ["a"], "gold": 0, "subtask": "s"}"#, Kind::MultipleChoice),
            (r#"{"context": "c", "continuation": "d", "category": "k"}"#, Kind::LanguageModeling),
            (r#"{"context_options": ["c"], "continuation": "d", "gold": 0}"#, Kind::Schema),
            (r#"{"context": "c", "answer": "d", "aliases": []}"#, Kind::GenerationTaskWithAnswers),
        ] {
            assert_eq!(guess(line).unwrap(), Task::new("mine", "mine.jsonl", kind), "{line}");
        }
        for (line, words) in [
            (r#"{"prompt": "c", "response": "d"}"#, "from the keys prompt, response: they fit no type"),
            (
                r#"{"query": "q", "choices": [], "gold": 0, "context": "c", "continuation": "d"}"#,
                "they fit multiple choice and language modelling",
            ),
            ("", "has no rows"),
            ("\n\n", "has no rows"),
        ] {
            let message = guess(line).unwrap_err().to_string();
            assert!(message.contains(words), "{message}\nlacks {words}");
        }
    }

    #[test]
    fn a_description_is_checked() {
        let task: Task = toml::from_str("name = 'a'\nfile = 'a.jsonl'\nkind = 'schema'").unwrap();
        assert_eq!(task, Task::new("a", "a.jsonl", Kind::Schema));
        for (key, value) in [("shot", "3"), ("shots", "-1"), ("kind", "'generation'")] {
            let text = format!("name = 'a'\nfile = 'a.jsonl'\n{key} = {value}");
            assert!(toml::from_str::<Task>(&text).is_err(), "{text}");
        }
        let with = |random_baseline| Task { random_baseline, ..task.clone() };
        assert!(with(Some(0.0)).check("s").is_ok() && with(None).check("s").is_ok());
        for b in [1.0, -0.1, f64::NAN] {
            let message = with(Some(b)).check("s.toml").unwrap_err().to_string();
            assert!(message.contains("s.toml: task \"a\": random_baseline: is"), "{message}");
        }
        assert!(Task { name: String::new(), ..task.clone() }.check("s").is_err());
        assert!(Task { file: String::new(), ..task }.check("s").is_err());
    }
}
