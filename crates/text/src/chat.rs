//! Conversations: messages, chat templates, and how both become token ids.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::TextError;
use crate::jinja::{MAX_OUTPUT, NOW, Sandbox};
use crate::literals::Literals;
use crate::marks::{Marks, Piece};
use crate::tokenizer::Tokenizer;

/// DBRX's template: ChatML, with the system text trimmed and no line end after the last message.
const CHATML: &str = include_str!("chatml.jinja");

/// The system prompt that DBRX was served with by default, for use as [`ChatOptions::default_system_prompt`] with DBRX
/// itself (source: the `databricks/dbrx` repository).
pub const DBRX_SYSTEM_PROMPT: &str = include_str!("dbrx_system_prompt.txt").trim_ascii_end();

/// One message of a conversation, as in the OpenAI API and in fine-tuning rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant` or `tool`; other roles as far as the template knows them.
    pub role: String,
    /// What is said. `null` is read as nothing.
    #[serde(default, deserialize_with = "null_as_empty")]
    pub content: String,
    /// Name of the speaker or the tool, for templates that show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Calls of tools that the assistant made: a list of objects, for templates that show them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Value>,
    /// Which call a tool's message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.unwrap_or_default())
}

impl Message {
    /// A message with a role and a content and nothing else.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Message { role: role.into(), content: content.into(), ..Message::default() }
    }

    /// Instructions to the assistant.
    pub fn system(content: impl Into<String>) -> Self {
        Message::new("system", content)
    }

    /// What the user says.
    pub fn user(content: impl Into<String>) -> Self {
        Message::new("user", content)
    }

    /// What the assistant answers.
    pub fn assistant(content: impl Into<String>) -> Self {
        Message::new("assistant", content)
    }
}

/// How a conversation is rendered.
#[derive(Clone, Debug, Default)]
pub struct ChatOptions {
    /// End with the beginning of the assistant's next message. Wanted for generation, not for training.
    pub add_generation_prompt: bool,
    /// A system message put first if the conversation has none.
    pub default_system_prompt: Option<String>,
    /// Descriptions of the tools that the assistant may call, as in the OpenAI API.
    pub tools: Vec<Value>,
    /// What `strftime_now` shows, in UTC; the clock's time if `None`.
    pub now: Option<SystemTime>,
}

impl ChatOptions {
    /// The options to generate the assistant's next message.
    pub fn generation() -> Self {
        ChatOptions { add_generation_prompt: true, ..ChatOptions::default() }
    }
}

/// Turns messages into the text a model was trained on. See [`ChatTemplate::render`] for what is guaranteed.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    /// `None` for a tokenizer without template.
    sandbox: Option<Sandbox>,
    templates: Vec<(String, String)>,
    /// Of each template.
    literals: Vec<Literals>,
}

impl ChatTemplate {
    /// DBRX's ChatML: `<|im_start|>role\ncontent<|im_end|>`, joined by line ends.
    pub fn chatml() -> Self {
        ChatTemplate::new(CHATML).expect("the built-in template is valid")
    }

    /// No template: rendering fails with [`TextError::NoTemplate`].
    pub fn none() -> Self {
        ChatTemplate { sandbox: None, templates: Vec::new(), literals: Vec::new() }
    }

    /// A template in Jinja, as in the `chat_template` of a tokenizer_config.json.
    pub fn new(source: impl Into<String>) -> Result<Self, TextError> {
        ChatTemplate::named(vec![("default".to_owned(), source.into())])
    }

    /// Several templates with their names. `default` is used, or `tool_use` when there are tools.
    pub fn named(templates: Vec<(String, String)>) -> Result<Self, TextError> {
        let sandbox = Some(Sandbox::new(&templates)?);
        let literals = templates.iter().map(|(_, source)| Literals::new(source)).collect();
        Ok(ChatTemplate { sandbox, templates, literals })
    }

    /// Names and sources.
    pub fn sources(&self) -> &[(String, String)] {
        &self.templates
    }

