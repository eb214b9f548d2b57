//! The engine: a device, a model and a tokenizer, and the sequences that advance together.
//!
//! Every step takes one row of each sequence that answers, and fills up with rows of prompts in the order in which
//! they came. A waiting sequence joins as soon as a slot of the cache is free. Ops compute a row without regard to the
//! rows beside it, so a sequence's tokens do not depend on what else runs.

use crate::completion::Completion;
use crate::error::{EngineError, RequestError};
use crate::event::{Event, FinishReason, RequestId};
use crate::request::Request;
use crate::sequence::Sequence;
use moeworks_model::{Config, Inference, Limits, Row};
use moeworks_ops::Ops;
use moeworks_text::Tokenizer;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A device that can move to another thread.
pub type Device = Box<dyn Ops + Send>;

/// Logits of one step that are held on the host at most, in numbers: bounds how many rows of prompts are scored at once.
const SCORED_LOGITS: usize = 16 << 20;

/// A model that answers requests.
pub struct Engine {
    device: Device,
    model: Inference,
    tokenizer: Tokenizer,
    stop_ids: Arc<[u32]>,
    waiting: VecDeque<Sequence>,
    /// In the order in which they joined, each with its slot of the cache.
    running: Vec<(usize, Sequence)>,
    free: Vec<usize>,
    requests: u64,
}

/// The part of a step that belongs to one running sequence.
struct Share {
    running: usize,
    position: usize,
    rows: usize,
}

impl Engine {
    /// An engine over a loaded model and the tokenizer that belongs to it.
    pub fn new(device: Device, model: Inference, tokenizer: Tokenizer) -> Result<Self, EngineError> {
        let Limits { slots, rows, .. } = model.limits;
        if slots == 0 || rows < slots {
            return Err(EngineError::Rows { rows, slots });
        }
        if tokenizer.vocab_size() > model.config.vocab_size {
            let (tokenizer, model) = (tokenizer.vocab_size(), model.config.vocab_size);
            return Err(EngineError::Vocabulary { tokenizer, model });
        }
        let mut stop_ids = [tokenizer.stop_ids(), &model.config.eos_token_ids].concat();
        stop_ids.sort_unstable();
        stop_ids.dedup();
        Ok(Engine {
            device,
            model,
            tokenizer,
            stop_ids: stop_ids.into(),
            waiting: VecDeque::new(),
            running: Vec::new(),
            free: (0..slots).rev().collect(),
            requests: 0,
        })
    }

    /// The tokenizer. Clones of it are cheap and may be used anywhere.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The model's configuration.
    pub fn config(&self) -> &Config {
        &self.model.config
    }

    /// What the model is prepared for: sequences at once, positions of each, rows of a step.
    pub fn limits(&self) -> Limits {
        self.model.limits
    }

    /// The device and its kernels, for people.
    pub fn describe(&self) -> String {
        self.device.describe()
    }

    /// Tokens that end an answer unless a request says otherwise.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    /// Sequences that hold a slot.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Sequences that wait for a slot.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a step would do nothing.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Checks a request as [`Engine::submit`] does.
    pub fn check(&self, request: &Request) -> Result<(), RequestError> {
        check(request, self.model.limits.length, self.model.config.vocab_size)
    }

    /// Takes a request; its sequences join as slots become free.
    pub fn submit(&mut self, request: Request) -> Result<RequestId, RequestError> {
        self.check(&request)?;
        let id = RequestId(self.requests);
        self.requests += 1;
        let stop_ids = request.stop_ids.as_ref().map_or(self.stop_ids.clone(), |ids| ids.as_slice().into());
        let (request, length) = (Arc::new(request), self.model.limits.length);
        for choice in 0..request.choices {
            let sequence = Sequence::new(id, choice, &request, &stop_ids, &self.tokenizer, length);
            self.waiting.push_back(sequence);
        }
        Ok(id)
    }

    /// Ends a request's sequences wherever they are; their slots are free at once. Of those that had not ended by
    /// themselves the last events are returned.
    pub fn cancel(&mut self, id: RequestId) -> Vec<Event> {
        self.end(FinishReason::Cancelled, |sequence| sequence.request_id == id)
    }

    /// Ends everything that runs (what waits goes on waiting), as after a panic inside [`Engine::step`], after which
    /// the cache of those sequences cannot be trusted.
    pub fn fail_running(&mut self, reason: &str) -> Vec<Event> {
        let waiting = std::mem::take(&mut self.waiting);
        let events = self.end(FinishReason::Error(reason.into()), |_| true);
        self.waiting = waiting;
        events
    }

    /// Advances every sequence that has a slot, and returns what happened.
    pub fn step(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.admit(&mut events);
        let shares = self.share();
        let (mut rows, mut wanted) = (Vec::new(), Vec::new());
        for share in &shares {
            let (slot, sequence) = &self.running[share.running];
            let ids = &sequence.pending().1[..share.rows];
            for (position, id) in (share.position..).zip(ids) {
                if sequence.wants(position) {
                    wanted.push(rows.len());
                }
                rows.push(Row { id: *id, slot: *slot, position });
            }
        }
        match self.model.step(&mut *self.device, &rows, &wanted) {
            Ok(logits) => self.distribute(&shares, &logits, &mut events),
            Err(error) => events.extend(self.fail_running(&error.to_string())),
        }
        self.release();
        events
    }

