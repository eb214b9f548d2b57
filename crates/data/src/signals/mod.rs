//! What can be measured of one text without another: the signals that documents are looked at and filtered by.
//!
//! Names are Lilac's where it has them (0.3.9: `num_characters`, `readability`, `log_type_token_ratio`, `frac_non_ascii`,
//! `language`, the kinds of PII). Rules of repetition are MassiveText's (Rae et al. 2021, arXiv 2112.11446). A text gives the
//! same signals on every machine.

mod characters;
mod code;
mod compression;
mod filter;
mod language;
mod lines;
pub mod pii;
mod quality;
mod repeats;
mod signal;
mod suggestions;
mod words;

pub use filter::Filter;
pub use language::{CODE, TOO_SHORT};
pub use signal::{LANGUAGE, Signal};
pub use suggestions::{SUGGESTIONS, Suggestion};

use pii::PiiSpan;
use std::cell::RefCell;

/// The signals of one text. Shares are from 0 to 1; a share of nothing is 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// Unicode scalar values.
    pub num_characters: u64,
    /// Bytes of UTF-8.
    pub num_bytes: u64,
    /// Runs between white space; each ideograph and kana is a word of its own.
    pub num_words: u64,
    /// Lines, empty ones too.
    pub num_lines: u64,
    /// Words that end a sentence.
    pub num_sentences: u64,
    /// Automated Readability Index: a school grade (Senter and Smith 1967).
    pub readability: f64,
    /// log of the number of different words by log of the number of words, of the first 65,536. Words are compared
    /// without case and the punctuation around them, here and in the runs of words below.
    pub log_type_token_ratio: f64,
    /// Characters that are not ASCII, of all.
    pub frac_non_ascii: f64,
    /// Letters, of all characters.
    pub frac_alphabetic: f64,
    /// Digits, of all characters.
    pub frac_digits: f64,
    /// Punctuation and ASCII symbols, of all characters.
    pub frac_punctuation: f64,
    /// White space, of all characters.
    pub frac_whitespace: f64,
    /// Words with a letter, of all words.
    pub frac_alphabetic_words: f64,
    /// Characters of a word.
    pub mean_word_length: f64,
    /// `#` and ellipses for each word.
    pub symbol_word_ratio: f64,
    /// How many of the, be, to, of, and, that, have, with there are: 0 to 8.
    pub stop_words: u64,
    /// Characters of a line that is not empty.
    pub mean_line_length: f64,
    /// Characters of the longest line.
    pub max_line_length: u64,
    /// Lines like an earlier one, of the first 65,536 that are not empty.
    pub frac_duplicate_lines: f64,
    /// Characters in such lines.
    pub frac_characters_in_duplicate_lines: f64,
    /// Bytes in the most frequent run of 2 words, if it comes twice, of those of the first 65,536 words.
    pub frac_top_2gram: f64,
    /// The same of runs of 3 words.
    pub frac_top_3gram: f64,
    /// The same of runs of 4 words.
    pub frac_top_4gram: f64,
    /// Bytes in runs of 5 words that came before, of those of the first 65,536 words.
    pub frac_duplicate_ngrams: f64,
    /// Lines that begin with a bullet, of those that are not empty.
    pub frac_bullet_lines: f64,
    /// Lines that end in an ellipsis, of those that are not empty.
    pub frac_ellipsis_lines: f64,
    /// Lines that end as a sentence does, of those that are not empty.
    pub frac_terminal_lines: f64,
    /// Lines of fewer than 30 characters, of those that are not empty.
    pub frac_short_lines: f64,
    /// Bytes for each byte of zstd (level 1), of the first 64 KiB.
    pub compression_ratio: f64,
    /// Shannon entropy of the characters in bits.
    pub entropy: f64,
    /// Lines that look like code, of those that are not empty.
    pub frac_code: f64,
    /// Whether it is code: at least two fifths of its lines are, or the document says so.
    pub is_code: bool,
    /// ISO 639-1 (639-3 where that has no code), [`CODE`], or [`TOO_SHORT`].
    pub language: &'static str,
    /// How sure that is, 0 to 1.
    pub language_confidence: f64,
    /// A score from documented rules, 0 to 1.
    pub quality: f64,
    /// What would tell who someone is, or let someone in: in order, apart, as byte offsets.
    pub pii: Vec<PiiSpan>,
}

