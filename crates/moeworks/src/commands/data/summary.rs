//! The account of a data set as tables.

use crate::show::{self, table};
use moeworks_data::{Sides, Summary, Tally};
use moeworks_infer::terminal::printable;

/// Rows of a table of sources or licences; the rest is counted.
const MOST: usize = 12;

/// What a data set is made of, as tables.
pub fn summary_text(s: &Summary) -> String {
    let tally = |name: &str, t: &Tally| {
        vec![name.to_owned(), show::count(t.documents), show::bytes(t.bytes), show::count(t.tokens)]
    };
    let head = |title: &str| [title, "documents", "text", "tokens"].map(String::from).to_vec();
    let mut text = table(&[head(""), tally("to train on", &s.train), tally("held out", &s.held_out)]);
    text += &format!("{} samples of {} tokens\n", s.samples, s.sequence_length);
    for (title, groups) in [("source", &s.sources), ("licence", &s.licences), ("language", &s.languages)] {
        let mut all: Vec<_> = groups.iter().collect();
        all.sort_by_key(|(_, sides)| std::cmp::Reverse(sides.train.bytes + sides.held_out.bytes));
        let rows = all.iter().take(MOST).map(|(name, sides)| tally(name, &both(sides)));
        text += &format!("\n{}", table(&std::iter::once(head(title)).chain(rows).collect::<Vec<_>>()));
        if all.len() > MOST {
            text += &format!("and {} more\n", all.len() - MOST);
        }
    }
    text + &losses(s)
}

fn both(sides: &Sides) -> Tally {
    Tally {
        documents: sides.train.documents + sides.held_out.documents,
        bytes: sides.train.bytes + sides.held_out.bytes,
        tokens: sides.train.tokens + sides.held_out.tokens,
    }
}

/// What was dropped and rejected.
fn losses(s: &Summary) -> String {
    let mut text = String::new();
    if !s.dropped.is_empty() {
        let mut rows = vec![["dropped (see dropped.jsonl.zst)", "documents", "text"].map(String::from).to_vec()];
        for (step, reasons) in &s.dropped {
            for (reason, dropped) in reasons {
                rows.push(vec![
                    format!("{step}: {reason}"),
                    show::count(dropped.documents),
                    show::bytes(dropped.bytes),
                ]);
            }
        }
        text += &format!("\n{}", table(&rows));
    }
    if let Some(report) = &s.contamination {
        let head = [&format!("{} evaluation sets", report.benchmarks.len()), "rows", "found", "share", "documents"];
        let mut rows = vec![head.map(String::from).to_vec()];
        rows.extend(report.benchmarks.iter().filter(|set| set.contaminated_rows > 0).map(|set| {
            let share = format!("{:.1} %", set.contaminated_share * 100.0);
            let [all, found, documents] = [set.rows, set.contaminated_rows, set.documents].map(show::count);
            vec![printable(&set.name), all, found, share, documents]
        }));
        let none = report.benchmarks.len() + 1 - rows.len();
        text += &format!("\n{}of {none} nothing was found\n", table(&rows));
    }
    if !s.rejects.is_empty() {
        text += "\nrejected (see rejects.jsonl)\n";
        for (reason, n) in &s.rejects {
            text += &format!("  {n} {reason}\n");
        }
    }
    text
}
