//! The parameters themselves, in f32 or wider: alone, followed by a packed matrix, or in halves with it.

use crate::config::Config;
use crate::error::ModelError;
use crate::parameters::{Parameter, parameters};
use crate::store::Store;
use moeworks_ops::{DType, Halves, Master, Matrix, Ops, Plan, Region, Tensor, transfer};
use std::collections::HashMap;
use std::ops::Range;

/// Masters of all parameters.
#[derive(Debug)]
pub struct Masters {
    store: Store,
    shapes: HashMap<Parameter, Vec<usize>>,
    followers: HashMap<Parameter, (Matrix, usize)>,
}

impl Masters {
    /// Masters in a store, with the matrices that follow them.
    pub fn new(config: &Config, store: Store, followers: HashMap<Parameter, (Matrix, usize)>) -> Self {
        Masters { store, shapes: parameters(config).into_iter().collect(), followers }
    }

    /// How a parameter is held.
    pub fn get(&self, parameter: Parameter) -> Master {
        let tensor = self.store.get(parameter);
        match self.followers.get(&parameter) {
            None => Master::Alone(tensor),
            Some((matrix, source)) if tensor.dtype == DType::U16 => {
                Master::Halves(Halves { lower: tensor, matrix: *matrix, source: *source })
            }
            Some((matrix, source)) => Master::Followed(tensor, *matrix, *source),
        }
    }

    /// All parameters, in the order of the forward pass.
    pub fn iter(&self) -> impl Iterator<Item = (Parameter, Master)> + '_ {
        self.store.iter().map(|(parameter, _)| (parameter, self.get(parameter)))
    }

    /// Sets a parameter. A matrix that only follows must be packed afterwards.
    pub fn write(&self, ops: &mut dyn Ops, parameter: Parameter, values: &[f64]) -> Result<(), ModelError> {
        match self.get(parameter) {
            Master::Alone(tensor) | Master::Followed(tensor, ..) => transfer::write_floats(ops, &tensor, values),
            Master::Halves(halves) => {
                let staged = self.stage(ops, parameter)?;
                transfer::write_floats(ops, &staged, values);
                ops.split(&staged, &halves);
                ops.release(staged.region);
            }
        }
        Ok(())
    }

    /// Memory for the numbers of a parameter in halves.
    fn stage(&self, ops: &mut dyn Ops, parameter: Parameter) -> Result<Tensor, ModelError> {
        let mut plan = Plan::new(ops.reserve());
        let staged = plan.tensor("staging", DType::F32, &self.shapes[&parameter]);
        ops.allocate(plan.region(), plan.bytes())?;
        Ok(staged)
    }

    /// Opens them for reading.
    pub fn reader(&self) -> Reader<'_> {
        Reader { masters: self, staged: None }
    }

    /// Frees them.
    pub fn release(self, ops: &mut dyn Ops) {
        self.store.release(ops);
    }
}

/// Reads masters, joining the halves of one parameter at a time.
pub struct Reader<'a> {
    masters: &'a Masters,
    staged: Option<(Parameter, Tensor)>,
}

impl Reader<'_> {
    /// Elements of a parameter.
    pub fn read(&mut self, ops: &mut dyn Ops, parameter: Parameter, range: Range<usize>) -> Vec<f64> {
        let tensor = match (self.masters.get(parameter), self.staged) {
            (Master::Alone(tensor) | Master::Followed(tensor, ..), _) => tensor,
            (Master::Halves(_), Some((held, staged))) if held == parameter => staged,
            (Master::Halves(halves), _) => {
                self.release(ops);
                let staged = self.masters.stage(ops, parameter).expect("memory for one parameter in f32");
                ops.join(&halves, &staged);
                self.staged = Some((parameter, staged));
                staged
            }
        };
        transfer::read_floats(ops, &tensor.reshape(&[tensor.len()]).rows(range))
    }

    /// Frees what it needed. Reading may go on.
    pub fn release(&mut self, ops: &mut dyn Ops) {
        let region: Option<Region> = self.staged.take().map(|(_, staged)| staged.region);
        region.into_iter().for_each(|region| ops.release(region));
    }
}