/// Memory that is kept from one text to the next.
#[derive(Default)]
struct Scratch {
    counts: characters::Counts,
    lines: repeats::Table,
    words: Vec<repeats::Word>,
    tables: repeats::Tables,
    compression: compression::Buffer,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Measures a text. The hint is what a document says of its language: where that is one of programming or data (as
/// `Rust`), the text is code whatever its lines look like.
#[must_use]
pub fn measure(text: &str, language_hint: Option<&str>) -> Signals {
    SCRATCH.with_borrow_mut(|scratch| measure_with(text, language_hint, scratch))
}

/// The language that a text is written in: ISO 639-1 (639-3 where that has no code). None for code, for too little text,
/// and where two are nearly as likely.
#[must_use]
pub fn detect_language(text: &str) -> Option<&'static str> {
    const BEGINNING: usize = 64 << 10;
    let beginning = &text[..text.floor_char_boundary(BEGINNING)];
    let lines = SCRATCH.with_borrow_mut(|scratch| lines::count(beginning, &mut scratch.lines));
    if share(lines.code, lines.filled) >= code::IS_CODE {
        return None;
    }
    let (language, confidence) = language::of(text);
    (language != TOO_SHORT && confidence >= 0.9).then_some(language)
}

fn measure_with(text: &str, language_hint: Option<&str>, scratch: &mut Scratch) -> Signals {
    let characters = characters::count(text, &mut scratch.counts);
    let lines = lines::count(text, &mut scratch.lines);
    let words = words::count(text, &mut scratch.words);
    let repeats = repeats::measure(&scratch.words, &mut scratch.tables);
    let frac_code = share(lines.code, lines.filled);
    let is_code = frac_code >= code::IS_CODE || language_hint.is_some_and(code::is_language);
    let (language, language_confidence) = if is_code { (CODE, 1.0) } else { language::of(text) };
    let mut signals = Signals {
        num_characters: characters.all,
        num_bytes: text.len() as u64,
        num_words: words.all,
        num_lines: lines.all,
        num_sentences: words.sentences,
        readability: words.readability(),
        log_type_token_ratio: repeats.log_type_token_ratio,
        frac_non_ascii: share(characters.non_ascii, characters.all),
        frac_alphabetic: share(characters.alphabetic, characters.all),
        frac_digits: share(characters.digits, characters.all),
        frac_punctuation: share(characters.punctuation, characters.all),
        frac_whitespace: share(characters.whitespace, characters.all),
        frac_alphabetic_words: share(words.alphabetic, words.all),
        mean_word_length: share(words.characters, words.all),
        symbol_word_ratio: share(words.symbols, words.all),
        stop_words: words.stop_words(),
        mean_line_length: share(lines.characters, lines.filled),
        max_line_length: lines.longest,
        frac_duplicate_lines: share(lines.duplicate, lines.compared),
        frac_characters_in_duplicate_lines: share(lines.duplicate_characters, lines.compared_characters),
        frac_top_2gram: repeats.top[0],
        frac_top_3gram: repeats.top[1],
        frac_top_4gram: repeats.top[2],
        frac_duplicate_ngrams: repeats.duplicate,
        frac_bullet_lines: share(lines.bullet, lines.filled),
        frac_ellipsis_lines: share(lines.ellipsis, lines.filled),
        frac_terminal_lines: share(lines.terminal, lines.filled),
        frac_short_lines: share(lines.short, lines.filled),
        compression_ratio: compression::ratio(text, &mut scratch.compression),
        entropy: characters.entropy,
        frac_code,
        is_code,
        language,
        language_confidence,
        quality: 0.0,
        pii: pii::find(text),
    };
    signals.quality = quality::score(&signals);
    signals
}

fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}
