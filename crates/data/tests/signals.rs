//! What holds of the signals of any text.

use moeworks_data::signals::{
    Signals, measure,
    pii::{PiiKind, redact, redact_all},
};
use proptest::prelude::*;

/// Text made of the pieces that finds begin and end with, so that the checks are reached.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,12}",
        "[0-9a-f:.+() -]{1,24}",
        "[ \n\t]{1,3}",
        "(ada|x\\.y|O'H)?@?(example|b)?\\.?(com|de|2x\\.png)",
        "(AKIA|ghp_|sk-|xoxb-|eyJ|SG\\.|SK|-----BEGIN (RSA )?PRIVATE KEY-----)[A-Za-z0-9_.-]{0,60}",
        "(password|token|api_key|pwd)(\"|')?( )?(=|:|=>|==)( )?(\"|')?[A-Za-z0-9$!{}]{0,40}(\"|')?",
        "(https?|git)://[a-z]{1,5}(:[a-z0-9$]{1,9})?@[a-z.]{1,12}",
        "(tel|version|v|section)[ .:]",
        "(4539 ?5787 ?6362 ?1486|DE89 3704 0044 0532 0130 00|185\\.220\\.101\\.45|\\+44 20 7946 0958)",
        "(\\{|\\}|;|//|```|- |\\.\\.\\.|…|猫|é|\u{a0}|\u{1F600}){1,4}",
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn signals_are_in_their_ranges_and_spans_in_the_text(text in text(), code in any::<bool>()) {
        let hint = code.then_some("Rust");
        let signals = measure(&text, hint);
        for signal in Signals::NUMERIC {
            let value = signal.of(&signals);
            prop_assert!(value.is_finite(), "{} {value}", signal.name);
            match signal.unit {
                "share" | "score" => prop_assert!((0.0..=1.0).contains(&value), "{} {value}", signal.name),
                _ if signal.name != "readability" => prop_assert!(value >= 0.0, "{} {value}", signal.name),
                _ => {}
            }
        }
        prop_assert_eq!(signals.num_characters as usize, text.chars().count());
        let mut from = 0;
        for span in &signals.pii {
            prop_assert!(span.start >= from && span.start < span.end && span.end <= text.len(), "{span:?}");
            prop_assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{span:?}");
            from = span.end;
        }
        prop_assert!(!code || signals.is_code);
        // The same text gives the same signals, whatever was measured in between and on which thread.
        let _ = measure("another text, 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa äöü", None);
        prop_assert_eq!(&measure(&text, hint), &signals);
        let moved = text.clone();
        prop_assert_eq!(&std::thread::spawn(move || measure(&moved, hint)).join().unwrap(), &signals);
    }

    #[test]
    fn redaction_leaves_nothing_to_find_and_the_rest_as_it_was(text in text(), kinds in prop::sample::subsequence(PiiKind::ALL.to_vec(), 0..8)) {
        let spans = measure(&text, None).pii;
        let once = redact(&text, &spans, &kinds);
        let kept: usize = spans.iter().filter(|span| kinds.contains(&span.kind)).map(|span| span.end - span.start).sum();
        let added: usize = spans.iter().filter(|span| kinds.contains(&span.kind)).map(|span| span.kind.placeholder().len()).sum();
        prop_assert_eq!(once.len() + kept, text.len() + added);
        match redact_all(&text, &kinds) {
            None => prop_assert_eq!(once, text),
            Some(redacted) => {
                prop_assert!(!redacted.kinds.is_empty());
                prop_assert_eq!(redact_all(&redacted.text, &kinds), None, "idempotent");
                prop_assert!(measure(&redacted.text, None).pii.iter().all(|span| !kinds.contains(&span.kind)));
            }
        }
    }
}

#[test]
fn long_texts_of_one_kind_take_time_in_proportion() {
    // Each would take minutes if a find looked back over the whole of it.
    for piece in [
        "1",
        "1 ",
        "(",
        "a@",
        "@",
        "a:",
        "2001:",
        "ghp_",
        "password=",
        "-----BEGIN RSA PRIVATE KEY-----",
        "eyJ.",
        "a",
        "#",
        "DE89",
        "+1 ",
        "://a:b@",
    ] {
        let text = piece.repeat(2_000_000 / piece.len());
        assert_eq!(measure(&text, None).num_bytes as usize, text.len());
    }
}
