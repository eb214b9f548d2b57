//! Taking documents out of a built data set. Only the shards that hold their tokens are written again; every other
//! shard stays as it is, to the byte. The tokens of an affected shard are cut into samples anew, and what is left over
//! behind its last sample (less than one sample) goes too.

use crate::{
    DataError, DataFolder, DocumentId, DocumentRecord, Drop, Side, Summary,
    account::{DROPPED_NAME, FileRecord, Ledger, SUMMARY_NAME},
    card::CARD_NAME,
    json_lines::{finish_lines, write_json_line},
    mds::{Index, NdArray, ShardInfo, Value},
    pack::{DOCUMENTS, HELD_OUT, TRAIN, documents_writer, held_out_row, held_out_writer, record_row, samples_writer},
    partial::PartialFolder,
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::BufWriter,
    ops::Range,
    path::{Path, PathBuf},
};

/// What was taken out of a data set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Removal {
    /// Documents that were trained on.
    pub train: Vec<DocumentRecord>,
    /// Documents that were held out.
    pub held_out: Vec<DocumentRecord>,
    /// Ids that are not in the data set.
    pub absent: Vec<DocumentId>,
    /// Shards of training samples that were written again, of so many.
    pub shards: (u64, u64),
    /// Tokens of other documents that were lost behind the last samples of those shards.
    pub lost_tokens: u64,
    /// The account of the data set as it is now; `None` if nothing was in it.
    pub summary: Option<Summary>,
}

/// Takes documents out of a built folder, which stays whole at every moment.
///
/// # Errors
/// If the folder is damaged, nothing would be left to train on, or a file cannot be written.
pub fn remove(folder: &Path, ids: &BTreeSet<DocumentId>) -> Result<Removal, DataError> {
    let data = DataFolder::open(folder)?;
    let mut wanted = ids.clone();
    let mut removal = Removal {
        train: data.trained_on(&wanted)?,
        held_out: Vec::new(),
        absent: Vec::new(),
        shards: (0, data.train().shards().len() as u64),
        lost_tokens: 0,
        summary: None,
    };
    for document in &removal.train {
        wanted.remove(&document.id);
    }
    for row in data.held_out_rows()? {
        let (document, tokens) = row?;
        if wanted.remove(&document.id) {
            removal.held_out.push(DocumentRecord::of(&document, 0..tokens));
        }
    }
    removal.absent = wanted.into_iter().collect();
    if removal.train.is_empty() && removal.held_out.is_empty() {
        return Ok(removal);
    }
    let partial = PartialFolder::replacing(folder)?;
    link_tree(folder, partial.path(), &[TRAIN, DOCUMENTS, HELD_OUT, SUMMARY_NAME, CARD_NAME, DROPPED_NAME])?;
    let mut surgery = Surgery { data: &data, from: folder, to: partial.path(), removal: &mut removal };
    let gone = surgery.train()?;
    let mut ledger = Ledger::default();
    surgery.documents(&gone, &mut ledger)?;
    surgery.held_out(&mut ledger)?;
    surgery.dropped(&mut ledger)?;
    let summary = surgery.account(ledger)?;
    partial.complete()?;
    removal.summary = Some(summary);
    Ok(removal)
}

/// Ranges of tokens that are taken out, in the old counting, in order and apart.
struct Gone {
    ranges: Vec<Range<u64>>,
    /// How many tokens the ranges before each one hold.
    sums: Vec<u64>,
}

impl Gone {
    fn new(mut ranges: Vec<Range<u64>>) -> Self {
        ranges.sort_by_key(|range| range.start);
        let sums = ranges.iter().scan(0, |sum, range| Some(std::mem::replace(sum, *sum + range.end - range.start)));
        Self { sums: sums.collect(), ranges }
    }

    /// How many tokens before a position are gone.
    fn before(&self, position: u64) -> u64 {
        match self.ranges.partition_point(|range| range.start < position).checked_sub(1) {
            Some(last) => self.sums[last] + self.ranges[last].end.min(position) - self.ranges[last].start,
            None => 0,
        }
    }

    /// The place of a range in the new counting.
    fn map(&self, range: &Range<u64>) -> Range<u64> {
        range.start - self.before(range.start)..range.end - self.before(range.end)
    }
}

struct Surgery<'a> {
    data: &'a DataFolder,
    from: &'a Path,
    to: &'a Path,
    removal: &'a mut Removal,
}

