//! Who gets in, and what is behind the doors that are no questions to the model.

use crate::client::{Reply, send, send_raw};
use crate::support::{LENGTH, MODEL, engine, serve, serve_with};
use moeworks_serve::{Notice, ServeConfig, ServeError, Server};
use serde_json::json;
use std::net::SocketAddr;

const ROUTES: [(&str, &str); 10] = [
    ("GET", "/"),
    ("GET", "/chat.js"),
    ("GET", "/chat.css"),
    ("GET", "/icon.svg"),
    ("GET", "/ready"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/tiny"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("GET", "/no/such/thing"),
];

#[test]
fn the_model_is_listed() {
    let server = serve();
    let list = server.get("/v1/models").json();
    let model = &list["data"][0];
    assert_eq!((&list["object"], &model["id"], &model["object"]), (&json!("list"), &json!(MODEL), &json!("model")));
    assert_eq!(model["max_model_len"], LENGTH);
    assert_eq!(&server.get("/v1/models/tiny").json(), model);
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
    let ready = server.get("/ready");
    assert_eq!((ready.status, ready.json()["slots"].as_u64()), (200, Some(2)));
    assert_eq!(server.notices.lock().unwrap().first(), Some(&Notice::Listening(server.address)));
}

#[test]
fn what_is_not_there_is_said_in_json() {
    let server = serve();
    for (method, path, status) in [
        ("GET", "/v2/models", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "//v1/models", 404),
        ("GET", "/../etc/passwd", 404),
        ("GET", "/v1/models/..%2f..%2fetc", 404),
        ("GET", "/chat.js.map", 404),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/v1/models/tiny", 405),
        ("OPTIONS", "/v1/chat/completions", 405),
    ] {
        let reply = Reply::read(send(server.address, method, path, &[], ""));
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(reply.header("access-control-allow-origin").is_none());
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
}

#[test]
fn other_names_and_other_pages_are_refused() {
    let server = serve();
    let port = server.address.port();
    let own = format!("Origin: http://127.0.0.1:{port}");
    let host = format!("Host: 127.0.0.1:{port}");
    for (headers, status) in [
        (vec!["Host: localhost"], 200),
        (vec!["Host: LocalHost:1234"], 200),
        (vec!["Host: [::1]:80"], 200),
        (vec![host.as_str(), own.as_str()], 200),
        (vec!["Host: evil.example"], 403),
        (vec!["Host: localhost.evil.example"], 403),
        (vec!["Host: 192.168.1.1"], 403),
        (vec!["Host: localhost", "Host: evil.example"], 403),
        (vec!["Origin: http://evil.example"], 403),
        (vec!["Origin: null"], 403),
        (vec!["Origin: http://localhost:1"], 403),
        (vec![host.as_str(), "Origin: http://127.0.0.1"], 403),
    ] {
        for (method, path) in [("GET", "/v1/models"), ("GET", "/health"), ("GET", "/")] {
            let reply = Reply::read(send(server.address, method, path, &headers, ""));
            assert_eq!(reply.status, status, "{path} {headers:?}");
        }
    }
    let absolute = "GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(Reply::read(send_raw(server.address, absolute.as_bytes())).status, 403);
    let nameless = "GET /v1/models HTTP/1.0\r\n\r\n";
    assert_eq!(Reply::read(send_raw(server.address, nameless.as_bytes())).status, 403);
}

#[test]
fn a_key_opens_every_door_but_the_one_to_health() {
    let key = "0123456789abcdef0123";
    let server = serve_with(|config| config.api_key = Some(key.into()));
    let wrong =
        ["Bearer 0123456789abcdef0124", "Bearer ", "bearer x", "Basic dTp4", key, "Bearer 0123456789abcdef0123x"];
    let status = |method: &str, path: &str, headers: &[&str]| {
        let reply = Reply::read(send(server.address, method, path, headers, ""));
        let asks = reply.header("www-authenticate").is_some_and(|ask| ask.starts_with("Basic"));
        assert_eq!(asks, reply.status == 401);
        (reply.status, reply.text())
    };
    assert_eq!(status("GET", "/health", &[]).0, 200);
    let doubtful = [
        ("GET", "/health/"),
        ("GET", "//health"),
        ("GET", "/HEALTH"),
        ("GET", "/%68ealth"),
        ("GET", "/health/../ready"),
    ];
    for (method, path) in ROUTES.into_iter().chain(doubtful) {
        assert_eq!(status(method, path, &[]).0, 401, "{path}");
        for wrong in wrong {
            let (status, text) = status(method, path, &[&format!("Authorization: {wrong}")]);
            assert!(status == 401 && text.contains("invalid_api_key") && !text.contains(key), "{path} {wrong}");
        }
        assert_ne!(status(method, path, &[&format!("Authorization: Bearer {key}")]).0, 401, "{path}");
    }
    // user:0123456789abcdef0123, as a browser sends it
    let basic = "Authorization: Basic dXNlcjowMTIzNDU2Nzg5YWJjZGVmMDEyMw==";
    assert_eq!(status("GET", "/", &[basic]).0, 200);
}

#[test]
fn settings_that_would_be_open_are_refused_before_anything_starts() {
    let taken = serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bind = |address: SocketAddr| {
        let config = ServeConfig { address, ..ServeConfig::new(MODEL) };
        runtime.block_on(Server::bind(config, engine(|_, _| {}).0, |_| {})).map(|_| ())
    };
    assert!(matches!(bind(([0, 0, 0, 0], 0).into()), Err(ServeError::KeyNeeded { .. })));
    assert!(matches!(bind(taken.address), Err(ServeError::Listen { .. })));
    assert!(bind(([127, 0, 0, 1], 0).into()).is_ok());
}

#[test]
fn heads_are_bounded() {
    let server = serve();
    let long = format!("X-Long: {}", "x".repeat(20_000));
    assert_eq!(Reply::read(send(server.address, "GET", "/health", &[&long], "")).status, 431);
    let many = vec!["X-Many: 1"; 100];
    assert_eq!(Reply::read(send(server.address, "GET", "/health", &many, "")).status, 431);
    let broken = send_raw(server.address, b"\x16\x03\x01 this is no HTTP\r\n\r\n");
    assert_eq!(Reply::read(broken).status, 400);
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn the_page_is_whole_and_strict() {
    let server = serve();
    for (path, kind, words) in [
        ("/", "text/html; charset=utf-8", "<main>"),
        ("/chat.js", "text/javascript; charset=utf-8", "use strict"),
        ("/chat.css", "text/css; charset=utf-8", "--back"),
        ("/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let policy = reply.header("content-security-policy").unwrap().to_string();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"));
        let text = reply.text();
        assert!(text.contains(words), "{path}");
        // What the policy would block is not there, and nothing is fetched from elsewhere.
        for word in
            ["onclick", "onload", "style=\"", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
        {
            assert!(!text.contains(word), "{word} in {path}");
        }
        let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{path}");
        let inline = text.split("<script").skip(1).any(|rest| !rest.starts_with(" src=\"chat.js\""));
        assert!(!inline && !text.contains("<style"), "{path}");
    }
}
