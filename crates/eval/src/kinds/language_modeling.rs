//! `{context, continuation}`: right if every token of the continuation is the likeliest.

use super::{Item, Prompt, framed};
use crate::error::EvalError;
use crate::python::rstrip;
use crate::rows::Row;
use crate::scorer::Scored;
use crate::task::Task;

pub(super) struct LanguageModeling {
    context: String,
    continuation: String,
}

impl LanguageModeling {
    pub(super) fn read(row: &Row) -> Result<Self, EvalError> {
        Ok(LanguageModeling { context: row.stripped("context")?, continuation: row.stripped("continuation")? })
    }
}

impl Item for LanguageModeling {
    fn example(&self, task: &Task, preceded: bool) -> String {
        framed(task, &self.context, preceded) + &self.continuation
    }

    fn prompts(&self, task: &Task, preceded: bool) -> Vec<Prompt> {
        let context = rstrip(&framed(task, &self.context, preceded)).to_owned();
        vec![Prompt { context, continuation: self.continuation.clone() }]
    }

    fn prompt_count(&self) -> usize {
        1
    }

    fn chance(&self) -> f64 {
        0.0
    }

    fn is_correct(&self, scores: &[Scored]) -> bool {
        scores[0].greedy
    }
}
