//! Running one task.

#[cfg(test)]
mod golden_prompts;

use crate::error::EvalError;
use crate::estimate::Estimate;
use crate::evaluator::Evaluator;
use crate::fingerprint::fingerprint_file;
use crate::kinds::{self, Item};
use crate::prompt::{Encoded, Encoder};
use crate::rows::{Place, rows};
use crate::scorer::{Request, Scored};
use crate::shots::Shots;
use crate::task::{Kind, Task};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// A score of one category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupScore {
    /// The category.
    pub name: String,
    /// Rows scored.
    pub rows: usize,
    /// Share of them that was right.
    pub accuracy: Estimate,
}

/// What a model reached at a task, with the rules by which it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The task, whole.
    pub task: Task,
    /// XXH3-128 of its file.
    pub data: String,
    /// Rows scored.
    pub rows: usize,
    /// Rows of the file.
    pub rows_in_file: usize,
    /// Whether rows were left out (the limit), so that the score is not the task's.
    pub partial: bool,
    /// Share of rows that were right; with categories, their unweighted mean.
    pub accuracy: Estimate,
    /// Accuracy of guessing.
    pub baseline: f64,
    /// (accuracy - baseline) / (1 - baseline): 0 for guessing, 1 for perfect.
    pub rescaled: Estimate,
    /// Scores by category, in the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<GroupScore>,
    /// Prompts scored: one a choice.
    pub prompts: usize,
    /// Their tokens, continuations included.
    pub tokens: u64,
    /// Prompts whose context was cut from the left to fit the model.
    pub truncated_prompts: usize,
    /// Wall-clock time.
    pub seconds: f64,
}

type Rows = Vec<(Place, Box<dyn Item>)>;

/// Rows that are shown to each other as examples: a category, or all.
struct Group {
    category: Option<String>,
    rows: Rows,
    /// Those that are scored are the first ones.
    scored: usize,
}

/// Reads the rows of a task. With categories, each is a group, in the order of their names.
fn read(task: &Task, path: &Path, limit: Option<usize>) -> Result<Vec<Group>, EvalError> {
    if !task.kind.is_supported() {
        return Err(EvalError::Unsupported { task: task.name.clone(), kind: task.kind.to_string() });
    }
    let mut groups: BTreeMap<Option<String>, Rows> = BTreeMap::new();
    for row in rows(path)? {
        let row = row?;
        let category = if task.has_categories { Some(row.text("category")?.to_owned()) } else { None };
        let item = kinds::read(task, &row)?;
        groups.entry(category).or_default().push((row.place, item));
    }
    if groups.is_empty() {
        return Err(EvalError::Empty { path: path.to_path_buf() });
    }
    let group = |(category, rows): (_, Rows)| {
        let scored = limit.map_or(rows.len(), |limit| limit.min(rows.len()));
        Group { category, rows, scored }
    };
    Ok(groups.into_iter().map(group).collect())
}

/// Reads a task's file and forgets it: says early what is wrong with it.
pub(crate) fn check(task: &Task, path: &Path) -> Result<(), EvalError> {
    read(task, path, None).map(|_| ())
}

impl Group {
    /// The prompts of a row, with the examples that were chosen for it.
    fn encode(&self, task: &Task, encoder: Encoder, row: usize, examples: &[usize]) -> Vec<Result<Encoded, EvalError>> {
        let mut preamble = task.prompt_string.clone();
        for example in examples {
            let text = self.rows[*example].1.example(task, !preamble.is_empty());
            preamble.push_str(&text);
        }
        let (place, item) = &self.rows[row];
        let prompts = item.prompts(task, !preamble.is_empty());
        let preamble = encoder.preamble(&preamble);
        prompts.iter().map(|prompt| encoder.request(&preamble, prompt, place)).collect()
    }

