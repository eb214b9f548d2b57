use std::ops::ControlFlow;

/// How far a long piece of work has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What is being done.
    pub stage: Stage,
    /// Bytes of text so far.
    pub bytes: u64,
    /// Documents so far.
    pub documents: u64,
    /// Tokens so far (while tokenising).
    pub tokens: u64,
    /// Bytes of text that there will be, once that is known.
    pub total_bytes: Option<u64>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Sources are read to their ends.
    #[default]
    Read,
    /// The signals of documents are measured.
    Measure,
    /// Parts of evaluation sets are searched for.
    Decontaminate,
    /// Near duplicates are searched for.
    NearDuplicates,
    /// All documents are looked through, to take an even sample of them.
    Survey,
    /// Documents are read, tokenised and written.
    Tokenise,
}

/// Is told how far the work has come, and may stop it.
pub trait Progress: Sync {
    /// Called now and then. `Break` ends the work with [`crate::DataError::Interrupted`].
    fn update(&self, counts: &Counts) -> ControlFlow<()>;
}

/// Nobody looks, nobody stops it.
impl Progress for () {
    fn update(&self, _: &Counts) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: Fn(&Counts) -> ControlFlow<()> + Sync> Progress for F {
    fn update(&self, counts: &Counts) -> ControlFlow<()> {
        self(counts)
    }
}
