//! A conversation with a model.

use crate::engine::Engine;
use crate::error::ChatError;
use crate::event::{EventKind, FinishReason};
use crate::request::Request;
use crate::sampling::Sampling;
use moeworks_text::{ChatOptions, Message};
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How a conversation is led.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatSettings {
    /// Instructions before the first message.
    pub system: Option<String>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Turn number n of a conversation uses this plus n.
    pub seed: u64,
    /// Most tokens of an answer; as many as fit if `None`.
    pub max_tokens: Option<usize>,
}

impl Default for ChatSettings {
    fn default() -> Self {
        ChatSettings { system: None, sampling: Sampling::dbrx(), seed: 42, max_tokens: Some(512) }
    }
}

/// A conversation: what was said, and how to go on.
#[derive(Clone, Debug, Default)]
pub struct ChatSession {
    settings: ChatSettings,
    /// Users' and assistant's messages in turn.
    messages: Vec<Message>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What was said.
    pub text: String,
    /// Why it ended; [`FinishReason::Cancelled`] if it was interrupted.
    pub reason: FinishReason,
    /// Tokens of the conversation up to the answer.
    pub prompt_tokens: usize,
    /// Tokens of the answer.
    pub completion_tokens: usize,
    /// Time until the first token.
    pub first_token: Duration,
    /// Time for the whole answer.
    pub whole: Duration,
}

impl Answer {
    /// Tokens a second after the first; `None` if there was no second.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = (self.whole - self.first_token).as_secs_f64();
        (self.completion_tokens > 1 && seconds > 0.0).then(|| (self.completion_tokens - 1) as f64 / seconds)
    }
}

impl ChatSession {
    /// A conversation in which nothing has been said.
    pub fn new(settings: ChatSettings) -> Self {
        ChatSession { settings, messages: Vec::new() }
    }

    /// What was said so far, without the system message.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// How the conversation is led.
    pub fn settings(&self) -> &ChatSettings {
        &self.settings
    }

    /// Forgets what was said.
    pub fn reset(&mut self) {
        self.messages.clear();
    }

    /// Sets the instructions, or none. What was said stays.
    pub fn set_system(&mut self, system: Option<String>) {
        self.settings.system = system;
    }

    /// Says something and gives the answer to `on_text` as it comes. Once `interrupted` is set the answer ends with
    /// what has come, which is kept; `interrupted` is then cleared. After an error the conversation is as before.
    pub fn say(
        &mut self,
        engine: &mut Engine,
        text: &str,
        interrupted: &AtomicBool,
        mut on_text: impl FnMut(&str) -> io::Result<()>,
    ) -> Result<Answer, ChatError> {
        let mut messages = self.messages.clone();
        messages.push(Message::user(text));
        let options = ChatOptions { default_system_prompt: self.settings.system.clone(), ..ChatOptions::generation() };
        let tokenizer = engine.tokenizer();
        let request = Request {
            sampling: self.settings.sampling.clone(),
            seed: self.settings.seed.wrapping_add(self.messages.len() as u64 / 2),
            max_tokens: self.settings.max_tokens,
            continues: false,
            ..Request::new(tokenizer.chat_template().encode_chat(tokenizer, &messages, &options)?)
        };
        interrupted.store(false, Ordering::Relaxed);
        let start = Instant::now();
        let mut first_token = None;
        let mut written = Ok(());
        let completions = engine.generate(vec![request], |event| {
            let text = match &event.kind {
                EventKind::Token(token) => &token.text,
                EventKind::Finish(finish) => &finish.text,
                EventKind::Prompt(_) => return ControlFlow::Continue(()),
            };
            first_token.get_or_insert_with(|| start.elapsed());
            if !text.is_empty() && written.is_ok() {
                written = on_text(text);
            }
            let stop = written.is_err() || interrupted.swap(false, Ordering::Relaxed);
            if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        written?;
        let completion = completions.into_iter().next().expect("one choice");
        let finish = completion.finish.expect("generate returns what has ended");
        if let FinishReason::Error(error) = finish.reason {
            return Err(ChatError::Generation(error));
        }
        messages.push(Message::assistant(&completion.text));
        self.messages = messages;
        let whole = start.elapsed();
        Ok(Answer {
            text: completion.text,
            reason: finish.reason,
            prompt_tokens: finish.prompt_tokens,
            completion_tokens: finish.completion_tokens,
            first_token: first_token.unwrap_or(whole),
            whole,
        })
    }
}
