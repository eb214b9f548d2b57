//! What a scan has found, as tables.

use crate::show::{self, table};
use moeworks_data::scan::{Amount, ScanSummary};
use std::path::Path;

/// Sources and languages in a table.
const MOST: usize = 8;

/// What `data scan` prints.
pub fn text(found: &ScanSummary, out: &Path) -> String {
    let amount =
        |name: &str, amount: &Amount| vec![name.to_owned(), show::count(amount.documents), show::bytes(amount.bytes)];
    let head = |title: &str| [title, "documents", "text"].map(String::from).to_vec();
    let mut text = table(&[
        head(""),
        amount("all", &found.all),
        amount("code", &found.code),
        amount("with personal data", &found.with_pii),
        amount("dropped by the filters", &found.dropped),
    ]);
    for (title, list) in [("source", &found.sources), ("language", &found.languages)] {
        let rows = list.iter().take(MOST).map(|named| amount(&named.name, &named.amount));
        text += &format!("\n{}", table(&std::iter::once(head(title)).chain(rows).collect::<Vec<_>>()));
    }
    let mut rows = vec![["signal", "1 %", "25 %", "median", "75 %", "99 %"].map(String::from).to_vec()];
    rows.extend(found.signals.iter().map(|signal| {
        let quantiles = [0, 2, 3, 4, 6].map(|at| short(signal.quantiles[at]));
        std::iter::once(signal.name.to_owned()).chain(quantiles).collect()
    }));
    text += &format!("\n{}", table(&rows));
    text + &format!("\n{}\n", out.join(moeworks_data::scan::PAGE_NAME).display())
}

fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 1e4 => show::count(value.round() as u64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}
