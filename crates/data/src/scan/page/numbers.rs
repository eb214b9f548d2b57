//! Numbers for people. What belongs together is held together by no-break spaces.

/// A whole number with thousands apart: `1,234,567`.
pub(super) fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant digits and a decimal prefix: `4.37 M`. Below a hundred thousand the number as it is.
pub(super) fn short(value: u64) -> String {
    if value < 100_000 { whole(value) } else { scaled(value, "") }
}

/// Likewise, of bytes: `4.37 MB`.
pub(super) fn bytes(value: u64) -> String {
    scaled(value, "B")
}

fn scaled(value: u64, unit: &str) -> String {
    let (mut scaled, mut prefix) = (value as f64, 0);
    // What would round up to 1000 belongs to the next prefix.
    while scaled >= if prefix == 0 { 1000.0 } else { 999.5 } && prefix < 6 {
        (scaled, prefix) = (scaled / 1000.0, prefix + 1);
    }
    let decimals = match scaled {
        _ if prefix == 0 => 0,
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.decimals$}\u{a0}{}{unit}", ["", "k", "M", "G", "T", "P", "E"][prefix])
}

/// A part of a whole in percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    match part as f64 / whole as f64 * 100.0 {
        _ if whole == 0 || part == 0 => "0\u{a0}%".into(),
        ..0.095 => "<\u{a0}0.1\u{a0}%".into(),
        value @ ..9.95 => format!("{value:.1}\u{a0}%"),
        value => format!("{value:.0}\u{a0}%"),
    }
}

/// A value of a signal: three significant digits.
pub(super) fn value(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        0.0 => "0".into(),
        1000.0.. => format!("{}{}", if value < 0.0 { "-" } else { "" }, short(size.round() as u64)),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        0.1.. => format!("{value:.2}"),
        0.001.. => format!("{value:.3}"),
        _ => format!("{value:.0e}"),
    };
    let text = if text.contains('.') && !text.contains(['e', '\u{a0}']) {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    };
    text.replace('-', "−")
}

/// A count and its noun: `1 document`, `2,000 documents`.
pub(super) fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", whole(value), if value == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.replace('\u{a0}', " ")
    }

    #[test]
    fn numbers_read_well() {
        for (value, text) in [(0, "0"), (99_999, "99,999"), (4_367_488, "4.37 M"), (999_600, "1.00 M")] {
            assert_eq!(plain(&short(value)), text);
        }
        for (value, text) in [(12, "12 B"), (1_500, "1.50 kB"), (u64::MAX, "18.4 EB")] {
            assert_eq!(plain(&bytes(value)), text);
        }
        for (part, of, text) in [
            (0, 0, "0 %"),
            (0, 5, "0 %"),
            (1, 16, "6.2 %"),
            (1, 10_000, "< 0.1 %"),
            (1, 1, "100 %"),
            (999, 10_000, "10 %"),
        ] {
            assert_eq!(plain(&percent(part, of)), text, "{part} of {of}");
        }
        for (number, text) in [
            (0.0, "0"),
            (-21.43, "−21.4"),
            (0.5, "0.5"),
            (0.0123, "0.012"),
            (3.0, "3"),
            (12.0, "12"),
            (1234.5, "1,235"),
            (2_500_000.0, "2.50 M"),
            (0.000_04, "4e−5"),
        ] {
            assert_eq!(plain(&value(number)), text);
        }
        assert_eq!((counted(1, "source"), counted(2000, "document")), ("1 source".into(), "2,000 documents".into()));
    }
}