impl Surgery<'_> {
    /// Writes the affected shards again and links the others.
    fn train(&mut self) -> Result<Gone, DataError> {
        let (from, to) = (self.from.join(TRAIN), self.to.join(TRAIN));
        create(&to)?;
        let length = self.data.summary().sequence_length as u64;
        let mut removed: Vec<Range<u64>> = self.removal.train.iter().map(|document| document.tokens.clone()).collect();
        removed.retain(|range| !range.is_empty());
        let mut index = Index { shards: Vec::new(), version: 2 };
        let mut lost = Vec::new();
        let mut first = 0;
        for shard in self.data.train().shards() {
            let tokens = first * length..(first + shard.samples) * length;
            let inside = removed.partition_point(|range| range.end <= tokens.start)
                ..removed.partition_point(|range| range.start < tokens.end);
            if inside.is_empty() {
                link_shard(&from, &to, shard)?;
                index.shards.push(shard.clone());
            } else {
                let rest = self.cut(shard, first, &removed[inside], &to, &mut index)?;
                lost.push(rest);
                self.removal.shards.0 += 1;
            }
            first += shard.samples;
        }
        if index.shards.is_empty() {
            return Err(DataError::TooLittle(
                "without these documents no whole sample is left to train on: delete the data set instead".into(),
            ));
        }
        index.write(&to)?;
        let mut gone = removed;
        for range in lost.into_iter().flatten() {
            self.removal.lost_tokens += range.end - range.start;
            gone.push(range);
        }
        Ok(Gone::new(gone))
    }

    /// Writes one shard without the removed tokens. Returns the tokens that are lost behind its last sample.
    fn cut(
        &self,
        shard: &ShardInfo,
        first: u64,
        removed: &[Range<u64>],
        to: &Path,
        index: &mut Index,
    ) -> Result<Vec<Range<u64>>, DataError> {
        let length = self.data.summary().sequence_length as u64;
        let (mut kept, mut places) = (Vec::new(), Vec::new());
        let mut removed = removed.iter().peekable();
        for sample in first..first + shard.samples {
            for (place, id) in (sample * length..).zip(self.data.sample(sample)?) {
                while removed.next_if(|range| range.end <= place).is_some() {}
                if removed.peek().is_none_or(|range| place < range.start) {
                    kept.push(id);
                    places.push(place);
                }
            }
        }
        let whole = kept.len() - kept.len() % length as usize;
        // A writer of its own gives a shard of its own; it gets the old one's name.
        let scratch = to.join("scratch");
        let mut writer = samples_writer(&scratch, &self.data.summary().recipe)?;
        for sample in kept[..whole].chunks_exact(length as usize) {
            writer.write(&[Value::NdArray(NdArray::from_i32(sample))])?;
        }
        for mut written in writer.finish()?.shards {
            let moves = [Some(&mut written.raw_data), written.zip_data.as_mut()];
            let names = [Some(&shard.raw_data), shard.zip_data.as_ref()];
            for (file, old) in moves.into_iter().zip(names) {
                if let (Some(file), Some(old)) = (file, old) {
                    let path = scratch.join(&file.basename);
                    if path.exists() {
                        let target = to.join(&old.basename);
                        fs::rename(&path, &target).map_err(DataError::writing(&target))?;
                    }
                    file.basename.clone_from(&old.basename);
                }
            }
            index.shards.push(written);
        }
        fs::remove_dir_all(&scratch).map_err(DataError::writing(&scratch))?;
        Ok(ranges(&places[whole..]))
    }

    /// Writes the table of documents with their new places.
    fn documents(&mut self, gone: &Gone, ledger: &mut Ledger) -> Result<(), DataError> {
        let removed: BTreeSet<DocumentId> = self.removal.train.iter().map(|document| document.id).collect();
        let mut writer = documents_writer(self.to, &self.data.summary().recipe)?;
        for document in self.data.documents() {
            let mut document = document?;
            let tokens = gone.map(&document.tokens);
            // Of a short document between two removed ones nothing may be left.
            if removed.contains(&document.id) || tokens.is_empty() && !document.tokens.is_empty() {
                continue;
            }
            document.tokens = tokens;
            writer.write(&record_row(&document))?;
            ledger.keep(&document, Side::Train);
        }
        writer.finish()?;
        Ok(())
    }

    fn held_out(&mut self, ledger: &mut Ledger) -> Result<(), DataError> {
        let removed: BTreeSet<DocumentId> = self.removal.held_out.iter().map(|document| document.id).collect();
        let mut writer = match self.from.join(HELD_OUT).exists() {
            true => Some(held_out_writer(self.to, &self.data.summary().recipe)?),
            false => None,
        };
        for row in self.data.held_out_rows()? {
            let (document, tokens) = row?;
            if !removed.contains(&document.id) {
                ledger.keep(&DocumentRecord::of(&document, 0..tokens), Side::HeldOut);
                if let Some(writer) = &mut writer {
                    writer.write(&held_out_row(document, tokens))?;
                }
            }
        }
        if let Some(writer) = writer {
            writer.finish()?;
        }
        Ok(())
    }

    /// The list of dropped documents grows by the removed ones.
    fn dropped(&mut self, ledger: &mut Ledger) -> Result<(), DataError> {
        let path = self.to.join(DROPPED_NAME);
        let file = File::create(&path).map(BufWriter::new).map_err(DataError::writing(&path))?;
        let mut list = zstd::Encoder::new(file, 3).map_err(DataError::writing(&path))?;
        let removed = self.removal.train.iter().chain(&self.removal.held_out).map(|document| Drop {
            id: document.id,
            source: document.source.clone(),
            path: document.path.clone(),
            bytes: document.bytes,
            step: "removed".into(),
            reason: "on request".into(),
            detail: String::new(),
        });
        for drop in self.data.dropped()?.chain(removed.map(Ok)) {
            let drop = drop?;
            ledger.drop(&drop);
            write_json_line(&mut list, &path, &drop)?;
        }
        finish_lines(list.finish().map_err(DataError::writing(&path))?, &path)
    }

    fn account(&self, ledger: Ledger) -> Result<Summary, DataError> {
        let old = self.data.summary();
        let Ledger { all, sources, licences, languages, dropped, .. } = ledger;
        let samples = Index::read(&self.to.join(TRAIN))?.0.shards.iter().map(|shard| shard.samples).sum();
        let mut recipe = old.recipe.clone();
        recipe.exclude.extend(self.removal.train.iter().chain(&self.removal.held_out).map(|document| document.id));
        let files = old.files.iter().map(|file| FileRecord::of(self.to, &file.path));
        let summary = Summary {
            samples,
            dropped_tokens: all.train.tokens - samples * old.sequence_length as u64,
            train: all.train,
            held_out: all.held_out,
            sources,
            licences,
            languages,
            dropped,
            former: old.former.iter().cloned().chain([self.data.train().fingerprint().to_owned()]).collect(),
            recipe,
            files: files.collect::<Result<_, _>>()?,
            ..old.clone()
        };
        summary.write(self.to)?;
        Ok(summary)
    }
}

