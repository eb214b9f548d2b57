//! What the model was trained on, from where, and under which licences.

use super::{
    foreign::visible,
    inputs::DataAccount,
    numbers::{bytes, counted, percent, short, whole},
};
use maud::{Markup, html};
use moeworks_data::{NOT_STATED, Sides, Work};
use std::collections::BTreeMap;

/// Rows of a table; the rest is summed up in one.
const ROWS: usize = 40;

/// Works listed, the largest; some 120 bytes each.
const WORKS: usize = 2500;

pub(super) fn section(accounts: &[DataAccount]) -> Markup {
    if accounts.is_empty() {
        return Markup::default();
    }
    html! {
        section #data {
            h2 { "Data" }
            @for account in accounts { (data_set(account, accounts.len() > 1)) }
        }
    }
}

/// One data set; `named` where there are others.
fn data_set(account: &DataAccount, named: bool) -> Markup {
    let summary = &account.summary;
    // The name of a step, and what it says of the documents it dropped; others are said by their names.
    let words = |step: &str| match step {
        "duplicate" => "repeated another".to_owned(),
        "near-duplicate" => "nearly repeated another".to_owned(),
        "filter" => "did not pass the filters".to_owned(),
        "contamination" => "held parts of benchmarks".to_owned(),
        "sample" => "were beyond the limit of the recipe".to_owned(),
        "removed" => "were removed on request".to_owned(),
        other => format!("were dropped ({other})"),
    };
    html! {
        div {
            @if named { h3 { (visible(&account.folder.display().to_string())) } }
            p .intro {
                (counted(summary.train.documents, "document")) " with " (bytes(summary.train.bytes)) " of text, "
                (short(summary.train.tokens)) " tokens of a vocabulary of " (whole(summary.vocab_size as u64))
                ", in " (counted(summary.samples, "sample")) " of " (whole(summary.sequence_length as u64)) " tokens."
                @if summary.held_out.documents > 0 {
                    " Held out, and never trained on: " (counted(summary.held_out.documents, "document")) ", "
                    (bytes(summary.held_out.bytes)) "."
                }
                @for step in summary.dropped.keys() {
                    @let dropped = summary.dropped_by(step);
                    " " (counted(dropped.documents, "document")) " (" (bytes(dropped.bytes)) ") " (visible(&words(step))) "."
                }
            }
            (table("Sources", "Source", &summary.sources))
            (table("Licences", "Licence, as stated by the works themselves", &summary.licences))
            @if summary.languages.len() > 1 || !summary.languages.contains_key(NOT_STATED) {
                (table("Languages", "Language", &summary.languages))
            }
            @if !summary.rejects.is_empty() {
                p .note {
                    "Not read: "
                    @for (at, (reason, count)) in summary.rejects.iter().enumerate() {
                        @if at > 0 { ", " }
                        (visible(reason)) " (" (whole(*count)) ")"
                    }
                    ". Each of them is listed in rejects.jsonl."
                }
            }
            (works(account))
        }
    }
}

/// A table of one of the account's breakdowns, largest first.
fn table(caption: &str, column: &str, parts: &BTreeMap<String, Sides>) -> Markup {
    let mut rows: Vec<(&String, &Sides)> = parts.iter().collect();
    rows.sort_by_key(|(_, sides)| std::cmp::Reverse(sides.train.bytes));
    let all: u64 = rows.iter().map(|(_, sides)| sides.train.bytes).sum();
    let rest = rows.get(ROWS..).unwrap_or_default();
    html! {
        table .amounts {
            caption { (caption) }
            thead {
                tr {
                    th scope="col" { (column) }
                    th .n scope="col" { "Documents" }
                    th .n scope="col" { "Text" }
                    th .n scope="col" { "Tokens" }
                    th .n scope="col" { "Share" }
                    th .n scope="col" { "Held out" }
                }
            }
            tbody {
                @for (name, sides) in rows.iter().take(ROWS) { (row(&visible(name), sides, all)) }
                @if !rest.is_empty() { (row(&format!("{} others", whole(rest.len() as u64)), &sum(rest), all)) }
            }
        }
    }
}

fn row(name: &str, sides: &Sides, all: u64) -> Markup {
    html! {
        tr {
            th scope="row" { bdi { (name) } }
            td .n { (whole(sides.train.documents)) }
            td .n { (bytes(sides.train.bytes)) }
            td .n { (short(sides.train.tokens)) }
            td .n { (percent(if all == 0 { 0.0 } else { sides.train.bytes as f64 / all as f64 })) }
            td .n { (whole(sides.held_out.documents)) }
        }
    }
}

fn sum(rows: &[(&String, &Sides)]) -> Sides {
    let mut sum = Sides::default();
    for (_, sides) in rows {
        sum.train.documents += sides.train.documents;
        sum.train.bytes += sides.train.bytes;
        sum.train.tokens += sides.train.tokens;
        sum.held_out.documents += sides.held_out.documents;
    }
    sum
}

/// The list that attribution needs.
fn works(account: &DataAccount) -> Markup {
    let works = match &account.works {
        Ok(works) => works,
        Err(reason) => return html! { p .note { "The list of works could not be read: " (visible(reason)) } },
    };
    let mut largest: Vec<&Work> = works.iter().collect();
    largest.sort_by_key(|work| std::cmp::Reverse(work.amount.bytes));
    largest.truncate(WORKS);
    largest.sort_by(|a, b| (&a.source, &a.name).cmp(&(&b.source, &b.name)));
    let folder = account.folder.display().to_string();
    html! {
        @if !works.is_empty() {
            details {
                summary { "All " (counted(works.len() as u64, "work")) " trained on, with their licences" }
                table .amounts.works {
                    caption {
                        "Packages or folders, by name"
                        @if largest.len() < works.len() {
                            "; the " (whole(largest.len() as u64)) " largest. `moeworks data show " (visible(&folder))
                            "` lists all"
                        }
                    }
                    thead {
                        tr {
                            th scope="col" { "Work" }
                            th scope="col" { "Licence" }
                            th .n scope="col" { "Documents" }
                            th .n scope="col" { "Text" }
                        }
                    }
                    tbody {
                        @for work in largest {
                            tr {
                                th scope="row" { (visible(&work.name)) }
                                td { (visible(work.licence.as_deref().unwrap_or(NOT_STATED))) }
                                td .n { (whole(work.amount.documents)) }
                                td .n { (bytes(work.amount.bytes)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
