//! `data show` and `data verify`: what is in a folder of shards.

use super::{print, summary_text};
use crate::cli::{DataShow, DataVerify};
use crate::exit;
use crate::show::{self, Progress, table};
use anyhow::Result;
use moeworks_data::DataFolder;
use moeworks_data::mds::{Dataset, ReaderOptions};
use moeworks_infer::terminal::printable;
use moeworks_text::Tokenizer;
use serde_json::json;

pub fn show(flags: &DataShow) -> Result<()> {
    let folder = DataFolder::open(&flags.folder)?;
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

/// A data set of ours against its account; any other MDS folder against its index.
pub fn verify(flags: &DataVerify, quiet: bool) -> Result<()> {
    let mut bar = Progress::new(1, "{bar:30} {percent:>3}%  {msg}", quiet);
    let mut checked = 0;
    let each = |total: u64| {
        bar.set_length(total);
        move |bytes| {
            checked += bytes;
            bar.update(checked, format!("{} checked", show::bytes(checked)));
        }
    };
    if flags.folder.join(moeworks_data::SUMMARY_NAME).exists() {
        let folder = DataFolder::open(&flags.folder)?;
        let total = folder.train().shards().map(|shard| shard.raw_data.bytes).sum();
        folder.verify(each(total))?;
    } else {
        let dataset = Dataset::open(&flags.folder, ReaderOptions::default())?;
        let total = dataset.shards().map(|shard| shard.raw_data.bytes).sum();
        dataset.verify(each(total))?;
    }
    show::result(&format!("{}: every size, offset and hash holds", flags.folder.display()))
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
