//! Many clients, clients that leave, steps that fail, and the end.

use crate::client::Reply;
use crate::support::{MODEL, serve, serve_with, tokenizer, until};
use moeworks_serve::Notice;
use serde_json::{Value, json};
use std::net::Shutdown;
use std::time::Duration;

const CHAT: &str = "/v1/chat/completions";
const TEXT: &str = "/v1/completions";

/// A request that would run to the end of the context.
fn long(seed: u64) -> Value {
    // Biased against tokens that end a text.
    let bias: Value = tokenizer().stop_ids().iter().map(|id| (id.to_string(), json!(-100))).collect();
    json!({"model": MODEL, "prompt": "the cat", "seed": seed, "max_tokens": 120, "logit_bias": bias})
}

#[test]
fn many_clients_get_what_each_would_get_alone() {
    let server = serve();
    let ask = |seed: u64| {
        if seed.is_multiple_of(2) {
            server.ask(TEXT, &long(seed))["choices"].clone()
        } else {
            let messages = json!([{"role": "user", "content": format!("number {seed}")}]);
            let body =
                json!({"model": MODEL, "messages": messages, "seed": seed, "n": 2, "max_tokens": 20, "logprobs": true});
            server.ask(CHAT, &body)["choices"].clone()
        }
    };
    let alone: Vec<Value> = (0..8).map(ask).collect();
    let together: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|seed| scope.spawn(move || ask(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
    until("all slots are free", || server.gauges() == (0, 0));
}

#[test]
fn without_a_seed_answers_differ() {
    let server = serve();
    let mut body = long(0);
    body.as_object_mut().unwrap().remove("seed");
    assert_ne!(server.ask(TEXT, &body)["choices"], server.ask(TEXT, &body)["choices"]);
}

#[test]
fn a_full_queue_says_so() {
    let server = serve_with(|config| config.queue = 1);
    server.gate.close();
    let taken: Vec<_> = (0..3).map(|seed| server.send(TEXT, &long(seed))).collect();
    until("a step has begun", || server.gate.steps() > 0);
    // Two have slots, one waits: whoever comes now is one too many.
    let refused = || {
        let reply = server.post(TEXT, &long(9));
        (reply.status == 429).then_some(reply)
    };
    let mut reply = None;
    until("the queue is full", || {
        reply = refused();
        reply.is_some()
    });
    let reply = reply.unwrap();
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(reply.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(server.get("/health").status, 200);
    server.gate.open();
    for stream in taken {
        assert_eq!(Reply::read(stream).status, 200);
    }
    assert_eq!(server.post(TEXT, &long(9)).status, 200);
}

#[test]
fn a_client_that_leaves_frees_its_slots() {
    let server = serve();
    let mut streamed = long(1);
    streamed["stream"] = json!(true);
    let mut many = long(1);
    many["n"] = json!(5);
    for body in [&streamed, &long(1), &many] {
        // In the middle of a step.
        server.gate.close();
        let before = server.gate.steps();
        let stream = server.send(TEXT, body);
        until("a step has begun", || server.gate.steps() > before);
        stream.shutdown(Shutdown::Both).unwrap();
        // Time for the server to see it.
        std::thread::sleep(Duration::from_millis(300));
        server.gate.open();
        until("the slots are free", || server.gauges() == (0, 0));
        let used = server.gate.steps() - before;
        assert!(used < 20, "{used} steps were spent on someone who had left");
    }
    // After the first words of a stream.
    let mut reply = server.post(TEXT, &streamed);
    reply.wait_for("data:");
    server.gate.close();
    drop(reply);
    std::thread::sleep(Duration::from_millis(300));
    let before = server.gate.steps();
    server.gate.open();
    until("the slots are free", || server.gauges() == (0, 0));
    assert!(server.gate.steps() - before <= 2, "a slot is free within a step");
}

#[test]
fn a_client_that_leaves_the_queue_is_forgotten() {
    let server = serve();
    server.gate.close();
    let runs: Vec<_> = (0..2).map(|seed| server.send(TEXT, &long(seed))).collect();
    until("a step has begun", || server.gate.steps() > 0);
    let mut many = long(7);
    many["n"] = json!(4);
    let waits = server.send(TEXT, &many);
    let mut streamed = long(8);
    streamed["stream"] = json!(true);
    let mut streams = Reply::read(server.send(TEXT, &streamed));
    assert_eq!(streams.status, 200, "the head comes at once");
    waits.shutdown(Shutdown::Both).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.gate.open();
    for stream in runs {
        assert_eq!(Reply::read(stream).status, 200);
    }
    streams.wait_for("[DONE]");
    until("nobody is left", || server.gauges() == (0, 0));
    // Every answer takes some 120 steps, two at a time: those of the one who left took none.
    assert!(server.gate.steps() < 2 * 125, "{}", server.gate.steps());
}

#[test]
fn a_panic_in_a_step_fails_that_step_alone() {
    let server = serve();
    let expected = server.ask(TEXT, &long(1))["choices"].clone();
    for stream in [false, true] {
        server.gate.close();
        let before = server.gate.steps();
        let mut body = long(1);
        body["stream"] = json!(stream);
        let hit = server.send(TEXT, &body);
        until("a step has begun", || server.gate.steps() > before);
        let waits = server.send(TEXT, &long(1));
        std::thread::sleep(Duration::from_millis(100));
        server.gate.panic_once();
        server.gate.open();
        let hit = Reply::read(hit);
        if stream {
            let events = hit.events();
            assert!(events.last().unwrap().contains("engine_error"), "{events:?}");
        } else {
            assert_eq!(hit.status, 500);
            let error = hit.json();
            assert_eq!(error["error"]["type"], "server_error");
            assert!(!error.to_string().contains("a test wanted"), "{error}");
        }
        let waits = Reply::read(waits);
        assert_eq!((waits.status, &waits.json()["choices"]), (200, &expected));
        assert_eq!(server.get("/health").status, 200);
    }
    let panics = server.notices.lock().unwrap().iter().filter(|n| matches!(n, Notice::Panic(_))).count();
    assert_eq!(panics, 2);
    assert_eq!(server.gauges(), (0, 0));
}

#[test]
fn health_knows_when_the_engine_hangs() {
    let server = serve_with(|config| config.stall = Duration::from_secs(1));
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(server.get("/health").status, 200, "an idle engine is healthy");
    server.gate.close();
    let stream = server.send(TEXT, &long(1));
    until("it is noticed", || server.get("/health").status == 503);
    assert_eq!(server.get("/ready").status, 503);
    server.gate.open();
    assert_eq!(Reply::read(stream).status, 200);
    until("it is well again", || server.get("/health").status == 200);
}

#[test]
fn a_stopping_server_lets_requests_finish() {
    let server = serve();
    server.gate.close();
    let mut body = long(1);
    body["stream"] = json!(true);
    let streams = server.send(TEXT, &body);
    let whole = server.send(TEXT, &long(2));
    until("a step has begun", || server.gate.steps() > 0);
    std::thread::sleep(Duration::from_millis(100));
    server.stop.send(1).unwrap();
    until("it says so", || server.get("/ready").status == 503);
    let refused = server.post(TEXT, &long(3));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    server.gate.open();
    assert!(Reply::read(streams).chunks().len() > 10);
    assert_eq!(Reply::read(whole).status, 200);
    until("it is gone", || std::net::TcpStream::connect(server.address).is_err());
}

#[test]
fn a_server_that_must_stop_tells_its_clients() {
    for (word, drain) in [(1, Duration::ZERO), (2, Duration::from_secs(60))] {
        let server = serve_with(|config| config.drain = drain);
        server.gate.close();
        let mut body = long(1);
        body["stream"] = json!(true);
        let streams = server.send(TEXT, &body);
        let whole = server.send(TEXT, &long(2));
        until("a step has begun", || server.gate.steps() > 0);
        std::thread::sleep(Duration::from_millis(100));
        server.stop.send(word).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        server.gate.open();
        let events = Reply::read(streams).events();
        assert!(events.last().unwrap().contains("the server is stopping"), "{events:?}");
        assert_eq!(Reply::read(whole).status, 503);
    }
}
