//! Wrong requests: each is refused by name, in the shape clients expect, and says nothing about the server's inside.

use crate::client::{Reply, send};
use crate::support::{LENGTH, MODEL, POISON, Running, serve, serve_poisoned};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

fn refused(server: &Running, path: &str, body: &str) -> (u16, Value) {
    let reply = Reply::read(send(server.address, "POST", path, &["Content-Type: application/json"], body));
    let status = reply.status;
    let error = reply.json()["error"].clone();
    for field in ["message", "type", "param", "code"] {
        assert!(error.get(field).is_some(), "{error}");
    }
    let message = error["message"].as_str().unwrap();
    assert!(!message.contains(".rs") && !message.contains("/work") && !message.contains("/home"), "{message}");
    (status, error)
}

#[test]
fn fields_with_wrong_values_are_named() {
    let server = serve();
    let extremes =
        [json!(i64::MIN), json!(i64::MAX), json!(u64::MAX), json!(-1e300), json!("1"), json!([1]), json!({})];
    let mut cases: Vec<(&str, &str, Value)> = Vec::new();
    let numbers =
        ["temperature", "top_p", "n", "max_tokens", "presence_penalty", "frequency_penalty", "repetition_penalty"];
    for path in [CHAT, TEXT] {
        for field in numbers.into_iter().chain(["top_k"]) {
            cases.extend(extremes.iter().map(|value| (path, field, value.clone())));
        }
        for value in [json!(u64::MAX), json!(1.5), json!("1"), json!(true)] {
            cases.push((path, "seed", value));
        }
        cases.extend([
            (path, "n", json!(0)),
            (path, "n", json!(9)),
            (path, "n", json!(-1)),
            (path, "temperature", json!(2.1)),
            (path, "top_p", json!(-0.1)),
            (path, "stream", json!("true")),
            (path, "stream", json!(1)),
            (path, "stop", json!("")),
            (path, "stop", json!(["a", "b", "c", "d", "e"])),
            (path, "stop", json!(["a", 1])),
            (path, "stop", json!("x".repeat(257))),
            (path, "stop", json!({"a": "b"})),
            (path, "logit_bias", json!([1])),
            (path, "logit_bias", json!({"a": 1})),
            (path, "logit_bias", json!({"-1": 1})),
            (path, "logit_bias", json!({"99999999999": 1})),
            (path, "logit_bias", json!({"100000": 1})),
            (path, "logit_bias", json!({"1": 101})),
            (path, "logit_bias", json!({"1": "1"})),
            (path, "logit_bias", (0..1025).map(|i| (i.to_string(), json!(1))).collect()),
            (path, "user", json!(1)),
            (path, "metadata", json!({"a": 1})),
            (path, "metadata", json!("a")),
            (path, "store", json!(true)),
            (path, "service_tier", json!("flex")),
            (path, "stream_options", json!({"include_usage": true})),
            (path, "mirostat", json!(1)),
            (path, "temprature", json!(1)),
            (path, "min_p", json!(0.1)),
        ]);
    }
    cases.extend([
        (CHAT, "max_tokens", json!(0)),
        (CHAT, "max_completion_tokens", json!(0)),
        (CHAT, "top_logprobs", json!(21)),
        (CHAT, "top_logprobs", json!(3)),
        (CHAT, "logprobs", json!(1)),
        (CHAT, "tools", json!([{"type": "function", "function": {"name": "f"}}])),
        (CHAT, "tool_choice", json!("auto")),
        (CHAT, "response_format", json!({"type": "json_object"})),
        (CHAT, "functions", json!([])),
        (CHAT, "reasoning_effort", json!("low")),
        (CHAT, "prompt", json!("a")),
        (CHAT, "echo", json!(true)),
        (CHAT, "messages", json!("hi")),
        (CHAT, "messages", json!([])),
        (CHAT, "messages", Value::Null),
        (CHAT, "messages", vec![json!({"role": "user", "content": "a"}); 1025].into()),
        (CHAT, "messages[0]", json!(["hi"])),
        (CHAT, "messages[0].role", json!([{"content": "hi"}])),
        (CHAT, "messages[0].role", json!([{"role": "tool", "content": "hi"}])),
        (CHAT, "messages[0].role", json!([{"role": "system\u{0}", "content": "hi"}])),
        (CHAT, "messages[0].content", json!([{"role": "user"}])),
        (CHAT, "messages[0].content", json!([{"role": "user", "content": 1}])),
        (
            CHAT,
            "messages[0].content[0].type",
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
        ),
        (CHAT, "messages[0].content[0].text", json!([{"role": "user", "content": [{"type": "text"}]}])),
        (
            CHAT,
            "messages[0].content[0].x",
            json!([{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]}]),
        ),
        (
            CHAT,
            "messages[1].name",
            json!([{"role": "user", "content": "a"}, {"role": "user", "content": "a", "name": "b"}]),
        ),
        (CHAT, "messages[0].tool_calls", json!([{"role": "assistant", "content": "a", "tool_calls": []}])),
        (CHAT, "messages[0].mood", json!([{"role": "user", "content": "a", "mood": "b"}])),
        (TEXT, "prompt", Value::Null),
        (TEXT, "prompt", json!(1)),
        (TEXT, "prompt", json!([])),
        (TEXT, "prompt", json!([[]])),
        (TEXT, "prompt", json!([1, "a"])),
        (TEXT, "prompt", json!([-1])),
        (TEXT, "prompt", json!([1.5])),
        (TEXT, "prompt", json!([99_999_999_999u64])),
        (TEXT, "prompt", json!([100_000])),
        (TEXT, "prompt", json!([[[1]]])),
        (TEXT, "prompt", vec!["a"; 129].into()),
        (TEXT, "logprobs", json!(21)),
        (TEXT, "logprobs", json!(true)),
        (TEXT, "echo", json!("yes")),
        (TEXT, "best_of", json!(2)),
        (TEXT, "suffix", json!("end")),
        (TEXT, "messages", json!([])),
    ]);
    assert!(cases.len() > 150);
    for (path, param, value) in cases {
        let mut body = if path == CHAT {
            json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]})
        } else {
            json!({"model": MODEL, "prompt": "hi"})
        };
        let field = param.split(['[', '.']).next().unwrap();
        body[field] = value.clone();
        let (status, error) = refused(&server, path, &body.to_string());
        assert_eq!((status, error["param"].as_str()), (400, Some(param)), "{path} {value}: {error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    assert_eq!(server.gate.steps(), 0, "nothing reached the engine");
    assert_eq!(server.gauges(), (0, 0));
}

