//! A model with its tokenizer, ready to be evaluated.

use crate::error::EvalError;
use crate::report::{Conditions, Origin};
use crate::scorer::{self, Request, Scored};
use crate::task_run::TaskResult;
use moeworks_model::Inference;
use moeworks_ops::{Ops, Precision};
use moeworks_text::Tokenizer;
use std::ops::ControlFlow;

/// What a watcher hears.
#[derive(Debug)]
pub enum Event<'a> {
    /// A pass is done.
    Progress {
        /// The task or text.
        name: &'a str,
        /// Prompts scored, or windows of text.
        done: usize,
        /// Of how many, where it is known.
        total: Option<usize>,
    },
    /// A task of a suite is done.
    Finished(&'a TaskResult),
}

type Watch<'a> = Box<dyn FnMut(Event<'_>) -> ControlFlow<()> + 'a>;

/// Evaluates a model on a device.
///
/// Every figure is the same whatever the passes' size, on a device whose rows do not depend on each other.
pub struct Evaluator<'a> {
    pub(crate) model: &'a mut Inference,
    ops: &'a mut dyn Ops,
    pub(crate) tokenizer: &'a Tokenizer,
    watch: Watch<'a>,
}

impl<'a> Evaluator<'a> {
    /// A model with the tokenizer that it was trained with. Errors if they cannot belong together.
    pub fn new(
        model: &'a mut Inference,
        ops: &'a mut dyn Ops,
        tokenizer: &'a Tokenizer,
    ) -> Result<Evaluator<'a>, EvalError> {
        let (ids, rows) = (tokenizer.vocab_size(), model.config.vocab_size);
        if ids > rows {
            return Err(EvalError::Vocabulary { highest: ids - 1, rows });
        }
        let evaluator = Evaluator { model, ops, tokenizer, watch: Box::new(|_| ControlFlow::Continue(())) };
        let limits = evaluator.model.limits;
        if evaluator.context() < 2 {
            return Err(EvalError::Limits { rows: limits.rows, length: limits.length });
        }
        Ok(evaluator)
    }

    /// Tells `watch` of every pass and every task of a suite; where it breaks, evaluation ends with
    /// [`EvalError::Interrupted`].
    pub fn watched(self, watch: impl FnMut(Event<'_>) -> ControlFlow<()> + 'a) -> Self {
        Evaluator { watch: Box::new(watch), ..self }
    }

    /// Tokens of one sequence: the model's positions, or the rows of a pass where those are fewer.
    pub fn context(&self) -> usize {
        self.model.limits.length.min(self.model.limits.rows)
    }

    /// What a report must say beside its figures.
    pub fn conditions(&self, origin: Origin) -> Conditions {
        Conditions {
            origin,
            tokenizer: self.tokenizer.fingerprint(),
            precision: match self.model.precision {
                Precision::BF16 => "bf16".to_owned(),
                Precision::F32 => "f32".to_owned(),
                Precision::F64 => "f64".to_owned(),
                other => format!("{:?} with {:?} state", other.compute, other.state).to_lowercase(),
            },
            context: self.context(),
            rows: self.model.limits.rows,
        }
    }

    /// Scores requests; see [`scorer::score`].
    pub(crate) fn score<T>(
        &mut self,
        name: &str,
        total: Option<usize>,
        requests: impl Iterator<Item = Result<(T, Request), EvalError>>,
        sink: impl FnMut(T, Scored) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let watch = &mut self.watch;
        let after = |done| match watch(Event::Progress { name, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(EvalError::Interrupted { name: name.to_owned(), done }),
        };
        scorer::score(self.model, self.ops, requests, sink, after)
    }

    /// Tells the watcher that a task is done.
    pub(crate) fn finished(&mut self, result: &TaskResult) -> Result<(), EvalError> {
        match (self.watch)(Event::Finished(result)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(EvalError::Interrupted { name: result.task.name.clone(), done: result.prompts })
            }
        }
    }
}
