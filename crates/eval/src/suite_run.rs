//! Running a suite.

use crate::error::EvalError;
use crate::estimate::Estimate;
use crate::evaluator::Evaluator;
use crate::suite::{Suite, file_of, files_below};
use crate::task_run::{TaskResult, check};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A task without a score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// The task.
    pub task: String,
    /// Why.
    pub reason: String,
}

/// What a model reached in a category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryResult {
    /// The category.
    pub name: String,
    /// Its tasks that were scored.
    pub tasks: Vec<TaskResult>,
    /// Those that were not. With one of them the category has no mean: it would be the mean of something else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// Unweighted mean of the tasks' rescaled scores.
    pub mean: Option<Estimate>,
}

/// What a model reached in a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteResult {
    /// The suite.
    pub suite: String,
    /// Whether rows were left out (the limit), so that no score is the suite's.
    pub partial: bool,
    /// Its categories.
    pub categories: Vec<CategoryResult>,
    /// Unweighted mean of the categories' means; none where one of them has none.
    pub average: Option<Estimate>,
}

impl SuiteResult {
    fn new(suite: &Suite, mut categories: Vec<CategoryResult>) -> Self {
        for category in &mut categories {
            let rescaled: Vec<Estimate> = category.tasks.iter().map(|result| result.rescaled).collect();
            let whole = category.absent.is_empty() && !rescaled.is_empty();
            category.mean = whole.then(|| Estimate::of_average(&rescaled));
        }
        let means: Option<Vec<Estimate>> = categories.iter().map(|category| category.mean).collect();
        SuiteResult {
            suite: suite.name.clone(),
            partial: categories.iter().flat_map(|category| &category.tasks).any(|result| result.partial),
            average: means.map(|means| Estimate::of_average(&means)),
            categories,
        }
    }

    /// All tasks without a score.
    pub fn absent(&self) -> impl Iterator<Item = &Absent> {
        self.categories.iter().flat_map(|category| &category.absent)
    }
}

impl Evaluator<'_> {
    /// Runs those tasks of a suite whose files lie in a folder or below it. All files are read and checked before the
    /// first is scored. Tasks without a file, of types that cannot be run yet, or with rows that the model's context
    /// cannot hold are left out by name.
    pub fn suite(&mut self, suite: &Suite, data: &Path, limit: Option<usize>) -> Result<SuiteResult, EvalError> {
        let files = files_below(data)?;
        let mut found = Vec::new();
        for task in suite.tasks() {
            let file = file_of(task, &files)?;
            if let Some(file) = file.filter(|_| task.kind.is_supported()) {
                check(task, file)?;
            }
            found.push(file);
        }
        let mut found = found.into_iter();
        let mut categories = Vec::new();
        for category in &suite.categories {
            let mut result =
                CategoryResult { name: category.name.clone(), tasks: Vec::new(), absent: Vec::new(), mean: None };
            for (task, file) in category.tasks.iter().zip(found.by_ref()) {
                let scored = match file {
                    _ if !task.kind.is_supported() => Err(format!("{} tasks are not supported yet", task.kind)),
                    None => Err(format!("{} is not in {}", task.file, data.display())),
                    Some(file) => match self.task(task, file, limit) {
                        Ok(scored) => Ok(scored),
                        Err(error @ EvalError::TooLong { .. }) => Err(error.to_string()),
                        Err(error) => return Err(error),
                    },
                };
                match scored {
                    Ok(scored) => {
                        self.finished(&scored)?;
                        result.tasks.push(scored);
                    }
                    Err(reason) => result.absent.push(Absent { task: task.name.clone(), reason }),
                }
            }
            categories.push(result);
        }
        Ok(SuiteResult::new(suite, categories))
    }
}
