//! Documents to tokenised MDS shards to resumable batches.
//!
//! ```no_run
//! # fn example(tokenizer: &dyn moeworks_data::Encoder) -> Result<(), moeworks_data::DataError> {
//! use moeworks_data::{Loader, LoaderOptions, Recipe, Source, build};
//! use std::path::Path;
//!
//! let recipe = Recipe { sources: vec![Source::at(Path::new("docs"))?], ..Recipe::default() };
//! let summary = build(&recipe, tokenizer, Path::new("data"), &())?;
//! let mut loader = Loader::open(Path::new("data"), LoaderOptions::new(8, summary.vocab_size))?;
//! let batch = loader.next_batch()?; // ids [8, sequence length], and where to go on
//! # Ok(())
//! # }
//! ```
//!
//! In the order of the data's way: [`documents`] are read from the sources of a [`Recipe`]; [`Corpus`] drops repetitions,
//! takes a sample where there is a limit, and splits; [`build()`] tokenises, packs and writes shards ([`mds`]) with their
//! account ([`Summary`]); [`DataFolder`] looks at what was built; [`Loader`] gives batches.
#![forbid(unsafe_code)]

mod account;
mod batches;
mod build;
mod card;
mod clean;
mod corpus;
pub mod decontaminate;
pub mod documents;
mod encoder;
mod error;
pub mod finetune;
mod folder;
mod json_lines;
mod lineage;
mod loader;
pub mod mds;
mod near_duplicates;
mod pack;
mod partial;
mod prepare;
mod progress;
mod recipe;
mod remove;
pub mod repair;
pub mod scan;
pub mod signals;
mod source;
mod split;
mod words;

pub use account::{DROPPED_NAME, Dropped, FileRecord, NOT_STATED, REJECTS_NAME, SUMMARY_NAME, Sides, Summary, Tally};
pub use build::{Target, build};
pub use clean::{Clean, Decontaminate};
pub use corpus::{Changes, Corpus, Drop, Event};
pub use documents::{Document, DocumentId, Reason, Reject};
pub use encoder::Encoder;
pub use error::{DataError, Fault};
pub use folder::{DataFolder, DocumentRecord, Span, Work};
pub use lineage::{Occurrence, Trace};
pub use loader::{
    Batch, Loader, LoaderOptions, LoaderState, Order, Position, Schedule, ShardFolder, StageMix, StageState,
    StreamSource, StreamState, Weight,
};
pub use near_duplicates::{Clusters, NearDuplicateOptions, NearDuplicates};
pub use prepare::{Prepared, scan as scan_documents};
pub use progress::{Counts, Progress, Stage};
pub use recipe::Recipe;
pub use remove::{Removal, remove};
pub use source::{CargoRegistry, RowFiles, Source, Tree};
pub use split::{Side, Split};
