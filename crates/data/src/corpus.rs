//! The documents of a recipe: all sources one after the other, exact duplicates dropped, an even sample taken where
//! there is a limit, and each document told its side of the split. Everything streams; what is held in memory is one
//! id for each different document, and a key for each document of the sample.

use crate::{
    Counts, DataError, Progress, Recipe, Side, Split, Stage,
    documents::{self, Document, DocumentId, Found, Reject, Stream},
    split::draw,
};
use std::{
    collections::{BinaryHeap, HashSet},
    path::PathBuf,
};

/// The documents of a recipe.
#[derive(Debug)]
pub struct Corpus<'a> {
    recipe: &'a Recipe,
    /// Where there is a limit: documents whose draw is below the key are taken, together so many bytes.
    sample: Option<(u64, u64)>,
}

/// What happens to each thing that a source yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A document to use.
    Kept(Document, Side),
    /// The same text was there before.
    Duplicate {
        /// Its size.
        bytes: u64,
    },
    /// A document beyond the limit of the recipe.
    LeftOut {
        /// Its size.
        bytes: u64,
    },
    /// No document.
    Rejected(Reject),
}

impl<'a> Corpus<'a> {
    /// Checks the recipe, and looks through all documents once if it limits their bytes.
    ///
    /// # Errors
    /// If the recipe or a source cannot be, or `progress` asks to stop.
    pub fn open(recipe: &'a Recipe, progress: &dyn Progress) -> Result<Self, DataError> {
        recipe.check()?;
        let mut corpus = Self { recipe, sample: None };
        if let Some(limit) = recipe.max_bytes {
            corpus.sample = Some(corpus.survey(limit, progress)?);
        }
        Ok(corpus)
    }

    /// Reads the documents, in an order that depends on nothing but the sources.
    pub fn events(&self) -> impl Iterator<Item = Result<Event, DataError>> + Send + use<'_> {
        let split = Split::new(self.recipe.held_out, self.recipe.seed);
        self.different().map(move |event| {
            event.map(|event| match (event, self.sample) {
                (Event::Kept(document, _), Some((key, _))) if self.draw(&document.id) >= key => {
                    Event::LeftOut { bytes: document.text.len() as u64 }
                }
                (Event::Kept(document, _), _) => {
                    let side = split.side(&document.id);
                    Event::Kept(document, side)
                }
                (event, _) => event,
            })
        })
    }

    /// The documents of one side only.
    pub fn documents(&self, side: Side) -> impl Iterator<Item = Result<Document, DataError>> + Send + use<'_> {
        self.events().filter_map(move |event| match event {
            Ok(Event::Kept(document, found)) => (found == side).then_some(Ok(document)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// Bytes of text that there will be, if the recipe's limit has made that known.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.sample.map(|(_, bytes)| bytes)
    }

    fn draw(&self, id: &DocumentId) -> u64 {
        draw(id, b"sampling", self.recipe.seed)
    }

    /// All sources one after the other, without repetitions. The side is not decided yet.
    fn different(&self) -> impl Iterator<Item = Result<Event, DataError>> + Send + use<'_> {
        let mut seen = HashSet::new();
        let mut sources = self.recipe.sources.iter();
        let mut stream: Option<Stream> = None;
        std::iter::from_fn(move || {
            loop {
                let Some(current) = &mut stream else {
                    match documents::open(sources.next()?) {
                        Ok(next) => stream = Some(next),
                        Err(error) => return Some(Err(error)),
                    }
                    continue;
                };
                match current.next() {
                    None => stream = None,
                    Some(Err(error)) => return Some(Err(error)),
                    Some(Ok(Found::Reject(reject))) => return Some(Ok(Event::Rejected(reject))),
                    Some(Ok(Found::Document(document))) => {
                        return Some(Ok(if seen.insert(document.id) {
                            Event::Kept(document, Side::Train)
                        } else {
                            Event::Duplicate { bytes: document.text.len() as u64 }
                        }));
                    }
                }
            }
        })
    }

    /// Finds the key up to which documents fit into `limit` bytes when they are taken in the order of their draws:
    /// an even sample whatever the order of the files, and adding documents changes little of it.
    fn survey(&self, limit: u64, progress: &dyn Progress) -> Result<(u64, u64), DataError> {
        let mut taken: BinaryHeap<(u64, u64)> = BinaryHeap::new();
        let (mut key, mut bytes, mut smallest) = (u64::MAX, 0u64, u64::MAX);
        let mut counts = Counts { stage: Stage::Survey, ..Counts::default() };
        for event in self.different() {
            let Event::Kept(document, _) = event? else { continue };
            let size = document.text.len() as u64;
            counts.bytes += size;
            counts.documents += 1;
            smallest = smallest.min(size);
            if counts.documents % 64 == 1 && progress.update(&counts).is_break() {
                return Err(DataError::Interrupted { path: PathBuf::from("the data set") });
            }
            let draw = self.draw(&document.id);
            if draw >= key {
                continue;
            }
            taken.push((draw, size));
            bytes += size;
            while bytes > limit
                && let Some((largest, size)) = taken.pop()
            {
                key = largest;
                bytes -= size;
            }
        }
        if taken.is_empty() && counts.documents > 0 {
            return Err(DataError::TooLittle(format!(
                "max_bytes = {limit} leaves no document: of {} documents the smallest has {smallest} bytes; raise it",
                counts.documents
            )));
        }
        Ok((key, bytes))
    }
}