    /// The number of the template to use.
    fn choose(&self, tools: bool) -> Result<usize, TextError> {
        let named = |name: &str| self.templates.iter().position(|(other, _)| other == name);
        let only = (self.templates.len() == 1).then_some(0);
        named("tool_use").filter(|_| tools).or_else(|| named("default")).or(only).ok_or(TextError::NoTemplate)
    }

    /// Renders a conversation, with the text of messages and tools told apart from the template's own.
    ///
    /// The conversation is rendered twice: as it is, and with message text marked. Where the second without its marks
    /// differs from the first, or marks have lost their partner, the template rewrites or cuts message text in a way that
    /// cannot be followed, and rendering fails with [`TextError::Untraceable`] rather than guess.
    pub fn render(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        options: &ChatOptions,
    ) -> Result<Rendered, TextError> {
        let sandbox = self.sandbox.as_ref().ok_or(TextError::NoTemplate)?;
        let chosen = self.choose(!options.tools.is_empty())?;
        let (name, literals) = (self.templates[chosen].0.as_str(), &self.literals[chosen]);
        let with_system;
        let messages = match &options.default_system_prompt {
            Some(system) if messages.first().is_none_or(|first| first.role != "system") => {
                with_system = [&[Message::system(system)], messages].concat();
                &with_system
            }
            _ => messages,
        };
        let now = options.now.unwrap_or_else(SystemTime::now).duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut messages = Value::Array(messages.iter().map(message_json).collect());
        let mut tools = Value::Array(options.tools.clone());

        let mut inputs = Vec::new();
        for_each_text(&messages, &mut |text| inputs.push(text));
        for_each_text(&tools, &mut |text| inputs.push(text));
        let sources = self.templates.iter().map(|(_, source)| source.as_str());
        let mut marks = Marks::new(tokenizer.specials(), literals, inputs.into_iter().chain(sources));
        let context = |messages: &Value, tools: &Value| {
            let mut context = Map::new();
            context.insert("messages".to_owned(), messages.clone());
            let tools = if options.tools.is_empty() { Value::Null } else { tools.clone() };
            context.insert("tools".to_owned(), tools);
            context.insert("add_generation_prompt".to_owned(), options.add_generation_prompt.into());
            context.insert(NOW.to_owned(), now.into());
            context.extend(tokenizer.role_contents().map(|(role, content)| (role.to_owned(), content.into())));
            Value::Object(context)
        };
        let plain = sandbox.render(name, &context(&messages, &tools), MAX_OUTPUT)?;
        mark_message(&mut messages, &mut marks);
        mark_json(&mut tools, &mut marks);
        let marked = sandbox.render(name, &context(&messages, &tools), MAX_OUTPUT * 7).ok();

        let untraceable = |problem| TextError::Untraceable { name: name.to_owned(), problem };
        if marks.occur_in(&plain) {
            return Err(untraceable("prints private-use characters"));
        }
        let marked = marked.filter(|marked| marks.strip(marked) == plain);
        let marked = marked.ok_or_else(|| untraceable("rewrites message text"))?;
        let pieces = marks.pieces(&marked).ok_or_else(|| untraceable("cuts message text"))?;
        Ok(Rendered { pieces })
    }

    /// Renders a conversation and encodes it: `render` followed by [`Rendered::encode`].
    pub fn encode_chat(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        options: &ChatOptions,
    ) -> Result<Vec<u32>, TextError> {
        Ok(self.render(tokenizer, messages, options)?.encode(tokenizer))
    }
}

/// A rendered conversation, of which it is known what the template wrote and what came from messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pieces: Vec<Piece>,
}

