//! A conversation line by line: what is typed goes in, what is answered comes out.

use crate::chat::{Answer, ChatSession};
use crate::engine::Engine;
use crate::error::ChatError;
use crate::event::FinishReason;
use std::io::{self, BufRead, Write};
use std::sync::atomic::AtomicBool;

/// What can be typed instead of a message.
pub const HELP: &str = "\
/reset          forget the conversation
/system TEXT    set the instructions (nothing: none), and forget the conversation
/help           this list
/exit           leave (so does the end of input)
Ctrl-C stops an answer.
";

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Nothing,
    Say(&'a str),
    Reset,
    System(Option<&'a str>),
    Help,
    Exit,
    Unknown(&'a str),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (word, rest.trim()) {
            ("", _) => Line::Nothing,
            ("/reset", "") => Line::Reset,
            ("/system", "") => Line::System(None),
            ("/system", text) => Line::System(Some(text)),
            ("/help" | "/?", "") => Line::Help,
            ("/exit" | "/quit", "") => Line::Exit,
            (word, _) if word.starts_with('/') => Line::Unknown(word),
            _ => Line::Say(line),
        }
    }
}

/// Leads a conversation until `/exit` or the end of input. Answers go to `output`; the prompt, timings and errors go to
/// `notes`, so that answers alone can be kept. An error in a turn (a conversation that has become too long, say) is
/// noted and the conversation goes on; only a terminal that cannot be read or written ends it.
pub fn converse(
    engine: &mut Engine,
    session: &mut ChatSession,
    input: &mut impl BufRead,
    output: &mut impl Write,
    notes: &mut impl Write,
    interrupted: &AtomicBool,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        write!(notes, "> ")?;
        notes.flush()?;
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return writeln!(notes);
        }
        match Line::parse(&String::from_utf8_lossy(&line)) {
            Line::Nothing => {}
            Line::Exit => return Ok(()),
            Line::Help => write!(notes, "{HELP}")?,
            Line::Unknown(word) => writeln!(notes, "no command {word:?}; /help lists them")?,
            Line::Reset => {
                session.reset();
                writeln!(notes, "(a new conversation)")?;
            }
            Line::System(text) => {
                session.set_system(text.map(Into::into));
                session.reset();
                writeln!(
                    notes,
                    "(a new conversation, {} instructions)",
                    if text.is_some() { "with" } else { "without" }
                )?;
            }
            Line::Say(text) => {
                let answer = session.say(engine, text, interrupted, |text| {
                    write!(output, "{}", printable(text))?;
                    output.flush()
                });
                match answer {
                    Ok(answer) => {
                        writeln!(output)?;
                        output.flush()?;
                        writeln!(notes, "({})", summary(&answer))?;
                    }
                    Err(ChatError::Terminal(error)) => return Err(error),
                    Err(error) => writeln!(notes, "{error} (/reset begins a new conversation)")?,
                }
            }
        }
    }
}

/// Text without control characters but line ends and tabs: what a model says must not steer the terminal.
pub fn printable(text: &str) -> String {
    let show = |c: char| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(show).collect()
}

fn summary(answer: &Answer) -> String {
    let mut text =
        format!("{} tokens, first after {:.2} s", answer.completion_tokens, answer.first_token.as_secs_f64());
    if let Some(rate) = answer.tokens_per_second() {
        text += &format!(", then {rate:.1} tokens/s");
    }
    match answer.reason {
        FinishReason::Length => text + ", cut at the limit of tokens",
        FinishReason::Cancelled => text + ", interrupted",
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        let cases = [
            ("", Line::Nothing),
            ("  \t\r\n", Line::Nothing),
            (" hello there \n", Line::Say("hello there")),
            ("/reset\r\n", Line::Reset),
            ("/system You are a  cat. \n", Line::System(Some("You are a  cat."))),
            ("/system", Line::System(None)),
            ("/exit", Line::Exit),
            ("/quit", Line::Exit),
            ("/help", Line::Help),
            ("/reset now", Line::Unknown("/reset")),
            ("/rest", Line::Unknown("/rest")),
            ("a / b", Line::Say("a / b")),
        ];
        for (line, expected) in cases {
            assert_eq!(Line::parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn control_characters_are_not_printed() {
        assert_eq!(printable("a\tb\n\u{1b}[2J\u{9b}é\r"), "a\tb\n\u{fffd}[2J\u{fffd}é\u{fffd}");
    }
}
