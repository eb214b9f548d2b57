//! Putting names of kinds in the place of what was found.

use super::{PiiKind, PiiSpan, find};

/// The text with every span of some kinds replaced by the kind's name, such as `<EMAIL_ADDRESS>`. The spans are those that
/// [`find`] gave for this very text.
///
/// # Panics
/// If a span does not lie within the text, on boundaries of characters.
#[must_use]
pub fn redact(text: &str, spans: &[PiiSpan], kinds: &[PiiKind]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for span in spans.iter().filter(|span| kinds.contains(&span.kind)) {
        out.push_str(&text[from..span.start]);
        out.push_str(span.kind.placeholder());
        from = span.end;
    }
    out.push_str(&text[from..]);
    out
}

/// A text without PII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// The text, in which [`find`] finds nothing more of the kinds asked for.
    pub text: String,
    /// What was replaced, in rising order of kinds.
    pub kinds: Vec<PiiKind>,
}

/// Replaces all that is found of some kinds, and what only then comes to light (a number that was part of another find),
/// until nothing is left. `None` where there was nothing.
#[must_use]
pub fn redact_all(text: &str, kinds: &[PiiKind]) -> Option<Redacted> {
    let mut found = None;
    loop {
        // Ends, since a placeholder holds nothing that a find begins with, so every round leaves less to find.
        let text = found.as_ref().map_or(text, |redacted: &Redacted| redacted.text.as_str());
        let spans = find(text);
        let mut replaced: Vec<_> = spans.iter().map(|span| span.kind).filter(|kind| kinds.contains(kind)).collect();
        if replaced.is_empty() {
            return found;
        }
        let text = redact(text, &spans, kinds);
        replaced.extend(found.into_iter().flat_map(|redacted| redacted.kinds));
        replaced.sort_unstable();
        found = Some(Redacted { text, kinds: replaced });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_kinds_are_replaced() {
        let text = "Grüße: ada@example.org, +44 20 7946 0958!";
        let spans = find(text);
        assert_eq!(redact(text, &spans, &PiiKind::ALL), "Grüße: <EMAIL_ADDRESS>, <PHONE_NUMBER>!");
        assert_eq!(redact(text, &spans, &[PiiKind::PhoneNumber]), "Grüße: ada@example.org, <PHONE_NUMBER>!");
        assert_eq!(redact(text, &spans, &[]), text);
    }

    #[test]
    fn redaction_goes_on_until_nothing_is_found() {
        let redacted = redact_all("ada@example.org ada@example.org", &PiiKind::ALL).unwrap();
        assert_eq!(redacted.text, "<EMAIL_ADDRESS> <EMAIL_ADDRESS>");
        assert_eq!(redacted.kinds, [PiiKind::EmailAddress; 2]);
        assert_eq!(redact_all(&redacted.text, &PiiKind::ALL), None);
    }
}
