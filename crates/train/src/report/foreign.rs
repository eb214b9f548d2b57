//! Text that others wrote: samples of a model, names in a data set. Escaping is the templates' work; this keeps what
//! cannot be seen from deceiving, and what is long from filling the page.

use maud::{Markup, html};

/// The text with control characters and characters that reorder text made visible; line ends and tabs stay.
pub(super) fn visible(text: &str) -> String {
    text.chars()
        .filter(|character| *character != '\r')
        .map(|character| match character {
            '\n' | '\t' => character,
            '\0'..='\x1f' => char::from_u32(0x2400 + character as u32).unwrap_or('\u{fffd}'),
            '\x7f' => '\u{2421}',
            // C1 controls, marks and overrides of direction (Unicode TR 36), and the byte order mark.
            '\u{80}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => '\u{fffd}',
            _ => character,
        })
        .collect()
}

/// The text, at most so many characters of it.
pub(super) fn cut(text: &str, most: usize) -> (&str, bool) {
    match text.char_indices().nth(most) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    }
}

/// A prompt and how a model went on.
pub(super) fn writing(prompt: &str, text: &str, most: usize) -> Markup {
    let (prompt, prompt_cut) = cut(prompt, most);
    let (text, text_cut) = cut(text, most);
    html! {
        // A line end right after <pre> would be swallowed, so it never begins with the text itself.
        pre .writing { b { (visible(prompt)) @if prompt_cut { "…" } } (visible(text)) @if text_cut { "…" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_made_visible() {
        for (text, expected) in [
            ("fn main() {\n\t1\n}", "fn main() {\n\t1\n}"),
            ("a\0b\x1b[31m\x7f", "a␀b␛[31m␡"),
            ("one\r\ntwo", "one\ntwo"),
            ("\u{202e}drow\u{2066}", "\u{fffd}drow\u{fffd}"),
            ("grün 猫 👩‍👩‍👧", "grün 猫 👩‍👩‍👧"),
        ] {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn markup_in_a_text_stays_text() {
        let page =
            writing("<b>\"p'", "</pre></script><script>alert(1)</script><img src=x onerror=alert(1)>&amp;", 1000);
        let page = page.into_string();
        assert_eq!(
            page,
            "<pre class=\"writing\"><b>&lt;b&gt;&quot;p'</b>&lt;/pre&gt;&lt;/script&gt;&lt;script&gt;alert(1)\
             &lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;amp;</pre>"
        );
        assert!(writing("", &"ä".repeat(50), 10).into_string().contains(&format!(">{}…<", "ä".repeat(10))));
    }
}
