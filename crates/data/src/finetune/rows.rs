//! The two forms of a row, as LLM Foundry takes them, and what else a row may be instead.

use crate::documents::{Reason, kind, object};
use moeworks_text::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// A row to learn from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Row {
    /// `{"prompt": …, "response": …}`, or `completion` in the place of `response`.
    Pair { prompt: String, response: String },
    /// `{"messages": [{"role": …, "content": …}, …]}`.
    Chat(Vec<Message>),
}

/// Roles that a message may have.
const ROLES: [&str; 4] = ["system", "user", "assistant", "tool"];

/// Why a row is not learnt from. Messages and turns are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[allow(missing_docs)] // fields are what was found
pub enum RowReason {
    /// Its keys are those of neither form.
    UnknownExampleType { keys: Vec<String> },
    /// The prompt is no text.
    InvalidPromptType { found: String },
    /// The response is no text.
    InvalidResponseType { found: String },
    /// `messages` is no list of at least two.
    NotEnoughChatData { found: String },
    /// A message is no object.
    InvalidMessageType { message: usize, found: String },
    /// A message has other keys than role and content.
    IncorrectMessageKeys { message: usize, keys: Vec<String> },
    /// A role is none that there is.
    InvalidRole { message: usize, found: String },
    /// The content of a message is no text.
    InvalidContentType { message: usize, found: String },
    /// Two messages of one role follow each other.
    ConsecutiveRepeatedRoles { message: usize, role: String },
    /// The last message is not the assistant's.
    InvalidLastRole { role: String },
    /// A prompt, a response or a message says nothing.
    EmptyTurn { what: String },
    /// The chat template fails, or refuses the conversation.
    ChatTemplate { detail: String },
    /// The template renders a part of the conversation differently within the whole.
    InvalidConversation { turn: usize, detail: String },
    /// Once cut to the sequence length, it has no token to learn.
    NothingToLearn { tokens: usize, sequence_length: usize },
    /// It cannot be read as a JSON object.
    #[serde(untagged)]
    Unread(Reason),
}

impl RowReason {
    /// Short name, for counting.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnknownExampleType { .. } => "unknown-example-type",
            Self::InvalidPromptType { .. } => "invalid-prompt-type",
            Self::InvalidResponseType { .. } => "invalid-response-type",
            Self::NotEnoughChatData { .. } => "not-enough-chat-data",
            Self::InvalidMessageType { .. } => "invalid-message-type",
            Self::IncorrectMessageKeys { .. } => "incorrect-message-keys",
            Self::InvalidRole { .. } => "invalid-role",
            Self::InvalidContentType { .. } => "invalid-content-type",
            Self::ConsecutiveRepeatedRoles { .. } => "consecutive-repeated-roles",
            Self::InvalidLastRole { .. } => "invalid-last-role",
            Self::EmptyTurn { .. } => "empty-turn",
            Self::ChatTemplate { .. } => "chat-template",
            Self::InvalidConversation { .. } => "invalid-conversation",
            Self::NothingToLearn { .. } => "nothing-to-learn",
            Self::Unread(reason) => reason.name(),
        }
    }
}

impl fmt::Display for RowReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownExampleType { keys } => {
                let keys = keys.join(", ");
                write!(f, "its keys are {keys}: either prompt and response (or completion), or messages alone")
            }
            Self::InvalidPromptType { found } => write!(f, "the prompt is {found}, a string is expected"),
            Self::InvalidResponseType { found } => write!(f, "the response is {found}, a string is expected"),
            Self::NotEnoughChatData { found } => write!(f, "messages is {found}, at least two messages are expected"),
            Self::InvalidMessageType { message, found } => {
                write!(f, "message {message} is {found}, an object is expected")
            }
            Self::IncorrectMessageKeys { message, keys } => {
                write!(f, "message {message} has the keys {}: exactly role and content are expected", keys.join(", "))
            }
            Self::InvalidRole { message, found } => {
                write!(f, "message {message} is of role {found}: use one of {}", ROLES.join(", "))
            }
            Self::InvalidContentType { message, found } => {
                write!(f, "the content of message {message} is {found}, a string is expected")
            }
            Self::ConsecutiveRepeatedRoles { message, role } => {
                write!(f, "message {message} is of role {role} as the one before it: join the two")
            }
            Self::InvalidLastRole { role } => write!(f, "the last message is of role {role}, not assistant"),
            Self::EmptyTurn { what } => write!(f, "{what} says nothing"),
            Self::ChatTemplate { detail } => f.write_str(detail),
            Self::InvalidConversation { turn, detail } => write!(f, "turn {turn}: {detail}"),
            Self::NothingToLearn { tokens, sequence_length } => {
                write!(f, "of its {tokens} tokens none of the first {sequence_length} is to be learnt")
            }
            Self::Unread(reason) => reason.fmt(f),
        }
    }
}

