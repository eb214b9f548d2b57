//! What the search keeps on disk while it is under way: a file of candidates' hashes for each band, and the samples.

use super::sketch::Sample;
use crate::{DataError, mds::RandomAccessFile};
use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const BUFFER: usize = 1 << 16;
/// An entry of a band: 32 bits of hash above the number of the document.
const ENTRY: usize = size_of::<u64>();

/// A file under way, with its name for errors.
struct Spill {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Spill {
    fn create(path: PathBuf) -> Result<Self, DataError> {
        let file = File::create_new(&path).map_err(DataError::writing(&path))?;
        Ok(Self { path, file: BufWriter::with_capacity(BUFFER, file) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.file.write_all(bytes).map_err(DataError::writing(&self.path))
    }

    fn finish(mut self) -> Result<PathBuf, DataError> {
        self.file.flush().map_err(DataError::writing(&self.path))?;
        Ok(self.path)
    }
}

/// The files of a search while documents are pushed.
pub(super) struct ScratchWriter {
    /// Removed with everything in it, however the search ends.
    folder: TempDir,
    bands: Vec<Spill>,
    samples: Spill,
    /// For each document the end of its sample.
    ends: Spill,
    end: u64,
}

impl ScratchWriter {
    pub(super) fn create(folder: &Path, bands: usize) -> Result<Self, DataError> {
        let failed = DataError::writing(folder);
        let folder = tempfile::Builder::new().prefix("near-duplicates-").tempdir_in(folder).map_err(failed)?;
        let path = |name: &str| folder.path().join(name);
        let bands = (0..bands).map(|band| Spill::create(path(&format!("band-{band}")))).collect::<Result<_, _>>()?;
        let (samples, ends) = (Spill::create(path("samples"))?, Spill::create(path("ends"))?);
        Ok(Self { folder, bands, samples, ends, end: 0 })
    }

    /// A document's hashes, one for each band, or none at all.
    pub(super) fn write_bands(&mut self, document: u32, hashes: &[u32]) -> Result<(), DataError> {
        for (band, hash) in self.bands.iter_mut().zip(hashes) {
            band.write(&(u64::from(*hash) << 32 | u64::from(document)).to_le_bytes())?;
        }
        Ok(())
    }

    /// The samples of the next documents: one after the other, and the length of each.
    pub(super) fn write_samples(&mut self, samples: &[u8], lengths: &[u32]) -> Result<(), DataError> {
        self.samples.write(samples)?;
        for length in lengths {
            self.end += u64::from(*length);
            self.ends.write(&self.end.to_le_bytes())?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Scratch, DataError> {
        let open = |path: PathBuf| {
            let file = File::open(&path).map_err(|error| DataError::reading(&path, error))?;
            Ok::<_, DataError>((path, RandomAccessFile::new(file)))
        };
        let bands = self.bands.into_iter().map(Spill::finish).collect::<Result<_, _>>()?;
        let (samples, ends) = (open(self.samples.finish()?)?, open(self.ends.finish()?)?);
        Ok(Scratch { folder: self.folder, bands, samples, ends })
    }
}

/// The files of a search once all documents are in.
pub(super) struct Scratch {
    folder: TempDir,
    bands: Vec<PathBuf>,
    samples: (PathBuf, RandomAccessFile),
    ends: (PathBuf, RandomAccessFile),
}

impl Scratch {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn bands(&self) -> usize {
        self.bands.len()
    }

    /// Reads all entries of a band, in the order of the documents.
    pub(super) fn for_each_entry(
        &self,
        band: usize,
        mut take: impl FnMut(u64) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let path = &self.bands[band];
        let failed = |error| DataError::reading(path, error);
        let mut file = File::open(path).map_err(failed)?;
        let mut buffer = [0; BUFFER];
        let mut held = 0;
        loop {
            let read = file.read(&mut buffer[held..]).map_err(failed)?;
            if read == 0 {
                return Ok(());
            }
            held += read;
            let (entries, _) = buffer[..held].as_chunks::<ENTRY>();
            let used = entries.len() * ENTRY;
            for entry in entries {
                take(u64::from_le_bytes(*entry))?;
            }
            buffer.copy_within(used..held, 0);
            held -= used;
        }
    }

    /// The sample of a document.
    pub(super) fn sample(&self, document: u32) -> Result<Sample, DataError> {
        // The end of the one before is where this one starts.
        let (mut bounds, number) = ([0; 16], u64::from(document));
        let (path, ends) = &self.ends;
        let at = number.saturating_sub(1) * 8;
        let wanted = if document == 0 { &mut bounds[8..] } else { &mut bounds[..] };
        ends.read_exact_at(wanted, at).map_err(|error| DataError::reading(path, error))?;
        let bound = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bounds[at + byte]));
        let (start, end) = (bound(0), bound(8));
        let (path, samples) = &self.samples;
        let mut bytes = [0; Sample::MOST_BYTES];
        let bytes = usize::try_from(end.wrapping_sub(start))
            .ok()
            .and_then(|length| bytes.get_mut(..length))
            .ok_or_else(|| DataError::Damaged {
                path: path.clone(),
                reason: format!("sample {document} lies from {start} to {end}"),
            })?;
        samples.read_exact_at(bytes, start).map_err(|error| DataError::reading(path, error))?;
        Ok(Sample::read(bytes))
    }
}
