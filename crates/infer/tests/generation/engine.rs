//! Requests through an engine: what comes out, in which order, and that nobody's answer depends on the others.

use crate::support::{LENGTH, engine, engine_with, model, request};
use moeworks_infer::*;
use moeworks_model::{Batch, Limits, Parameter};
use proptest::prelude::*;
use std::ops::ControlFlow;

fn run(engine: &mut Engine, requests: Vec<Request>) -> Vec<Completion> {
    engine.generate(requests, |_| ControlFlow::Continue(())).unwrap()
}

fn one(engine: &mut Engine, request: Request) -> Completion {
    run(engine, vec![request]).remove(0)
}

fn reason(completion: &Completion) -> &FinishReason {
    &completion.finish.as_ref().unwrap().reason
}

#[test]
fn an_answer_is_what_the_model_says_step_by_step() {
    let mut engine = engine(1, 8);
    let prompt = engine.tokenizer().encode("the cat sat");
    let request = Request { max_tokens: Some(6), stop_ids: Some(vec![]), ..Request::new(prompt.clone()) };
    let answer = one(&mut engine, request);
    // The likeliest tokens by scoring the whole text, without a cache.
    let ids: Vec<i32> = prompt.iter().chain(&answer.ids()).map(|id| *id as i32).collect();
    let batch = Batch::next_token(engine.config(), &[&ids], None).unwrap();
    let (mut device, mut model) = model(1, LENGTH, |_, _| {});
    let best: Vec<u32> = model.score(&mut *device, &batch).iter().map(|score| score.best).collect();
    assert_eq!(best[prompt.len() - 1..ids.len() - 1], answer.ids());
    assert_eq!(answer.ids().len(), 6);
    assert_eq!(reason(&answer), &FinishReason::Length);
    let finish = answer.finish.as_ref().unwrap();
    assert_eq!((finish.prompt_tokens, finish.completion_tokens), (prompt.len(), 6));
    assert_eq!(answer.text, engine.tokenizer().decode_without_special(&answer.ids()));
}

#[test]
fn seeds_and_choices_decide_the_text() {
    let mut engine = engine(3, 16);
    let same = |seed| Request { choices: 3, ..request(&engine, "the dog", seed, 12) };
    let requests = vec![same(1), same(1), same(2)];
    let answers: Vec<Vec<u32>> = run(&mut engine, requests).iter().map(Completion::ids).collect();
    assert_eq!(answers[..3], answers[3..6]);
    assert_ne!(answers[..3], answers[6..]);
    assert!(answers[0] != answers[1] && answers[1] != answers[2] && answers[0] != answers[2]);
}

/// A request of random shape.
fn any_request() -> impl Strategy<Value = (Vec<u32>, u64, usize, usize, bool, bool)> {
    let prompt = prop::collection::vec(0u32..280, 1..20);
    (prompt, any::<u64>(), 1usize..12, 1usize..4, any::<bool>(), any::<bool>())
}

