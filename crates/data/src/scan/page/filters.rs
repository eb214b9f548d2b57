//! What filters drop.

use super::{
    super::{Amount, ScanSummary},
    example,
    numbers::{bytes, percent, short, whole},
};
use maud::{Markup, html};

/// Cells of an amount: documents, their part, text, tokens.
fn cells(amount: Amount, all: Amount) -> Markup {
    html! {
        td .n { (whole(amount.documents)) }
        td .n { (percent(amount.documents, all.documents)) }
        td .n { (bytes(amount.bytes)) }
        td .n { (percent(amount.bytes, all.bytes)) }
        td .n { (short(amount.tokens_estimate())) }
    }
}

pub(super) fn section(summary: &ScanSummary) -> Markup {
    if summary.filters.is_empty() {
        return html! {
            p .intro { "The recipe has no filters; below is what those that others have published would drop." }
        };
    }
    html! {
        p .intro { "What each filter of the recipe drops by itself, and what of it no filter before has dropped already." }
        div .wide { table {
            thead {
                tr {
                    th scope="col" { "Keeps" } th .n scope="col" { "Documents dropped" } th .n scope="col" {}
                    th .n scope="col" { "Text" } th .n scope="col" {} th .n scope="col" { "Tokens, about" }
                    th .n scope="col" { "Not dropped before" }
                }
            }
            tbody {
                @for found in &summary.filters {
                    tr {
                        th scope="row" { code { (found.filter.describe()) } }
                        (cells(found.dropped, summary.all))
                        td .n { (whole(found.first.documents)) }
                    }
                }
            }
            tfoot {
                tr { th scope="row" { "All together" } (cells(summary.dropped, summary.all)) td {} }
            }
        } }
        @for found in summary.filters.iter().filter(|found| !found.examples.is_empty()) {
            details {
                summary { "Dropped by " code { (found.filter.describe()) } }
                ul .examples { @for (reason, dropped) in &found.examples { (example(reason, dropped)) } }
            }
        }
    }
}

pub(super) fn suggestions(summary: &ScanSummary) -> Markup {
    html! {
        p .intro {
            "What thresholds that others have published for their corpora would drop here, each by itself. Those for prose "
            "look at no code, and the other way round. They suit English web pages; a corpus of another kind needs its own."
        }
        div .wide { table {
            thead {
                tr {
                    th scope="col" { "Of" } th scope="col" { "Keeps" } th .n scope="col" { "Documents dropped" }
                    th .n scope="col" {} th .n scope="col" { "Text" } th .n scope="col" {}
                    th .n scope="col" { "Tokens, about" }
                }
            }
            tbody {
                @for found in &summary.suggestions {
                    tr {
                        td { (found.source) }
                        th scope="row" { code { (found.filter.describe()) } }
                        (cells(found.dropped, summary.all))
                    }
                }
            }
        } }
    }
}
