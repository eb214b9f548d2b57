//! One number for how likely a text is to be worth reading, from rules that anyone can follow.
//!
//! Each rule takes a penalty from 0 (nothing to say against the text) to 1 (a clear defect), rising in a straight line
//! between two values of one signal. `quality = 1 / (1 + exp(4 · sum of penalties - 3))`: 0.95 without a penalty, 0.5 with
//! three quarters of one, 0.27 with one clear defect, 0.02 with two. Nothing is trained; the
//! thresholds that others have published are in [`super::SUGGESTIONS`].

use super::Signals;

/// Rises from 0 at `fine` to 1 at `bad`, whichever of the two is larger.
fn penalty(value: f64, fine: f64, bad: f64) -> f64 {
    ((value - fine) / (bad - fine)).clamp(0.0, 1.0)
}

pub(super) fn score(signals: &Signals) -> f64 {
    let penalties = if signals.is_code { code(signals) } else { prose(signals) };
    1.0 / (1.0 + (4.0 * penalties - 3.0).exp())
}

fn prose(signals: &Signals) -> f64 {
    let words = signals.num_words as f64;
    let english = signals.language == "en";
    penalty(words, 60.0, 8.0)
        + penalty(signals.frac_alphabetic, 0.74, 0.45)
        + penalty(signals.frac_digits, 0.08, 0.30)
        + penalty(signals.mean_word_length, 8.0, 16.0)
        + penalty(signals.symbol_word_ratio, 0.05, 0.25)
        + penalty(words / signals.num_sentences.max(1) as f64, 45.0, 160.0)
        + penalty(signals.frac_bullet_lines, 0.5, 0.95)
        + penalty(signals.frac_ellipsis_lines, 0.1, 0.4)
        + penalty(signals.frac_duplicate_lines, 0.08, 0.4)
        + penalty(signals.frac_top_2gram, 0.06, 0.25)
        + penalty(signals.frac_duplicate_ngrams, 0.12, 0.5)
        + penalty(signals.compression_ratio, 5.0, 12.0)
        + if english { penalty(signals.stop_words as f64, 4.0, 0.0) } else { 0.0 }
}

/// Code repeats itself more than prose does, and has no sentences.
fn code(signals: &Signals) -> f64 {
    penalty(signals.num_lines as f64, 10.0, 1.0)
        + penalty(signals.frac_alphabetic + signals.frac_digits, 0.45, 0.20)
        + penalty(signals.frac_digits, 0.12, 0.45)
        + penalty(signals.mean_line_length, 70.0, 160.0)
        + penalty(signals.max_line_length as f64, 300.0, 2000.0)
        + penalty(signals.frac_duplicate_lines, 0.4, 0.85)
        + penalty(signals.frac_duplicate_ngrams, 0.45, 0.9)
        + penalty(signals.compression_ratio, 9.0, 25.0)
}

#[cfg(test)]
mod tests {
    use super::{super::measure, *};

    #[test]
    fn penalties_rise_between_two_values_either_way() {
        for (value, fine, bad, expected) in
            [(5.0, 10.0, 0.0, 0.5), (20.0, 10.0, 0.0, 0.0), (0.3, 0.1, 0.4, 2.0 / 3.0), (9.0, 0.1, 0.4, 1.0)]
        {
            assert!((penalty(value, fine, bad) - expected).abs() < 1e-12, "{value} {fine} {bad}");
        }
    }

    #[test]
    fn defects_lower_the_score() {
        let good = "The lighthouse stood at the end of the bay, and for as long as anyone could remember it had been \
                    kept by the same family. On winter evenings the keeper would climb the stairs with a lamp in one \
                    hand and a book in the other. He read until the fog came in, and then he listened to the sea. It \
                    was, he used to say, the better story of the two.";
        let score = |text: &str| measure(text, None).quality;
        assert!(score(good) > 0.9, "{}", score(good));
        for (bad, most) in [
            ("", 0.3),
            ("Home | About | Contact | Login | Register", 0.3),
            (&"buy cheap now! ".repeat(60), 0.1),
            (&"word ".repeat(400), 0.01),
            (&(0..200).map(|n| format!("{} ", n * n)).collect::<String>(), 0.1),
            (&good.replace(' ', "..."), 0.1),
        ] {
            assert!(score(bad) < most, "{}: {bad}", score(bad));
        }
        let code = "fn add(a: u32, b: u32) -> u32 {\n    a + b\n}\n\nfn sub(a: u32, b: u32) -> u32 {\n    a - b\n}\n\n\
                    #[test]\nfn adds() {\n    assert_eq!(add(1, 2), 3);\n}\n";
        assert!(score(code) > 0.8, "{}", score(code));
        let minified = code.replace(['\n'], "").repeat(60);
        assert!(score(&minified) < 0.05, "{}", score(&minified));
    }
}
