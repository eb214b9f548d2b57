//! What the building of a data set needs of a tokenizer.

use moeworks_text::Tokenizer;
use std::path::Path;

/// Turns text into token ids. Implemented by [`Tokenizer`].
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

    /// Writes its files into an empty folder, so that a data set carries the tokenizer it was made with. One that is
    /// made for a test has none.
    ///
    /// # Errors
    /// What went wrong, in words.
    fn save(&self, folder: &Path) -> Result<(), String> {
        let _ = folder;
        Ok(())
    }
}

impl Encoder for Tokenizer {
    fn encode(&self, text: &str) -> Vec<u32> {
        self.encode(text)
    }

    fn start_of_document(&self) -> Option<u32> {
        self.bos().filter(|_| self.add_bos())
    }

    fn end_of_document(&self) -> Option<u32> {
        self.eos()
    }

    fn vocab_size(&self) -> usize {
        self.vocab_size()
    }

    fn fingerprint(&self) -> String {
        self.fingerprint()
    }

    fn save(&self, folder: &Path) -> Result<(), String> {
        self.save(folder).map_err(|error| error.to_string())
    }
}
