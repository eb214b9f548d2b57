//! The sandbox in which chat templates are rendered.
//!
//! Templates come with model files, so they are run as untrusted programs: they can load nothing, and instructions, depth
//! of recursion and length of the output are bounded. They see what transformers shows them: its Jinja settings
//! (`trim_blocks`, `lstrip_blocks`, loop controls), `raise_exception`, `strftime_now`, `tojson` and Python's methods.

use std::fmt::Write as _;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;

use crate::error::TextError;
use crate::python_json::tojson;

/// Instructions per rendering; a thousand messages with tools take a tenth.
const FUEL: u64 = 2_000_000;
const RECURSION: usize = 64;
/// Bytes of output per rendering.
pub(crate) const MAX_OUTPUT: usize = 16 << 20;
/// Bytes of a template's source; the longest in use have some 20 kB.
const MAX_SOURCE: usize = 1 << 20;
/// The context variable that holds the time of the rendering, in seconds since 1970.
pub(crate) const NOW: &str = "seconds_since_1970";

/// Templates, compiled once.
#[derive(Debug, Clone)]
pub(crate) struct Sandbox(Environment<'static>);

impl Sandbox {
    /// Compiles templates, given as name and source.
    pub(crate) fn new(templates: &[(String, String)]) -> Result<Self, TextError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().expect("default delimiters");
        environment.set_syntax(syntax);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        environment.set_debug(false);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(|output, state, value| match value.kind() {
            ValueKind::Bool | ValueKind::None => output.write_str(python_constant(value)).map_err(Error::from),
            _ => escape_formatter(output, state, value),
        });
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", tojson);
        for (name, source) in templates {
            if source.len() > MAX_SOURCE {
                let message = format!("the source has {} bytes, the limit is {MAX_SOURCE}", source.len());
                return Err(TextError::Template { name: name.clone(), line: None, message });
            }
            let source = without_generation_tags(source);
            environment.add_template_owned(name.clone(), source).map_err(|error| failure(name, &error))?;
        }
        Ok(Sandbox(environment))
    }

    /// Renders one of the templates to at most `limit` bytes.
    pub(crate) fn render(&self, name: &str, context: &serde_json::Value, limit: usize) -> Result<String, TextError> {
        let mut output = Bounded { bytes: Vec::new(), limit };
        let template = self.0.get_template(name).map_err(|error| failure(name, &error))?;
        match template.render_captured_to(Value::from(Serde(context)), &mut output) {
            Ok(_) => Ok(String::from_utf8(output.bytes).expect("templates print text")),
            Err(error) => Err(failure(name, &error)),
        }
    }
}

/// Collects output up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::Error::other(format!("the output is longer than {} bytes", self.limit)));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a template says through `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(Raised(message)))
}

/// The time of the rendering in UTC, in the format of C's strftime.
fn strftime_now(state: &State, format: String) -> Result<String, Error> {
    let seconds = state.lookup(NOW).and_then(|now| i64::try_from(now).ok());
    let time = seconds.and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    let time = time.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "the time is out of range"))?;
    let mut text = String::new();
    write!(text, "{}", time.format(&format)).map_err(|_| {
        Error::new(ErrorKind::InvalidOperation, format!("strftime_now cannot read the format {format:?}"))
    })?;
    Ok(text)
}

fn python_constant(value: &Value) -> &'static str {
    match value.kind() {
        ValueKind::Bool if value.is_true() => "True",
        ValueKind::Bool => "False",
        _ => "None",
    }
}

/// The innermost cause is the one worth showing.
fn failure(name: &str, error: &Error) -> TextError {
    let mut message = error.to_string();
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = source {
        if let Some(Raised(message)) = cause.downcast_ref() {
            return TextError::Refused(message.clone());
        }
        message = match cause.downcast_ref::<Error>() {
            Some(error) => error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
            None => cause.to_string(),
        };
        source = cause.source();
    }
    TextError::Template { name: name.to_owned(), line: error.line(), message }
}

/// transformers marks what the assistant generates with `{% generation %}`, a tag of its own. It prints nothing, so it is
/// read as `{% if true %}`.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(end) = rest[start..].find("%}").map(|end| start + end) else { break };
        let inside = &rest[start + 2..end];
        let word = inside.trim_matches(['-', '+', ' ', '\n', '\t', '\r']);
        out.push_str(&rest[..start + 2]);
        match word {
            "generation" => out.push_str(&inside.replacen(word, "if true", 1)),
            "endgeneration" => out.push_str(&inside.replacen(word, "endif", 1)),
            _ => out.push_str(inside),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}
