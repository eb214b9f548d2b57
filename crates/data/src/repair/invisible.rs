//! Characters that are not seen and should not be there.

use super::windows_1252;

const ESCAPE: char = '\u{1b}';

/// Without control characters; those of Windows-1252 become what they should have been.
pub(super) fn without_controls(text: &str) -> Option<(String, u64)> {
    let wrong = |character: char| character.is_control() && !matches!(character, '\n' | '\t' | '\r');
    if !text.contains(wrong) {
        return None;
    }
    let (mut better, mut changed) = (String::with_capacity(text.len()), 0);
    let mut rest = text;
    while let Some(at) = rest.find(wrong) {
        better.push_str(&rest[..at]);
        let mut characters = rest[at..].chars();
        let character = characters.next().unwrap_or_default();
        rest = characters.as_str();
        changed += 1;
        if character == ESCAPE {
            rest = without_sequence(rest);
        } else if let Some(meant) = u8::try_from(character).ok().and_then(windows_1252::decode) {
            better.push(meant);
        }
    }
    better.push_str(rest);
    Some((better, changed))
}

/// What follows a control sequence (ECMA-48: "[", parameters, intermediates, a final byte), if it is one.
fn without_sequence(rest: &str) -> &str {
    let Some(sequence) = rest.strip_prefix('[') else { return rest };
    let end = sequence
        .trim_start_matches(|character| matches!(character, '0'..='?'))
        .trim_start_matches(|character| matches!(character, ' '..='/'));
    end.strip_prefix(|character| matches!(character, '@'..='~')).unwrap_or(rest)
}

/// Without byte order marks and word joiners, and without zero-width spaces and joiners where the script before them
/// has no use for them.
pub(super) fn without_invisible(text: &str) -> Option<(String, u64)> {
    let candidate = |character: char| matches!(character, '\u{feff}' | '\u{2060}' | '\u{200b}'..='\u{200d}');
    if !text.contains(candidate) {
        return None;
    }
    let (mut better, mut changed) = (String::with_capacity(text.len()), 0);
    for character in text.chars() {
        let before = better.chars().next_back();
        let stays = match character {
            '\u{feff}' | '\u{2060}' => false,
            '\u{200b}' => before.is_some_and(is_southeast_asian),
            '\u{200c}' | '\u{200d}' => before.is_some_and(is_joined),
            _ => true,
        };
        if stays {
            better.push(character);
        } else {
            changed += 1;
        }
    }
    (changed > 0).then_some((better, changed))
}

/// Thai, Lao, Tibetan, Myanmar, Khmer and their neighbours: a zero-width space there is where a line may be broken.
fn is_southeast_asian(character: char) -> bool {
    matches!(character, '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1950}'..='\u{1aaf}' | '\u{a9e0}'..='\u{aa7f}')
}

/// Characters that joiners may follow: Arabic, Hebrew and Indic letters and marks, Mongolian, emoji and what modifies
/// them. In Latin, Greek, Cyrillic, Han and kana, and after spaces and punctuation, they have no meaning.
fn is_joined(character: char) -> bool {
    matches!(character,
        '\u{590}'..='\u{10ff}' | '\u{1700}'..='\u{1cff}' | '\u{2190}'..='\u{2bff}' | '\u{a800}'..='\u{abff}'
        | '\u{fb1d}'..='\u{fdff}' | '\u{fe0f}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{1ffff}' | '\u{e0020}'..='\u{e007f}')
}
