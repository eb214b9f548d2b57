//! From a row to token ids, and which of them are learnt.

use super::{FineTuneOptions, RowReason, TargetPrompts, TargetResponses, rows::Row};
use moeworks_text::{ChatOptions, Message, Tokenizer};

/// One row, tokenised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) tokens: Vec<i32>,
    /// Of each token, whether it is a label: whether predicting it from those before it is learnt. Never the first one,
    /// before which there is nothing of this example.
    pub(super) labels: Vec<bool>,
    /// Whether the end had to be cut off.
    pub(super) cut: bool,
}

impl Example {
    pub(super) fn of(row: &Row, tokenizer: &Tokenizer, options: &FineTuneOptions) -> Result<Self, RowReason> {
        let learn_prompts = options.target_prompts == TargetPrompts::All;
        let mut example = match row {
            Row::Pair { prompt, response } => pair(prompt, response, tokenizer, learn_prompts)?,
            Row::Chat(messages) => chat(messages, tokenizer, options, learn_prompts)?,
        };
        // An example ends with a token that ends generation, and a turn of a chat has one of its own.
        let ended = example.tokens.last().is_some_and(|&last| tokenizer.stop_ids().contains(&(last as u32)));
        if let Some(end) = tokenizer.eos().filter(|_| !ended) {
            example.extend(&[end], true);
        }
        let length = example.tokens.len();
        example.cut = length > options.sequence_length;
        example.tokens.truncate(options.sequence_length);
        example.labels.truncate(options.sequence_length);
        if let Some(first) = example.labels.first_mut() {
            *first = false;
        }
        if example.labels.contains(&true) {
            Ok(example)
        } else {
            Err(RowReason::NothingToLearn { tokens: length, sequence_length: options.sequence_length })
        }
    }

    fn extend(&mut self, ids: &[u32], learn: bool) {
        self.tokens.extend(ids.iter().map(|&id| id as i32));
        self.labels.resize(self.tokens.len(), learn);
    }
}

/// Prompt and response are tokenised each for itself: so it is in use, where the response is not there yet.
fn pair(prompt: &str, response: &str, tokenizer: &Tokenizer, learn_prompts: bool) -> Result<Example, RowReason> {
    let mut example = Example::default();
    if let Some(start) = tokenizer.bos().filter(|_| tokenizer.add_bos()) {
        example.extend(&[start], false);
    }
    example.extend(&tokenizer.encode(prompt), learn_prompts);
    // Some data sets spell the end token out. It is put there as a token, so that its text is not wanted.
    let end = tokenizer.eos().and_then(|end| std::str::from_utf8(tokenizer.token_bytes(end)).ok());
    let response = end.and_then(|end| response.strip_suffix(end)).unwrap_or(response);
    if response.is_empty() {
        return Err(RowReason::EmptyTurn { what: "the response".into() });
    }
    example.extend(&tokenizer.encode(response), true);
    Ok(example)
}

/// A conversation is one example. Each message of the assistant ends a turn, which is a prompt (all that came since the
/// turn before it, up to the beginning of the answer) and a response.
fn chat(
    messages: &[Message],
    tokenizer: &Tokenizer,
    options: &FineTuneOptions,
    learn_prompts: bool,
) -> Result<Example, RowReason> {
    let render = |messages: &[Message], add_generation_prompt| {
        let options = ChatOptions { add_generation_prompt, now: Some(options.now), ..ChatOptions::default() };
        let rendered = tokenizer.chat_template().render(tokenizer, messages, &options);
        rendered.map_err(|error| RowReason::ChatTemplate { detail: error.to_string() })
    };
    let ends: Vec<usize> = (0..messages.len()).filter(|&at| messages[at].role == "assistant").collect();
    let whole = render(messages, false)?;
    let text = whole.text();
    // Where the response of each turn begins and ends in the text.
    let mut cuts = Vec::with_capacity(2 * ends.len());
    let mut before = String::new();
    for (turn, &answer) in (1..).zip(&ends) {
        let prompt = render(&messages[..answer], true)?.text();
        let so_far =
            if answer + 1 == messages.len() { text.clone() } else { render(&messages[..=answer], false)?.text() };
        for (begin, of, detail) in [
            (&before, &so_far, "the conversation before it is rendered differently with it"),
            (&before, &prompt, "the conversation before it is rendered differently with its prompt"),
            (&prompt, &so_far, "its prompt is rendered differently with its response"),
            (&so_far, &text, "the conversation up to it is rendered differently within the whole"),
        ] {
            if !of.starts_with(begin.as_str()) {
                return Err(RowReason::InvalidConversation { turn, detail: detail.into() });
            }
        }
        cuts.extend([prompt.len(), so_far.len()]);
        before = so_far;
    }
    let (ids, places) = whole.encode_cut(tokenizer, &cuts);
    let mut example = Example::default();
    for (turn, place) in places.chunks_exact(2).enumerate() {
        let (prompt, response) = (&ids[example.tokens.len()..place[0]], &ids[place[0]..place[1]]);
        for (part, what) in [(prompt, "prompt"), (response, "response")] {
            if part.is_empty() {
                return Err(RowReason::EmptyTurn { what: format!("the {what} of turn {}", turn + 1) });
            }
        }
        let is_last = turn + 1 == ends.len();
        example.extend(prompt, learn_prompts);
        example.extend(response, is_last || options.target_responses == TargetResponses::All);
    }
    Ok(example)
}