impl Rendered {
    /// The stretches of template and message text, in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The whole text.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|piece| piece.text.as_str()).collect()
    }

    /// Ids of the text. A special token is read only where the template wrote all of it; between special tokens, template
    /// and message text are encoded together, which gives the ids of other implementations.
    pub fn encode(&self, tokenizer: &Tokenizer) -> Vec<u32> {
        self.encode_cut(tokenizer, &[]).0
    }

    /// As [`Rendered::encode`], with no token across any of `cuts`, which are ascending byte offsets of
    /// [`Rendered::text`] between characters. Also gives the place of each cut among the ids.
    pub fn encode_cut(&self, tokenizer: &Tokenizer, cuts: &[usize]) -> (Vec<u32>, Vec<usize>) {
        let mut encoding = Encoding { tokenizer, ids: Vec::new(), between: String::new(), strips: false };
        let mut places = Vec::with_capacity(cuts.len());
        let mut begin = 0;
        for piece in &self.pieces {
            let mut rest = piece.text.as_str();
            while let Some((head, tail)) =
                cuts.get(places.len()).and_then(|&cut| rest.split_at_checked(cut.checked_sub(begin)?))
            {
                encoding.add(head, piece.content);
                encoding.flush();
                places.push(encoding.ids.len());
                begin += head.len();
                rest = tail;
            }
            encoding.add(rest, piece.content);
            begin += rest.len();
        }
        encoding.flush();
        places.resize(cuts.len(), encoding.ids.len());
        (encoding.ids, places)
    }
}

/// A text on its way to ids.
struct Encoding<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// What follows the last special token and is not encoded yet.
    between: String,
    /// Whether the special token before it swallows white space.
    strips: bool,
}

impl Encoding<'_> {
    fn add(&mut self, text: &str, content: bool) {
        if content {
            return self.between.push_str(text);
        }
        let mut done = 0;
        for (place, special) in self.tokenizer.specials().find(text) {
            self.between.push_str(&text[done..place.start]);
            if special.lstrip {
                self.between.truncate(self.between.trim_end().len());
            }
            self.flush();
            self.ids.push(special.id);
            self.strips = special.rstrip;
            done = place.end;
        }
        self.between.push_str(&text[done..]);
    }

    fn flush(&mut self) {
        let text = if self.strips { self.between.trim_start() } else { &self.between };
        self.strips &= text.is_empty();
        self.tokenizer.encode_part(text, &mut self.ids);
        self.between.clear();
    }
}

/// Roles that templates compare with, so that they are shown as they are. They are a fixed choice, not free text.
const KNOWN_ROLES: [&str; 7] = ["system", "user", "assistant", "tool", "developer", "function", "ipython"];
/// Words of tool descriptions and calls that templates look up or compare with.
const KNOWN_KEYS: [&str; 24] = [
    "type",
    "function",
    "name",
    "description",
    "parameters",
    "arguments",
    "properties",
    "required",
    "items",
    "enum",
    "default",
    "title",
    "format",
    "anyOf",
    "oneOf",
    "allOf",
    "nullable",
    "additionalProperties",
    "strict",
    "return",
    "returns",
    "id",
    "index",
    "content",
];
const KNOWN_TYPES: [&str; 8] = ["function", "string", "integer", "number", "boolean", "object", "array", "null"];

fn message_json(message: &Message) -> Value {
    serde_json::to_value(message).expect("a message is plain data")
}

fn mark_message(messages: &mut Value, marks: &mut Marks) {
    for message in messages.as_array_mut().into_iter().flatten() {
        for (key, value) in message.as_object_mut().into_iter().flatten() {
            match value {
                Value::String(role) if key == "role" && KNOWN_ROLES.contains(&role.as_str()) => {}
                value => mark_json(value, marks),
            }
        }
    }
}

/// Marks every text in `json`, keys included, except the words that templates look up.
fn mark_json(json: &mut Value, marks: &mut Marks) {
    match json {
        Value::String(text) => *text = marks.mark(text),
        Value::Array(items) => items.iter_mut().for_each(|item| mark_json(item, marks)),
        Value::Object(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, mut value)| {
                    let is_type = key == "type" && value.as_str().is_some_and(|kind| KNOWN_TYPES.contains(&kind));
                    if !is_type {
                        mark_json(&mut value, marks);
                    }
                    (if KNOWN_KEYS.contains(&key.as_str()) { key } else { marks.mark(&key) }, value)
                })
                .collect();
        }
        _ => {}
    }
}

fn for_each_text<'a>(json: &'a Value, visit: &mut impl FnMut(&'a str)) {
    match json {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| for_each_text(item, visit)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            visit(key);
            for_each_text(value, visit);
        }),
        _ => {}
    }
}