    /// Serves requests to the end, for a caller that has the engine for itself. `on_event` may stop it early: what has
    /// not ended is then cancelled. Returns every choice of the first request, then of the second, and so on.
    pub fn generate(
        &mut self,
        requests: Vec<Request>,
        mut on_event: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<Vec<Completion>, RequestError> {
        requests.iter().try_for_each(|request| self.check(request))?;
        let mut first = Vec::new();
        let mut completions = Vec::new();
        for request in requests {
            let choices = request.choices;
            first.push((self.submit(request)?, completions.len()));
            completions.resize_with(completions.len() + choices, Completion::default);
        }
        let mut stopped = false;
        while completions.iter().any(|c| c.finish.is_none()) {
            let events =
                if stopped { first.iter().flat_map(|(id, _)| self.cancel(*id)).collect() } else { self.step() };
            for event in events {
                let Some((_, start)) = first.iter().find(|(id, _)| *id == event.request) else { continue };
                stopped |= on_event(&event).is_break();
                completions[start + event.choice].add(event.kind);
            }
        }
        Ok(completions)
    }

    /// Gives free slots to those who wait.
    fn admit(&mut self, events: &mut Vec<Event>) {
        while !self.waiting.is_empty() {
            if self.waiting[0].is_idle() {
                let mut sequence = self.waiting.pop_front().expect("not empty");
                sequence.finish(FinishReason::Length, events);
                continue;
            }
            let Some(slot) = self.free.pop() else { break };
            let sequence = self.waiting.pop_front().expect("not empty");
            self.running.push((slot, sequence));
        }
    }

    /// Shares out the rows of a step: one to everyone who answers, the rest to prompts.
    fn share(&self) -> Vec<Share> {
        let share =
            |running: usize, rows: usize| Share { running, position: self.running[running].1.pending().0, rows };
        let (answering, reading): (Vec<usize>, Vec<usize>) =
            (0..self.running.len()).partition(|i| self.running[*i].1.decodes());
        let mut left = self.model.limits.rows - answering.len();
        let mut logits = SCORED_LOGITS / self.model.config.vocab_size;
        let mut shares: Vec<Share> = answering.into_iter().map(|i| share(i, 1)).collect();
        for i in reading {
            let sequence = &self.running[i].1;
            let (position, pending) = sequence.pending();
            let mut rows = pending.len().min(left);
            if sequence.wants(position) && pending.len() > 1 {
                rows = rows.min(logits.max(1));
                logits = logits.saturating_sub(rows);
            }
            if rows > 0 {
                shares.push(share(i, rows));
                left -= rows;
            }
        }
        shares
    }

    fn distribute(&mut self, shares: &[Share], logits: &[f32], events: &mut Vec<Event>) {
        let mut rows = logits.chunks_exact(self.model.config.vocab_size);
        for share in shares {
            let sequence = &mut self.running[share.running].1;
            // Asked before any is taken, since a chosen token changes what is pending.
            let wanted: Vec<usize> =
                (share.position..share.position + share.rows).filter(|p| sequence.wants(*p)).collect();
            for position in wanted {
                sequence.take(position, rows.next().expect("a row of logits for every wanted one"), events);
            }
            sequence.advance(share.rows, events);
        }
    }

    fn end(&mut self, reason: FinishReason, which: impl Fn(&Sequence) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        let running = self.running.iter_mut().map(|(_, sequence)| sequence);
        for sequence in running.chain(&mut self.waiting).filter(|s| which(s)) {
            sequence.finish(reason.clone(), &mut events);
        }
        self.release();
        events
    }

    /// Frees the slots of sequences that have ended.
    fn release(&mut self) {
        let ended = self.running.extract_if(.., |(_, sequence)| sequence.is_finished());
        self.free.extend(ended.map(|(slot, _)| slot));
        self.waiting.retain(|sequence| !sequence.is_finished());
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("device", &self.describe())
            .field("limits", &self.limits())
            .field("running", &self.running())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// Checks a request for a model of `length` positions and `vocab_size` tokens.
pub fn check(request: &Request, length: usize, vocab_size: usize) -> Result<(), RequestError> {
    let tokens = request.prompt.len();
    let answer = request.max_tokens != Some(0);
    if tokens == 0 {
        return Err(RequestError::EmptyPrompt);
    }
    if request.choices == 0 {
        return Err(RequestError::NoChoices);
    }
    if tokens + usize::from(answer) > length {
        return Err(RequestError::ContextLength { tokens, limit: length, answer });
    }
    if let Some(position) = request.prompt.iter().position(|id| *id as usize >= vocab_size) {
        return Err(RequestError::TokenOutOfRange { id: request.prompt[position], position, vocab_size });
    }
    Ok(request.sampling.validate(vocab_size)?)
}
