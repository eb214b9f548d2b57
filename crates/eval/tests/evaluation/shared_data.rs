//! The project's evaluation data, where it is at hand.

use crate::fixture::{fixture, shared};
use moeworks_eval::{Kind, Shots, Suite, Task};
use std::path::{Path, PathBuf};

#[test]
fn few_shot_choices_are_those_of_llm_foundry() {
    let Some(path) = shared("eval-data/fewshot_vectors.json") else { return };
    let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = vectors["gauntlet"].as_array().unwrap();
    assert!(cases.len() >= 21);
    for case in cases {
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        assert_eq!(number("seed"), 1234);
        let want: Vec<Vec<usize>> = serde_json::from_value(case["first_items"].clone()).unwrap();
        let found: Vec<Vec<usize>> = Shots::new(number("n"), number("shots")).take(want.len()).collect();
        assert_eq!(found, want, "{} rows, {} shots", number("n"), number("shots"));
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// One row of every file of a type that can be run, with a model of far too short a context: every file is read whole
/// and every first prompt is cut. Only continuations longer than that context are errors.
#[test]
fn every_file_of_the_gauntlet_is_read() {
    let Some(folder) = shared("eval-data/gauntlet") else { return };
    let mut fixture = fixture(48);
    let mut evaluator = fixture.evaluator();
    let (mut run, mut generation, mut other) = (0, 0, 0);
    for path in files(&folder) {
        match Task::guess(&path) {
            Ok(task) if task.kind == Kind::GenerationTaskWithAnswers => generation += 1,
            Ok(task) => {
                match evaluator.task(&task, &path, Some(1)) {
                    Ok(result) => assert!(result.partial && result.rows == 1, "{}", path.display()),
                    Err(error) => assert!(error.to_string().contains("the continuation has"), "{error}"),
                }
                run += 1;
            }
            Err(error) => {
                assert!(path.parent().unwrap().ends_with("programming"), "{error}");
                other += 1;
            }
        }
    }
    assert_eq!((run, generation, other), (45, 7, 8));
}

#[test]
fn the_gauntlet_finds_its_files() {
    let Some(folder) = shared("eval-data/gauntlet") else { return };
    let suite = Suite::open("gauntlet-v0.3").unwrap();
    let mut fixture = fixture(48);
    let found = fixture.evaluator().suite(&suite, &folder, Some(1)).unwrap();
    let (scored, absent): (Vec<_>, Vec<_>) = (
        found.categories.iter().flat_map(|category| &category.tasks).collect(),
        found.absent().map(|absent| (absent.task.as_str(), absent.reason.as_str())).collect(),
    );
    assert_eq!(scored.len() + absent.len(), 31);
    for (task, reason) in &absent {
        let generation = ["triviaqa_sm_sub", "gsm8k", "svamp"].contains(task);
        let words = if generation { "generation tasks are not supported yet" } else { "the continuation has" };
        assert!(reason.contains(words), "{task}: {reason}");
    }
    let rows = |name: &str| scored.iter().find(|result| result.task.name == name).unwrap().rows_in_file;
    assert_eq!((rows("mmlu"), rows("copa"), rows("winograd"), rows("lambada_openai")), (14042, 100, 273, 5153));
}
