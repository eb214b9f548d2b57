//! Where gradients of parameters lie.
//!
//! A step of several batches adds them up, so they have memory of their own. A step of one batch needs them from a
//! block's backward to the update only, and by then the activations of later blocks are spent: gradients are stacked
//! over them, from the last block's end downwards. For most of the last block's, the head's and the last norm's that is
//! too early.

use crate::activations::Activations;
use crate::config::Config;
use crate::formats;
use crate::parameters::{Parameter, parameters};
use crate::store::Store;
use moeworks_ops::buffer::ALIGNMENT;
use moeworks_ops::{DType, Ops, Plan, Precision, Shape, Tensor};
use std::collections::HashMap;

/// Lays out the gradients of a step of so many batches; what does not fit over `activations` takes room in the plan.
pub(crate) fn plan_gradients(
    plan: &mut Plan,
    config: &Config,
    precision: Precision,
    micro_batches: usize,
    activations: &Activations,
) -> Store {
    let dtype = |parameter| formats::gradient(precision, micro_batches, parameter);
    let over = if micro_batches == 1 {
        // Small tensors can take the room that a large one would just have fitted into.
        let stacked = |small: bool| over_spent(config, activations, dtype, small);
        let saved = |over: &HashMap<Parameter, Tensor>| over.values().map(Tensor::bytes).sum::<usize>();
        [true, false].map(stacked).into_iter().max_by_key(saved).expect("two of them")
    } else {
        HashMap::new()
    };
    Store::plan(plan, config, |plan, parameter, shape| match over.get(&parameter) {
        Some(tensor) => *tensor,
        None => plan.tensor("gradients", dtype(parameter), shape),
    })
}

/// Tensors over activations that are spent when they are first written: of all parameters, or without the `small` ones.
fn over_spent(
    config: &Config,
    activations: &Activations,
    dtype: impl Fn(Parameter) -> DType,
    small: bool,
) -> HashMap<Parameter, Tensor> {
    let mut top = activations.spent(None).end;
    let mut over = HashMap::new();
    let mut all = parameters(config);
    // In the order of the backward pass; the last of it is the embedding, if it is not the head too.
    all.reverse();
    for (parameter, shape) in all {
        let block = parameter.block();
        let large = matches!(parameter, Parameter::Gate(_) | Parameter::Up(_) | Parameter::Down(_));
        let last = parameter == Parameter::Embedding && !config.tie_embeddings;
        if !(large || last || small && block.is_some()) {
            continue;
        }
        let floor = activations.spent(block).start;
        let mut tensor =
            Tensor { region: activations.region(), offset: 0, dtype: dtype(parameter), shape: Shape::new(&shape) };
        let bytes = tensor.bytes().next_multiple_of(ALIGNMENT);
        if floor + bytes <= top {
            top -= bytes;
            tensor.offset = top;
            over.insert(parameter, tensor);
        }
    }
    over
}

/// The gradients that one batch adds to.
#[derive(Clone, Copy)]
pub(crate) struct Added<'a> {
    /// All of them.
    pub store: &'a Store,
    /// Whether the batch is the step's first, and what is there counts for nothing.
    pub first: bool,
}

impl Added<'_> {
    /// A parameter's gradient, where nothing has been added to it by this batch: to be asked for once.
    pub fn of(&self, ops: &mut dyn Ops, parameter: Parameter) -> Tensor {
        let tensor = self.store.get(parameter);
        if self.first {
            ops.zero(&tensor);
        }
        tensor
    }
}
