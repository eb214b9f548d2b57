//! Any text, measured and redacted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use moeworks_data::signals::{
    measure,
    pii::{PiiKind, redact_all},
};

fuzz_target!(|text: &str| {
    let signals = measure(text, None);
    let mut from = 0;
    for span in &signals.pii {
        assert!(span.start >= from && span.start < span.end && !text[span.start..span.end].is_empty());
        from = span.end;
    }
    assert!((0.0..=1.0).contains(&signals.quality));
    if let Some(redacted) = redact_all(text, &PiiKind::ALL) {
        assert!(measure(&redacted.text, None).pii.is_empty());
    }
});