#[test]
fn what_belongs_together_is_checked_together() {
    let server = serve();
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]});
    let text = json!({"model": MODEL, "prompt": "hi"});
    for (path, body, change, param) in [
        (CHAT, &chat, json!({"max_tokens": 1, "max_completion_tokens": 2}), "max_tokens"),
        (CHAT, &chat, json!({"stream": true, "stream_options": {"usage": true}}), "stream_options.usage"),
        (CHAT, &chat, json!({"stream": true, "stream_options": {"include_usage": 1}}), "stream_options.include_usage"),
        (TEXT, &text, json!({"prompt": vec!["a"; 100], "n": 2}), "n"),
    ] {
        let mut body = body.clone();
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let (status, error) = refused(&server, path, &body.to_string());
        assert_eq!((status, error["param"].as_str()), (400, Some(param)), "{error}");
    }
}

#[test]
fn models_and_contexts_that_do_not_exist_have_their_codes() {
    let server = serve();
    for path in [CHAT, TEXT] {
        let (status, error) = refused(&server, path, r#"{"model": "gpt-4"}"#);
        assert_eq!((status, &error["code"], &error["param"]), (404, &json!("model_not_found"), &json!("model")));
        let (status, error) = refused(&server, path, "{}");
        assert_eq!((status, &error["param"]), (400, &json!("model")));
    }
    let long = "\u{1}\u{2}".repeat(500);
    let chat = json!({"model": MODEL, "messages": [{"role": "user", "content": long}]});
    let text = json!({"model": MODEL, "prompt": vec![5; 1000]});
    for (path, body, param) in [(CHAT, chat, "messages"), (TEXT, text, "prompt")] {
        let (status, error) = refused(&server, path, &body.to_string());
        assert_eq!((status, &error["code"], &error["param"]), (400, &json!("context_length_exceeded"), &json!(param)));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("10") && message.contains(&LENGTH.to_string()), "{message}");
    }
    let reply = server.get("/v1/models/gpt-4");
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (404, &json!("model_not_found")));
}

