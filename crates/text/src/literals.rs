//! The texts that a template may look for in a message: its own string literals.

use aho_corasick::{AhoCorasick, MatchKind};

/// The string literals of one template, ready to be found in message text.
#[derive(Clone, Debug)]
pub(crate) struct Literals {
    texts: Vec<String>,
    finder: AhoCorasick,
}

impl Literals {
    /// Collects the quoted strings inside `{{ }}` and `{% %}`.
    pub(crate) fn new(source: &str) -> Self {
        let mut texts = Vec::new();
        let mut rest = source;
        while let Some(start) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
            rest = collect(&rest[start + 2..], &mut texts);
        }
        texts.sort_unstable();
        texts.dedup();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&texts);
        Literals { texts, finder: finder.expect("a template is far smaller than an automaton can be") }
    }

    /// The literals that stand in `text`, leftmost and longest first, each with its place.
    pub(crate) fn find<'a>(&'a self, text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, &'a str)> {
        self.finder.find_iter(text).map(|found| (found.range(), self.texts[found.pattern().as_usize()].as_str()))
    }
}

/// Collects the strings of one block and gives back what follows it.
fn collect<'a>(block: &'a str, texts: &mut Vec<String>) -> &'a str {
    let mut chars = block.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\'' | '"' => {
                let mut text = String::new();
                while let Some((_, next)) = chars.next().filter(|(_, next)| *next != char) {
                    text.push(if next == '\\' { unescape(chars.next().map_or('\\', |(_, c)| c)) } else { next });
                }
                if !text.is_empty() {
                    texts.push(text);
                }
            }
            '%' | '}' if block[at + 1..].starts_with('}') => return &block[at + 2..],
            _ => {}
        }
    }
    ""
}

fn unescape(escaped: char) -> char {
    match escaped {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_of_blocks() {
        let cases: [(&str, &[&str]); 7] = [
            ("", &[]),
            ("don't {{ 'a' }} won't", &["a"]),
            (r#"{% if "</b>" in x['k'] %}{{- x.split('\n\'"')[0] -}}"#, &["\n'\"", "</b>", "k"]),
            ("{{ '}}' }}{{ 'a' ~ \"a\" ~ '' }}", &["a", "}}"]),
            ("{{ 'open", &["open"]),
            ("{# {{ 'a' }} #}{% set y = {'k': 1} %}", &["a", "k"]),
            ("{", &[]),
        ];
        for (source, expected) in cases {
            assert_eq!(Literals::new(source).texts, expected, "{source}");
        }
        let found: Vec<_> =
            Literals::new("{{ 'ab' ~ 'abc' ~ 'd' }}").find("xabcdab").map(|(r, t)| (r.start, t.to_owned())).collect();
        assert_eq!(found, [(1, "abc".to_owned()), (4, "d".to_owned()), (5, "ab".to_owned())]);
    }
}
