//! UTF-8 that was read as Windows-1252 or Latin-1: "cafÃ©" was "café". Each sequence of such characters that is valid
//! UTF-8 is judged by itself, because texts are often broken in parts only (the idea of ftfy by Robyn Speer: repair
//! what correct text would hardly contain).

use super::windows_1252;
use std::str;

/// A character that was read as two to four.
#[derive(Clone, Copy)]
struct Sequence {
    meant: char,
    /// Bytes of the characters it was read as.
    length: usize,
    /// All but the first of them could be punctuation at the end of a word: "É…", "é»…".
    ends_word: bool,
}

/// The text with all such sequences read anew, and how many there were.
pub(super) fn read_anew(text: &str) -> Option<(String, u64)> {
    let (mut better, mut changed, mut copied) = (String::new(), 0, 0);
    let mut known = Scripts::default();
    let mut looked_at = false;
    let mut at = 0;
    while let Some(found) = text[at..].find(may_begin) {
        at += found;
        let run = run_at(text, at);
        let Some(first) = run.first() else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        };
        if !looked_at {
            known = Scripts::of(text);
            looked_at = true;
        }
        if run.len() > 1 && run.iter().all(|sequence| Script::of(sequence.meant).is_some()) {
            known.add(first.meant);
        }
        let before = text[..at].chars().next_back();
        let after = text[at + first.length..].chars().next();
        let goes_on = changed > 0 && at == copied;
        if is_certain(first, before, after, run.get(1), goes_on, &known) {
            better.push_str(&text[copied..at]);
            better.push(first.meant);
            changed += 1;
            copied = at + first.length;
            at = copied;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    if changed == 0 {
        return None;
    }
    better.push_str(&text[copied..]);
    Some((better, changed))
}

/// First bytes of UTF-8 sequences, read in the wrong encoding.
fn may_begin(character: char) -> bool {
    matches!(character, '\u{c2}'..='\u{f4}')
}

/// The sequence at `at`, and the one that follows it directly.
fn run_at(text: &str, at: usize) -> Vec<Sequence> {
    let mut run = Vec::with_capacity(2);
    let mut start = at;
    while run.len() < 2
        && let Some(sequence) = sequence_at(&text[start..])
    {
        start += sequence.length;
        run.push(sequence);
    }
    run
}

fn sequence_at(text: &str) -> Option<Sequence> {
    let mut characters = text.chars();
    let lead = characters.next().filter(|character| may_begin(*character))?;
    let count = match lead {
        '\u{c2}'..='\u{df}' => 2,
        '\u{e0}'..='\u{ef}' => 3,
        _ => 4,
    };
    let (mut bytes, mut ends_word, mut controls) = ([lead as u8, 0, 0, 0], true, false);
    for byte in &mut bytes[1..count] {
        let character = characters.next()?;
        *byte = windows_1252::encode(character)?;
        ends_word &= is_closing(character);
        controls |= character.is_control();
    }
    let meant = str::from_utf8(&bytes[..count]).ok()?.chars().next()?;
    let length = text.len() - characters.as_str().len();
    // Correct text has no control characters of Latin-1; such a one may come only from others.
    (controls || !meant.is_control()).then_some(Sequence { meant, length, ends_word })
}

/// Punctuation that may follow a word.
fn is_closing(character: char) -> bool {
    matches!(character, '…' | '‘' | '’' | '“' | '”' | '–' | '—' | '›' | '»' | '\u{a0}' | '•' | '™' | '®' | '·')
}

/// Whether correct text would not have had this. `goes_on`: the characters before it were such a sequence.
fn is_certain(
    sequence: &Sequence,
    before: Option<char>,
    after: Option<char>,
    next: Option<&Sequence>,
    goes_on: bool,
    known: &Scripts,
) -> bool {
    let follows = |test: fn(char) -> bool| before.is_some_and(test);
    if goes_on && windows_1252::encode(sequence.meant).is_some() {
        return true; // misread twice
    }
    match sequence.meant {
        // Latin-1: "Ã" and "Â" end words in capitals only. Below U+00A0 are those that were misread twice.
        '\u{80}'..='\u{ff}' => !(sequence.ends_word && follows(char::is_uppercase)),
        // Central European: "Ä" and "Å" stand before quotation marks, but not within a word in lower case.
        '\u{100}'..='\u{17f}' => {
            let within = after.is_some_and(char::is_lowercase) && !follows(char::is_alphabetic);
            goes_on || follows(char::is_lowercase) || within
        }
        // Punctuation, arrows, mathematics, emoji, byte order marks: "â€", "ðŸ", "ï»¿".
        '\u{2010}'..='\u{2bff}' | '\u{1f000}'..='\u{1ffff}' | '\u{fe0f}' | '\u{feff}' | '\u{fffd}' => {
            !(sequence.ends_word && follows(char::is_alphabetic))
        }
        // Other scripts come in runs; one letter alone is believed if the script is there already.
        meant => Script::of(meant).is_some_and(|script| {
            let another = next.is_some_and(|next| Script::of(next.meant) == Some(script));
            let alone = goes_on || !(sequence.ends_word && follows(char::is_alphabetic));
            another || (known.contains(script) && alone)
        }),
    }
}

/// Scripts that are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Greek,
    Cyrillic,
    Hebrew,
    Arabic,
    Indic,
    SoutheastAsian,
    EastAsian,
}

impl Script {
    fn of(character: char) -> Option<Self> {
        Some(match character {
            '\u{370}'..='\u{3ff}' => Self::Greek,
            '\u{400}'..='\u{52f}' => Self::Cyrillic,
            '\u{591}'..='\u{5f4}' => Self::Hebrew,
            '\u{600}'..='\u{6ff}' => Self::Arabic,
            '\u{900}'..='\u{dff}' => Self::Indic,
            '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => Self::SoutheastAsian,
            '\u{3000}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{ff00}'..='\u{ffef}' => Self::EastAsian,
            _ => return None,
        })
    }
}

/// A set of scripts.
#[derive(Default)]
struct Scripts(u8);

impl Scripts {
    fn of(text: &str) -> Self {
        let mut scripts = Self::default();
        text.chars().for_each(|character| scripts.add(character));
        scripts
    }

    fn add(&mut self, character: char) {
        if let Some(script) = Script::of(character) {
            self.0 |= 1 << script as u8;
        }
    }

    fn contains(&self, script: Script) -> bool {
        self.0 >> script as u8 & 1 == 1
    }
}
