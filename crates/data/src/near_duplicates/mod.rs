//! Near duplicates by MinHash and locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998).
//!
//! One pass over the documents makes a sketch of each ([`sketch`]) and spills what is needed of it to disk
//! ([`scratch`]). Then band after band the documents that agree are brought together, compared by their shingles, and
//! joined if they are similar enough ([`candidates`]). The result is the same whatever the number of threads, the size
//! of the batches, and, as long as no hash is shared by more documents than fit, the memory.

mod candidates;
mod clusters;
mod components;
mod options;
mod scratch;
mod sketch;

use crate::DataError;
use components::Components;
use rayon::prelude::*;
use scratch::ScratchWriter;
use sketch::Sketcher;
use std::{ops::ControlFlow, path::Path};

pub use clusters::Clusters;
pub use options::NearDuplicateOptions;

/// Documents that one thread sketches before it takes more.
const TASK: usize = 32;

/// A search for near duplicates under way.
pub struct NearDuplicates {
    options: NearDuplicateOptions,
    scratch: ScratchWriter,
    documents: u32,
}

/// The sketches of a few consecutive documents.
#[derive(Default)]
struct Sketches {
    /// For each document: how many hashes it has, and the length of its sample.
    lengths: Vec<(usize, u32)>,
    band_hashes: Vec<u32>,
    samples: Vec<u8>,
}

impl NearDuplicates {
    /// Begins a search. Its files, about half the size of the text, lie in a folder of their own below
    /// `scratch_folder` and disappear with the search.
    ///
    /// # Errors
    /// If an option cannot be, or the folder cannot be written to.
    pub fn create(options: NearDuplicateOptions, scratch_folder: &Path) -> Result<Self, DataError> {
        options.check()?;
        let scratch = ScratchWriter::create(scratch_folder, options.bands().count)?;
        Ok(Self { options, scratch, documents: 0 })
    }

    /// Takes the next documents; they are numbered from 0 in the order in which they come. All threads of the current
    /// rayon pool sketch them.
    ///
    /// # Errors
    /// If the scratch files cannot be written (the disk is full), or there are more than 2^32 - 1 documents.
    pub fn push<T: AsRef<str> + Sync>(&mut self, texts: &[T]) -> Result<(), DataError> {
        let (words, bands) = (self.options.shingle_words, self.options.bands());
        let sketches: Vec<Sketches> = texts
            .par_chunks(TASK)
            .map_init(
                || Sketcher::new(words, bands),
                |sketcher, texts| {
                    let mut sketches = Sketches::default();
                    for text in texts {
                        let before = (sketches.band_hashes.len(), sketches.samples.len());
                        sketcher.sketch(text.as_ref(), &mut sketches.band_hashes, &mut sketches.samples);
                        let hashes = sketches.band_hashes.len() - before.0;
                        sketches.lengths.push((hashes, (sketches.samples.len() - before.1) as u32));
                    }
                    sketches
                },
            )
            .collect();
        for sketches in sketches {
            self.write(&sketches)?;
        }
        Ok(())
    }

    fn write(&mut self, sketches: &Sketches) -> Result<(), DataError> {
        let mut hashes = &sketches.band_hashes[..];
        for (count, _) in &sketches.lengths {
            let (own, rest) = hashes.split_at(*count);
            self.scratch.write_bands(self.documents, own)?;
            self.documents = self.documents.checked_add(1).ok_or_else(|| DataError::Recipe {
                key: "near duplicates".into(),
                reason: format!("more than {} documents; search in parts of the corpus", u32::MAX),
            })?;
            hashes = rest;
        }
        let lengths: Vec<u32> = sketches.lengths.iter().map(|(_, length)| *length).collect();
        self.scratch.write_samples(&sketches.samples, &lengths)
    }

    /// Documents so far.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.documents.into()
    }

    /// Brings the near duplicates together. `progress` is told before each step how many of how many are done; `Break`
    /// ends the search.
    ///
    /// # Errors
    /// If the scratch files cannot be written or read, or `progress` asks to stop.
    pub fn finish(self, progress: &dyn Fn(usize, usize) -> ControlFlow<()>) -> Result<Clusters, DataError> {
        let scratch = self.scratch.finish()?;
        let mut components = Components::new(self.documents);
        for band in 0..scratch.bands() {
            if progress(band, scratch.bands()).is_break() {
                return Err(DataError::Interrupted { path: scratch.path().into() });
            }
            let NearDuplicateOptions { memory_bytes, jaccard, .. } = self.options;
            candidates::join_band(&scratch, band, memory_bytes, jaccard, &mut components)?;
        }
        Ok(Clusters::of_roots(components.roots()))
    }
}
