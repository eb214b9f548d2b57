//! What the building of a data set needs of a tokenizer.

/// Turns text into token ids. Implemented by `moeworks_text::Tokenizer`.
pub trait Encoder: Sync {
    /// Ids of a text, never a special token.
    fn encode(&self, text: &str) -> Vec<u32>;

    /// Put in front of each document, where the tokenizer asks for it.
    fn start_of_document(&self) -> Option<u32>;

    /// Put behind each document. Without one, a model could not learn where documents end.
    fn end_of_document(&self) -> Option<u32>;

    /// Ids are below this number.
    fn vocab_size(&self) -> usize;

    /// Says which tokenizer it is, so that data and model can be told to belong together.
    fn fingerprint(&self) -> String;
}
