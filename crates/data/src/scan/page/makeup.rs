//! What the corpus is made of, and what personal data is in it.

use super::{
    super::{Named, ScanSummary, excerpt::visible},
    numbers::{bytes, percent, whole},
};
use maud::{Markup, html};

/// Rows of a table.
const ROWS: usize = 12;

pub(super) fn section(summary: &ScanSummary) -> Markup {
    html! {
        div .columns {
            (table("Sources", &summary.sources, summary.all.bytes))
            (table("Languages", &summary.languages, summary.all.bytes))
            (table("Licences", &summary.licences, summary.all.bytes))
        }
        p .note { "Languages of text are told from the text (ISO 639); code goes by the language it states." }
    }
}

fn table(title: &str, all: &[Named], total: u64) -> Markup {
    let most = all.first().map_or(1, |named| named.amount.bytes).max(1);
    html! {
        div {
            h3 { (title) }
            table .bars {
                tbody {
                    @for named in all.iter().take(ROWS) {
                        tr {
                            th scope="row" { (visible(&named.name)) }
                            td .bar {
                                svg width="100%" height="10" aria-hidden="true" {
                                    rect width=(format_args!("{:.2}%", named.amount.bytes as f64 * 100.0 / most as f64))
                                        height="10" {}
                                }
                            }
                            td .n { (bytes(named.amount.bytes)) }
                            td .n { (percent(named.amount.bytes, total)) }
                        }
                    }
                }
            }
            @if all.len() > ROWS { p .note { "and " (whole((all.len() - ROWS) as u64)) " more, in scan.json" } }
        }
    }
}

pub(super) fn pii(summary: &ScanSummary) -> Markup {
    html! {
        p .intro {
            "What was found by pattern and checksum. Finds are shown with their middles hidden, and by their kinds in the "
            "excerpts on this page; where they are is in signals.parquet."
        }
        div .wide { table {
            thead {
                tr {
                    th scope="col" { "Kind" } th .n scope="col" { "Finds" } th .n scope="col" { "Documents" }
                    th .n scope="col" {} th scope="col" { "Such as" }
                }
            }
            tbody {
                @for found in &summary.pii {
                    tr {
                        th scope="row" { (found.kind) }
                        td .n { (whole(found.spans)) }
                        td .n { (whole(found.documents)) }
                        td .n { (percent(found.documents, summary.all.documents)) }
                        td .masked { @for masked in &found.masked { code { (masked) } " " } }
                    }
                }
            }
        } }
    }
}
