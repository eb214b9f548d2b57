//! The documents of a recipe: all sources one after the other, each document kept or dropped with its reason, an even
//! sample taken where there is a limit, and each told its side of the split. Everything streams; what is held in memory
//! is an id for each different document, and a key for each document of the sample.

use crate::{
    Counts, DataError, Progress, Recipe, Side, Split, Stage,
    documents::{self, Document, Found, Reject},
    prepare::{Findings, Prepared, Screen},
    repair::Repairs,
    signals::pii::PiiKind,
    split::draw,
};
use serde::{Deserialize, Serialize};
use std::collections::BinaryHeap;

/// The documents of a recipe.
#[derive(Debug)]
pub struct Corpus<'a> {
    recipe: &'a Recipe,
    findings: Option<&'a Findings>,
    /// Where there is a limit: documents whose draw is below the key are taken, together so many bytes.
    sample: Option<(u64, u64)>,
}

/// What happens to each thing that a source yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A document to use, as it is after cleaning.
    Kept(Document, Side, Changes),
    /// A document that is not used.
    Dropped(Drop),
    /// No document.
    Rejected(Reject),
}

/// What cleaning has changed in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What was repaired.
    pub repairs: Repairs,
    /// What was replaced by its name.
    pub redacted: Vec<PiiKind>,
}

/// A document that is not used, and why. One line of `dropped.jsonl.zst`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drop {
    /// The document.
    pub id: crate::DocumentId,
    /// Name of the source in the recipe.
    pub source: String,
    /// Where in the source it was found.
    pub path: String,
    /// Bytes of its text.
    pub bytes: u64,
    /// What dropped it: `excluded`, `duplicate`, `filter`, `contamination`, `near-duplicate` or `sample`.
    pub step: String,
    /// Which signal, benchmark or document it was dropped for; for counting.
    pub reason: String,
    /// The figures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Drop {
    pub(crate) fn new(document: &Document, step: &str, reason: &str, detail: String) -> Self {
        Self {
            id: document.id,
            source: document.source.clone(),
            path: document.path.clone(),
            bytes: document.text.len() as u64,
            step: step.into(),
            reason: reason.into(),
            detail,
        }
    }
}

/// Everything that the sources of a recipe yield, in their order.
pub(crate) type Reading<'a> = Box<dyn Iterator<Item = Result<Found, DataError>> + Send + 'a>;

impl<'a> Corpus<'a> {
    /// Reads straight from the sources, without the steps of cleaning that need to look at all documents first: for
    /// looking at them, or learning a tokenizer from them. Looks through all documents once if the recipe limits
    /// their bytes.
    ///
    /// # Errors
    /// If the recipe or a source cannot be, or `progress` asks to stop.
    pub fn open(recipe: &'a Recipe, progress: &dyn Progress) -> Result<Self, DataError> {
        recipe.check()?;
        Self::new(recipe, None, progress)
    }

    /// The cleaned documents.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of(recipe: &'a Recipe, prepared: &'a Prepared, progress: &dyn Progress) -> Result<Self, DataError> {
        Self::over(recipe, prepared.findings(), progress)
    }

    pub(crate) fn over(recipe: &'a Recipe, findings: &'a Findings, progress: &dyn Progress) -> Result<Self, DataError> {
        Self::new(recipe, Some(findings), progress)
    }

    fn new(recipe: &'a Recipe, findings: Option<&'a Findings>, progress: &dyn Progress) -> Result<Self, DataError> {
        let mut corpus = Self { recipe, findings, sample: None };
        if let Some(limit) = recipe.max_bytes {
            corpus.sample = Some(corpus.survey(limit, progress)?);
        }
        Ok(corpus)
    }

    /// Reads the documents, in an order that depends on nothing but the sources.
    pub fn events(&self) -> impl Iterator<Item = Result<Event, DataError>> + Send + use<'_> {
        let split = Split::new(self.recipe.held_out, self.recipe.seed);
        self.screened().map(move |event| {
            event.map(|event| match (event, self.sample) {
                (Event::Kept(document, ..), Some((key, _))) if self.draw(&document.id) >= key => {
                    Event::Dropped(Drop::new(&document, "sample", "beyond max_bytes", String::new()))
                }
                (Event::Kept(document, _, changes), _) => {
                    let side = split.side(&document.id);
                    Event::Kept(document, side, changes)
                }
                (event, _) => event,
            })
        })
    }

    /// The documents of one side only.
    pub fn documents(&self, side: Side) -> impl Iterator<Item = Result<Document, DataError>> + Send + use<'_> {
        self.events().filter_map(move |event| match event {
            Ok(Event::Kept(document, found, _)) => (found == side).then_some(Ok(document)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// Bytes of text that there will be, if the recipe's limit has made that known.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        self.sample.map(|(_, bytes)| bytes)
    }

    fn draw(&self, id: &crate::DocumentId) -> u64 {
        draw(id, b"sampling", self.recipe.seed)
    }

    /// All sources one after the other, after every step but the sample. The side is not decided yet.
    fn screened(&self) -> impl Iterator<Item = Result<Event, DataError>> + Send + use<'_> {
        let reading: Reading<'_> = match self.findings {
            Some(findings) => findings.reading(),
            None => Box::new(from_sources(self.recipe)),
        };
        Screen::new(self.recipe, self.findings).apply(reading)
    }

    /// Finds the key up to which documents fit into `limit` bytes when they are taken in the order of their draws:
    /// an even sample whatever the order of the files, and adding documents changes little of it.
    fn survey(&self, limit: u64, progress: &dyn Progress) -> Result<(u64, u64), DataError> {
        let mut taken: BinaryHeap<(u64, u64)> = BinaryHeap::new();
        let (mut key, mut bytes, mut smallest) = (u64::MAX, 0u64, u64::MAX);
        let mut counts = Counts { stage: Stage::Survey, ..Counts::default() };
        for event in self.screened() {
            let Event::Kept(document, ..) = event? else { continue };
            let size = document.text.len() as u64;
            counts.bytes += size;
            counts.documents += 1;
            smallest = smallest.min(size);
            if counts.documents % 64 == 1 && progress.update(&counts).is_break() {
                return Err(DataError::interrupted());
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

fn from_sources(recipe: &Recipe) -> impl Iterator<Item = Result<Found, DataError>> + Send + use<'_> {
    recipe.sources.iter().flat_map(|source| {
        let (stream, error) = match documents::open(source) {
            Ok(stream) => (Some(stream), None),
            Err(error) => (None, Some(Err(error))),
        };
        stream.into_iter().flatten().chain(error)
    })
}
