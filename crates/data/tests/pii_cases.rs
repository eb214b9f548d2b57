//! How well personal data and secrets are found: a made set of hard cases, `pii_cases.jsonl`, each with what is to be found
//! in it. Letters of the made keys are written as escapes, so that no scanner takes them for real ones.

use moeworks_data::signals::pii::{PiiKind, find};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    text: String,
    expected: Vec<Expected>,
    /// What it is instead, or what is hard about it.
    #[serde(default)]
    note: String,
}

#[derive(Deserialize)]
struct Expected {
    kind: PiiKind,
    text: String,
}

#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Counts {
    found: usize,
    missed: usize,
    wrong: usize,
}

/// Start and end of what is expected, in the order of the text.
fn expected(case: &Case) -> Vec<(PiiKind, usize, usize)> {
    let mut from = 0;
    let mut spans = Vec::new();
    for expected in &case.expected {
        let start = from + case.text[from..].find(&expected.text).expect("the text expected is in the case's");
        from = start + expected.text.len();
        spans.push((expected.kind, start, from));
    }
    spans
}

#[test]
fn hard_cases_are_told_apart() {
    let cases: Vec<Case> =
        include_str!("pii_cases.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut counts = [Counts::default(); PiiKind::ALL.len()];
    for case in &cases {
        let expected = expected(case);
        let found: Vec<_> = find(&case.text).iter().map(|span| (span.kind, span.start, span.end)).collect();
        if found != expected {
            println!("{:?} ({})\n  expected {expected:?}\n  found    {found:?}", case.text, case.note);
        }
        for (kind, counts) in PiiKind::ALL.iter().zip(&mut counts) {
            let of = |spans: &[(PiiKind, usize, usize)]| spans.iter().filter(|span| span.0 == *kind).count();
            let hits = expected.iter().filter(|span| span.0 == *kind && found.contains(span)).count();
            counts.found += hits;
            counts.missed += of(&expected) - hits;
            counts.wrong += of(&found) - hits;
        }
    }
    let negatives = cases.iter().filter(|case| case.expected.is_empty()).count();
    println!("{} cases, {negatives} of them with nothing to find", cases.len());
    println!("{:<16}{:>6}{:>8}{:>7}{:>11}{:>8}", "kind", "found", "missed", "wrong", "precision", "recall");
    for (kind, Counts { found, missed, wrong }) in PiiKind::ALL.iter().zip(counts) {
        let share = |of: usize| found as f64 / of as f64;
        let (precision, recall) = (share(found + wrong), share(found + missed));
        println!("{kind:<16}{found:>6}{missed:>8}{wrong:>7}{precision:>11.3}{recall:>8.3}", kind = kind.name());
    }
    // Found, missed, wrong. A change that finds more raises these, and one that finds less has to say so here.
    let reached = [(45, 0, 0), (6, 0, 0), (11, 0, 0), (15, 1, 0), (16, 0, 1), (25, 2, 1), (21, 0, 0)];
    let reached = reached.map(|(found, missed, wrong)| Counts { found, missed, wrong });
    assert_eq!(counts, reached);
}
