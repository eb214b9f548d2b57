//! A histogram for each signal, with the bounds of filters, and the documents at its ends.

use super::{
    super::{ScanSummary, SignalFound},
    example,
    numbers::{percent, value, whole},
};
use crate::signals::Filter;
use maud::{Markup, html};

/// Height of a histogram, in the units of its drawing; a bin is one unit wide.
const HEIGHT: f64 = 100.0;

pub(super) fn section(summary: &ScanSummary) -> Markup {
    html! {
        p .intro {
            "Each bar is as high as there are documents in it. "
            span .key.own { "A line" } " marks a bound of the recipe's filters, "
            span .key.other { "a dotted line" } " a published one. The outermost bars hold what lies beyond them."
        }
        div .grid {
            @for found in &summary.signals { (card(found, summary)) }
        }
    }
}

fn card(found: &SignalFound, summary: &ScanSummary) -> Markup {
    let [_, p5, _, median, _, p95, _] = found.quantiles;
    html! {
        figure id={ "signal-" (found.name) } {
            figcaption { h3 { (found.name) } p { (found.about) } }
            (histogram(found, summary))
            dl .facts {
                @for (name, number) in [("min", found.min), ("5 %", p5), ("median", median), ("95 %", p95), ("max", found.max)] {
                    div { dt { (name) } dd { (value(number)) } }
                }
            }
            @if !found.lowest.is_empty() {
                details {
                    summary { "Documents at either end" }
                    h4 { "Least" }
                    ul .examples { @for end in &found.lowest { (example(&value(end.value), &end.example)) } }
                    h4 { "Most" }
                    ul .examples { @for end in &found.highest { (example(&value(end.value), &end.example)) } }
                }
            }
        }
    }
}

/// Places of the bounds that filters of a signal set, in bins.
fn places<'a>(filters: impl Iterator<Item = &'a Filter>, found: &SignalFound) -> Vec<f64> {
    let bounds = filters.filter(|filter| filter.signal() == found.name).map(Filter::bounds);
    let bounds = bounds.flat_map(|(min, max)| [min, max]).flatten();
    bounds.filter_map(|bound| found.histogram.place(bound)).collect()
}

fn histogram(found: &SignalFound, summary: &ScanSummary) -> Markup {
    let (edges, counts) = (&found.histogram.edges, &found.histogram.counts);
    let tallest = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let own = places(summary.filters.iter().map(|filter| &filter.filter), found);
    let other = places(summary.suggestions.iter().map(|suggestion| &suggestion.filter), found);
    let whole_numbers = counts.len() > 1 && edges[0].fract() != 0.0 && edges[1] - edges[0] == 1.0;
    let label = |edge: usize| value(if whole_numbers { edges[edge].ceil() } else { edges[edge] });
    let last = if whole_numbers { value(edges[counts.len()].floor()) } else { value(edges[counts.len()]) };
    let about = format!("Histogram of {} from {} to {}", found.name, label(0), last);
    html! {
        svg role="img" aria-label=(about) viewBox={ "0 0 " (counts.len()) " 100" } preserveAspectRatio="none"
            width="100%" height="96" {
            @for (bin, count) in counts.iter().enumerate() {
                @let height = if *count == 0 { 0.0 } else { (*count as f64 / tallest * HEIGHT).max(1.5) };
                g {
                    title {
                        @if whole_numbers || counts.len() == 1 { (value(edges[bin + 1].floor())) }
                        @else { (value(edges[bin])) " to " (value(edges[bin + 1])) }
                        ": " (whole(*count)) " documents, " (percent(*count, summary.sampled))
                    }
                    rect .reach x=(bin) width="1" height="100" {}
                    @if height > 0.0 {
                        rect .bin x=(format_args!("{}", bin as f64 + 0.06)) width="0.88"
                            y=(format_args!("{:.1}", HEIGHT - height)) height=(format_args!("{height:.1}")) {}
                    }
                }
            }
            @for place in &other { (line("other", *place)) }
            @for place in &own { (line("own", *place)) }
        }
        p .scale aria-hidden="true" {
            span { (label(0)) }
            @if found.histogram.logarithmic { span { (label(counts.len() / 2)) " (logarithmic)" } }
            @else if counts.len() > 4 { span { (value((edges[0] + edges[counts.len()]) / 2.0)) } }
            span { @if counts.len() > 1 { (last) } " " (found.unit) }
        }
    }
}

fn line(class: &str, place: f64) -> Markup {
    html! {
        line class={ "bound " (class) } x1=(format_args!("{place:.2}")) x2=(format_args!("{place:.2}")) y1="0" y2="100" {}
    }
}
