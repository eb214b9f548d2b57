//! The head of the page: what was trained, how it went, and what deserves a look.

use super::{
    curve,
    experts::settled_loads,
    foreign::visible,
    inputs::{HeldOut, ReportData},
    metrics::Metrics,
    numbers::{bytes, counted, duration, percent, short, significant, whole},
};
use maud::{Markup, html};

/// Below this part of balance an expert is reported as starved.
const STARVED: f64 = 0.1;

pub(super) fn name(data: &ReportData) -> String {
    let given = data.metrics.start().and_then(|start| start.run.clone()).filter(|name| !name.trim().is_empty());
    visible(&given.unwrap_or_else(|| data.name.clone()))
}

pub(super) fn header(data: &ReportData) -> Markup {
    let metrics = &data.metrics;
    let start = metrics.start();
    let time = metrics.starts.first().and_then(|start| start.time.as_deref());
    html! {
        header {
            p .kind { "Training run" @if let Some(time) = time { " · " (date(time)) } }
            h1 { (name(data)) }
            p .lead {
                (model(data)) (course(data))
                @if let Some(device) = start.and_then(|start| start.device.as_deref()) { " on " (visible(device)) }
                @if let Some(precision) = start.and_then(|start| start.precision.as_deref()) {
                    ", in " (visible(precision))
                }
                "."
            }
            (tiles(data))
        }
    }
}

