//! Task types: how a row is shown as an example, what of it the model scores, and when it is right. Prompts are those
//! of LLM Foundry v0.22 (llmfoundry/eval/datasets/in_context_learning_evaluation.py), grades those of its metrics
//! (llmfoundry/eval/metrics/nlp.py).

mod language_modeling;
mod multiple_choice;
mod schema;

use crate::error::EvalError;
use crate::rows::Row;
use crate::scorer::Scored;
use crate::task::{Kind, Task};
use language_modeling::LanguageModeling;
use multiple_choice::MultipleChoice;
use schema::Schema;

/// A text that the model reads and one that it is asked to predict.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prompt {
    /// Follows the preamble (prompt string and examples).
    pub(crate) context: String,
    /// A space is still to be put in front of it where the tokenizer wants one.
    pub(crate) continuation: String,
}

/// One row of a task.
pub(crate) trait Item {
    /// The row as an example, answer included; `preceded` says whether any text stands before it.
    fn example(&self, task: &Task, preceded: bool) -> String;

    /// What the model scores.
    fn prompts(&self, task: &Task, preceded: bool) -> Vec<Prompt>;

    /// How many of them there are.
    fn prompt_count(&self) -> usize;

    /// How likely a guess is right.
    fn chance(&self) -> f64;

    /// Whether the model was right, by the scores of the prompts.
    fn is_correct(&self, scores: &[Scored]) -> bool;
}

/// Reads a row of a task.
pub(crate) fn read(task: &Task, row: &Row) -> Result<Box<dyn Item>, EvalError> {
    Ok(match task.kind {
        Kind::MultipleChoice => Box::new(MultipleChoice::read(row)?),
        Kind::LanguageModeling => Box::new(LanguageModeling::read(row)?),
        Kind::Schema => Box::new(Schema::read(row)?),
        Kind::GenerationTaskWithAnswers => {
            return Err(EvalError::Unsupported { task: task.name.clone(), kind: task.kind.to_string() });
        }
    })
}

/// `[example delimiter] + prelimiter + context + continuation delimiter`
fn framed(task: &Task, context: &str, preceded: bool) -> String {
    let delimiter = if preceded { task.example_delimiter.as_str() } else { "" };
    [delimiter, &task.prelimiter, context, &task.continuation_delimiter].concat()
}

