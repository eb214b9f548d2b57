//! /v1/completions: text continued, and given text scored as lm-eval does it.

use crate::support::{LENGTH, MODEL, model, serve, tokenizer};
use moeworks_model::Batch;
use moeworks_ops::Reference;
use serde_json::{Value, json};

const PATH: &str = "/v1/completions";
const TEXT: &str = "the dog sat on the mat, 猫";

fn asked(change: Value) -> Value {
    let mut body = json!({"model": MODEL, "prompt": TEXT, "max_tokens": 8, "seed": 1});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

fn texts(answer: &Value) -> Vec<String> {
    answer["choices"].as_array().unwrap().iter().map(|choice| choice["text"].as_str().unwrap().to_string()).collect()
}

#[test]
fn prompts_come_in_four_forms() {
    let server = serve();
    let ids = tokenizer().encode(TEXT);
    let one = server.ask(PATH, &asked(json!({})));
    assert_eq!((&one["object"], one["usage"]["completion_tokens"].as_u64()), (&json!("text_completion"), Some(8)));
    let same = texts(&one);
    for prompt in [json!([TEXT]), json!(ids), json!([ids])] {
        assert_eq!(texts(&server.ask(PATH, &asked(json!({"prompt": prompt})))), same);
    }
    let many = server.ask(PATH, &asked(json!({"prompt": [TEXT, "the cat", TEXT], "n": 2})));
    let all = texts(&many);
    assert_eq!((all.len(), &all[0..2], &all[0]), (6, &all[4..6], &same[0]));
    assert!(all[0] != all[1] && all[0] != all[2]);
    let expected = 2 * ids.len() + tokenizer().encode("the cat").len();
    assert_eq!(many["usage"]["prompt_tokens"], expected, "a prompt counts once, however many answers it has");
    // No text at all is the beginning of a document.
    let nothing = server.ask(PATH, &asked(json!({"prompt": ""})));
    assert_eq!(nothing["usage"]["prompt_tokens"], 1);
    // 16 tokens are the default.
    let default = server.ask(PATH, &json!({"model": MODEL, "prompt": "a", "seed": 1, "logit_bias": {"70": 100}}));
    assert_eq!(default["usage"]["completion_tokens"], 16);
}

#[test]
fn echo_and_logprobs_score_a_text() {
    let server = serve();
    let ids = tokenizer().encode(TEXT);
    let batch = |ids: &[u32]| {
        let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let mut device = Reference::new();
        let mut model = model(&mut device, |_, _| {});
        let batch = Batch::next_token(&model.config, &[&ids], None).unwrap();
        model.score(&mut device, &batch)
    };
    for (prompt, max_tokens) in [(json!(TEXT), 0), (json!([ids]), 1), (json!([TEXT, ids]), 1)] {
        let body =
            asked(json!({"prompt": prompt, "max_tokens": max_tokens, "echo": true, "logprobs": 1, "temperature": 0}));
        let answer = server.ask(PATH, &body);
        for choice in answer["choices"].as_array().unwrap() {
            let lists = &choice["logprobs"];
            let list = |name: &str| lists[name].as_array().unwrap().clone();
            for name in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
                assert_eq!(list(name).len(), ids.len() + max_tokens, "{name}");
            }
            assert!(lists["token_logprobs"][0].is_null() && lists["top_logprobs"][0].is_null());
            let logprobs: Vec<f64> = list("token_logprobs")[1..].iter().map(|l| l.as_f64().unwrap()).collect();
            let scores = batch(&ids);
            let expected: f64 = scores.iter().map(|score| -score.nll).sum();
            let sum: f64 = logprobs[..ids.len() - 1].iter().sum();
            assert!((sum - expected).abs() < 1e-4, "{sum} {expected}");
            for (i, score) in scores[..ids.len() - 1].iter().enumerate() {
                // Greedy is told by the token's log-probability being the greatest, as lm-eval does.
                let top = lists["top_logprobs"][i + 1].as_object().unwrap();
                let greatest = top.values().map(|l| l.as_f64().unwrap()).fold(f64::MIN, f64::max);
                assert_eq!(greatest == logprobs[i], score.best == ids[i + 1]);
            }
            let text = choice["text"].as_str().unwrap();
            assert!(text.starts_with(TEXT) && (max_tokens > 0 || text == TEXT));
            let (names, offsets) = (list("tokens"), list("text_offset"));
            let chars: Vec<char> = text.chars().collect();
            for (name, offset) in names.iter().zip(&offsets) {
                let (name, offset) = (name.as_str().unwrap(), offset.as_u64().unwrap() as usize);
                let at: String = chars[offset..].iter().take(name.chars().count()).collect();
                assert!(name.starts_with("bytes:\\x") || at == name, "{name:?} at {offset} of {text:?}");
            }
        }
    }
}

