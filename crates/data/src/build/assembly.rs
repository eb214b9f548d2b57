//! The files of a data set, written document by document, with their account.

use crate::{
    DataError, DocumentRecord, Encoder, Event, FileRecord, Recipe, Side, Sides, Split, Summary,
    account::{DROPPED_NAME, Ledger, REJECTS_NAME, SCHEMA, TOKENIZER},
    decontaminate::ContaminationReport,
    json_lines::{finish_lines, write_json_line},
    mds::{INDEX_NAME, Writer},
    pack::{DOCUMENTS, HELD_OUT, Packer, TRAIN, held_out_row, held_out_writer},
};
use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

/// What has been written so far, and its account.
pub(super) struct Assembly {
    folder: PathBuf,
    packer: Packer,
    held_out: Option<Writer>,
    rejects: BufWriter<File>,
    dropped: zstd::Encoder<'static, BufWriter<File>>,
    ledger: Ledger,
    /// Smallest share that would hold out, and largest that would still train on, one of the documents.
    draws: (f64, f64),
    split: Split,
    vocab_size: usize,
}

impl Assembly {
    pub(super) fn create(folder: &Path, recipe: &Recipe, vocab_size: usize) -> Result<Self, DataError> {
        let list = |name| {
            let path = folder.join(name);
            File::create(&path).map(BufWriter::new).map_err(DataError::writing(&path))
        };
        let dropped = folder.join(DROPPED_NAME);
        Ok(Self {
            folder: folder.into(),
            packer: Packer::create(folder, recipe)?,
            held_out: if recipe.held_out > 0.0 { Some(held_out_writer(folder, recipe)?) } else { None },
            rejects: list(REJECTS_NAME)?,
            dropped: zstd::Encoder::new(list(DROPPED_NAME)?, 3).map_err(DataError::writing(&dropped))?,
            ledger: Ledger::default(),
            draws: (1.0, 0.0),
            split: Split::new(recipe.held_out, recipe.seed),
            vocab_size,
        })
    }

    pub(super) fn take(&mut self, event: Event, ids: &[i32]) -> Result<(), DataError> {
        match event {
            Event::Kept(document, side, changes) => {
                self.ledger.change(&changes);
                let draw = self.split.draw(&document.id);
                self.draws = (self.draws.0.min(draw), self.draws.1.max(draw));
                let tokens = ids.len() as u64;
                self.ledger.keep(&DocumentRecord::of(&document, 0..tokens), side);
                match (side, &mut self.held_out) {
                    (Side::HeldOut, Some(writer)) => writer.write(&held_out_row(document, tokens))?,
                    _ => self.packer.push(&document, ids)?,
                }
            }
            Event::Dropped(drop) => {
                self.ledger.drop(&drop);
                write_json_line(&mut self.dropped, &self.folder.join(DROPPED_NAME), &drop)?;
            }
            Event::Rejected(reject) => {
                self.ledger.reject(&reject);
                write_json_line(&mut self.rejects, &self.folder.join(REJECTS_NAME), &reject)?;
            }
        }
        Ok(())
    }

    /// Documents, their bytes and their tokens so far.
    pub(super) fn amounts(&self) -> (u64, u64, u64) {
        let Sides { train, held_out } = self.ledger.all;
        (train.documents + held_out.documents, train.bytes + held_out.bytes, train.tokens + held_out.tokens)
    }

    pub(super) fn finish(
        self,
        recipe: &Recipe,
        encoder: &dyn Encoder,
        contamination: Option<ContaminationReport>,
    ) -> Result<Summary, DataError> {
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
        finish_lines(self.rejects, &self.folder.join(REJECTS_NAME))?;
        let path = self.folder.join(DROPPED_NAME);
        finish_lines(self.dropped.finish().map_err(DataError::writing(&path))?, &path)?;
        files.extend([REJECTS_NAME, DROPPED_NAME].map(String::from));
        files.extend(save_tokenizer(&self.folder, encoder)?);

        let Ledger { all, sources, licences, languages, dropped, repairs, redacted, rejects } = self.ledger;
        let summary = Summary {
            schema: SCHEMA,
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
            dropped,
            repairs,
            redacted,
            contamination,
            rejects,
            former: Vec::new(),
            recipe: recipe.clone(),
            files: files.iter().map(|path| FileRecord::of(&self.folder, path)).collect::<Result<_, _>>()?,
        };
        summary.write(&self.folder)?;
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

/// Puts the tokenizer beside what it has made; the paths of its files.
fn save_tokenizer(folder: &Path, encoder: &dyn Encoder) -> Result<Vec<String>, DataError> {
    let folder = folder.join(TOKENIZER);
    let failed = |source| DataError::Write { path: folder.clone(), source };
    fs::create_dir(&folder).map_err(failed)?;
    encoder.save(&folder).map_err(DataError::Encoder)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        files.push(format!("{TOKENIZER}/{}", entry.file_name().to_string_lossy()));
    }
    files.sort();
    Ok(files)
}

/// Rounded so that the advice still holds.
fn ceil4(share: f64) -> f64 {
    ((share * 1e4).floor() + 1.0) / 1e4
}

fn floor4(share: f64) -> f64 {
    (share * 1e4).floor() / 1e4
}
