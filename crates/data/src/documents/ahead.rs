//! Work on many small things in all threads, results in the order in which the things came.

use super::{Found, Step};
use crate::DataError;
use rayon::prelude::*;
use std::{iter::Fuse, vec};

/// A batch ends after so many things, or so much weight: memory is bounded by two batches.
const BATCH_STEPS: usize = 512;
const BATCH_BYTES: u64 = 8 << 20;

/// What a thing weighs that brings more than its own bytes with it: an open file, or content of unknown size. Few of
/// them are in memory at once.
pub(super) const HEAVY: u64 = BATCH_BYTES / 32;

/// Runs `work` over the steps of an iterator in rayon's pool. While one batch is worked on, the next is drawn in the
/// thread that asks; so reading and decompressing overlap with decoding and hashing.
pub(super) struct Ahead<I: Iterator, W> {
    steps: Fuse<I>,
    /// Bytes of memory that a thing takes.
    weigh: fn(&I::Item) -> u64,
    work: W,
    drawn: Vec<I::Item>,
    done: vec::IntoIter<Result<Found, DataError>>,
}

impl<T, I, W> Ahead<I, W>
where
    T: Send,
    I: Iterator<Item = Step<T>>,
    W: Fn(T) -> Found + Sync,
{
    pub(super) fn new(steps: I, weigh: fn(&Step<T>) -> u64, work: W) -> Self {
        Self { steps: steps.fuse(), weigh, work, drawn: Vec::new(), done: Vec::new().into_iter() }
    }

    fn draw(steps: &mut Fuse<I>, weigh: fn(&Step<T>) -> u64) -> Vec<Step<T>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && batch.len() < BATCH_STEPS {
            let Some(step) = steps.next() else { break };
            bytes += weigh(&step);
            batch.push(step);
        }
        batch
    }
}

impl<T, I, W> Iterator for Ahead<I, W>
where
    T: Send,
    I: Iterator<Item = Step<T>>,
    W: Fn(T) -> Found + Sync,
{
    type Item = Result<Found, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(found) = self.done.next() {
                return Some(found);
            }
            let batch = std::mem::take(&mut self.drawn);
            if batch.is_empty() {
                self.drawn = Self::draw(&mut self.steps, self.weigh);
                if self.drawn.is_empty() {
                    return None;
                }
                continue;
            }
            let work = &self.work;
            let mut done = Vec::new();
            rayon::in_place_scope(|scope| {
                scope.spawn(|_| {
                    done = batch
                        .into_par_iter()
                        .map(|step| match step {
                            Step::Work(thing) => Ok(work(thing)),
                            Step::Done(found) => found,
                        })
                        .collect();
                });
                self.drawn = Self::draw(&mut self.steps, self.weigh);
            });
            self.done = done.into_iter();
        }
    }
}
