//! One sequence on its way: what is in the cache, what comes next, and what its text has become.

use crate::event::{Event, EventKind, Finish, FinishReason, RequestId, Token};
use crate::logprobs::{BadLogits, Logprobs};
use crate::request::Request;
use crate::sampler::Sampler;
use crate::stop::StopStrings;
use moeworks_text::{TextStream, Tokenizer};
use std::sync::Arc;

/// One choice of one request.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub(crate) request_id: RequestId,
    choice: usize,
    request: Arc<Request>,
    stop_ids: Arc<[u32]>,
    /// Most tokens of the answer.
    most: usize,
    /// Prompt, then answer.
    ids: Vec<u32>,
    /// Positions that are in the cache.
    cached: usize,
    sampler: Sampler,
    /// None once no more text can come.
    text: Option<TextStream>,
    stops: StopStrings,
    /// Scores of the prompt so far, until they are reported.
    scores: Vec<Option<Logprobs>>,
    finished: bool,
}

impl Sequence {
    /// A sequence before its first step, in a context of `length` positions, of which the prompt takes no more.
    pub(crate) fn new(
        request_id: RequestId,
        choice: usize,
        request: &Arc<Request>,
        stop_ids: &Arc<[u32]>,
        tokenizer: &Tokenizer,
        length: usize,
    ) -> Self {
        let room = length - request.prompt.len();
        let text = if request.continues { TextStream::continuing(tokenizer) } else { TextStream::new(tokenizer) };
        Sequence {
            request_id,
            choice,
            request: request.clone(),
            stop_ids: stop_ids.clone(),
            most: request.max_tokens.map_or(room, |most| most.min(room)),
            ids: request.prompt.clone(),
            cached: 0,
            sampler: Sampler::new(&request.sampling, request.seed, choice, &request.prompt),
            text: Some(text.without_special()),
            stops: StopStrings::new(request.stop.iter().cloned()),
            scores: vec![None],
            finished: false,
        }
    }

    /// Ids that are not in the cache yet, and the position of the first.
    pub(crate) fn pending(&self) -> (usize, &[u32]) {
        (self.cached, &self.ids[self.cached..])
    }

    /// Whether the prompt is in the cache, so that a step takes the one token chosen last.
    pub(crate) fn decodes(&self) -> bool {
        self.ids.len() > self.request.prompt.len()
    }

    /// Whether the prompt is to be scored.
    fn is_scored(&self) -> bool {
        self.request.prompt_logprobs.is_some()
    }

    /// Whether there is nothing to compute at all.
    pub(crate) fn is_idle(&self) -> bool {
        self.most == 0 && !self.is_scored()
    }

    /// Whether the logits after `position` are needed.
    pub(crate) fn wants(&self, position: usize) -> bool {
        let last = position + 1 == self.ids.len();
        if last { self.most > 0 } else { self.is_scored() }
    }

    /// Whether the last event is out.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes the logits [V] after `position`; positions come in order.
    pub(crate) fn take(&mut self, position: usize, logits: &[f32], events: &mut Vec<Event>) {
        if self.finished {
            return;
        }
        let taken = match self.ids.get(position + 1) {
            Some(next) => {
                let count = self.request.prompt_logprobs.unwrap_or(0);
                Logprobs::of(logits, *next, count).map(|logprobs| self.scores.push(Some(logprobs)))
            }
            None => self.choose(logits, events),
        };
        if let Err(error) = taken {
            self.finish(FinishReason::Error(error.to_string()), events);
        }
    }

    /// Notes that `rows` more positions are in the cache.
    pub(crate) fn advance(&mut self, rows: usize, events: &mut Vec<Event>) {
        self.cached += rows;
        if self.most == 0 && self.cached == self.ids.len() && !self.finished {
            self.report_scores(events);
            self.finish(FinishReason::Length, events);
        }
    }

    /// Ends the sequence; only the first time counts.
    pub(crate) fn finish(&mut self, reason: FinishReason, events: &mut Vec<Event>) {
        if self.finished {
            return;
        }
        self.finished = true;
        let mut text = String::new();
        if let Some(stream) = self.text.take() {
            let (more, stopped) = self.stops.push(&stream.finish());
            text = if stopped { more } else { more + &self.stops.finish() };
        }
        let prompt_tokens = self.request.prompt.len();
        let completion_tokens = self.ids.len() - prompt_tokens;
        self.tell(EventKind::Finish(Finish { reason, text, prompt_tokens, completion_tokens }), events);
    }

    fn choose(&mut self, logits: &[f32], events: &mut Vec<Event>) -> Result<(), BadLogits> {
        let id = self.sampler.sample(logits)?;
        let logprobs = self.request.logprobs.map(|count| Logprobs::of(logits, id, count)).transpose()?;
        self.report_scores(events);
        self.ids.push(id);
        let ends = self.stop_ids.contains(&id);
        let more = if ends { None } else { self.text.as_mut().and_then(|text| text.push(id)) };
        let (text, stopped) = self.stops.push(&more.unwrap_or_default());
        self.tell(EventKind::Token(Token { id, text, ends, logprobs }), events);
        if stopped {
            self.text = None;
        }
        if ends || stopped {
            self.finish(FinishReason::Stop, events);
        } else if self.ids.len() - self.request.prompt.len() == self.most {
            self.finish(FinishReason::Length, events);
        }
        Ok(())
    }

    fn report_scores(&mut self, events: &mut Vec<Event>) {
        if self.is_scored() && !self.scores.is_empty() {
            let scores = std::mem::take(&mut self.scores);
            self.tell(EventKind::Prompt(scores), events);
        }
    }

    fn tell(&self, kind: EventKind, events: &mut Vec<Event>) {
        events.push(Event { request: self.request_id, choice: self.choice, kind });
    }
}
