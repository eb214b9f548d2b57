//! The conditions without which no result means anything: machine, program, command, configuration, course.

use super::{
    foreign::{cut, visible},
    inputs::ReportData,
    metrics::Event,
    numbers::{counted, duration, whole},
    overview::date,
};
use maud::{Markup, html};

/// Characters shown of the configuration.
const CONFIGURATION: usize = 60_000;

/// Events listed, the last.
const EVENTS: usize = 100;

pub(super) fn section(data: &ReportData) -> Markup {
    let start = data.metrics.start().cloned().unwrap_or_default();
    let (model, results) = (start.model, data.results.clone().unwrap_or_default());
    let count = |number: Option<u64>| number.map(whole);
    let restarts = data.metrics.starts.len().saturating_sub(1) as u64;
    let program = match (start.version, start.commit) {
        (Some(version), Some(commit)) => Some(format!("moeworks {version}, commit {commit}")),
        (Some(version), None) => Some(format!("moeworks {version}")),
        (None, commit) => commit.map(|commit| format!("moeworks, commit {commit}")),
    };
    let rows = [
        ("Command", results.command),
        ("Program", program),
        ("Machine", results.machine),
        ("Device", start.device),
        ("Precision", start.precision),
        ("Continued", (restarts > 0).then(|| counted(restarts, "time"))),
        ("Wall-clock time of the command", results.seconds.map(duration)),
        ("Architecture", model.architecture),
        ("Parameters", count(model.total)),
        ("Active for a token", count(model.active)),
        ("Layers", count(model.layers)),
        ("Width", count(model.d_model)),
        ("Experts in a layer", count(model.experts.filter(|experts| *experts > 1))),
        ("Experts for a token", count(model.top_k.filter(|_| model.experts > Some(1)))),
        ("Vocabulary", count(model.vocab_size)),
        ("Tokens in a step", count(start.tokens_per_step)),
        ("Steps planned", count(start.steps)),
        ("Tokenizer of the data", data.data.first().map(|data| data.summary.tokenizer.clone())),
    ];
    html! {
        section #conditions {
            h2 { "Conditions" }
            table .facts {
                caption { "How every figure on this page came about" }
                tbody {
                    @if let Some(time) = data.metrics.starts.first().and_then(|start| start.time.as_deref()) {
                        tr { th scope="row" { "Started" } td { (date(time)) } }
                    }
                    @for (name, value) in &rows {
                        @if let Some(value) = value { tr { th scope="row" { (name) } td { (visible(value)) } } }
                    }
                }
            }
            (course(&data.metrics.events))
            @if let Some(config) = &data.config { (configuration(config)) }
        }
    }
}

fn course(events: &[Event]) -> Markup {
    let last = &events[events.len().saturating_sub(EVENTS)..];
    html! {
        @if !events.is_empty() {
            details {
                summary { "Course of the run: " (counted(events.len() as u64, "event")) }
                table .facts {
                    caption {
                        "Checkpoints, interruptions and the like"
                        @if last.len() < events.len() { ", the last " (last.len()) }
                    }
                    thead { tr { th .n scope="col" { "Step" } th scope="col" { "Event" } th scope="col" { "Detail" } } }
                    tbody {
                        @for event in last {
                            tr {
                                td .n { (whole(event.step)) }
                                td { (visible(&event.event)) }
                                td { (visible(cut(event.detail.as_deref().unwrap_or_default(), 300).0)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn configuration(config: &str) -> Markup {
    let (shown, is_cut) = cut(config, CONFIGURATION);
    html! {
        details {
            summary { "Configuration, every value resolved (config.toml)" }
            pre .config { code { (visible(shown)) } }
            @if is_cut { p .note { "The rest is in config.toml." } }
        }
    }
}
