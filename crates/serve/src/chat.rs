//! POST /v1/chat/completions.

use crate::app::{App, Head, Usage, body, finish_reason};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::logprobs::chat_entry;
use crate::options::{MOST_TOKENS, Options, TOP_LOGPROBS};
use crate::sse::{Chunks, Shape, collect, stream};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use moeworks_infer::{Completion, EventKind, Finish, Request};
use moeworks_text::{ChatOptions, Message, Tokenizer};
use serde_json::{Value, json};
use std::sync::Arc;

/// Most messages of a conversation.
const MESSAGES: usize = 1024;

#[derive(Debug)]
struct ChatRequest {
    options: Options,
    messages: Vec<Message>,
    max_tokens: Option<usize>,
    logprobs: Option<usize>,
}

impl ChatRequest {
    fn read(mut fields: Fields, app: &App) -> Result<Self, ApiError> {
        let options = Options::read(&mut fields, &app.config.model_name, app.vocab_size)?;
        let messages = messages(fields.take("messages"))?;
        let old = fields.integer("max_tokens", 1..=MOST_TOKENS)?;
        let new = fields.integer("max_completion_tokens", 1..=MOST_TOKENS)?;
        if old.is_some() && new.is_some() && old != new {
            return Err(ApiError::field("max_tokens", "`max_tokens` and `max_completion_tokens` differ; give one"));
        }
        let wanted = fields.boolean("logprobs")?;
        let top = fields.integer("top_logprobs", 0..=TOP_LOGPROBS)?;
        if top.is_some() && !wanted {
            return Err(ApiError::field("top_logprobs", "`top_logprobs` is only for `logprobs`: true"));
        }
        fields.refuse("response_format", &[json!({"type": "text"})])?;
        fields.refuse("tools", &[json!([])])?;
        fields.refuse("tool_choice", &[json!("none")])?;
        fields.refuse("modalities", &[json!(["text"])])?;
        let unsupported = ["functions", "function_call", "parallel_tool_calls", "reasoning_effort", "verbosity"];
        for name in unsupported.into_iter().chain(["audio", "prediction", "web_search_options"]) {
            fields.refuse(name, &[])?;
        }
        fields.finish()?;
        let max_tokens = new.or(old).map(|most| most as usize);
        Ok(ChatRequest { options, messages, max_tokens, logprobs: wanted.then(|| top.unwrap_or(0) as usize) })
    }
}

fn messages(value: Option<Value>) -> Result<Vec<Message>, ApiError> {
    let error = || ApiError::field("messages", format!("`messages` must be a list of 1 to {MESSAGES} messages"));
    let Some(Value::Array(list)) = value else { return Err(error()) };
    if list.is_empty() || list.len() > MESSAGES {
        return Err(error());
    }
    list.into_iter().enumerate().map(|(i, message)| read_message(message, &format!("messages[{i}]"))).collect()
}

fn read_message(message: Value, place: &str) -> Result<Message, ApiError> {
    let mut fields = Fields::inside(message, place)?;
    let role = fields.text("role", 32)?.unwrap_or_default();
    if !["system", "user", "assistant"].contains(&role.as_str()) {
        let field = format!("{place}.role");
        let message = format!("`{field}` must be \"system\", \"user\" or \"assistant\"");
        return Err(ApiError::field(field, message));
    }
    let content = content(fields.take("content"), &format!("{place}.content"))?;
    for name in ["name", "tool_calls", "tool_call_id", "function_call", "audio"] {
        fields.refuse(name, &[])?;
    }
    fields.refuse("refusal", &[])?;
    fields.finish()?;
    Ok(Message::new(role, content))
}

/// A string, or a list of text parts, which are put on lines of their own.
fn content(value: Option<Value>, place: &str) -> Result<String, ApiError> {
    match value {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(parts)) => {
            let texts: Result<Vec<String>, ApiError> =
                parts.into_iter().enumerate().map(|(i, part)| read_part(part, &format!("{place}[{i}]"))).collect();
            Ok(texts?.join("\n"))
        }
        _ => Err(ApiError::field(place, format!("`{place}` must be a string or a list of text parts"))),
    }
}

fn read_part(part: Value, place: &str) -> Result<String, ApiError> {
    let mut fields = Fields::inside(part, place)?;
    let kind = fields.text("type", 32)?.unwrap_or_default();
    match (kind.as_str(), fields.take("text")) {
        ("text", Some(Value::String(text))) => fields.finish().map(|()| text),
        ("text", _) => Err(ApiError::field(format!("{place}.text"), format!("`{place}.text` must be a string"))),
        _ => Err(ApiError::field(format!("{place}.type"), format!("`{place}.type` must be \"text\""))),
    }
}

