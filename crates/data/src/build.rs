//! Building: documents are read in one thread, tokenised in all of them, and written in their order.
//!
//! Everything goes into `OUT.partial`, which becomes `OUT` at the very end, so that a folder either is a whole data set
//! or does not exist.

use crate::{
    Corpus, Counts, DataError, Document, Encoder, Event, FileRecord, Progress, Recipe, Side, Split, Stage, Summary,
    account::{Ledger, REJECTS_NAME, SUMMARY_NAME},
    mds::{HashAlgorithm, INDEX_NAME, Writer, replace_file, sync_folder},
    pack::{DOCUMENTS, HELD_OUT, Packer, TRAIN, held_out_row, held_out_writer},
    partial::PartialFolder,
};
use rayon::prelude::*;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    thread,
};

/// Text that is tokenised at once: enough for all threads, little enough to keep memory and latency small.
const BATCH_BYTES: usize = 4 << 20;
const BATCH_EVENTS: usize = 4096;

/// Builds the data set of a recipe in the folder `out`, which must be empty or not exist.
///
/// `progress` is told how far it is and may stop it; nothing is left behind then.
///
/// # Errors
/// If the recipe cannot be, a source is missing, there are no documents or too few on one side of the split, the
/// output exists, or anything cannot be read or written.
pub fn build(
    recipe: &Recipe,
    encoder: &dyn Encoder,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Summary, DataError> {
    recipe.check()?;
    let marks = Marks::of(encoder)?;
    let partial = PartialFolder::create(out)?;
    let interrupted = |error| match error {
        DataError::Interrupted { .. } => DataError::Interrupted { path: out.to_owned() },
        other => other,
    };
    let corpus = Corpus::open(recipe, progress).map_err(interrupted)?;
    let mut assembly = Assembly::create(partial.path(), recipe, encoder.vocab_size())?;
    let mut counts = Counts { stage: Stage::Tokenise, total_bytes: corpus.total_bytes(), ..Counts::default() };

    thread::scope(|scope| {
        let (sender, receiver) = sync_channel(2);
        let corpus = &corpus;
        scope.spawn(move || {
            for batch in batches(corpus.events()) {
                let last = batch.is_err();
                if sender.send(batch).is_err() || last {
                    return;
                }
            }
        });
        for batch in receiver {
            let batch = batch?;
            let ids: Vec<Option<Vec<i32>>> = batch
                .par_iter()
                .map(|event| match event {
                    Event::Kept(document, _) => marks.encode(encoder, document).map(Some),
                    _ => Ok(None),
                })
                .collect::<Result<_, _>>()?;
            for (event, ids) in batch.into_iter().zip(ids) {
                assembly.take(event, &ids.unwrap_or_default())?;
            }
            let all = &assembly.ledger.all;
            counts.documents = all.train.documents + all.held_out.documents;
            counts.bytes = all.train.bytes + all.held_out.bytes;
            counts.tokens = all.train.tokens + all.held_out.tokens;
            if progress.update(&counts).is_break() {
                return Err(DataError::Interrupted { path: out.to_owned() });
            }
        }
        Ok(())
    })?;

    let summary = assembly.finish(recipe, encoder)?;
    partial.complete()?;
    Ok(summary)
}

/// Groups events so that there is enough text for all threads.
fn batches(
    mut events: impl Iterator<Item = Result<Event, DataError>>,
) -> impl Iterator<Item = Result<Vec<Event>, DataError>> {
    std::iter::from_fn(move || {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && batch.len() < BATCH_EVENTS {
            match events.next() {
                None => break,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(event)) => {
                    if let Event::Kept(document, _) = &event {
                        bytes += document.text.len();
                    }
                    batch.push(event);
                }
            }
        }
        (!batch.is_empty()).then_some(Ok(batch))
    })
}

/// The tokens around each document.
struct Marks {
    start: Option<i32>,
    end: i32,
    vocab_size: usize,
}

