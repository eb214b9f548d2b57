//! POST /v1/completions: plain text continued, and given text scored (`echo` with `logprobs`).
//!
//! A prompt that is text never becomes special tokens; who wants them sends token ids.

use crate::app::{App, Head, Usage, body, finish_reason};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::logprobs::Lists;
use crate::options::{CHOICES, MOST_TOKENS, Options, TOP_LOGPROBS};
use crate::sse::{Chunks, Shape, collect, stream};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use moeworks_infer::{Completion, EventKind, Finish, Logprobs, Request};
use moeworks_text::Tokenizer;
use serde_json::{Value, json};
use std::sync::Arc;

/// Most prompts of a request, and most answers to all of them together.
const PROMPTS: usize = 128;
/// What OpenAI's API takes where `max_tokens` is not given.
const DEFAULT_TOKENS: i64 = 16;

#[derive(Debug)]
enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

#[derive(Debug)]
struct CompletionRequest {
    options: Options,
    prompts: Vec<Prompt>,
    max_tokens: usize,
    logprobs: Option<usize>,
    echo: bool,
}

impl CompletionRequest {
    fn read(mut fields: Fields, app: &App) -> Result<Self, ApiError> {
        let options = Options::read(&mut fields, &app.config.model_name, app.vocab_size)?;
        let prompts = prompts(fields.take("prompt"))?;
        if prompts.len() * options.choices > PROMPTS {
            let message = format!("{} prompts with `n` = {} are more than {PROMPTS}", prompts.len(), options.choices);
            return Err(ApiError::field("n", message));
        }
        let max_tokens = fields.integer("max_tokens", 0..=MOST_TOKENS)?.unwrap_or(DEFAULT_TOKENS) as usize;
        let logprobs = fields.integer("logprobs", 0..=TOP_LOGPROBS)?.map(|top| top as usize);
        let echo = fields.boolean("echo")?;
        let best_of = fields.integer("best_of", 1..=CHOICES)?;
        if best_of.is_some_and(|best| best as usize != options.choices) {
            return Err(ApiError::field("best_of", "`best_of` is not supported by this server, unless it equals `n`"));
        }
        fields.refuse("suffix", &[json!("")])?;
        fields.finish()?;
        Ok(CompletionRequest { options, prompts, max_tokens, logprobs, echo })
    }
}

/// Text, token ids, or a list of either.
fn prompts(value: Option<Value>) -> Result<Vec<Prompt>, ApiError> {
    let error = || {
        let must = format!("text, a list of token ids, or a list of at most {PROMPTS} of either");
        ApiError::field("prompt", format!("`prompt` must be {must}"))
    };
    let ids = |list: &[Value]| -> Option<Vec<u32>> {
        list.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect()
    };
    match value {
        Some(Value::String(text)) => Ok(vec![Prompt::Text(text)]),
        Some(Value::Array(list)) if list.first().is_some_and(Value::is_number) => {
            ids(&list).map(|ids| vec![Prompt::Ids(ids)]).ok_or_else(error)
        }
        Some(Value::Array(list)) if (1..=PROMPTS).contains(&list.len()) => {
            let one = |prompt: Value| match prompt {
                Value::String(text) => Some(Prompt::Text(text)),
                Value::Array(list) => ids(&list).map(Prompt::Ids),
                _ => None,
            };
            list.into_iter().map(one).collect::<Option<_>>().ok_or_else(error)
        }
        _ => Err(error()),
    }
}

/// Ids of a prompt. Text gets the token before it that the model was trained with; so does no text at all, which is
/// then the beginning of a document.
fn encode(tokenizer: &Tokenizer, prompt: Prompt) -> Vec<u32> {
    match prompt {
        Prompt::Ids(ids) => ids,
        Prompt::Text(text) if text.is_empty() => tokenizer.bos().or(tokenizer.eos()).into_iter().collect(),
        Prompt::Text(text) => {
            let bos = tokenizer.bos().filter(|_| tokenizer.add_bos());
            bos.into_iter().chain(tokenizer.encode(&text)).collect()
        }
    }
}

