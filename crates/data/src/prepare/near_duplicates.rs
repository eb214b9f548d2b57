//! The step that brings near duplicates together.

use super::{Prepared, survivors};
use crate::{
    DataError, Progress, Recipe, Stage,
    near_duplicates::{Clusters, NearDuplicates},
};

const CLUSTERS: &str = "clusters";

impl Prepared {
    pub(super) fn near_duplicates(&mut self, recipe: &Recipe, progress: &dyn Progress) -> Result<(), DataError> {
        let Some(options) = &recipe.clean.near_duplicates else { return Ok(()) };
        let report = self.contamination();
        let key = self.snapshot().and(&("near-duplicates", 1)).and(&recipe.exclude).and(&recipe.clean).and(&report);
        let mut counts = self.counts(Stage::NearDuplicates);
        let (findings, scratch) = (&self.findings, &self.scratch);
        let folder = self.steps.result("near-duplicates", &key, |folder| {
            let mut search = NearDuplicates::create(options.clone(), scratch)?;
            survivors::each(recipe, findings, &mut counts, progress, |batch| search.push(&batch))?;
            search.finish(&|_, _| progress.update(&counts))?.write(&folder.join(CLUSTERS))
        })?;
        self.findings.clusters = Some(Clusters::read(&folder.join(CLUSTERS))?);
        Ok(())
    }
}
