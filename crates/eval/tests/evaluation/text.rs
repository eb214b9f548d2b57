//! Bits per byte against sums made one sequence at a time.

use crate::fixture::{CONTEXT, fixture};
use moeworks_eval::{Estimate, EvalError, Event, FirstToken, TextOptions, TextResult};
use std::ops::ControlFlow;

/// Short, long, empty, several windows, several bytes a character.
fn documents() -> Vec<String> {
    let long = "A model of experts reads this line more than once. ".repeat(4);
    vec!["x".into(), String::new(), "fn main() {}\n".into(), long, "žluťoučký kůň".into(), "end".into()]
}

fn measure(rows: usize, documents: &[String], options: TextOptions) -> Result<TextResult, EvalError> {
    let mut fixture = fixture(rows);
    let result = fixture.evaluator().bits_per_byte("t", documents.iter().map(Ok), options)?;
    Ok(TextResult { seconds: 0.0, ..result })
}

/// Nats of every document, each window scored by itself.
fn by_hand(documents: &[String], stride: usize, first: FirstToken) -> Vec<f64> {
    let mut fixture = fixture(CONTEXT);
    let mut nats = Vec::new();
    for document in documents.iter().filter(|document| !document.is_empty()) {
        let ids = fixture.tokenizer.encode(document);
        let (sequence, mut sum) = match first {
            FirstToken::After(token) => ([vec![token], ids].concat(), 0.0),
            FirstToken::Uniform => (ids, 264f64.ln()),
        };
        let (mut start, mut done) = (0, 0);
        while done + 1 < sequence.len() {
            let end = (start + CONTEXT).min(sequence.len() - 1);
            sum += fixture.ending(&sequence[start..=end], end - done).0;
            (done, start) = (end, start + stride);
        }
        nats.push(sum);
    }
    nats
}

#[test]
fn the_sum_is_that_of_each_window_alone() {
    let documents = documents();
    let end = fixture(CONTEXT).tokenizer.eos().unwrap();
    for (stride, first) in [
        (None, FirstToken::After(end)),
        (Some(CONTEXT / 3), FirstToken::After(end)),
        (Some(CONTEXT), FirstToken::Uniform),
        (None, FirstToken::After(65)),
    ] {
        let options = TextOptions { stride, first_token: Some(first) };
        let found = measure(2 * CONTEXT, &documents, options).unwrap();
        let nats = by_hand(&documents, stride.unwrap_or(CONTEXT), first);
        let bytes: Vec<usize> = documents.iter().map(String::len).filter(|bytes| *bytes > 0).collect();
        let ratio = |scale: f64| -> Vec<(f64, f64)> {
            nats.iter().zip(&bytes).map(|(nats, bytes)| (nats / scale, *bytes as f64)).collect()
        };
        assert_eq!(found.bits_per_byte, Estimate::of_ratio(&ratio(std::f64::consts::LN_2)));
        let total: usize = bytes.iter().sum();
        assert_eq!((found.documents, found.bytes, found.tokens), (5, total as u64, total as u64));
        let per_token = nats.iter().sum::<f64>() / total as f64;
        assert_eq!((found.nats_per_token, found.perplexity), (per_token, per_token.exp()));
        assert_eq!((found.window, found.stride, found.first_token), (CONTEXT, stride.unwrap_or(CONTEXT), first));
        assert_eq!(found.altered_documents, 0);
        // An untrained model knows nothing: about log2 of its vocabulary a byte.
        assert!((found.bits_per_byte.value - 272f64.log2()).abs() < 1.0, "{:?}", found.bits_per_byte);
    }
}

#[test]
fn packing_changes_no_bit() {
    let documents = documents();
    let all = measure(4096, &documents, TextOptions::default()).unwrap();
    assert_eq!(all.first_token, FirstToken::After(256));
    for rows in [CONTEXT, CONTEXT + 1, 100] {
        assert_eq!(measure(rows, &documents, TextOptions::default()).unwrap(), all, "{rows} rows a pass");
    }
}

#[test]
fn fewer_rows_than_positions_are_a_shorter_window() {
    let found = measure(20, &documents(), TextOptions::default()).unwrap();
    assert_eq!((found.window, found.stride), (20, 20));
}

#[test]
fn what_cannot_be_scored_is_an_error() {
    let empty = measure(64, &[String::new(), String::new()], TextOptions::default()).unwrap_err().to_string();
    assert!(empty.contains("t: no text to score: all 2 documents are empty"), "{empty}");
    for stride in [0, CONTEXT + 1] {
        let options = TextOptions { stride: Some(stride), first_token: None };
        let message = measure(64, &documents(), options).unwrap_err().to_string();
        assert!(message.contains("stride: is") && message.contains("from 1 to the window of 48"), "{message}");
    }
    let options = TextOptions { stride: None, first_token: Some(FirstToken::After(272)) };
    let message = measure(64, &documents(), options).unwrap_err().to_string();
    assert!(message.contains("first_token: is 272, the model has 272"), "{message}");

    let mut fixture = fixture(64);
    let documents = [Ok("a"), Err(EvalError::Empty { path: "gone.jsonl".into() }), Ok("b")];
    let error = fixture.evaluator().bits_per_byte("t", documents, TextOptions::default()).unwrap_err();
    assert!(matches!(error, EvalError::Empty { .. }));
}

#[test]
fn a_watcher_hears_and_stops() {
    let mut fixture = fixture(CONTEXT);
    let documents = ["x".repeat(40), "y".repeat(40), "z".repeat(40)];
    let mut heard = Vec::new();
    let mut evaluator = fixture.evaluator().watched(|event| {
        if let Event::Progress { done, total: None, name: "t" } = event {
            heard.push(done);
        }
        if heard.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let error = evaluator.bits_per_byte("t", documents.iter().map(Ok), TextOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "t: interrupted after 2 prompts");
    drop(evaluator);
    assert_eq!(heard, [1, 2]);
}