/// The handler.
pub(crate) async fn create(State(app): State<Arc<App>>, request: axum::extract::Request) -> Result<Response, ApiError> {
    let CompletionRequest { options, prompts, max_tokens, logprobs, echo } =
        CompletionRequest::read(Fields::parse(&body(request).await?)?, &app)?;
    let permit = app.admit()?;
    let tokenizer = app.tokenizer.clone();
    let encode = move || -> Vec<Vec<u32>> { prompts.into_iter().map(|prompt| encode(&tokenizer, prompt)).collect() };
    let encoded = tokio::task::spawn_blocking(encode).await;
    let prompts = encoded.map_err(|_| ApiError::engine("the prompt could not be encoded"))?;
    let request = |prompt: &Vec<u32>| Request {
        choices: options.choices,
        sampling: options.sampling.clone(),
        seed: options.seed,
        max_tokens: Some(max_tokens),
        stop: options.stop.clone(),
        logprobs,
        prompt_logprobs: logprobs.filter(|_| echo),
        ..Request::new(prompt.clone())
    };
    let requests: Vec<Request> = prompts.iter().map(request).collect();
    requests.iter().try_for_each(|request| app.check(request, "prompt"))?;
    let head = Head::new("cmpl", &app)?;
    let shape = Shape { prompts: prompts.len(), choices: options.choices };
    let events = app.engine.submit(permit, requests)?;
    let parts = (0..shape.prompts * shape.choices).map(|index| {
        let prompt = if echo { prompts[index / shape.choices].clone() } else { Vec::new() };
        Part::new(&app.tokenizer, index, prompt, logprobs.is_some())
    });
    let mut parts: Vec<Part> = parts.collect();
    if options.stream {
        return Ok(stream(CompletionChunks { head, parts }, events, shape, options.include_usage));
    }
    let completions = collect(events, shape).await?;
    let choices = parts.iter_mut().zip(&completions).map(|(part, completion)| part.whole(completion));
    let mut answer = head.with("text_completion", choices.collect::<Result<_, _>>()?);
    answer["usage"] = Usage::of(&completions, shape.choices).json();
    Ok(axum::Json(answer).into_response())
}

/// One choice on its way.
struct Part {
    index: usize,
    /// The prompt, if it is to be repeated.
    prompt: Vec<u32>,
    /// Its text.
    echo: String,
    lists: Option<Lists>,
}

impl Part {
    fn new(tokenizer: &Tokenizer, index: usize, prompt: Vec<u32>, logprobs: bool) -> Self {
        let echo = tokenizer.decode_without_special(&prompt);
        Part { index, lists: logprobs.then(|| Lists::new(tokenizer, prompt.is_empty())), prompt, echo }
    }

    fn score(&mut self, scores: &[Option<Logprobs>]) {
        if let Some(lists) = &mut self.lists {
            self.prompt.iter().zip(scores).for_each(|(id, logprobs)| lists.push(*id, logprobs.as_ref()));
        }
    }

    fn token(&mut self, id: u32, logprobs: Option<&Logprobs>) {
        if let Some(lists) = &mut self.lists {
            lists.push(id, logprobs);
        }
    }

    fn json(&mut self, text: &str, reason: Option<&str>) -> Value {
        let logprobs = self.lists.as_mut().filter(|lists| !lists.is_empty()).map(Lists::take);
        json!({"index": self.index, "text": text, "logprobs": logprobs, "finish_reason": reason})
    }

    fn whole(&mut self, completion: &Completion) -> Result<Value, ApiError> {
        self.score(&completion.prompt);
        completion.tokens.iter().for_each(|token| self.token(token.id, token.logprobs.as_ref()));
        let reason = completion.finish.as_ref().map(|finish| finish_reason(&finish.reason)).transpose()?;
        let text = std::mem::take(&mut self.echo) + &completion.text;
        Ok(self.json(&text, reason))
    }
}

struct CompletionChunks {
    head: Head,
    parts: Vec<Part>,
}

impl CompletionChunks {
    fn chunk(&mut self, index: usize, text: &str, reason: Option<&str>) -> Value {
        let choice = self.parts[index].json(text, reason);
        self.head.with("text_completion", vec![choice])
    }
}

impl Chunks for CompletionChunks {
    fn begin(&mut self) -> Vec<Value> {
        Vec::new()
    }

    fn event(&mut self, index: usize, kind: EventKind) -> Vec<Value> {
        let part = &mut self.parts[index];
        // The prompt's text goes out with its scores where there are some, else with the first of the answer.
        let mut text = std::mem::take(&mut part.echo);
        match kind {
            EventKind::Prompt(scores) => part.score(&scores),
            EventKind::Token(token) => {
                part.token(token.id, token.logprobs.as_ref());
                text += &token.text;
            }
            EventKind::Finish(_) => {}
        }
        if text.is_empty() { Vec::new() } else { vec![self.chunk(index, &text, None)] }
    }

    fn finish(&mut self, index: usize, finish: &Finish, reason: &'static str) -> Vec<Value> {
        let text = std::mem::take(&mut self.parts[index].echo) + &finish.text;
        vec![self.chunk(index, &text, Some(reason))]
    }

    fn empty(&self) -> Value {
        self.head.with("text_completion", Vec::new())
    }
}
