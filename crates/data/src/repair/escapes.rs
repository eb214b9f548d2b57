//! Texts that were escaped for JSON once too often.

/// So many escaped line feeds are no accident.
const LEAST_LINE_FEEDS: usize = 3;

/// Whether the costlier look is worth it.
pub(super) fn may_be_escaped(text: &str) -> bool {
    text.contains("\\n") && !text.contains('\n')
}

/// The unescaped text, if that is clearly what it is: it has no line feed but several escaped ones, as a whole it could
/// stand between the quotes of a JSON string, and the letters after "\n" are not those of names (`\nabla`, `C:\new`).
pub(super) fn unescape(text: &str) -> Option<String> {
    if !may_be_escaped(text) {
        return None;
    }
    let after = |at: usize| text[at + 2..].chars().next();
    let (mut line_feeds, mut names) = (0, 0);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if character == '\\'
            && let Some((_, 'n')) = characters.next()
        {
            line_feeds += 1;
            names += usize::from(after(at).is_some_and(|next| next.is_ascii_lowercase()));
        }
    }
    if line_feeds < LEAST_LINE_FEEDS || names * 2 > line_feeds {
        return None;
    }
    serde_json::from_str(&format!("\"{text}\"")).ok()
}
