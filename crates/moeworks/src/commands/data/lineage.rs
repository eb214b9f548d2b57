//! `data lineage` and `data remove`: where things come from, where they went, and taking them out.

use super::print;
use crate::cli::{DataLineage, DataRemove};
use crate::exit;
use crate::show::{self, table};
use anyhow::Result;
use moeworks_data::{DataFolder, DocumentId, DocumentRecord, NOT_STATED, Occurrence, Removal, Trace};
use moeworks_infer::terminal::printable;
use moeworks_text::Tokenizer;
use moeworks_train::lineage::{Reading, readings};
use serde_json::json;
use std::{collections::BTreeSet, slice::from_ref};

/// Occurrences of a phrase in a table; the rest is counted.
const MOST: usize = 50;

pub fn lineage(flags: &DataLineage) -> Result<()> {
    let folder = DataFolder::open(&flags.folder)?;
    if let Some(token) = flags.token {
        let document = folder.document_at(token)?;
        return print(flags.json, &document, || described(&document));
    }
    if let Some(phrase) = &flags.phrase {
        let tokenizer = Tokenizer::from_dir(&flags.folder.join("tokenizer"))?;
        let found = folder.find(phrase, |id| tokenizer.token_bytes(id))?;
        return print(flags.json, &found, || occurrences(phrase, &found));
    }
    let id: DocumentId =
        flags.document.as_deref().unwrap_or_default().parse().map_err(|e: String| exit::coded(exit::USAGE, e))?;
    let Some(trace) = folder.trace(&id)? else {
        return Err(exit::coded(exit::MISSING, format!("{} has never read a document {id}", flags.folder.display())));
    };
    let runs = match &trace {
        Trace::Train { samples, .. } => readings(&flags.runs, folder.train().fingerprint(), from_ref(samples))?,
        Trace::Dropped { drop } if drop.step == "removed" => {
            let all = 0..u64::MAX;
            let former = folder.summary().former.iter().map(|data| readings(&flags.runs, data, from_ref(&all)));
            former.collect::<Result<Vec<_>, _>>()?.concat()
        }
        _ => Vec::new(),
    };
    print(flags.json, &json!({"document": trace, "runs": runs}), || traced(&trace) + &read_by(&runs))
}

/// Runs that have read a document, or may have.
fn read_by(runs: &[Reading]) -> String {
    let line = |run: &Reading| {
        let times = match run.times {
            Some(times) => format!("read {times} times"),
            None => "how often cannot be told: its data is not what it was".into(),
        };
        format!("run       {} ({} steps): {times}\n", run.run.display(), run.steps)
    };
    runs.iter().filter(|run| run.may_have_read()).map(line).collect()
}

fn described(d: &DocumentRecord) -> String {
    let or = |text: &Option<String>| text.clone().unwrap_or_else(|| NOT_STATED.into());
    let rows = [
        ("document", d.id.to_string()),
        ("source", d.source.clone()),
        ("path", d.path.clone()),
        ("licence", or(&d.licence)),
        ("language", or(&d.language)),
        ("text", show::bytes(d.bytes)),
        ("tokens", format!("{} to {}", d.tokens.start, d.tokens.end)),
    ];
    rows.iter().map(|(name, value)| format!("{name:9} {}\n", printable(value))).collect()
}

fn traced(trace: &Trace) -> String {
    match trace {
        Trace::Train { document, samples, shards } => {
            let shards = if shards.is_empty() { "none".into() } else { shards.join(", ") };
            let samples = if samples.is_empty() {
                "none: it stands behind the last whole sample".into()
            } else {
                format!("{} to {}", samples.start, samples.end - 1)
            };
            format!("trained on\n{}samples   {samples}\nshards    {shards}\n", described(document))
        }
        Trace::HeldOut { document } => format!("held out\n{}", described(document)),
        Trace::Dropped { drop } => {
            let detail = if drop.detail.is_empty() { String::new() } else { format!(" ({})", drop.detail) };
            format!(
                "not used: {}, {}{detail}\ndocument  {}\nsource    {}\npath      {}\n",
                drop.step,
                drop.reason,
                drop.id,
                drop.source,
                printable(&drop.path)
            )
        }
    }
}

fn occurrences(phrase: &str, found: &[Occurrence]) -> String {
    if found.is_empty() {
        return format!("no document holds {phrase:?}\n");
    }
    let mut rows = vec![["document", "times", "at byte", "side", "licence", "path"].map(String::from).to_vec()];
    rows.extend(found.iter().take(MOST).map(|one| {
        vec![
            one.document.id.to_string(),
            one.times.to_string(),
            one.offset.to_string(),
            if one.held_out { "held out" } else { "train" }.into(),
            one.document.licence.clone().unwrap_or_else(|| NOT_STATED.into()),
            printable(&format!("{}: {}", one.document.source, one.document.path)),
        ]
    }));
    let more = found.len().saturating_sub(MOST);
    table(&rows) + &if more > 0 { format!("and {more} more documents\n") } else { String::new() }
}

pub fn remove(flags: &DataRemove) -> Result<()> {
    let ids = flags
        .documents
        .iter()
        .map(|text| text.parse())
        .collect::<Result<BTreeSet<DocumentId>, _>>()
        .map_err(|e| exit::coded(exit::USAGE, e))?;
    let folder = DataFolder::open(&flags.folder)?;
    // Before the removal: afterwards the runs' data is not what it was.
    let samples: Vec<_> = folder.trained_on(&ids)?.iter().map(|document| folder.samples_of(document)).collect();
    let runs = readings(&flags.runs, folder.train().fingerprint(), &samples)?;
    let removal = moeworks_data::remove(&flags.folder, &ids)?;
    if removal.summary.is_none() {
        return Err(exit::coded(
            exit::MISSING,
            format!(
                "{} holds none of these documents; `data lineage {0} --phrase TEXT` finds ids",
                flags.folder.display()
            ),
        ));
    }
    print(flags.json, &json!({"removal": removal, "runs": runs}), || {
        let affected = match read_by(&runs) {
            none if none.is_empty() => format!("no run in {} has read them\n", flags.runs.display()),
            some => format!("models that were trained on them:\n{some}"),
        };
        removed(&removal) + &affected
    })
}

fn removed(removal: &Removal) -> String {
    let mut text = String::new();
    for (side, documents) in [("train", &removal.train), ("held out", &removal.held_out)] {
        for d in documents {
            text += &format!("removed {} ({side}) {}: {}\n", d.id, d.source, printable(&d.path));
        }
    }
    for id in &removal.absent {
        text += &format!("not there: {id}\n");
    }
    let (rewritten, all) = removal.shards;
    text +=
        &format!("{rewritten} of {all} shards written again, {} tokens of other documents lost\n", removal.lost_tokens);
    let ids: Vec<String> = removal.train.iter().chain(&removal.held_out).map(|d| format!("\"{}\"", d.id)).collect();
    text += &format!("to keep them out of the next build, put this into its recipe: exclude = [{}]\n", ids.join(", "));
    text
}
