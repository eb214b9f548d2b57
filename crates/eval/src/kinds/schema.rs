//! `{context_options[], continuation, gold}`: right if the continuation has the smallest perplexity after the gold
//! context (partial evaluation, arXiv 1806.02847).

use super::{Item, Prompt, likeliest};
use crate::error::EvalError;
use crate::python::rstrip;
use crate::rows::Row;
use crate::scorer::Scored;
use crate::task::Task;

pub(super) struct Schema {
    contexts: Vec<String>,
    continuation: String,
    gold: usize,
}

impl Schema {
    pub(super) fn read(row: &Row) -> Result<Self, EvalError> {
        let contexts = row.texts("context_options")?;
        let gold = row.index("gold", contexts.len())?;
        Ok(Schema { contexts, continuation: row.stripped("continuation")?, gold })
    }
}

impl Item for Schema {
    fn example(&self, task: &Task, preceded: bool) -> String {
        let delimiter = if preceded { task.example_delimiter.as_str() } else { "" };
        let context = &self.contexts[self.gold];
        [&task.prelimiter, delimiter, context, &task.continuation_delimiter, &self.continuation].concat()
    }

    fn prompts(&self, task: &Task, preceded: bool) -> Vec<Prompt> {
        let (before, after) = match preceded {
            true => (task.example_delimiter.as_str(), rstrip(&task.continuation_delimiter)),
            false => ("", ""),
        };
        let prompt = |context: &String| Prompt {
            context: [&task.prelimiter, before, context, after].concat(),
            continuation: self.continuation.clone(),
        };
        self.contexts.iter().map(prompt).collect()
    }

    fn prompt_count(&self) -> usize {
        self.contexts.len()
    }

    fn chance(&self) -> f64 {
        1.0 / self.contexts.len() as f64
    }

    fn is_correct(&self, scores: &[Scored]) -> bool {
        likeliest(scores) == self.gold
    }
}
