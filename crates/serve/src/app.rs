//! What all handlers share, and what every answer has in common.

use crate::config::ServeConfig;
use crate::engine_thread::EngineDoor;
use crate::error::ApiError;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use moeworks_infer::{Completion, FinishReason, RequestError};
use moeworks_text::Tokenizer;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::OwnedSemaphorePermit;

/// Bytes of a request's body at most.
pub(crate) const BODY: usize = 2_000_000;
/// Time in which a body must arrive.
const BODY_TIME: Duration = Duration::from_secs(30);

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) config: ServeConfig,
    pub(crate) tokenizer: Tokenizer,
    /// Positions of a sequence.
    pub(crate) length: usize,
    pub(crate) vocab_size: usize,
    pub(crate) slots: usize,
    pub(crate) engine: EngineDoor,
    pub(crate) created: u64,
    pub(crate) draining: AtomicBool,
}

impl App {
    /// A place for a request: 429 where there is none, 503 once the server is stopping.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(ApiError::unavailable("the server is stopping"));
        }
        self.engine.admit()
    }

    /// Checks what will be asked of the engine, before it takes a place.
    pub(crate) fn check(&self, request: &moeworks_infer::Request, param: &str) -> Result<(), ApiError> {
        let checked = moeworks_infer::engine::check(request, self.length, self.vocab_size);
        checked.map_err(|error: RequestError| ApiError::from_request(&error, param))
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Reads a JSON body of bounded size in bounded time.
pub(crate) async fn body(request: Request) -> Result<Bytes, ApiError> {
    if !is_json(request.headers()) {
        let message = "the body must be sent with `Content-Type: application/json`";
        return Err(ApiError::status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(request.into_body(), BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // The other cause, a broken connection, has nobody who reads this.
        Ok(Err(_)) => {
            let message = format!("the body is larger than {BODY} bytes");
            Err(ApiError::status(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message))
        }
        Err(_) => {
            let message = format!("the body did not arrive within {} seconds", BODY_TIME.as_secs());
            Err(ApiError::status(StatusCode::REQUEST_TIMEOUT, "request_timeout", message))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// What every answer begins with.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    id: String,
    created: u64,
    model: String,
    fingerprint: String,
}

impl Head {
    /// A new answer; `kind` begins its id.
    pub(crate) fn new(kind: &str, app: &App) -> Result<Self, ApiError> {
        let mut number = [0; 12];
        getrandom::fill(&mut number).map_err(|_| ApiError::engine("the system has no random numbers"))?;
        let id = number.iter().fold(format!("{kind}-"), |id, byte| id + &format!("{byte:02x}"));
        let (model, fingerprint) = (app.config.model_name.clone(), app.config.fingerprint.clone());
        Ok(Head { id, created: now(), model, fingerprint })
    }

    /// An answer, or a chunk of one.
    pub(crate) fn with(&self, object: &str, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            "system_fingerprint": self.fingerprint,
        })
    }
}

/// Tokens of an answer, counted as its choices end.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    prompt: usize,
    completion: usize,
}

impl Usage {
    /// Of one choice that has ended; a prompt counts once, whatever the number of its choices.
    pub(crate) fn add(&mut self, choice: usize, prompt_tokens: usize, completion_tokens: usize) {
        self.prompt += if choice == 0 { prompt_tokens } else { 0 };
        self.completion += completion_tokens;
    }

    /// Of completions with `choices` to a prompt.
    pub(crate) fn of(completions: &[Completion], choices: usize) -> Self {
        let mut usage = Usage::default();
        for (number, finish) in completions.iter().enumerate().filter_map(|(i, c)| Some((i, c.finish.as_ref()?))) {
            usage.add(number % choices, finish.prompt_tokens, finish.completion_tokens);
        }
        usage
    }

    /// As clients expect it.
    pub(crate) fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        })
    }
}

/// `finish_reason`, or the error that took its place.
pub(crate) fn finish_reason(reason: &FinishReason) -> Result<&'static str, ApiError> {
    match reason {
        FinishReason::Stop => Ok("stop"),
        FinishReason::Length => Ok("length"),
        FinishReason::Cancelled => Err(ApiError::unavailable("the server is stopping; the answer was cut off")),
        FinishReason::Error(message) => Err(ApiError::engine(message)),
    }
}