/// The first of the scores with the smallest mean loss, which is the one with the smallest perplexity.
fn likeliest(scores: &[Scored]) -> usize {
    let mut best = 0;
    for i in 1..scores.len() {
        if scores[i].mean() < scores[best].mean() {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::rows;

    fn items(kind: Kind, lines: &str) -> Vec<Box<dyn Item>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.jsonl");
        std::fs::write(&path, lines).unwrap();
        let task = Task::new("t", "t.jsonl", kind);
        rows(&path).unwrap().map(|row| read(&task, &row.unwrap()).unwrap()).collect()
    }

    fn prompt(context: &str, continuation: &str) -> Prompt {
        Prompt { context: context.into(), continuation: continuation.into() }
    }

    fn task(kind: Kind) -> Task {
        Task {
            continuation_delimiter: "\nAnswer: ".into(),
            prelimiter: "Q: ".into(),
            ..Task::new("t", "t.jsonl", kind)
        }
    }

    #[test]
    fn language_modelling_strips_and_frames() {
        let row = &items(Kind::LanguageModeling, r#"{"context": "\t25 - 759 = ", "continuation": " -734\n"}"#)[0];
        let plain = Task::new("t", "t.jsonl", Kind::LanguageModeling);
        // The delimiter's space is stripped from the row itself, and kept in examples.
        assert_eq!(row.prompts(&plain, false), [prompt("25 - 759 =", "-734")]);
        assert_eq!(row.prompts(&plain, true), [prompt("\n25 - 759 =", "-734")]);
        assert_eq!(row.example(&plain, false), "25 - 759 = -734");
        assert_eq!(row.example(&plain, true), "\n25 - 759 = -734");
        let task = task(Kind::LanguageModeling);
        assert_eq!(row.prompts(&task, true), [prompt("\nQ: 25 - 759 =\nAnswer:", "-734")]);
        assert_eq!(row.example(&task, true), "\nQ: 25 - 759 =\nAnswer: -734");
        assert_eq!((row.prompt_count(), row.chance()), (1, 0.0));
        // A context of nothing but white space leaves nothing, not even the example delimiter.
        let empty = &items(Kind::LanguageModeling, r#"{"context": " ", "continuation": "x"}"#)[0];
        assert_eq!(empty.prompts(&plain, true), [prompt("", "x")]);
    }

    #[test]
    fn multiple_choice_keeps_choices_as_they_stand() {
        let row = &items(Kind::MultipleChoice, r#"{"query": " why? ", "choices": [" because ", "so"], "gold": 0}"#)[0];
        let task = task(Kind::MultipleChoice);
        let context = "\nQ: why?\nAnswer:";
        assert_eq!(row.prompts(&task, true), [prompt(context, " because "), prompt(context, "so")]);
        assert_eq!(row.prompts(&task, false)[0].context, "Q: why?\nAnswer:");
        assert_eq!(row.example(&task, false), "Q: why?\nAnswer:  because ");
        assert_eq!((row.prompt_count(), row.chance()), (2, 0.5));
    }

    #[test]
    fn schema_has_rules_of_its_own() {
        let line = r#"{"context_options": ["he ", "she "], "continuation": " left.", "gold": 1}"#;
        let row = &items(Kind::Schema, line)[0];
        let task = task(Kind::Schema);
        // Nothing precedes: no delimiter at all. Otherwise the prelimiter stands before the example delimiter, and the
        // delimiter, not the context, loses its trailing space.
        assert_eq!(row.prompts(&task, false), [prompt("Q: he ", "left."), prompt("Q: she ", "left.")]);
        let both = [prompt("Q: \nhe \nAnswer:", "left."), prompt("Q: \nshe \nAnswer:", "left.")];
        assert_eq!(row.prompts(&task, true), both);
        assert_eq!(row.example(&task, false), "Q: she \nAnswer: left.");
        assert_eq!(row.example(&task, true), "Q: \nshe \nAnswer: left.");
        let plain = Task::new("t", "t.jsonl", Kind::Schema);
        assert_eq!(row.prompts(&plain, true)[1], prompt("\nshe ", "left."));
        assert_eq!((row.prompt_count(), row.chance()), (2, 0.5));
    }

    #[test]
    fn grades_follow_the_mean_and_ties_go_to_the_first() {
        let scored = |nll, tokens, greedy| Scored { nll, tokens, greedy };
        let choose = |gold: usize, scores: &[Scored]| {
            let line = format!(r#"{{"query": "q", "choices": ["a", "b", "c"], "gold": {gold}}}"#);
            items(Kind::MultipleChoice, &line)[0].is_correct(scores)
        };
        // Sums 2, 3, 4; means 2, 1.5, 1.
        let long_wins = [scored(2.0, 1, true), scored(3.0, 2, false), scored(4.0, 4, false)];
        assert!(choose(2, &long_wins) && !choose(0, &long_wins));
        let tie = [scored(2.0, 1, false), scored(1.0, 1, false), scored(3.0, 3, true)];
        assert!(choose(1, &tie) && !choose(2, &tie));
        let line = r#"{"context_options": ["a", "b"], "continuation": "c", "gold": 1}"#;
        assert!(items(Kind::Schema, line)[0].is_correct(&[scored(2.0, 1, true), scored(1.0, 1, false)]));
        let line = r#"{"context": "a", "continuation": "b"}"#;
        let row = &items(Kind::LanguageModeling, line)[0];
        assert!(row.is_correct(&[scored(9.0, 1, true)]) && !row.is_correct(&[scored(0.1, 1, false)]));
    }
}
