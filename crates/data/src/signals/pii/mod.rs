//! Personal data and secrets: spans of a text that tell who someone is, or let someone in.
//!
//! Linear in the length of the text: an automaton finds the literals that secrets and assignments begin with, `@` leads to
//! addresses, digits to everything else, and each place found is checked by hand within a bounded distance. What is no
//! person's is left alone: addresses of reserved networks, version and section numbers, hashes and UUIDs. Addresses at
//! `example.com` are found like any other; telling invented people from real ones is not attempted.

mod bounds;
mod card;
mod crypto;
mod email;
mod iban;
mod ip;
mod numbers;
mod phone;
mod redact;
mod secret;

pub use redact::{Redacted, redact, redact_all};

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a span holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PiiKind {
    /// A password, key or token.
    Secret,
    /// An address of Bitcoin or Ethereum.
    CryptoAddress,
    /// An international bank account number.
    Iban,
    /// The number of a payment card.
    CreditCard,
    /// A public address of the internet, version 4 or 6.
    IpAddress,
    /// A telephone number.
    PhoneNumber,
    /// An e-mail address.
    EmailAddress,
}

impl PiiKind {
    /// All kinds; where spans overlap, the kind that stands first wins.
    pub const ALL: [Self; 7] = [
        Self::Secret,
        Self::CryptoAddress,
        Self::Iban,
        Self::CreditCard,
        Self::IpAddress,
        Self::PhoneNumber,
        Self::EmailAddress,
    ];

    /// Its name, as in recipes and in the Parquet file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::CryptoAddress => "crypto_address",
            Self::Iban => "iban",
            Self::CreditCard => "credit_card",
            Self::IpAddress => "ip_address",
            Self::PhoneNumber => "phone_number",
            Self::EmailAddress => "email_address",
        }
    }

    /// What a span of it is replaced by.
    #[must_use]
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Secret => "<SECRET>",
            Self::CryptoAddress => "<CRYPTO_ADDRESS>",
            Self::Iban => "<IBAN>",
            Self::CreditCard => "<CREDIT_CARD>",
            Self::IpAddress => "<IP_ADDRESS>",
            Self::PhoneNumber => "<PHONE_NUMBER>",
            Self::EmailAddress => "<EMAIL_ADDRESS>",
        }
    }
}

impl fmt::Display for PiiKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A find: bytes `start..end` of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PiiSpan {
    /// What it is.
    pub kind: PiiKind,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
}

/// All spans of a text, in order, none overlapping another.
#[must_use]
pub fn find(text: &str) -> Vec<PiiSpan> {
    let mut spans = Vec::new();
    secret::find(text, &mut spans);
    email::find(text, &mut spans);
    numbers::find(text, &mut spans);
    apart(spans)
}

/// Of spans that overlap, the one whose kind stands first, then the longer one.
fn apart(mut spans: Vec<PiiSpan>) -> Vec<PiiSpan> {
    spans.sort_unstable_by_key(|span| (span.start, span.kind, std::cmp::Reverse(span.end)));
    let mut kept: Vec<PiiSpan> = Vec::with_capacity(spans.len());
    for span in spans {
        match kept.last_mut() {
            Some(last) if span.start < last.end => {
                let rank = |span: &PiiSpan| (span.kind, std::cmp::Reverse(span.end - span.start));
                if rank(&span) < rank(last) {
                    *last = span;
                }
            }
            _ => kept.push(span),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_overlapping_spans_one_stays() {
        let span = |kind, start, end| PiiSpan { kind, start, end };
        let spans = vec![
            span(PiiKind::PhoneNumber, 10, 22),
            span(PiiKind::EmailAddress, 0, 12),
            span(PiiKind::Secret, 20, 30),
            span(PiiKind::Secret, 20, 40),
            span(PiiKind::IpAddress, 40, 50),
        ];
        let kept = [span(PiiKind::Secret, 20, 40), span(PiiKind::IpAddress, 40, 50)];
        assert_eq!(apart(spans), kept);
    }

    #[test]
    fn names_are_those_of_serde() {
        for kind in PiiKind::ALL {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(kind.placeholder(), format!("<{}>", kind.name().to_uppercase()));
        }
    }
}