    /// The prompts of all scored rows. Examples are chosen among all rows, so a limit changes no prompt.
    fn encode_all<'g>(
        &'g self,
        task: &'g Task,
        encoder: Encoder<'g>,
    ) -> impl Iterator<Item = Result<(Mark<'g>, Request), EvalError>> + use<'g> {
        let shots = Shots::new(self.rows.len(), task.shots).take(self.scored).enumerate();
        shots.flat_map(move |(row, examples)| {
            let encoded = self.encode(task, encoder, row, &examples).into_iter();
            encoded.map(move |encoded| {
                let Encoded { request, truncated } = encoded?;
                Ok((Mark { place: &self.rows[row].0, tokens: request.tokens.len(), truncated }, request))
            })
        })
    }

    /// Takes the scores of the group's prompts and grades its rows with them.
    fn grade(&self, scores: &mut impl Iterator<Item = Scored>) -> GroupScore {
        let right = |(_, item): &(Place, Box<dyn Item>)| {
            let scores: Vec<Scored> = scores.take(item.prompt_count()).collect();
            f64::from(u8::from(item.is_correct(&scores)))
        };
        let right: Vec<f64> = self.rows[..self.scored].iter().map(right).collect();
        let name = self.category.clone().unwrap_or_default();
        GroupScore { name, rows: self.scored, accuracy: Estimate::of_mean(&right) }
    }
}

/// What is to be remembered of a prompt until it is scored.
struct Mark<'g> {
    place: &'g Place,
    tokens: usize,
    truncated: bool,
}

impl Evaluator<'_> {
    /// Runs a task on a file. A limit takes the first rows only, of each category where the task has them; prompts stay
    /// what they are without it, and the result says that it is partial.
    pub fn task(&mut self, task: &Task, path: &Path, limit: Option<usize>) -> Result<TaskResult, EvalError> {
        let started = Instant::now();
        task.check("task description")?;
        if limit == Some(0) {
            let (place, problem) = (task.name.clone(), "is 0: nothing would be scored".into());
            return Err(EvalError::Description { place, key: "limit".into(), problem });
        }
        let groups = read(task, path, limit)?;
        let data = fingerprint_file(path)?;
        let scored = || groups.iter().flat_map(|group| &group.rows[..group.scored]);
        let encoder = Encoder::new(self.tokenizer, self.context());
        let prompts = scored().map(|(_, item)| item.prompt_count()).sum();
        let (mut scores, mut tokens, mut truncated_prompts) = (Vec::with_capacity(prompts), 0, 0);
        let requests = groups.iter().flat_map(|group| group.encode_all(task, encoder));
        self.score(&task.name, Some(prompts), requests, |mark, scored| {
            if !scored.nll.is_finite() {
                return Err(EvalError::NotFinite { place: mark.place.clone(), nll: scored.nll });
            }
            scores.push(scored);
            tokens += mark.tokens as u64;
            truncated_prompts += usize::from(mark.truncated);
            Ok(())
        })?;

        let mut scores = scores.into_iter();
        let mut categories: Vec<GroupScore> = groups.iter().map(|group| group.grade(&mut scores)).collect();
        let parts: Vec<Estimate> = categories.iter().map(|category| category.accuracy).collect();
        let accuracy = if task.has_categories { Estimate::of_average(&parts) } else { parts[0] };
        let baseline = task.random_baseline.unwrap_or_else(|| match task.kind {
            Kind::LanguageModeling => 0.0,
            _ => Estimate::of_mean(&scored().map(|(_, item)| item.chance()).collect::<Vec<_>>()).value,
        });
        if !task.has_categories {
            categories.clear();
        }
        let rows_in_file = groups.iter().map(|group| group.rows.len()).sum();
        let rows = scored().count();
        Ok(TaskResult {
            task: task.clone(),
            data,
            rows,
            rows_in_file,
            partial: rows < rows_in_file,
            accuracy,
            baseline,
            rescaled: accuracy.rescaled(baseline, 1.0 / (1.0 - baseline)),
            categories,
            prompts,
            tokens,
            truncated_prompts,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}
