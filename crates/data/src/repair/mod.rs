//! Unicode repair: what went wrong with a text's encoding on its way is undone where it is certain what happened.
//! Correct text of any language stays as it is.

mod escapes;
mod invisible;
mod mojibake;
mod windows_1252;

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, ops::AddAssign};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// What is repaired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepairOptions {
    /// UTF-8 that was read as Windows-1252 or Latin-1 ("cafÃ©", "itâ€™s") is read anew, however often that happened.
    pub mojibake: bool,
    /// Control characters but tab, line feed and carriage return, and terminal escape sequences, are removed; U+0080 to
    /// U+009F become what Windows-1252 has in their places.
    pub controls: bool,
    /// Byte order marks, word joiners, and zero-width spaces and joiners in scripts that do not use them are removed.
    pub invisible: bool,
    /// CRLF and CR become LF.
    pub line_ends: bool,
    /// A text on one line in which JSON's escapes stand for themselves ("\n", "\"") is unescaped.
    pub escapes: bool,
    /// Normalisation form C (Unicode Standard Annex 15).
    pub nfc: bool,
}

impl Default for RepairOptions {
    /// Everything but the ends of lines, which some file formats and test data mean as they are.
    fn default() -> Self {
        Self { mojibake: true, controls: true, invisible: true, line_ends: false, escapes: true, nfc: true }
    }
}

/// What was repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repairs {
    /// Texts that were changed.
    pub texts: u64,
    /// Characters that had been read in the wrong encoding.
    pub mojibake: u64,
    /// Control characters, and terminal escape sequences.
    pub controls: u64,
    /// Invisible characters.
    pub invisible: u64,
    /// Ends of lines.
    pub line_ends: u64,
    /// Texts that were unescaped.
    pub unescaped: u64,
    /// Texts that were not in normalisation form C.
    pub composed: u64,
    /// Replacement characters (U+FFFD), which are kept: what they stand for is lost.
    pub replacement_characters: u64,
}

impl Repairs {
    /// Whether nothing was there to repair, nor anything that could not be.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Repairs {
    fn add_assign(&mut self, other: Self) {
        self.texts += other.texts;
        self.mojibake += other.mojibake;
        self.controls += other.controls;
        self.invisible += other.invisible;
        self.line_ends += other.line_ends;
        self.unescaped += other.unescaped;
        self.composed += other.composed;
        self.replacement_characters += other.replacement_characters;
    }
}

/// Repairs a text, borrowed if there is nothing to do. Repairing again changes nothing.
#[must_use]
pub fn repair<'a>(text: &'a str, options: &RepairOptions) -> (Cow<'a, str>, Repairs) {
    let mut repairs = Repairs::default();
    if is_plain(text, options) {
        return (Cow::Borrowed(text), repairs);
    }
    // One repair may uncover what another one sees to, so all are tried until none finds anything. That ends: each
    // makes the text shorter or leaves fewer control characters, but for NFC, which has nothing to do twice.
    let mut current = Cow::Borrowed(text);
    while let Some(better) = pass(&current, options, &mut repairs) {
        current = Cow::Owned(better);
    }
    repairs.texts = u64::from(matches!(current, Cow::Owned(_)));
    if !current.is_ascii() {
        repairs.replacement_characters = current.matches(char::REPLACEMENT_CHARACTER).count() as u64;
    }
    (current, repairs)
}

/// Whether a look at the bytes is enough to see that there is nothing to do.
fn is_plain(text: &str, options: &RepairOptions) -> bool {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    text.bytes().all(|byte| plain(&byte) || (byte == b'\r' && !options.line_ends))
        && !(options.escapes && escapes::may_be_escaped(text))
}

/// The first repair that finds something to do.
fn pass(text: &str, options: &RepairOptions, repairs: &mut Repairs) -> Option<String> {
    if options.escapes
        && let Some(better) = escapes::unescape(text)
    {
        repairs.unescaped += 1;
        return Some(better);
    }
    let mut count = |better: Option<(String, u64)>, counter: fn(&mut Repairs) -> &mut u64| {
        better.map(|(better, changed)| {
            *counter(repairs) += changed;
            better
        })
    };
    if options.mojibake
        && let Some(better) = count(mojibake::read_anew(text), |repairs| &mut repairs.mojibake)
    {
        return Some(better);
    }
    if options.controls
        && let Some(better) = count(invisible::without_controls(text), |repairs| &mut repairs.controls)
    {
        return Some(better);
    }
    if options.invisible
        && let Some(better) = count(invisible::without_invisible(text), |repairs| &mut repairs.invisible)
    {
        return Some(better);
    }
    if options.line_ends && text.contains('\r') {
        let better = text.replace("\r\n", "\n").replace('\r', "\n");
        let changed = text.matches('\r').count() as u64;
        return count(Some((better, changed)), |repairs| &mut repairs.line_ends);
    }
    if options.nfc && !is_composed(text) {
        repairs.composed = 1;
        return Some(text.nfc().collect());
    }
    None
}

fn is_composed(text: &str) -> bool {
    // Characters below U+0300 are, and their bytes are below 0xcc.
    text.bytes().all(|byte| byte < 0xcc)
        || match is_nfc_quick(text.chars()) {
            IsNormalized::Yes => true,
            IsNormalized::No => false,
            IsNormalized::Maybe => text.nfc().eq(text.chars()),
        }
}

#[cfg(test)]
mod tests;
