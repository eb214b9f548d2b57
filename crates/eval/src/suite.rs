//! Suites: tasks in categories, described in a file.

use crate::error::EvalError;
use crate::source::plain_name;
use crate::task::Task;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The suites that are built in, by name.
const BUILT_IN: [(&str, &str); 1] = [("gauntlet-v0.3", include_str!("../suites/gauntlet-v0.3.toml"))];

/// Tasks whose scores are averaged by category, and the categories among each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Where the list of tasks comes from.
    #[serde(default)]
    pub source: String,
    /// Its categories.
    pub categories: Vec<Category>,
}

/// Tasks that are averaged together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Its name.
    pub name: String,
    /// Its tasks.
    pub tasks: Vec<Task>,
}

impl Suite {
    /// Names of the built-in suites.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in suite by its name, or one of one's own by the path of its `.toml` file.
    pub fn open(name: &str) -> Result<Self, EvalError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, text);
        }
        if !name.ends_with(".toml") {
            let known = Self::names().collect::<Vec<_>>().join(", ");
            return Err(EvalError::UnknownSuite { name: name.to_owned(), known });
        }
        let path = Path::new(name);
        let text = std::fs::read_to_string(path).map_err(|source| EvalError::reading(path, source))?;
        Self::parse(name, &text)
    }

    fn parse(place: &str, text: &str) -> Result<Self, EvalError> {
        let wrong =
            |key: &str, problem: String| EvalError::Description { place: place.into(), key: key.into(), problem };
        let suite: Suite = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            wrong(&format!("line {line}"), error.message().to_owned())
        })?;
        for category in &suite.categories {
            for (i, task) in category.tasks.iter().enumerate() {
                task.check(place)?;
                if category.tasks[..i].iter().any(|other| (&other.name, other.shots) == (&task.name, task.shots)) {
                    return Err(wrong(
                        "name",
                        format!("task {:?} with {} shots is there twice", task.name, task.shots),
                    ));
                }
            }
            if category.tasks.is_empty() {
                return Err(wrong("tasks", format!("category {:?} has none", category.name)));
            }
        }
        match suite.categories.is_empty() {
            true => Err(wrong("categories", "there is none".into())),
            false => Ok(suite),
        }
    }

    /// Its tasks.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.categories.iter().flat_map(|category| &category.tasks)
    }
}

/// All files of a folder and the folders below it, in the order of their paths.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let failed = |source| EvalError::reading(folder, source);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A link to a folder is not followed: it could lead back.
        if entry.file_type().map_err(failed)?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The file of a task among `files`, plain or compressed: the one whose path ends as the task says, else the only one
