//! `data build` and `data show`.

use super::tokenizer;
use crate::cli::{Data, DataBuild, DataShow};
use crate::show::{self, Progress, table};
use crate::{exit, interrupt};
use anyhow::Result;
use moeworks_data::{CargoRegistry, Counts, DataFolder, Recipe, Source, Stage, Summary};
use moeworks_infer::terminal::printable;
use moeworks_text::Tokenizer;
use serde_json::json;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

pub fn run(command: &Data, quiet: bool) -> Result<()> {
    match command {
        Data::Build(flags) => build_command(flags, quiet),
        Data::Show(flags) => show_command(flags, quiet),
    }
}

/// Builds a folder of shards with the tokenizer beside them; Ctrl-C leaves nothing behind.
pub fn build(recipe: &Recipe, tokenizer: &Tokenizer, out: &Path, quiet: bool) -> Result<Summary> {
    let stop = interrupt::catch();
    let bar = Mutex::new(Progress::new(1, "{bar:30} {percent:>3}%  {msg}", quiet));
    let progress = |counts: &Counts| {
        if let Ok(mut bar) = bar.lock() {
            let words = match counts.stage {
                Stage::Survey => {
                    format!("looking: {} documents, {}", show::count(counts.documents), show::bytes(counts.bytes))
                }
                Stage::Tokenise => format!(
                    "{} documents, {}, {} tokens",
                    show::count(counts.documents),
                    show::bytes(counts.bytes),
                    show::count(counts.tokens)
                ),
            };
            bar.set_length(counts.total_bytes.unwrap_or(counts.bytes.max(1)));
            bar.update(counts.bytes, words);
        }
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let summary = moeworks_data::build(recipe, tokenizer, out, &progress);
    if let Ok(bar) = bar.lock() {
        bar.finish();
    }
    let summary = summary?;
    tokenizer.save(&out.join("tokenizer"))?;
    Ok(summary)
}

fn build_command(flags: &DataBuild, quiet: bool) -> Result<()> {
    let mut recipe = match &flags.recipe {
        Some(path) => Recipe::read(path)?,
        None => {
            let mut sources = flags.documents.iter().map(|p| Source::at(p)).collect::<Result<Vec<_>, _>>()?;
            if flags.cargo_registry {
                sources.push(Source::CargoRegistry(CargoRegistry::default()));
            }
            Recipe { sources, ..Recipe::default() }
        }
    };
    if let Some(length) = flags.sequence_length {
        recipe.sequence_length = length as usize;
    }
    if let Some(share) = flags.held_out {
        recipe.held_out = share;
    }
    recipe.max_bytes = flags.max_bytes.or(recipe.max_bytes);
    recipe.check()?;
    let tokenizer = tokenizer::open(&flags.tokenizer)?;
    let summary = build(&recipe, &tokenizer, &flags.out, quiet)?;
    if flags.json {
        show::result(&serde_json::to_string_pretty(&summary)?)?;
    } else {
        show::result(&summary_text(&summary))?;
    }
    Ok(())
}

/// What a data set is made of, as tables.
pub fn summary_text(s: &Summary) -> String {
    let cells = |values: [String; 4]| values.to_vec();
    let tally = |name: &str, t: &moeworks_data::Tally| {
        cells([name.into(), show::count(t.documents), show::bytes(t.bytes), show::count(t.tokens)])
    };
    let mut rows = vec![cells(["".into(), "documents".into(), "text".into(), "tokens".into()])];
    rows.push(tally("to train on", &s.train));
    rows.push(tally("held out", &s.held_out));
    let mut text = table(&rows);
    text += &format!(
        "{} samples of {} tokens; {} duplicates dropped, {} documents beyond the limit left out\n",
        s.samples, s.sequence_length, s.duplicates.documents, s.left_out.documents
    );
    for (title, groups) in [("source", &s.sources), ("licence", &s.licences)] {
        let mut rows = vec![cells([title.into(), "documents".into(), "text".into(), "tokens".into()])];
        let mut all: Vec<_> = groups.iter().collect();
        all.sort_by_key(|(_, sides)| std::cmp::Reverse(sides.train.bytes + sides.held_out.bytes));
        const MOST: usize = 12;
        for (name, sides) in all.iter().take(MOST) {
            let both = moeworks_data::Tally {
                documents: sides.train.documents + sides.held_out.documents,
                bytes: sides.train.bytes + sides.held_out.bytes,
                tokens: sides.train.tokens + sides.held_out.tokens,
            };
            rows.push(tally(name, &both));
        }
        text += &format!("\n{}", table(&rows));
        if all.len() > MOST {
            text += &format!("and {} more\n", all.len() - MOST);
        }
    }
    if !s.rejects.is_empty() {
        text += "\nrejected (see rejects.jsonl)\n";
        for (reason, n) in &s.rejects {
            text += &format!("  {n} {reason}\n");
        }
    }
    text
}

fn show_command(flags: &DataShow, quiet: bool) -> Result<()> {
    let folder = DataFolder::open(&flags.folder)?;
    if flags.verify {
        let total = folder.summary().train.bytes;
        let mut bar = Progress::new(total, "{bar:30} {msg}", quiet);
        let mut checked = 0;
        folder.verify(|bytes| {
            checked += bytes;
            bar.update(checked, format!("{} checked", show::bytes(checked)));
        })?;
        bar.finish();
        show::result(&format!("every hash holds ({} checked)", show::bytes(checked)))?;
        return Ok(());
    }
    if let Some(token) = flags.token {
        let document = folder.document_at(token)?;
        return print(flags.json, &document, || format!("{document:#?}"));
    }
    if let Some(sample) = flags.sample {
        return show_sample(flags, &folder, sample);
    }
    if flags.works {
        let works = folder.works()?;
        return print(flags.json, &works, || {
            let mut rows = vec![["work", "licence", "documents", "text"].map(String::from).to_vec()];
            rows.extend(works.iter().map(|w| {
                vec![
                    w.name.clone(),
                    w.licence.clone().unwrap_or_else(|| moeworks_data::NOT_STATED.into()),
                    w.amount.documents.to_string(),
                    show::bytes(w.amount.bytes),
                ]
            }));
            table(&rows)
        });
    }
    print(flags.json, folder.summary(), || summary_text(folder.summary()))
}

fn print(json: bool, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<()> {
    show::result(&if json { serde_json::to_string_pretty(value)? } else { text() })?;
    Ok(())
}

fn show_sample(flags: &DataShow, folder: &DataFolder, sample: u64) -> Result<()> {
    let ids = folder.sample(sample)?;
    let spans = folder.documents_in(sample)?;
    let tokenizer = Tokenizer::from_dir(&flags.folder.join("tokenizer"))?;
    let unsigned: Vec<u32> = ids.iter().map(|id| *id as u32).collect();
    if flags.json {
        let spans: Vec<_> = spans
            .iter()
            .map(|s| json!({"document": s.document, "from": s.positions.start, "to": s.positions.end}))
            .collect();
        let value = json!({"sample": sample, "ids": ids, "text": tokenizer.decode(&unsigned), "documents": spans});
        show::result(&serde_json::to_string_pretty(&value)?)?;
        return Ok(());
    }
    for span in spans {
        let d = &span.document;
        let licence = d.licence.as_deref().unwrap_or(moeworks_data::NOT_STATED);
        show::heading(&format!("{} ({licence}), tokens {} to {}", d.path, span.positions.start, span.positions.end));
        let text =
            tokenizer.decode(unsigned.get(span.positions).ok_or_else(|| {
                exit::coded(exit::BAD_DATA, format!("sample {sample} is shorter than its account says"))
            })?);
        show::result(&printable(&text))?;
    }
    Ok(())
}