fn build((prompt, seed, most, choices, scored, greedy): (Vec<u32>, u64, usize, usize, bool, bool)) -> Request {
    let sampling = if greedy { Sampling::greedy() } else { Sampling { top_k: 40, ..Sampling::dbrx() } };
    Request {
        choices,
        sampling,
        seed,
        max_tokens: Some(most),
        logprobs: Some(2),
        prompt_logprobs: scored.then_some(1),
        stop: vec!["at".into()],
        ..Request::new(prompt)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Tokens, texts and every bit of the log-probabilities, whoever else is there, in whatever slots and steps.
    #[test]
    fn an_answer_does_not_depend_on_its_neighbours(
        requests in prop::collection::vec(any_request(), 1..5),
        slots in 1usize..5,
        spare in 0usize..12,
    ) {
        let mut alone = engine(1, 7);
        let expected: Vec<Completion> =
            requests.iter().flat_map(|r| run(&mut alone, vec![build(r.clone())])).collect();
        let mut crowded = engine(slots, slots + spare);
        prop_assert_eq!(run(&mut crowded, requests.into_iter().map(build).collect()), expected);
        prop_assert!(crowded.is_idle());
    }
}

#[test]
fn requests_join_and_leave_while_others_run() {
    let mut engine = engine(2, 8);
    let wanted = request(&engine, "on the mat", 9, 10);
    let alone = one(&mut engine, wanted.clone()).ids();
    let long = engine.submit(Request { stop_ids: Some(vec![]), ..request(&engine, "the cat", 1, 30) }).unwrap();
    (0..3).for_each(|_| drop(engine.step()));
    let joined = engine.submit(wanted).unwrap();
    let waits = engine.submit(request(&engine, "and", 2, 4)).unwrap();
    let first = engine.step();
    assert_eq!((engine.running(), engine.waiting()), (2, 1));
    let gone = engine.cancel(long);
    let finish = |e: &Event| matches!(&e.kind, EventKind::Finish(f) if f.reason == FinishReason::Cancelled);
    assert!(gone.len() == 1 && finish(&gone[0]), "{gone:?}");
    assert_eq!((engine.running(), engine.waiting()), (1, 1));
    let gone = engine.cancel(waits);
    assert!(gone.len() == 1 && finish(&gone[0]), "{gone:?}");
    assert_eq!(engine.cancel(waits), []);
    let mut joined_completion = Completion::default();
    let mut events = first;
    while !engine.is_idle() {
        events.extend(engine.step());
    }
    events.into_iter().filter(|e| e.request == joined).for_each(|e| joined_completion.add(e.kind));
    assert_eq!(joined_completion.ids(), alone);
    assert!(engine.step().is_empty());
}

#[test]
fn logprobs_are_of_the_plain_distribution_and_agree_with_scoring() {
    let mut engine = engine(2, 24);
    let prompt = engine.tokenizer().encode("the dog sat on the mat, 猫");
    let asked = Request {
        sampling: Sampling { temperature: 0.3, top_k: 5, repetition_penalty: 1.5, ..Sampling::default() },
        logprobs: Some(300),
        prompt_logprobs: Some(3),
        max_tokens: Some(1),
        ..Request::new(prompt.clone())
    };
    let answer = one(&mut engine, asked.clone());
    let token = &answer.tokens[0];
    let logprobs = token.logprobs.as_ref().unwrap();
    let sum: f64 = logprobs.top.iter().map(|c| c.logprob.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    assert_eq!(logprobs.top.iter().find(|c| c.id == token.id).unwrap().logprob, logprobs.logprob);

    assert!(answer.prompt[0].is_none() && answer.prompt.len() == prompt.len());
    let ids: Vec<i32> = prompt.iter().map(|id| *id as i32).collect();
    let batch = Batch::next_token(engine.config(), &[&ids], None).unwrap();
    let (mut device, mut model) = model(1, LENGTH, |_, _| {});
    let scores = model.score(&mut *device, &batch);
    for (score, logprobs) in scores.iter().zip(&answer.prompt[1..]) {
        let logprobs = logprobs.as_ref().unwrap();
        assert!((logprobs.logprob + score.nll).abs() < 1e-5, "{} {}", logprobs.logprob, score.nll);
        assert_eq!((logprobs.top[0].id, logprobs.top.len()), (score.best, 3));
    }

    // Scoring alone, of a prompt that fills the context.
    let full = vec![5; LENGTH];
    let alone = one(&mut engine, Request { max_tokens: Some(0), prompt: full, choices: 1, ..asked });
    assert_eq!((alone.prompt.len(), alone.tokens.len(), alone.text.as_str()), (LENGTH, 0, ""));
    assert_eq!(reason(&alone), &FinishReason::Length);
    // Nothing asked for.
    let nothing = one(&mut engine, Request { max_tokens: Some(0), ..Request::new(prompt) });
    assert_eq!((nothing.prompt.len(), reason(&nothing)), (0, &FinishReason::Length));
}

#[test]
fn stop_strings_and_tokens_end_an_answer() {
    let mut engine = engine(1, 8);
    let free = Request { stop_ids: Some(vec![]), logprobs: Some(0), ..request(&engine, "the", 4, 30) };
    let whole = one(&mut engine, free.clone());
    let chars: Vec<char> = whole.text.chars().collect();
    for start in 1..chars.len() - 3 {
        let stop: String = chars[start..start + 3].iter().collect();
        let cut = one(&mut engine, Request { stop: vec!["never".into(), stop.clone()], ..free.clone() });
        assert_eq!(cut.text, whole.text[..whole.text.find(&stop).unwrap()], "{stop:?}");
        assert_eq!(reason(&cut), &FinishReason::Stop);
        assert!(whole.ids().starts_with(&cut.ids()));
    }
    let id = whole.ids()[5];
    let first = whole.ids().iter().position(|other| *other == id).unwrap();
    let cut = one(&mut engine, Request { stop_ids: Some(vec![id]), ..free });
    assert_eq!(cut.ids(), whole.ids()[..=first]);
    let last = cut.tokens.last().unwrap();
    assert!(last.ends && last.text.is_empty() && last.logprobs.is_some());
    assert_eq!(cut.text, engine.tokenizer().decode_without_special(&whole.ids()[..first]));
    assert_eq!(reason(&cut), &FinishReason::Stop);
}

#[test]
fn text_comes_in_whole_characters() {
    let mut engine = engine(4, 8);
    let (mut replaced, mut pieces) = (0, 0);
    for seed in 0..20 {
        let all = Request { choices: 4, stop_ids: Some(vec![]), ..request(&engine, "猫 🙂", seed, 30) };
        let tokenizer = engine.tokenizer().clone();
        for answer in run(&mut engine, vec![all]) {
            assert_eq!(answer.text, tokenizer.decode_without_special(&answer.ids()));
            replaced += answer.text.matches('\u{fffd}').count();
            pieces += answer.tokens.len();
        }
    }
    assert!(replaced > 0 && pieces == 20 * 4 * 30, "random bytes should have been among the tokens");
}

#[test]
fn the_context_is_a_limit_that_is_told() {
    let mut engine = engine(1, 8);
    let free =
        |tokens: usize, most| Request { max_tokens: most, stop_ids: Some(vec![]), ..Request::new(vec![7; tokens]) };
    let answer = one(&mut engine, free(LENGTH - 3, None));
    assert_eq!((answer.tokens.len(), reason(&answer)), (3, &FinishReason::Length));
    let answer = one(&mut engine, free(LENGTH - 3, Some(1000)));
    assert_eq!((answer.tokens.len(), reason(&answer)), (3, &FinishReason::Length));
    for (tokens, most) in [(LENGTH, None), (LENGTH, Some(1)), (LENGTH + 1, Some(0)), (5000, None)] {
        let error = engine.submit(free(tokens, most)).unwrap_err();
        let answer = most != Some(0);
        assert_eq!(error, RequestError::ContextLength { tokens, limit: LENGTH, answer });
        let message = error.to_string();
        assert!(message.contains(&tokens.to_string()) && message.contains("96"), "{message}");
    }
}

#[test]
fn wrong_requests_are_refused() {
    let mut engine = engine(1, 8);
    let vocab_size = engine.config().vocab_size;
    let good = Request::new(vec![1]);
    let cases = [
        (Request::new(vec![]), "the prompt is empty"),
        (Request { choices: 0, ..good.clone() }, "0 choices"),
        (Request::new(vec![1, vocab_size as u32]), "at position 1"),
        (Request { sampling: Sampling { top_p: 0.0, ..Sampling::default() }, ..good.clone() }, "top_p is 0"),
        (Request { sampling: Sampling { temperature: f64::NAN, ..Sampling::default() }, ..good }, "temperature is NaN"),
    ];
    for (request, words) in cases {
        let error = engine.submit(request.clone()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(engine.generate(vec![Request::new(vec![1]), request], |_| ControlFlow::Continue(())).is_err());
        assert!(engine.is_idle());
    }
}

#[test]
fn what_is_not_a_number_fails_alone() {
    let poison = 11;
    let mut engine = engine_with(3, 12, |parameter, values| {
        if parameter == Parameter::Embedding {
            values[poison * 16] = f32::NAN;
        }
    });
    let mut healthy = crate::support::engine(1, 4);
    let free = |prompt| Request { max_tokens: Some(8), ..Request::new(prompt) };
    let expected = one(&mut healthy, free(vec![3, 4, 5]));
    assert!(!expected.ids().contains(&(poison as u32)), "choose another token to poison");
    let scored = Request { prompt_logprobs: Some(0), ..free(vec![3, poison as u32, 5, 6]) };
    let answers = run(&mut engine, vec![free(vec![3, poison as u32]), free(vec![3, 4, 5]), scored]);
    assert_eq!(answers[1], expected);
    for answer in [&answers[0], &answers[2]] {
        assert!(matches!(reason(answer), FinishReason::Error(e) if e.contains("NaN")), "{answer:?}");
        assert!(answer.tokens.is_empty());
    }
    assert!(engine.is_idle());
}

#[test]
fn after_a_failure_those_who_wait_go_on() {
    let mut engine = engine(1, 8);
    let good = request(&engine, "the cat", 1, 5);
    let expected = one(&mut engine, good.clone());
    engine.submit(request(&engine, "the dog", 1, 5)).unwrap();
    let waits = engine.submit(good).unwrap();
    engine.step();
    let events = engine.fail_running("broken");
    assert!(
        matches!(&events[..], [Event { kind: EventKind::Finish(f), .. }] if f.reason == FinishReason::Error("broken".into()))
    );
    let mut completion = Completion::default();
    while !engine.is_idle() {
        engine.step().into_iter().filter(|e| e.request == waits).for_each(|e| completion.add(e.kind));
    }
    assert_eq!(completion, expected);
}

#[test]
fn parts_that_do_not_fit_are_no_engine() {
    let build = |slots, rows, drop: usize| {
        let tokenizer = crate::support::tokenizer();
        let mut config = crate::support::config(&tokenizer);
        config.vocab_size = tokenizer.vocab_size() - drop;
        config.eos_token_ids.clear();
        let mut device = Box::new(moeworks_ops::Reference::new());
        let limits = Limits { slots, length: 8, rows };
        let zeros = |p| {
            let shapes = moeworks_model::parameters(&config);
            let (_, shape) = shapes.into_iter().find(|(other, _)| *other == p).unwrap();
            Ok(vec![0.0; shape.iter().product()])
        };
        let model = moeworks_model::Inference::load(&mut *device, &config, moeworks_ops::Precision::F32, limits, zeros);
        Engine::new(device, model.unwrap(), tokenizer)
    };
    assert!(build(2, 2, 0).is_ok());
    assert!(matches!(build(2, 1, 0), Err(EngineError::Rows { rows: 1, slots: 2 })));
    assert!(matches!(build(1, 1, 1), Err(EngineError::Vocabulary { .. })));
}