impl Marks {
    fn of(encoder: &dyn Encoder) -> Result<Self, DataError> {
        let vocab_size = encoder.vocab_size();
        if vocab_size > i32::MAX as usize {
            return Err(DataError::Encoder(format!("{vocab_size} tokens do not fit the 32-bit ids of the shards")));
        }
        let end = encoder.end_of_document().ok_or_else(|| {
            DataError::Encoder(
                "it has no end-of-text token, so that documents would run into each other; \
                 name one as eos_token in tokenizer_config.json, or train a tokenizer with `moeworks tokenizer train`"
                    .into(),
            )
        })?;
        let mark = |id| checked(id, vocab_size);
        Ok(Self { start: encoder.start_of_document().map(mark).transpose()?, end: mark(end)?, vocab_size })
    }

    fn encode(&self, encoder: &dyn Encoder, document: &Document) -> Result<Vec<i32>, DataError> {
        let ids = encoder.encode(&document.text);
        let mut marked = Vec::with_capacity(ids.len() + 2);
        marked.extend(self.start);
        for id in ids {
            marked.push(checked(id, self.vocab_size)?);
        }
        marked.push(self.end);
        Ok(marked)
    }
}

fn checked(id: u32, vocab_size: usize) -> Result<i32, DataError> {
    i32::try_from(id).ok().filter(|_| (id as usize) < vocab_size).ok_or_else(|| {
        DataError::Encoder(format!("it gave the id {id}, but says that it has only {vocab_size} tokens"))
    })
}

/// What has been written so far, and its account.
struct Assembly {
    folder: PathBuf,
    packer: Packer,
    held_out: Option<Writer>,
    rejects: BufWriter<File>,
    ledger: Ledger,
    /// Smallest share that would hold out, and largest that would still train on, one of the documents.
    draws: (f64, f64),
    split: Split,
    vocab_size: usize,
}

impl Assembly {
    fn create(folder: &Path, recipe: &Recipe, vocab_size: usize) -> Result<Self, DataError> {
        let rejects = folder.join(REJECTS_NAME);
        Ok(Self {
            folder: folder.into(),
            packer: Packer::create(folder, recipe)?,
            held_out: if recipe.held_out > 0.0 { Some(held_out_writer(folder, recipe)?) } else { None },
            rejects: BufWriter::new(File::create(&rejects).map_err(DataError::writing(&rejects))?),
            ledger: Ledger::default(),
            draws: (1.0, 0.0),
            split: Split::new(recipe.held_out, recipe.seed),
            vocab_size,
        })
    }

    fn take(&mut self, event: Event, ids: &[i32]) -> Result<(), DataError> {
        match event {
            Event::Kept(document, side) => {
                let draw = self.split.draw(&document.id);
                self.draws = (self.draws.0.min(draw), self.draws.1.max(draw));
                self.ledger.keep(&document, side, ids.len() as u64);
                match (side, &mut self.held_out) {
                    (Side::HeldOut, Some(writer)) => writer.write(&held_out_row(document))?,
                    _ => self.packer.push(&document, ids)?,
                }
            }
            Event::Duplicate { bytes } => self.ledger.duplicates.add(bytes),
            Event::LeftOut { bytes } => self.ledger.left_out.add(bytes),
            Event::Rejected(reject) => {
                self.ledger.reject(&reject);
                let path = || self.folder.join(REJECTS_NAME);
                let line = serde_json::to_string(&reject)
                    .map_err(|error| DataError::Damaged { path: path(), reason: error.to_string() })?;
                writeln!(self.rejects, "{line}").map_err(|source| DataError::Write { path: path(), source })?;
            }
        }
        Ok(())
    }