impl Row {
    /// Reads a row of a file.
    pub(super) fn parse(row: &[u8]) -> Result<Self, RowReason> {
        let mut row = object(row).map_err(RowReason::Unread)?;
        let keys: Vec<String> = row.keys().cloned().collect();
        let mut take = |key: &str| row.remove(key).unwrap_or(Value::Null);
        let mut sorted: Vec<&str> = keys.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        match sorted[..] {
            [response @ ("completion" | "response"), "prompt"] | ["prompt", response @ ("completion" | "response")] => {
                pair(take("prompt"), take(response))
            }
            ["messages"] => chat(take("messages")),
            _ => Err(RowReason::UnknownExampleType { keys }),
        }
    }
}

fn pair(prompt: Value, response: Value) -> Result<Row, RowReason> {
    let empty = |what: &str| Err(RowReason::EmptyTurn { what: what.into() });
    match (prompt, response) {
        (Value::String(prompt), _) if prompt.is_empty() => empty("the prompt"),
        (_, Value::String(response)) if response.is_empty() => empty("the response"),
        (Value::String(prompt), Value::String(response)) => Ok(Row::Pair { prompt, response }),
        (Value::String(_), other) => Err(RowReason::InvalidResponseType { found: kind(&other).into() }),
        (other, _) => Err(RowReason::InvalidPromptType { found: kind(&other).into() }),
    }
}

fn chat(messages: Value) -> Result<Row, RowReason> {
    let messages = match messages {
        Value::Array(messages) if messages.len() > 1 => messages,
        Value::Array(messages) => {
            return Err(RowReason::NotEnoughChatData { found: format!("a list of {}", messages.len()) });
        }
        other => return Err(RowReason::NotEnoughChatData { found: kind(&other).into() }),
    };
    let messages: Vec<Message> =
        (1..).zip(messages).map(|(number, value)| message(number, value)).collect::<Result<_, _>>()?;
    if let Some(at) = messages.windows(2).position(|pair| pair[0].role == pair[1].role) {
        return Err(RowReason::ConsecutiveRepeatedRoles { message: at + 2, role: messages[at].role.clone() });
    }
    match messages.last() {
        Some(last) if last.role != "assistant" => Err(RowReason::InvalidLastRole { role: last.role.clone() }),
        _ => Ok(Row::Chat(messages)),
    }
}

fn message(number: usize, value: Value) -> Result<Message, RowReason> {
    let fields: Map<String, Value> = match value {
        Value::Object(fields) => fields,
        other => return Err(RowReason::InvalidMessageType { message: number, found: kind(&other).into() }),
    };
    let keys = || fields.keys().cloned().collect();
    if fields.len() != 2 {
        return Err(RowReason::IncorrectMessageKeys { message: number, keys: keys() });
    }
    let (Some(role), Some(content)) = (fields.get("role"), fields.get("content")) else {
        return Err(RowReason::IncorrectMessageKeys { message: number, keys: keys() });
    };
    let role = match role {
        Value::String(role) if ROLES.contains(&role.as_str()) => role.as_str(),
        other => return Err(RowReason::InvalidRole { message: number, found: other.to_string() }),
    };
    match content {
        Value::String(content) if content.trim().is_empty() => {
            Err(RowReason::EmptyTurn { what: format!("message {number}") })
        }
        Value::String(content) => Ok(Message::new(role, content.as_str())),
        other => Err(RowReason::InvalidContentType { message: number, found: kind(other).into() }),
    }
}
