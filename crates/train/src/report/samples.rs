//! What the model wrote, during training and at its end.

use super::{
    foreign::writing,
    inputs::{ReportData, Results},
    metrics::{Metrics, Sample},
    numbers::{counted, whole},
};
use maud::{Markup, html};

/// Samples shown of each prompt, spread over the run.
const SHOWN: usize = 6;

/// Prompts and completions shown.
const PROMPTS: usize = 12;

/// Characters shown of a text.
const LENGTH: usize = 1000;

pub(super) fn during(metrics: &Metrics) -> Markup {
    let mut prompts: Vec<(&str, Vec<&Sample>)> = Vec::new();
    for sample in &metrics.samples {
        match prompts.iter_mut().find(|(prompt, _)| *prompt == sample.prompt) {
            Some((_, samples)) => samples.push(sample),
            None => prompts.push((&sample.prompt, vec![sample])),
        }
    }
    let shown = prompts.iter().take(PROMPTS);
    let shown: Vec<Vec<&Sample>> = shown.map(|(_, samples)| spread(samples, SHOWN)).collect();
    let count: usize = shown.iter().map(Vec::len).sum();
    html! {
        @if !shown.is_empty() {
            section #samples {
                h2 { "Samples during training" }
                p .intro {
                    "What the model made of the " b { "prompt" } " as it learned."
                    @if count < metrics.samples.len() {
                        " " (count) " of " (counted(metrics.samples.len() as u64, "sample"))
                        " are shown, all are in metrics.jsonl."
                    }
                }
                div .prompts {
                    @for samples in &shown {
                        ol .samples {
                            @for sample in samples {
                                li {
                                    span .when { "step " (whole(sample.step)) }
                                    (writing(&sample.prompt, &sample.text, LENGTH))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// So many of the items, the first and the last among them.
fn spread<'a>(items: &[&'a Sample], most: usize) -> Vec<&'a Sample> {
    match items.len() {
        count if count <= most => items.to_vec(),
        count => (0..most).map(|at| items[at * (count - 1) / (most - 1)]).collect(),
    }
}

pub(super) fn completions(data: &ReportData) -> Markup {
    let completions = data.results.as_ref().map_or(&[][..], |Results { completions, .. }| completions);
    html! {
        @if !completions.is_empty() {
            section #completions {
                h2 { "Completions by the finished model" }
                div .completions {
                    @for completion in completions.iter().take(PROMPTS) {
                        (writing(&completion.prompt, &completion.text, LENGTH))
                    }
                }
                @if completions.len() > PROMPTS {
                    p .note { (PROMPTS) " of " (completions.len()) " are shown, all are in results.json." }
                }
            }
        }
    }
}
