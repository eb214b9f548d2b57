//! `tokenizer train` and `tokenizer show`.

use crate::cli::{TokenizerCommand, TokenizerTrain};
use crate::show::{self, Progress};
use crate::{exit, interrupt};
use anyhow::Result;
use moeworks_data::{Corpus, Recipe, Side, Source};
use moeworks_infer::terminal::printable;
use moeworks_text::{Tokenizer, TrainOptions, TrainProgress};
use serde_json::json;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;

/// A tokenizer by name: `cl100k`, or a folder.
pub fn open(name: &str) -> Result<Tokenizer> {
    match name {
        "cl100k" => Ok(Tokenizer::cl100k()),
        folder => Ok(Tokenizer::from_dir(Path::new(folder))?),
    }
}

/// Trains a tokenizer on the training side of a corpus.
pub fn train(corpus: &Corpus<'_>, vocab_size: usize, quiet: bool) -> Result<Tokenizer> {
    let stop = interrupt::catch();
    let mut bar = Progress::new(corpus.total_bytes().unwrap_or(0), "{bar:30} {percent:>3}%  {msg}", quiet);
    // The first fault of the documents ends the list, and is told afterwards.
    let mut fault = None;
    let documents = corpus.documents(Side::Train).map_while(|document| match document {
        Ok(document) if !stop.load(Ordering::Relaxed) => Some(document),
        Ok(_) => None,
        Err(e) => {
            fault = Some(e);
            None
        }
    });
    let options = TrainOptions { vocab_size, ..TrainOptions::default() };
    let tokenizer = moeworks_text::train(documents, &options, |progress| match progress {
        TrainProgress::Reading { documents, bytes } => {
            bar.update(bytes, format!("{} documents, {}", show::count(documents), show::bytes(bytes)));
        }
        TrainProgress::Merging => bar.update(0, "choosing merges"),
    });
    bar.finish();
    if stop.load(Ordering::Relaxed) {
        return Err(exit::coded(exit::INTERRUPTED, "interrupted; nothing was written"));
    }
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    Ok(tokenizer?)
}

fn train_command(flags: &TokenizerTrain, quiet: bool) -> Result<()> {
    let sources = flags.documents.iter().map(|p| Source::at(p)).collect::<Result<_, _>>()?;
    let recipe = Recipe { sources, held_out: 0.0, max_bytes: Some(flags.max_bytes), ..Recipe::default() };
    let stop = interrupt::catch();
    let go_on = |_: &_| if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let tokenizer = train(&Corpus::open(&recipe, &go_on)?, flags.vocab_size, quiet)?;
    std::fs::create_dir_all(&flags.out).map_err(|e| exit::io_at(&flags.out, e))?;
    tokenizer.save(&flags.out)?;
    if !quiet {
        eprintln!("{} tokens", tokenizer.vocab_size());
    }
    show::result(&flags.out.display().to_string())?;
    Ok(())
}

pub fn run(command: &TokenizerCommand, quiet: bool) -> Result<()> {
    match command {
        TokenizerCommand::Train(flags) => train_command(flags, quiet),
        TokenizerCommand::Show { tokenizer, text, json } => {
            let tokenizer = open(tokenizer)?;
            let ids = text.as_ref().map(|t| tokenizer.encode(t));
            if *json {
                let specials: Vec<_> = tokenizer.special_tokens().map(|(id, s)| json!({"id": id, "text": s})).collect();
                let value = json!({
                    "vocab_size": tokenizer.vocab_size(),
                    "fingerprint": tokenizer.fingerprint(),
                    "bos": tokenizer.bos(),
                    "eos": tokenizer.eos(),
                    "stop": tokenizer.stop_ids(),
                    "special": specials,
                    "ids": ids,
                });
                show::result(&serde_json::to_string_pretty(&value)?)?;
                return Ok(());
            }
            show::result(&format!("tokens       {}", tokenizer.vocab_size()))?;
            show::result(&format!("fingerprint  {}", tokenizer.fingerprint()))?;
            for (id, text) in tokenizer.special_tokens().filter(|(_, t)| !t.contains("_unused_")) {
                show::result(&format!("{id:>11}  {}", printable(text)))?;
            }
            if let (Some(text), Some(ids)) = (text, ids) {
                let pieces: Vec<String> = ids
                    .iter()
                    .map(|id| format!("{:?} {id}", String::from_utf8_lossy(tokenizer.token_bytes(*id))))
                    .collect();
                show::result(&format!("{} tokens, {} bytes: {}", ids.len(), text.len(), pieces.join(" · ")))?;
            }
            Ok(())
        }
    }
}
