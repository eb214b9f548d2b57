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
    if value < 100_000 {
        return whole(value);
    }
    scaled(value, ["", "\u{a0}k", "\u{a0}M", "\u{a0}G", "\u{a0}T", "\u{a0}P", "\u{a0}E"])
}

/// Likewise, of bytes: `4.37 MB`.
pub(super) fn bytes(value: u64) -> String {
    scaled(value, ["\u{a0}B", "\u{a0}kB", "\u{a0}MB", "\u{a0}GB", "\u{a0}TB", "\u{a0}PB", "\u{a0}EB"])
}

fn scaled(value: u64, units: [&str; 7]) -> String {
    let (mut scaled, mut unit) = (value as f64, 0);
    // What would round up to 1000 belongs to the next unit.
    while scaled >= if unit == 0 { 1000.0 } else { 999.5 } && unit + 1 < units.len() {
        (scaled, unit) = (scaled / 1000.0, unit + 1);
    }
    if unit == 0 { format!("{value}{}", units[0]) } else { format!("{}{}", significant(scaled, 3), units[unit]) }
}

/// A number with so many significant digits, in exponent notation where it is very small or large.
pub(super) fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return match value {
            f64::INFINITY => "infinite".into(),
            f64::NEG_INFINITY => "−infinite".into(),
            _ => "not a number".into(),
        };
    }
    if value == 0.0 {
        return "0".into();
    }
    let rounded = format!("{value:.*e}", digits.saturating_sub(1));
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let text = if (-4..6).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        let text = format!("{value:.decimals$}");
        match (decimals, value.abs() >= 1000.0) {
            (0, true) => format!("{}{}", if value < 0.0 { "-" } else { "" }, whole(value.abs().round() as u64)),
            _ => text,
        }
    } else {
        let mantissa =
            if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
        format!("{mantissa}e{exponent}")
    };
    text.replace('-', "−")
}

/// A share as percent, with two significant digits below ten.
pub(super) fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value.abs() {
        size if !size.is_finite() => "–".into(),
        size if size >= 9.95 || size == 0.0 => format!("{value:.0}\u{a0}%"),
        size if size >= 0.095 => format!("{value:.1}\u{a0}%"),
        _ => "<\u{a0}0.1\u{a0}%".into(),
    }
}

/// A time in the two units that matter: `3 min 42 s`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "unknown time".into();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1}\u{a0}s");
    }
    let whole = seconds.round() as u64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}\u{a0}s"),
        (0, 0, _) => format!("{minutes}\u{a0}min\u{a0}{rest:02}\u{a0}s"),
        (0, ..) => format!("{hours}\u{a0}h\u{a0}{minutes:02}\u{a0}min"),
        _ => format!("{days}\u{a0}d\u{a0}{hours}\u{a0}h"),
    }
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
        for (value, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(whole(value), text);
        }
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (99_999, "99,999"),
            (100_000, "100 k"),
            (4_367_488, "4.37 M"),
            (999_499, "999 k"),
            (999_600, "1.00 M"),
            (132_000_000_000, "132 G"),
            (u64::MAX, "18.4 E"),
        ] {
            assert_eq!(plain(&short(value)), text);
        }
        assert_eq!((plain(&bytes(12)).as_str(), plain(&bytes(1_500)).as_str()), ("12 B", "1.50 kB"));
        for (value, digits, text) in [
            (0.0, 3, "0"),
            (2.71928, 4, "2.719"),
            (9.996, 3, "10.0"),
            (-0.5, 2, "−0.50"),
            (0.001, 3, "0.00100"),
            (0.000_012_3, 3, "1.23e−5"),
            (9_123.4, 3, "9,123"),
            (1.0e12, 3, "1e12"),
            (f64::NAN, 3, "not a number"),
        ] {
            assert_eq!(significant(value, digits), text, "{value}");
        }
        for (value, text) in [(0.0, "0 %"), (0.0625, "6.2 %"), (0.17, "17 %"), (0.000_1, "< 0.1 %"), (0.0999, "10 %")] {
            assert_eq!(plain(&percent(value)), text, "{value}");
        }
        for (value, text) in [
            (0.04, "0.0 s"),
            (12.3, "12 s"),
            (222.0, "3 min 42 s"),
            (7_500.0, "2 h 05 min"),
            (200_000.0, "2 d 7 h"),
            (f64::NAN, "unknown time"),
        ] {
            assert_eq!(plain(&duration(value)), text, "{value}");
        }
        assert_eq!((counted(1, "step").as_str(), counted(2000, "step").as_str()), ("1 step", "2,000 steps"));
    }
}
