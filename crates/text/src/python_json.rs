//! JSON as Python's `json.dumps` spells it, which is what chat templates were written against.

use std::io;

use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::Formatter;

/// The `tojson` filter of transformers: no HTML escapes, no ASCII escapes, Python's spaces.
pub(crate) fn tojson(value: &Value, arguments: Kwargs) -> Result<String, Error> {
    let refuse = |problem: String| Error::new(ErrorKind::InvalidOperation, problem);
    if arguments.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false) {
        return Err(refuse("tojson(ensure_ascii=true) is not supported".to_owned()));
    }
    let indent = arguments.get::<Option<usize>>("indent")?;
    if indent.is_some_and(|indent| indent > 16) {
        return Err(refuse("tojson can indent by 16 at most".to_owned()));
    }
    let separators = arguments.get::<Option<Vec<String>>>("separators")?;
    let sort_keys = arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    arguments.assert_all_used()?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(refuse("tojson takes two separators".to_owned())),
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let mut json = serde_json::to_value(value).map_err(|e| refuse(e.to_string()))?;
    if sort_keys {
        json.sort_all_objects();
    }
    let mut bytes = Vec::new();
    let style = Style { indent, item, key, depth: 0, empty: true };
    json.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, style))
        .map_err(|e| refuse(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| refuse(e.to_string()))
}

struct Style {
    indent: Option<usize>,
    item: String,
    key: String,
    depth: usize,
    /// Whether nothing has been written since the last opening bracket.
    empty: bool,
}

impl Style {
    fn open<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.empty = true;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.empty {
            self.new_line(writer)?;
        }
        self.empty = false;
        writer.write_all(bracket)
    }

    fn item<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(self.item.as_bytes())?;
        }
        self.empty = false;
        self.new_line(writer)
    }

    fn new_line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        match self.indent {
            Some(indent) => write!(writer, "\n{:width$}", "", width = indent * self.depth),
            None => Ok(()),
        }
    }
}

impl Formatter for Style {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected texts are what Python 3's json.dumps(x, ensure_ascii=False, ...) prints.
    #[test]
    fn spells_like_python() {
        let value = Value::from(minijinja::value::Serde(serde_json::json!(
            {"b": [1, 2.5, true, null, "é<\"\n"], "a": {}, "c": [], "d": {"k": [[]]}}
        )));
        let arguments = |pairs: &[(&'static str, Value)]| Kwargs::from_iter(pairs.iter().cloned());
        let cases: [(Kwargs, &str); 4] = [
            (arguments(&[]), r#"{"b": [1, 2.5, true, null, "é<\"\n"], "a": {}, "c": [], "d": {"k": [[]]}}"#),
            (
                arguments(&[("separators", Value::from(vec![",", ":"])), ("sort_keys", true.into())]),
                r#"{"a":{},"b":[1,2.5,true,null,"é<\"\n"],"c":[],"d":{"k":[[]]}}"#,
            ),
            (
                arguments(&[("indent", 2.into()), ("ensure_ascii", false.into())]),
                "{\n  \"b\": [\n    1,\n    2.5,\n    true,\n    null,\n    \"é<\\\"\\n\"\n  ],\n  \"a\": {},\n  \"c\": [],\n  \"d\": {\n    \"k\": [\n      []\n    ]\n  }\n}",
            ),
            (
                arguments(&[("indent", ().into())]),
                r#"{"b": [1, 2.5, true, null, "é<\"\n"], "a": {}, "c": [], "d": {"k": [[]]}}"#,
            ),
        ];
        for (arguments, expected) in cases {
            assert_eq!(tojson(&value, arguments).unwrap(), expected);
        }
        assert!(tojson(&value, arguments(&[("indent", 1_000_000_000.into())])).is_err());
        assert!(tojson(&value, arguments(&[("nonsense", 1.into())])).is_err());
    }
}