/// A model's size in words, up to "trained".
fn model(data: &ReportData) -> String {
    let model = data.metrics.start().map(|start| start.model.clone()).unwrap_or_default();
    let mut text = match model.total {
        Some(total) => format!("A model of {} parameters", short(total)),
        None => "A model".into(),
    };
    if let Some(active) = model.active.filter(|active| model.total.is_some_and(|total| *active < total)) {
        text += &format!(", {} of them active for a token", short(active));
    }
    let experts = model.experts.filter(|experts| *experts > 1);
    let shape: Vec<String> = [
        model.architecture.map(|name| visible(&name)),
        model.layers.map(|layers| counted(layers, "layer")),
        experts.zip(model.top_k).map(|(experts, top_k)| format!("{experts} experts, {top_k} for each token")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !shape.is_empty() {
        text += &format!(" ({})", shape.join(", "));
    }
    text + ", trained for "
}

fn course(data: &ReportData) -> String {
    let metrics = &data.metrics;
    let done = metrics.steps.last().map_or(0, |step| step.step);
    let mut text = match metrics.start().and_then(|start| start.steps).filter(|planned| *planned > done) {
        Some(planned) => format!("{} of {} steps", whole(done), whole(planned)),
        None => counted(done, "step"),
    };
    if let Some(tokens) = metrics.tokens() {
        text += &format!(" over {} tokens", short(tokens));
    }
    if let Some(seconds) = metrics.seconds() {
        text += &format!(" in {}", duration(seconds));
    }
    text
}

fn tiles(data: &ReportData) -> Markup {
    let metrics = &data.metrics;
    let held_out = data.results.as_ref().and_then(|results| results.held_out.as_ref());
    let loss = recent_loss(metrics);
    let speed = curve::quantile(metrics.steps.iter().filter_map(|step| step.tokens_per_second), 0.5);
    let validation = metrics.validations.last().and_then(|last| last.bits_per_byte);
    html! {
        dl .tiles {
            @if let Some(held_out) = held_out {
                div .main {
                    dt { "Held-out bits per byte" }
                    dd {
                        (significant(held_out.model.bits_per_byte, 4))
                        @if let Some(error) = held_out.model.standard_error { small { " ± " (significant(error, 2)) } }
                    }
                }
            } @else if let Some(validation) = validation {
                div .main { dt { "Validation bits per byte" } dd { (significant(validation, 4)) } }
            }
            @if let Some(loss) = loss {
                div { dt { "Training loss, last 5\u{a0}%" } dd { (significant(loss, 4)) small { " nats/token" } } }
            }
            @if let Some(tokens) = metrics.tokens() { div { dt { "Tokens" } dd { (short(tokens)) } } }
            @if let Some(seconds) = metrics.seconds() { div { dt { "Time in training" } dd { (duration(seconds)) } } }
            @if let Some(speed) = speed {
                div { dt { "Throughput, median" } dd { (significant(speed, 3)) small { " tokens/s" } } }
            }
        }
    }
}

/// Mean loss of the last twentieth of the logged steps; that of a single step says little.
fn recent_loss(metrics: &Metrics) -> Option<f64> {
    let recent = &metrics.steps[metrics.steps.len() - metrics.steps.len().div_ceil(20)..];
    let mean = recent.iter().map(|step| step.loss).sum::<f64>() / recent.len() as f64;
    (!recent.is_empty()).then_some(mean)
}

/// Held-out bits per byte beside the baselines, best first.
pub(super) fn result(held_out: &HeldOut) -> Markup {
    let mut bars: Vec<(String, f64, Option<f64>, bool)> =
        held_out.baselines.iter().map(|other| (visible(&other.name), other.bits_per_byte, None, false)).collect();
    bars.push(("This model".into(), held_out.model.bits_per_byte, held_out.model.standard_error, true));
    bars.sort_by(|a, b| a.1.total_cmp(&b.1));
    let longest = bars.iter().map(|bar| bar.1).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let part = |value: f64| if longest > 0.0 && value.is_finite() { value / longest * 100.0 } else { 0.0 };
    let own = held_out.model.bits_per_byte;
    let amount = [
        held_out.documents.map(|count| counted(count, "document")),
        held_out.bytes.map(bytes),
        held_out.tokens.map(|tokens| format!("{} tokens", short(tokens))),
    ];
    let amount: Vec<String> = amount.into_iter().flatten().collect();
    html! {
        section #result {
            h2 { "Result" }
            table .bars {
                caption {
                    "Bits per byte on held-out text, which nothing here was trained on"
                    @if !amount.is_empty() { " (" (amount.join(", ")) ")" }
                    ". Lower is better."
                    @if held_out.model.standard_error.is_some() { " ± is the standard error over documents." }
                }
                thead .unseen { tr { th scope="col" { "Predictor" } th scope="col" { "Bits per byte" } th scope="col" { "Against this model" } } }
                tbody {
                    @for (name, value, error, is_own) in &bars {
                        tr .own[*is_own] {
                            th scope="row" { (name) }
                            td .bar {
                                svg width="100%" height="18" aria-hidden="true" {
                                    rect .{ @if *is_own { "own" } @else { "other" } } y="2" height="14" rx="2"
                                        width=(format_args!("{:.2}%", part(*value))) {}
                                    @if let Some(error) = error {
                                        @let (from, to) = (format!("{:.2}%", part(value - error)), format!("{:.2}%", part(value + error)));
                                        line .error x1=(from) x2=(to) y1="9" y2="9" {}
                                    }
                                }
                                span .value {
                                    (significant(*value, 4))
                                    @if let Some(error) = error { small { " ± " (significant(*error, 2)) } }
                                }
                            }
                            td .against { @if !is_own { (against(own, *value)) } }
                        }
                    }
                }
            }
        }
    }
}

/// What the model saves, or does not, against another.
fn against(own: f64, other: f64) -> String {
    match own / other {
        ratio if !ratio.is_finite() => "–".into(),
        ratio if ratio <= 1.0 => format!("the model needs {} less", percent(1.0 - ratio)),
        ratio => format!("the model needs {} more", percent(ratio - 1.0)),
    }
}

/// What a reader should know before believing the rest.
pub(super) fn notes(data: &ReportData) -> Markup {
    let notes = findings(data);
    html! {
        @if !notes.is_empty() {
            section .notes aria-labelledby="notes" {
                h2 #notes { "Worth a look" }
                ul { @for note in &notes { li { (note) } } }
            }
        }
    }
}

fn findings(data: &ReportData) -> Vec<String> {
    let metrics = &data.metrics;
    let mut notes = Vec::new();
    let done = metrics.steps.last().map_or(0, |step| step.step);
    if !metrics.is_finished() {
        let planned = metrics.start().and_then(|start| start.steps);
        let planned = planned.map(|steps| format!(" of {}", whole(steps))).unwrap_or_default();
        notes.push(format!(
            "The run is not finished: step {}{planned}. The command that began it continues it.",
            whole(done)
        ));
    }
    let bad: Vec<u64> = metrics.steps.iter().filter(|step| !step.loss.is_finite()).map(|step| step.step).collect();
    if let Some(first) = bad.first() {
        let count = counted(bad.len() as u64, "logged step");
        notes.push(format!("The loss is not a finite number at {count}, first at step {}.", whole(*first)));
    }
    for (layer, shares) in settled_loads(metrics).iter().enumerate() {
        let starved: Vec<String> = (0..shares.len())
            .filter(|expert| f64::from(shares[*expert]) * (shares.len() as f64) < STARVED)
            .map(|expert| expert.to_string())
            .collect();
        if !starved.is_empty() {
            notes.push(format!(
                "Layer {layer}: expert {} got less than a tenth of a balanced share at the end.",
                starved.join(", ")
            ));
        }
    }
    if let Some(held_out) = data.results.as_ref().and_then(|results| results.held_out.as_ref()) {
        for other in held_out.baselines.iter().filter(|other| other.bits_per_byte <= held_out.model.bits_per_byte) {
            notes.push(format!("{} predicts the held-out text at least as well as the model.", visible(&other.name)));
        }
    }
    if metrics.repeated > 0 {
        let count = counted(metrics.repeated as u64, "logged step");
        notes.push(format!(
            "{count} were done again after the run continued from a checkpoint; the later ones are shown."
        ));
    }
    if let Some(first) = metrics.unreadable.first() {
        let count = counted(metrics.unreadable.len() as u64, "line");
        notes.push(format!(
            "{count} of metrics.jsonl could not be read and are left out, the first is line {}.",
            whole(*first as u64)
        ));
    }
    notes
}

/// `2026-11-22T08:00:00Z` as `2026-11-22 08:00 UTC`; anything else as it is.
pub(super) fn date(time: &str) -> Markup {
    let shown = match (time.get(..10), time.get(10..11), time.get(11..16)) {
        (Some(day), Some("T"), Some(clock)) if time.ends_with('Z') => format!("{day} {clock} UTC"),
        _ => visible(time),
    };
    html! { time datetime=(time) { (shown) } }
}