/// of that name.
pub(crate) fn file_of<'f>(task: &Task, files: &'f [PathBuf]) -> Result<Option<&'f Path>, EvalError> {
    let wanted = Path::new(&task.file);
    let plain = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        file.with_file_name(plain_name(&name))
    };
    let named: Vec<&PathBuf> = files.iter().filter(|file| plain(file).file_name() == wanted.file_name()).collect();
    let exact: Vec<&PathBuf> = named.iter().copied().filter(|file| plain(file).ends_with(wanted)).collect();
    let candidates = if exact.is_empty() { named } else { exact };
    match candidates[..] {
        [] => Ok(None),
        [file] => Ok(Some(file)),
        [first, second, ..] => {
            let (task, first, second) = (task.name.clone(), first.clone(), second.clone());
            Err(EvalError::TwoFiles { task, first, second })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Kind;

    /// The reference's table: category, tasks, of these language modelling, multiple choice, schema, generation.
    #[test]
    fn the_gauntlet_is_whole() {
        let suite = Suite::open("gauntlet-v0.3").unwrap();
        let count = |kind| suite.tasks().filter(|task| task.kind == kind).count();
        let kinds = [Kind::LanguageModeling, Kind::MultipleChoice, Kind::Schema, Kind::GenerationTaskWithAnswers];
        assert_eq!(kinds.map(count), [9, 17, 2, 3]);
        let sizes: Vec<_> = suite.categories.iter().map(|c| (c.name.as_str(), c.tasks.len())).collect();
        let want = [
            ("world_knowledge", 6),
            ("commonsense_reasoning", 7),
            ("language_understanding", 4),
            ("symbolic_problem_solving", 8),
            ("reading_comprehension", 6),
        ];
        assert_eq!(sizes, want);
        for category in &suite.categories {
            for task in &category.tasks {
                assert!(task.file.starts_with(&format!("{}/", category.name)), "{}", task.file);
                let guess = task.random_baseline.unwrap();
                let choosing = matches!(task.kind, Kind::MultipleChoice | Kind::Schema);
                assert!(if choosing { [0.25, 0.5].contains(&guess) } else { guess == 0.0 }, "{}", task.name);
            }
        }
        let answer = |task: &&Task| task.continuation_delimiter == "\nAnswer: ";
        let names: Vec<_> = suite.tasks().filter(answer).map(|task| task.name.as_str()).collect();
        assert_eq!(names, ["jeopardy", "arc_easy", "arc_challenge", "mmlu", "piqa", "boolq"]);
        let categories: Vec<_> = suite.tasks().filter(|t| t.has_categories).map(|t| t.name.as_str()).collect();
        assert_eq!(categories, ["jeopardy", "mmlu"]);
    }

    #[test]
    fn a_suite_file_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let open = |text: &str| {
            let path = dir.path().join("mine.toml");
            std::fs::write(&path, text).unwrap();
            Suite::open(path.to_str().unwrap())
        };
        let task = "[[categories.tasks]]\nname = 'a'\nfile = 'a.jsonl'\nkind = 'schema'\n";
        let category = "[[categories]]\nname = 'c'\n";
        let head = "name = 's'\n";
        let good = open(&[head, category, task].concat()).unwrap();
        assert_eq!(good.tasks().collect::<Vec<_>>(), [&Task::new("a", "a.jsonl", Kind::Schema)]);
        for (text, words) in [
            ([head, category, task, task].concat(), "mine.toml: name: task \"a\" with 0 shots is there twice"),
            ([head, category, task, "shot = 3\n"].concat(), "mine.toml: line 8: unknown field `shot`"),
            ([head, category, task, "random_baseline = 1.0\n"].concat(), "random_baseline: is 1, must be"),
            ([head, category, "tasks = []\n"].concat(), "category \"c\" has none"),
            ([head, "categories = []\n"].concat(), "there is none"),
            ("name = ".to_owned(), "mine.toml: line 1: "),
        ] {
            let message = open(&text).unwrap_err().to_string();
            assert!(message.contains(words), "{message}\nlacks {words}");
        }
        let message = Suite::open("gauntlet").unwrap_err().to_string();
        assert!(message.contains("no suite \"gauntlet\"; suites: gauntlet-v0.3"), "{message}");
        assert!(Suite::open("none.toml").unwrap_err().to_string().contains("none.toml: no such file"));
    }

    #[test]
    fn a_file_is_found_by_folder_or_by_name_alone() {
        let task = Task::new("t", "commonsense/t.jsonl", Kind::Schema);
        let find = |files: &[&str]| {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            file_of(&task, &files).map(|found| found.map(|file| file.to_string_lossy().into_owned()))
        };
        assert_eq!(find(&["d/commonsense/t.jsonl", "d/other/t.jsonl"]).unwrap().unwrap(), "d/commonsense/t.jsonl");
        assert_eq!(find(&["d/t.jsonl.gz", "d/other.jsonl"]).unwrap().unwrap(), "d/t.jsonl.gz");
        assert_eq!(find(&["d/tt.jsonl", "d/t.jsonl.bz2"]).unwrap(), None);
        let message = find(&["d/a/t.jsonl", "d/b/t.jsonl.zst"]).unwrap_err().to_string();
        assert!(message.contains("task t: d/a/t.jsonl and d/b/t.jsonl.zst"), "{message}");
    }
}
