//! The page: one file that asks no network for anything and runs no script.

mod distribution;
mod filters;
mod makeup;
mod numbers;

use super::{ScanSummary, excerpt::Example};
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use numbers::{bytes, counted, percent, short, whole};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");

/// The scan as one HTML page. The same figures give the same page.
pub(super) fn render(summary: &ScanSummary) -> String {
    // Only this very style sheet is allowed, and nothing else at all: no script, no image, no connection.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Sha256::digest(STYLE))
    );
    let sections: [(&str, &str, Markup); 5] = [
        ("filters", "Filters", filters::section(summary)),
        ("suggestions", "Published thresholds", filters::suggestions(summary)),
        ("makeup", "Make-up", makeup::section(summary)),
        ("pii", "Personal data and secrets", makeup::pii(summary)),
        ("signals", "Signals", distribution::section(summary)),
    ];
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Data scan" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header(summary))
                    nav aria-label="Sections" {
                        @for (id, title, _) in &sections { a href={ "#" (id) } { (title) } }
                    }
                    @for (id, title, content) in &sections {
                        section id=(id) { h2 { (title) } (content) }
                    }
                }
                footer {
                    p {
                        "Written by moeworks " (env!("CARGO_PKG_VERSION")) ". The figures are in scan.json, and every "
                        "document's signals in signals.parquet, both beside this page."
                    }
                }
            }
        }
    };
    page.into_string()
}

fn header(summary: &ScanSummary) -> Markup {
    let part = |documents: u64| percent(documents, summary.all.documents);
    let tiles = [
        ("Documents", short(summary.all.documents), String::new()),
        ("Text", bytes(summary.all.bytes), String::new()),
        ("Tokens, about", short(summary.tokens_estimate), "at 4 bytes each".into()),
        ("Code", part(summary.code.documents), "of documents".into()),
        ("With personal data", part(summary.with_pii.documents), "of documents".into()),
        ("Dropped by the filters", part(summary.dropped.documents), "of documents".into()),
    ];
    html! {
        header {
            p .kind { "Data scan" }
            h1 {
                (counted(summary.all.documents, "document")) " from "
                (counted(summary.sources.len() as u64, "source"))
            }
            dl .tiles {
                @for (name, value, note) in &tiles {
                    div { dt { (name) } dd { (value) @if !note.is_empty() { " " small { (note) } } } }
                }
            }
            @if summary.sampled < summary.all.documents {
                p .note {
                    "Quantiles and histograms are those of an even sample of " (whole(summary.sampled))
                    " documents; all other figures are of all documents."
                }
            }
        }
    }
}

/// A document: where it is and how it begins.
fn example(label: &str, example: &Example) -> Markup {
    html! {
        li {
            p .where { b { (label) } " " span { (example.source) " / " (example.path) } }
            // A line end right after <pre> would be swallowed; an excerpt never begins with one.
            pre { (example.excerpt) }
        }
    }
}
