//! The data card: the account in words and tables, for people and for the hubs that show a README.

use crate::{Sides, Summary, Tally, decontaminate::ContaminationReport};
use std::{collections::BTreeMap, fmt::Write};

/// Name of the card in the folder of a data set.
pub(crate) const CARD_NAME: &str = "README.md";

/// Rows of a table; the rest is summed up in one.
const ROWS: usize = 30;

/// The card of a data set, in Markdown.
pub(crate) fn card(summary: &Summary) -> String {
    let mut text = String::from("# Data card\n\n");
    let Tally { documents, bytes, tokens } = summary.train;
    let held_out = summary.held_out;
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "{documents} documents to train on: {} of text, {tokens} tokens, in {} samples of {} tokens. Held out, and in no \
         sample: {} documents, {}.\n",
        megabytes(bytes),
        summary.samples,
        summary.sequence_length,
        held_out.documents,
        megabytes(held_out.bytes),
    );
    sides(&mut text, "Source", &summary.sources);
    sides(&mut text, "Licence, as stated by the documents' sources", &summary.licences);
    sides(&mut text, "Language", &summary.languages);
    losses(&mut text, summary);
    if let Some(report) = &summary.contamination {
        evaluation_sets(&mut text, report);
    }
    text += "## Recipe\n\nThe same recipe over the same documents gives the same bytes.\n\n```toml\n";
    text += &toml::to_string(&summary.recipe).unwrap_or_default();
    text += "```\n\n";
    let _ = write!(
        text,
        "Tokenizer: {} ids, fingerprint `{}`.\n\n## Files\n\n| file | bytes | SHA-256 |\n|---|---:|---|\n",
        summary.vocab_size, summary.tokenizer
    );
    for file in &summary.files {
        let _ = writeln!(text, "| {} | {} | `{}` |", file.path, file.bytes, file.sha256);
    }
    text += "\nAn `index.json` holds the hashes of its shards, so these stand for everything.\n\n";
    text += "`train/` opens with MosaicML Streaming and LLM Foundry: column `tokens`, `ndarray:int32`. `documents/` has a \
             row for every document with its id, source, path, licence, language and place among the tokens. \
             `dropped.jsonl.zst` and `rejects.jsonl` list what is not in it, and why.\n";
    text
}

fn sides(text: &mut String, title: &str, parts: &BTreeMap<String, Sides>) {
    let mut rows: Vec<(&str, Tally)> = parts.iter().map(|(name, sides)| (name.as_str(), sides.train)).collect();
    rows.sort_by_key(|(name, tally)| (std::cmp::Reverse(tally.bytes), *name));
    let rest = rows.split_off(rows.len().min(ROWS));
    let others = format!("{} others", rest.len());
    if !rest.is_empty() {
        let sum = rest.iter().fold(Tally::default(), |sum, (_, tally)| Tally {
            documents: sum.documents + tally.documents,
            bytes: sum.bytes + tally.bytes,
            tokens: sum.tokens + tally.tokens,
        });
        rows.push((&others, sum));
    }
    let _ = writeln!(text, "| {title} | documents | text | tokens |\n|---|---:|---:|---:|");
    for (name, Tally { documents, bytes, tokens }) in rows {
        let _ = writeln!(text, "| {} | {documents} | {} | {tokens} |", cell(name), megabytes(bytes));
    }
    text.push('\n');
}

fn losses(text: &mut String, summary: &Summary) {
    if !summary.dropped.is_empty() {
        text.push_str("| Dropped by | for | documents | text |\n|---|---|---:|---:|\n");
        for (step, reasons) in &summary.dropped {
            for (reason, dropped) in reasons {
                let _ = writeln!(
                    text,
                    "| {step} | {} | {} | {} |",
                    cell(reason),
                    dropped.documents,
                    megabytes(dropped.bytes)
                );
            }
        }
        text.push('\n');
    }
    if !summary.rejects.is_empty() {
        text.push_str("| Not read | times |\n|---|---:|\n");
        for (reason, count) in &summary.rejects {
            let _ = writeln!(text, "| {} | {count} |", cell(reason));
        }
        text.push('\n');
    }
}

/// What was found of each evaluation set; those of which nothing was are counted.
fn evaluation_sets(text: &mut String, report: &ContaminationReport) {
    let touched = || report.benchmarks.iter().filter(|set| set.contaminated_rows > 0);
    let _ = writeln!(
        text,
        "{} of {} documents held {} consecutive words of one of {} evaluation sets, and were dropped; of {} sets nothing \
         was found. Phrases that many documents share do not count ({} of them).\n",
        report.contaminated,
        report.documents,
        report.ngram_words,
        report.benchmarks.len(),
        report.benchmarks.len() - touched().count(),
        report.common_phrases,
    );
    if touched().next().is_some() {
        text.push_str("| Evaluation set | rows | found | share | documents |\n|---|---:|---:|---:|---:|\n");
        for set in touched() {
            let (rows, found, share) = (set.rows, set.contaminated_rows, set.contaminated_share * 100.0);
            let _ = writeln!(text, "| {} | {rows} | {found} | {share:.1} % | {} |", cell(&set.name), set.documents);
        }
        text.push('\n');
    }
}

/// Names come from documents; they must not break the table.
fn cell(text: &str) -> String {
    let safe = |c: char| match c {
        '|' => '¦',
        '<' => '‹',
        '>' => '›',
        '`' => '\'',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().take(80).map(safe).collect()
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_break_the_tables() {
        let sides_of = |bytes| Sides { train: Tally { documents: 1, bytes, tokens: 2 }, held_out: Tally::default() };
        let mut parts: BTreeMap<String, Sides> =
            (0..40).map(|n| (format!("Licence {n:02}"), sides_of(10 + n))).collect();
        parts.insert("| <b>\n`x`".into(), sides_of(2_000_000));
        let mut text = String::new();
        sides(&mut text, "Licence", &parts);
        assert!(text.contains("\n| ¦ ‹b› 'x' | 1 | 2.0 MB | 2 |\n"), "{text}");
        assert!(text.contains("\n| 11 others | 11 | 0.2 kB | 22 |\n"), "{text}");
        assert_eq!(text.lines().count(), 2 + ROWS + 1 + 1);
    }
}