/// The handler.
pub(crate) async fn create(State(app): State<Arc<App>>, request: axum::extract::Request) -> Result<Response, ApiError> {
    let asked = ChatRequest::read(Fields::parse(&body(request).await?)?, &app)?;
    let permit = app.admit()?;
    let (tokenizer, messages) = (app.tokenizer.clone(), asked.messages);
    let encode = move || tokenizer.chat_template().encode_chat(&tokenizer, &messages, &ChatOptions::generation());
    let encoded = tokio::task::spawn_blocking(encode).await;
    let prompt = encoded.map_err(|_| ApiError::engine("the conversation could not be encoded"))?;
    let prompt = prompt.map_err(|error| ApiError::from_template(&error))?;
    let options = asked.options;
    let request = Request {
        choices: options.choices,
        sampling: options.sampling,
        seed: options.seed,
        max_tokens: asked.max_tokens,
        stop: options.stop,
        logprobs: asked.logprobs,
        continues: false,
        ..Request::new(prompt)
    };
    app.check(&request, "messages")?;
    let head = Head::new("chatcmpl", &app)?;
    let shape = Shape { prompts: 1, choices: options.choices };
    let events = app.engine.submit(permit, vec![request])?;
    let logprobs = asked.logprobs.is_some();
    if options.stream {
        let entries = vec![Vec::new(); options.choices];
        let chunks = ChatChunks { head, tokenizer: app.tokenizer.clone(), logprobs, entries };
        return Ok(stream(chunks, events, shape, options.include_usage));
    }
    let completions = collect(events, shape).await?;
    let choices = completions.iter().enumerate().map(|(i, c)| choice(&app.tokenizer, i, c, logprobs));
    let mut answer = head.with("chat.completion", choices.collect::<Result<_, _>>()?);
    answer["usage"] = Usage::of(&completions, shape.choices).json();
    Ok(axum::Json(answer).into_response())
}

fn choice(tokenizer: &Tokenizer, index: usize, completion: &Completion, logprobs: bool) -> Result<Value, ApiError> {
    let shown = completion.tokens.iter().filter(|token| !token.ends);
    let entries = || -> Value {
        shown.filter_map(|token| Some(chat_entry(tokenizer, token.id, token.logprobs.as_ref()?))).collect()
    };
    let reason = completion.finish.as_ref().map(|finish| finish_reason(&finish.reason)).transpose()?;
    Ok(json!({
        "index": index,
        "message": {"role": "assistant", "content": completion.text, "refusal": null},
        "logprobs": logprobs.then(|| json!({"content": entries(), "refusal": null})),
        "finish_reason": reason,
    }))
}

struct ChatChunks {
    head: Head,
    tokenizer: Tokenizer,
    logprobs: bool,
    /// Log-probabilities of tokens whose text is not out yet, of every choice.
    entries: Vec<Vec<Value>>,
}

impl ChatChunks {
    fn chunk(&self, index: usize, delta: Value, logprobs: Value, reason: Option<&str>) -> Value {
        let choice = json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason});
        self.head.with("chat.completion.chunk", vec![choice])
    }

    fn text(&mut self, index: usize, text: &str) -> Value {
        let entries = std::mem::take(&mut self.entries[index]);
        let logprobs = if self.logprobs { json!({"content": entries, "refusal": null}) } else { Value::Null };
        self.chunk(index, json!({"content": text}), logprobs, None)
    }
}

impl Chunks for ChatChunks {
    fn begin(&mut self) -> Vec<Value> {
        let delta = json!({"role": "assistant", "content": "", "refusal": null});
        (0..self.entries.len()).map(|index| self.chunk(index, delta.clone(), Value::Null, None)).collect()
    }

    fn event(&mut self, index: usize, kind: EventKind) -> Vec<Value> {
        let EventKind::Token(token) = kind else { return Vec::new() };
        if let Some(logprobs) = token.logprobs.as_ref().filter(|_| !token.ends) {
            self.entries[index].push(chat_entry(&self.tokenizer, token.id, logprobs));
        }
        if token.text.is_empty() { Vec::new() } else { vec![self.text(index, &token.text)] }
    }

    fn finish(&mut self, index: usize, finish: &Finish, reason: &'static str) -> Vec<Value> {
        let rest = !finish.text.is_empty() || !self.entries[index].is_empty();
        let mut chunks = if rest { vec![self.text(index, &finish.text)] } else { Vec::new() };
        chunks.push(self.chunk(index, json!({}), Value::Null, Some(reason)));
        chunks
    }

    fn empty(&self) -> Value {
        self.head.with("chat.completion.chunk", Vec::new())
    }
}
