//! Lengths of training: `500ba`, `2ep`, `5e6tok`, `30min`, `90s`, `2h`, and shares of a run such as `5%`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A length of training, or an interval in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Duration {
    /// Steps (`ba`).
    Batches(u64),
    /// Passes over the data (`ep`).
    Epochs(f64),
    /// Tokens (`tok`).
    Tokens(u64),
    /// Time (`s`, `min`, `h`).
    Seconds(f64),
    /// A share of the whole run (`%`).
    Share(f64),
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps taken.
    pub steps: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Passes over the data.
    pub epochs: f64,
    /// Seconds of training.
    pub seconds: f64,
}

impl Duration {
    /// How much of this length has passed: 0 at the start, 1 at its end. For a share, `whole` is the run's own length.
    pub fn fraction(&self, now: &Progress, whole: &Duration) -> f64 {
        let part = |done: f64, all: f64| if all > 0.0 { done / all } else { 1.0 };
        match *self {
            Duration::Batches(n) => part(now.steps as f64, n as f64),
            Duration::Epochs(n) => part(now.epochs, n),
            Duration::Tokens(n) => part(now.tokens as f64, n as f64),
            Duration::Seconds(n) => part(now.seconds, n),
            Duration::Share(s) => match whole {
                Duration::Share(_) => 1.0,
                _ => part(whole.fraction(now, whole), s),
            },
        }
    }

    /// Whether an interval of this length has ended between two moments.
    pub fn passed(&self, before: &Progress, now: &Progress, whole: &Duration) -> bool {
        self.fraction(now, whole).floor() > self.fraction(before, whole).floor()
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Duration::Batches(n) => write!(f, "{n}ba"),
            Duration::Epochs(n) => write!(f, "{n}ep"),
            Duration::Tokens(n) => write!(f, "{n}tok"),
            Duration::Seconds(n) if n % 60.0 == 0.0 && *n > 0.0 => write!(f, "{}min", n / 60.0),
            Duration::Seconds(n) => write!(f, "{n}s"),
            Duration::Share(n) => write!(f, "{}%", (n * 1e6).round() / 1e4),
        }
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a duration; write 500ba, 2ep, 5e6tok, 30min, 90s, 2h or 5%");
        let text = text.trim();
        let units = ["ba", "ep", "tok", "min", "s", "h", "%"];
        let unit = units.into_iter().find(|u| text.ends_with(u)).ok_or_else(wrong)?;
        let number = text[..text.len() - unit.len()].trim().replace('_', "");
        let value: f64 = number.parse().map_err(|_| wrong())?;
        if !(value.is_finite() && value >= 0.0) {
            return Err(wrong());
        }
        Ok(match unit {
            "ba" => Duration::Batches(value as u64),
            "ep" => Duration::Epochs(value),
            "tok" => Duration::Tokens(value as u64),
            "s" => Duration::Seconds(value),
            "min" => Duration::Seconds(60.0 * value),
            "h" => Duration::Seconds(3600.0 * value),
            _ => Duration::Share(value / 100.0),
        })
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, want) in [
            ("500ba", Duration::Batches(500)),
            ("2ep", Duration::Epochs(2.0)),
            ("0.5ep", Duration::Epochs(0.5)),
            ("1e-2ep", Duration::Epochs(0.01)),
            ("5e6tok", Duration::Tokens(5_000_000)),
            ("1_000tok", Duration::Tokens(1000)),
            ("30min", Duration::Seconds(1800.0)),
            ("1.5h", Duration::Seconds(5400.0)),
            ("90s", Duration::Seconds(90.0)),
            ("5%", Duration::Share(0.05)),
        ] {
            let got: Duration = text.parse().unwrap();
            assert_eq!(got, want, "{text}");
            assert_eq!(got.to_string().parse::<Duration>().unwrap(), want, "{got}");
        }
        for text in ["", "5", "ba", "-1ba", "5 apples", "nanmin", "1e999s", "5e", "%", "é5ba"] {
            let message = text.parse::<Duration>().unwrap_err();
            assert!(message.contains("30min"), "{text}: {message}");
        }
    }

    #[test]
    fn intervals_pass_once_each() {
        let at = |steps| Progress { steps, tokens: 10 * steps, epochs: steps as f64 / 8.0, seconds: steps as f64 };
        let whole = Duration::Batches(20);
        let count = |interval: Duration| (1..=20).filter(|s| interval.passed(&at(s - 1), &at(*s), &whole)).count();
        assert_eq!(count(Duration::Batches(5)), 4);
        assert_eq!(count(Duration::Tokens(100)), 2);
        assert_eq!(count(Duration::Share(0.25)), 4);
        assert_eq!(count(Duration::Epochs(1.0)), 2);
        assert_eq!(count(Duration::Seconds(7.0)), 2);
    }
}
