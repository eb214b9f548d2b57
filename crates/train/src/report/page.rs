//! The page: one file that asks no network for anything and runs no script.

use super::{
    ReportData, conditions, experts,
    overview::{self, header, notes},
    samples, sources, training,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("style.css");

/// The report as one HTML page. The same data gives the same page.
#[must_use]
pub fn render(data: &ReportData) -> String {
    let held_out = data.results.as_ref().and_then(|results| results.held_out.as_ref());
    let sections: [(&str, &str, Markup); 7] = [
        ("result", "Result", held_out.map(overview::result).unwrap_or_default()),
        ("training", "Training", training::section(&data.metrics)),
        ("experts", "Experts", experts::section(&data.metrics)),
        ("samples", "Samples", samples::during(&data.metrics)),
        ("completions", "Completions", samples::completions(data)),
        ("data", "Data", sources::section(&data.data)),
        ("conditions", "Conditions", conditions::section(data)),
    ];
    let sections = sections.into_iter().filter(|(.., content)| !content.0.is_empty());
    let sections: Vec<_> = sections.collect();
    // Only this very style sheet is allowed, and nothing else at all: no script, no image, no connection.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        STANDARD.encode(Sha256::digest(STYLE))
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (overview::name(data)) " · training report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header(data))
                    nav aria-label="Sections" {
                        @for (id, title, _) in &sections { a href={ "#" (id) } { (title) } }
                    }
                    (notes(data))
                    @for (.., content) in &sections { (content) }
                }
                footer { p { "Written by moeworks " (env!("CARGO_PKG_VERSION")) " from metrics.jsonl and the files beside it." } }
            }
        }
    };
    page.into_string()
}