#[test]
fn bodies_that_are_no_requests_are_refused() {
    let server = serve();
    let nested = format!("{{\"model\": {}1{}}}", "[".repeat(100), "]".repeat(100));
    let bodies = ["", "hello", "[]", "{", "{\"temperature\": NaN}", "{\"model\": \"\\ud800\"}", &nested, "\u{0}"];
    for body in bodies {
        let (status, error) = refused(&server, CHAT, body);
        assert_eq!((status, error["type"].as_str()), (400, Some("invalid_request_error")), "{body:.40}");
    }
    let (status, error) = refused(&server, CHAT, &format!("{{\"model\": \"{}\"}}", "x".repeat(2_000_000)));
    assert_eq!((status, error["code"].as_str()), (413, Some("payload_too_large")));
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let reply = Reply::read(send(server.address, "POST", CHAT, &[&format!("Content-Type: {kind}")], "{}"));
        assert_eq!(reply.status, 415, "{kind}");
    }
    let good = json!({"model": MODEL, "prompt": "a", "max_tokens": 1}).to_string();
    let headers = ["Content-Type: application/JSON; charset=utf-8"];
    assert_eq!(Reply::read(send(server.address, "POST", TEXT, &headers, &good)).status, 200);
}

#[test]
fn numbers_that_are_none_end_one_request() {
    let server = serve_poisoned();
    let body = json!({"model": MODEL, "prompt": [65, POISON], "max_tokens": 4});
    let (status, error) = refused(&server, TEXT, &body.to_string());
    assert_eq!((status, error["type"].as_str()), (500, Some("server_error")));
    let streamed = json!({"model": MODEL, "prompt": [65, POISON], "max_tokens": 4, "stream": true});
    let events = server.post(TEXT, &streamed).events();
    let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert!(last["error"]["message"].as_str().unwrap().contains("NaN"), "{last}");
    server.ask(
        TEXT,
        &json!({"model": MODEL, "prompt": "a", "max_tokens": 4, "logit_bias": {(POISON.to_string()): -100}}),
    );
}

/// Any small JSON, with numbers at the edges of their types.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-2i64..10).prop_map(Value::from),
        (0u32..21).prop_map(|tenths| Value::from(f64::from(tenths) / 10.0)),
        prop::sample::select(vec!["", "user", "system", "text", "role", "content", "\u{0}", "<|im_end|>"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let keys = prop::sample::select(vec!["role", "content", "type", "text", "include_usage", "5", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..4)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_string(), v)).collect()),
        ]
    })
}

static SERVER: LazyLock<Running> = LazyLock::new(serve);

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is sent is answered or refused by name; nothing makes the server fail.
    #[test]
    fn no_request_breaks_the_server(
        chat in any::<bool>(),
        changes in prop::collection::vec((prop::sample::select(FIELDS.to_vec()), any_json()), 0..4),
    ) {
        let (path, mut body) = if chat {
            (CHAT, json!({"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}))
        } else {
            (TEXT, json!({"model": MODEL, "prompt": "hi", "max_tokens": 3}))
        };
        changes.into_iter().for_each(|(field, value)| body[field] = value);
        let reply = SERVER.post(path, &body);
        if reply.status != 200 {
            let status = reply.status;
            let error = reply.json()["error"].clone();
            prop_assert!([400, 404].contains(&status), "{body}: {error}");
            prop_assert!(error["param"].is_string(), "{body}: {error}");
        }
    }
}

const FIELDS: [&str; 22] = [
    "messages",
    "prompt",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "n",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "logprobs",
    "top_logprobs",
    "echo",
    "logit_bias",
    "presence_penalty",
    "repetition_penalty",
    "best_of",
    "user",
    "metadata",
    "tools",
    "mystery",
];