/// Runs of consecutive places.
fn ranges(places: &[u64]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for &place in places {
        match ranges.last_mut() {
            Some(last) if last.end == place => last.end += 1,
            _ => ranges.push(place..place + 1),
        }
    }
    ranges
}

fn create(folder: &Path) -> Result<(), DataError> {
    fs::create_dir_all(folder).map_err(DataError::writing(folder))
}

fn link_shard(from: &Path, to: &Path, shard: &ShardInfo) -> Result<(), DataError> {
    for file in [Some(&shard.raw_data), shard.zip_data.as_ref()].into_iter().flatten() {
        if from.join(&file.basename).exists() {
            link(&from.join(&file.basename), &to.join(&file.basename))?;
        }
    }
    Ok(())
}

/// All files but those named.
fn link_tree(from: &Path, to: &Path, but: &[&str]) -> Result<(), DataError> {
    create(to)?;
    for entry in fs::read_dir(from).map_err(|error| DataError::reading(from, error))? {
        let entry = entry.map_err(|error| DataError::reading(from, error))?;
        let target: PathBuf = to.join(entry.file_name());
        if but.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.path().is_dir() { link_tree(&entry.path(), &target, &[])? } else { link(&entry.path(), &target)? }
    }
    Ok(())
}

/// One more name for the same bytes, or a copy where the file system has no such thing.
fn link(from: &Path, to: &Path) -> Result<(), DataError> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop)).map_err(DataError::writing(to))
}
