//! `{query, choices[], gold}`: right if the gold choice has the smallest perplexity per token.

use super::{Item, Prompt, framed, likeliest};
use crate::error::EvalError;
use crate::python::rstrip;
use crate::rows::Row;
use crate::scorer::Scored;
use crate::task::Task;

pub(super) struct MultipleChoice {
    query: String,
    choices: Vec<String>,
    gold: usize,
}

impl MultipleChoice {
    pub(super) fn read(row: &Row) -> Result<Self, EvalError> {
        let choices = row.texts("choices")?;
        Ok(MultipleChoice { query: row.stripped("query")?, gold: row.index("gold", choices.len())?, choices })
    }
}

impl Item for MultipleChoice {
    fn example(&self, task: &Task, preceded: bool) -> String {
        framed(task, &self.query, preceded) + &self.choices[self.gold]
    }

    fn prompts(&self, task: &Task, preceded: bool) -> Vec<Prompt> {
        let framed = framed(task, &self.query, preceded);
        let context = rstrip(&framed);
        let prompt = |choice: &String| Prompt { context: context.to_owned(), continuation: choice.clone() };
        self.choices.iter().map(prompt).collect()
    }

    fn prompt_count(&self) -> usize {
        self.choices.len()
    }

    fn chance(&self) -> f64 {
        1.0 / self.choices.len() as f64
    }

    fn is_correct(&self, scores: &[Scored]) -> bool {
        likeliest(scores) == self.gold
    }
}
