//! The step that looks for parts of evaluation sets.

use super::{Prepared, survivors};
use crate::{
    DataError, Progress, Recipe, Source, Stage, Tree,
    decontaminate::{Benchmarks, Contamination, ContaminationReport},
    documents::stamp,
    mds::replace_file,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

const NAME: &str = "contamination.json";

/// Which documents hold parts of evaluation sets, by their numbers among those that the step looked at, which sets these
/// are, and the report.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Contaminated {
    dropped: Vec<(u64, String)>,
    pub(super) report: ContaminationReport,
}

impl Contaminated {
    pub(super) fn found_in(&self, number: u64) -> Option<&str> {
        let at = self.dropped.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.dropped[at].1)
    }

    fn write(&self, folder: &Path) -> Result<(), DataError> {
        let path = folder.join(NAME);
        let text = serde_json::to_vec(self)
            .map_err(|error| DataError::Damaged { path: path.clone(), reason: error.to_string() })?;
        replace_file(&path, &text).map_err(DataError::writing(&path))
    }

    fn read(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(NAME);
        let text = fs::read(&path).map_err(|error| DataError::reading(&path, error))?;
        serde_json::from_slice(&text).map_err(|error| DataError::Damaged { path, reason: error.to_string() })
    }
}

impl Prepared {
    pub(super) fn decontaminate(&mut self, recipe: &Recipe, progress: &dyn Progress) -> Result<(), DataError> {
        let Some(settings) = &recipe.clean.decontaminate else { return Ok(()) };
        let stamps: Vec<_> = settings
            .evaluation_sets
            .iter()
            .map(|path| stamp(&Source::Tree(Tree::new(path.clone()))))
            .collect::<Result<_, _>>()?;
        let key = self.snapshot().and(&("decontaminate", 2)).and(&recipe.exclude).and(&recipe.clean).and(&stamps);
        let mut counts = self.counts(Stage::Decontaminate);
        let findings = &self.findings;
        let folder = self.steps.result("decontaminate", &key, |folder| {
            let benchmarks = Benchmarks::load(&settings.evaluation_sets, settings.options())?;
            let mut contamination = Contamination::new(&benchmarks);
            let mut number = 0;
            survivors::each(recipe, findings, &mut counts, progress, |batch| {
                let overlaps: Vec<_> = batch.par_iter().map(|document| benchmarks.check(&document.text)).collect();
                for (document, overlaps) in batch.iter().zip(overlaps) {
                    contamination.add(number, &document.path, &document.text, &overlaps);
                    number += 1;
                }
                Ok(())
            })?;
            let found = contamination.finish();
            Contaminated { dropped: found.dropped, report: found.report }.write(folder)
        })?;
        self.findings.contaminated = Some(Contaminated::read(&folder)?);
        Ok(())
    }
}
