//! Answers on their way out: as server-sent events while they come, or whole once they have ended.

use crate::app::{Usage, finish_reason};
use crate::engine_thread::JobEvent;
use crate::error::ApiError;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use moeworks_infer::{Completion, EventKind, Finish};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_stream::Stream;

/// How often a comment is sent while there is nothing to say, so that proxies do not hang up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Makes the chunks of one kind of answer. Choices of all prompts are counted through.
pub(crate) trait Chunks: Send + Unpin + 'static {
    /// What is sent before anything is known.
    fn begin(&mut self) -> Vec<Value>;
    /// What follows from an event that is not the end.
    fn event(&mut self, index: usize, kind: EventKind) -> Vec<Value>;
    /// What follows from the end.
    fn finish(&mut self, index: usize, finish: &Finish, reason: &'static str) -> Vec<Value>;
    /// A chunk without choices.
    fn empty(&self) -> Value;
}

/// Choices of one HTTP request: so many prompts, with so many choices each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) prompts: usize,
    pub(crate) choices: usize,
}

impl Shape {
    fn index(self, event: &JobEvent) -> usize {
        event.request * self.choices + event.choice
    }
}

/// Server-sent events: the chunks, then usage if asked for, then `[DONE]`; an error ends them without `[DONE]`.
pub(crate) fn stream(
    mut chunks: impl Chunks,
    events: UnboundedReceiver<JobEvent>,
    shape: Shape,
    include_usage: bool,
) -> Response {
    let ready = chunks.begin().into();
    let open = shape.prompts * shape.choices;
    let frames = Frames { chunks, events, shape, include_usage, usage: Usage::default(), open, ready, done: false };
    let headers = [("cache-control", "no-cache"), ("x-accel-buffering", "no")];
    (headers, Sse::new(frames).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response()
}

/// All choices, once they have ended.
pub(crate) async fn collect(
    mut events: UnboundedReceiver<JobEvent>,
    shape: Shape,
) -> Result<Vec<Completion>, ApiError> {
    let mut completions = vec![Completion::default(); shape.prompts * shape.choices];
    let mut open = completions.len();
    while open > 0 {
        let event = events.recv().await.ok_or_else(|| ApiError::engine("the engine has stopped"))?;
        if let EventKind::Finish(finish) = &event.kind {
            finish_reason(&finish.reason)?;
            open -= 1;
        }
        completions[shape.index(&event)].add(event.kind);
    }
    Ok(completions)
}

struct Frames<C> {
    chunks: C,
    events: UnboundedReceiver<JobEvent>,
    shape: Shape,
    include_usage: bool,
    usage: Usage,
    /// Choices that have not ended.
    open: usize,
    ready: VecDeque<Value>,
    done: bool,
}

impl<C: Chunks> Frames<C> {
    fn take(&mut self, event: Option<JobEvent>) {
        let Some(event) = event else { return self.fail(&ApiError::engine("the engine has stopped")) };
        let index = self.shape.index(&event);
        let EventKind::Finish(finish) = event.kind else {
            self.ready.extend(self.chunks.event(index, event.kind));
            return;
        };
        match finish_reason(&finish.reason) {
            Ok(reason) => self.ready.extend(self.chunks.finish(index, &finish, reason)),
            Err(error) => return self.fail(&error),
        }
        self.usage.add(event.choice, finish.prompt_tokens, finish.completion_tokens);
        self.open -= 1;
        if self.open == 0 && self.include_usage {
            let mut chunk = self.chunks.empty();
            chunk["usage"] = self.usage.json();
            self.ready.push_back(chunk);
        }
    }

    fn fail(&mut self, error: &ApiError) {
        self.events.close();
        self.ready.push_back(error.json());
        self.done = true;
    }

    /// Clients that asked for usage find the field in every chunk.
    fn frame(&self, mut chunk: Value) -> Event {
        if self.include_usage && chunk.get("usage").is_none() && chunk.get("error").is_none() {
            chunk["usage"] = json!(null);
        }
        Event::default().data(chunk.to_string())
    }
}

impl<C: Chunks> Stream for Frames<C> {
    type Item = Result<Event, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(chunk) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(this.frame(chunk))));
            }
            if this.done {
                return Poll::Ready(None);
            }
            if this.open == 0 {
                this.done = true;
                return Poll::Ready(Some(Ok(Event::default().data("[DONE]"))));
            }
            match this.events.poll_recv(context) {
                Poll::Ready(event) => this.take(event),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
