//! One tensor for every parameter: masters, gradients and moments are stores.

use crate::config::Config;
use crate::error::ModelError;
use crate::parameters::{Parameter, parameters};
use moeworks_ops::{DType, Ops, Plan, Region, Tensor};
use std::collections::HashMap;

/// Tensors of all parameters in one region.
#[derive(Debug)]
pub struct Store {
    region: Region,
    tensors: HashMap<Parameter, Tensor>,
    order: Vec<Parameter>,
}

impl Store {
    /// Lays out and allocates a store of zeros, each parameter's tensor in a format of its own.
    pub fn allocate(
        ops: &mut dyn Ops,
        config: &Config,
        dtype: impl Fn(Parameter) -> DType,
    ) -> Result<Self, ModelError> {
        let mut plan = Plan::new(ops.reserve());
        let store =
            Self::plan(&mut plan, config, |plan, parameter, shape| plan.tensor("parameters", dtype(parameter), shape));
        ops.allocate(plan.region(), plan.bytes())?;
        Ok(store)
    }

    /// Lays out a store in a plan, each parameter's tensor where `place` puts it.
    pub fn plan(
        plan: &mut Plan,
        config: &Config,
        mut place: impl FnMut(&mut Plan, Parameter, &[usize]) -> Tensor,
    ) -> Self {
        let (mut tensors, mut order) = (HashMap::new(), Vec::new());
        for (parameter, shape) in parameters(config) {
            tensors.insert(parameter, place(plan, parameter, &shape));
            order.push(parameter);
        }
        Store { region: plan.region(), tensors, order }
    }

    /// The tensor of a parameter. Panics if the model has no such parameter.
    pub fn get(&self, parameter: Parameter) -> Tensor {
        self.tensors[&parameter]
    }

    /// All parameters with their tensors, in the order of the forward pass.
    pub fn iter(&self) -> impl Iterator<Item = (Parameter, Tensor)> + '_ {
        self.order.iter().map(|p| (*p, self.tensors[p]))
    }

    /// Frees its memory.
    pub fn release(self, ops: &mut dyn Ops) {
        ops.release(self.region);
    }
}