#[test]
fn a_text_that_fills_the_context_can_be_scored() {
    let server = serve();
    let full: Vec<usize> = (0..LENGTH).map(|i| 12 + i % 200).collect();
    let asked = |max_tokens| asked(json!({"prompt": full, "max_tokens": max_tokens, "echo": true, "logprobs": 0}));
    let answer = server.ask(PATH, &asked(0));
    assert_eq!(answer["choices"][0]["logprobs"]["tokens"].as_array().unwrap().len(), LENGTH);
    let error = server.post(PATH, &asked(1)).json();
    assert_eq!(error["error"]["code"], "context_length_exceeded");
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let server = serve();
    for change in [
        json!({}),
        json!({"n": 2, "prompt": [TEXT, "a"], "stop": "e"}),
        json!({"echo": true, "n": 2}),
        json!({"echo": true, "logprobs": 2}),
        json!({"echo": true, "logprobs": 0, "max_tokens": 0}),
        json!({"echo": true, "max_tokens": 0}),
        json!({"logprobs": 3, "n": 2, "temperature": 0.5}),
    ] {
        let whole = server.ask(PATH, &asked(change.clone()));
        let mut body = asked(change.clone());
        body["stream"] = json!(true);
        let chunks = server.post(PATH, &body).chunks();
        for choice in whole["choices"].as_array().unwrap() {
            let own: Vec<&Value> = chunks
                .iter()
                .map(|chunk| &chunk["choices"][0])
                .filter(|part| part["index"] == choice["index"])
                .collect();
            let text: String = own.iter().map(|part| part["text"].as_str().unwrap()).collect();
            assert_eq!(text, choice["text"], "{change}");
            assert_eq!(own.last().unwrap()["finish_reason"], choice["finish_reason"]);
            assert!(own[..own.len() - 1].iter().all(|part| part["finish_reason"].is_null()));
            for name in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
                let list = |part: &Value| part["logprobs"][name].as_array().cloned().unwrap_or_default();
                assert_eq!(own.iter().flat_map(|part| list(part)).collect::<Vec<_>>(), list(choice), "{change} {name}");
            }
        }
    }
}

#[test]
fn what_is_typed_never_becomes_a_special_token_but_ids_may_be() {
    let server = serve();
    let score = |prompt: Value| {
        let body = asked(json!({"prompt": prompt, "max_tokens": 0, "echo": true, "logprobs": 0}));
        server.ask(PATH, &body)["choices"][0]["logprobs"]["tokens"].as_array().unwrap().clone()
    };
    let typed = score(json!("a<|im_end|>"));
    assert!(typed.len() > 5 && !typed.contains(&json!("<|im_end|>")), "{typed:?}");
    let end = tokenizer().special("<|im_end|>").unwrap();
    assert_eq!(score(json!([65, end])), [json!("b"), json!("<|im_end|>")]);
}

#[test]
fn a_token_that_ends_the_text_is_among_the_logprobs() {
    let server = serve();
    let end = tokenizer().eos().unwrap();
    let bias = json!({(end.to_string()): 100});
    let answer = server.ask(PATH, &asked(json!({"logit_bias": bias, "logprobs": 1, "echo": true})));
    let choice = &answer["choices"][0];
    assert_eq!((choice["finish_reason"].as_str(), choice["text"].as_str()), (Some("stop"), Some(TEXT)));
    assert_eq!(choice["logprobs"]["tokens"].as_array().unwrap().len(), tokenizer().encode(TEXT).len() + 1);
    assert_eq!(answer["usage"]["completion_tokens"], 1);
}