    fn finish(self, recipe: &Recipe, encoder: &dyn Encoder) -> Result<Summary, DataError> {
        self.check_sides(recipe)?;
        let (samples, dropped_tokens) = self.packer.finish()?;
        if samples == 0 {
            return Err(DataError::TooLittle(format!(
                "the documents to train on make {} tokens, one sample takes {}: lower sequence_length or add documents",
                self.ledger.all.train.tokens, recipe.sequence_length
            )));
        }
        let mut files = vec![format!("{TRAIN}/{INDEX_NAME}"), format!("{DOCUMENTS}/{INDEX_NAME}")];
        if let Some(writer) = self.held_out {
            writer.finish()?;
            files.push(format!("{HELD_OUT}/{INDEX_NAME}"));
        }
        let rejects = self.folder.join(REJECTS_NAME);
        self.rejects
            .into_inner()
            .map_err(|error| error.into_error())
            .and_then(|file| file.sync_all())
            .map_err(DataError::writing(&rejects))?;
        files.push(REJECTS_NAME.into());

        let Ledger { all, sources, licences, languages, duplicates, left_out, rejects } = self.ledger;
        let summary = Summary {
            schema: 1,
            tokenizer: encoder.fingerprint(),
            vocab_size: self.vocab_size,
            sequence_length: recipe.sequence_length,
            samples,
            dropped_tokens,
            train: all.train,
            held_out: all.held_out,
            sources,
            licences,
            languages,
            duplicates,
            left_out,
            rejects,
            recipe: recipe.clone(),
            files: files.iter().map(|path| record(&self.folder, path)).collect::<Result<_, _>>()?,
        };
        let path = self.folder.join(SUMMARY_NAME);
        let text = serde_json::to_string_pretty(&summary)
            .map_err(|error| DataError::Damaged { path: path.clone(), reason: error.to_string() })?;
        replace_file(&path, (text + "\n").as_bytes())
            .and_then(|()| sync_folder(&self.folder))
            .map_err(DataError::writing(&path))?;
        Ok(summary)
    }

    /// There must be something to train on, and something to evaluate on if that was asked for.
    fn check_sides(&self, recipe: &Recipe) -> Result<(), DataError> {
        let (train, held_out) = (self.ledger.all.train.documents, self.ledger.all.held_out.documents);
        let (total, share) = (train + held_out, recipe.held_out);
        if total == 0 {
            let sources: Vec<String> = recipe.sources.iter().map(crate::Source::name).collect();
            let rejects: Vec<String> = self.ledger.rejects.iter().map(|(name, n)| format!("{n} {name}")).collect();
            let rejects = if rejects.is_empty() { "nothing was rejected".into() } else { rejects.join(", ") };
            return Err(DataError::TooLittle(format!(
                "no document in {} ({rejects}): check the paths and extensions of the sources",
                sources.join(", ")
            )));
        }
        if train == 0 || (held_out == 0 && share > 0.0) {
            let (side, fix) = if train == 0 {
                ("left to train on", format!("a share of {:.4} or less", floor4(self.draws.1)))
            } else {
                ("held out", format!("a share of {:.4} or more", ceil4(self.draws.0)))
            };
            return Err(DataError::TooLittle(format!(
                "with held_out = {share} and seed = {}, none of {total} documents is {side}: take {fix}, another seed, \
                 or more documents (held_out = 0 holds none out)",
                recipe.seed
            )));
        }
        Ok(())
    }
}

/// Rounded so that the advice still holds.
fn ceil4(share: f64) -> f64 {
    ((share * 1e4).floor() + 1.0) / 1e4
}

fn floor4(share: f64) -> f64 {
    (share * 1e4).floor() / 1e4
}

fn record(folder: &Path, path: &str) -> Result<FileRecord, DataError> {
    let full = folder.join(path);
    let (bytes, sha256) = hash_file(&full)?;
    Ok(FileRecord { path: path.into(), bytes, sha256 })
}

/// Length and SHA-256 of a file.
pub(crate) fn hash_file(path: &Path) -> Result<(u64, String), DataError> {
    let mut hasher = HashAlgorithm::Sha256.start();
    let mut file = File::open(path).map_err(|error| DataError::reading(path, error))?;
    let bytes = std::io::copy(&mut file, &mut hasher).map_err(|error| DataError::reading(path, error))?;
    Ok((bytes, hasher.finish()))
}
