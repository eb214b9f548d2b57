//! Strict reading of a JSON request: every field is asked for by name and range, and what is left over is an error.

use crate::error::ApiError;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// How deep JSON may be nested.
const DEPTH: usize = 64;

/// The fields of a JSON object that have not been read yet. `null` counts as not given.
#[derive(Debug)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    /// Where the object is in the request, such as `messages[3].`.
    prefix: String,
}

impl Fields {
    /// Reads a request's body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        check_depth(body)?;
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Fields { map, prefix: String::new() }),
            Ok(_) => Err(ApiError::request("the body must be a JSON object")),
            Err(error) => Err(ApiError::request(format!("the body is not valid JSON: {error}"))),
        }
    }

    /// The fields of an object inside the request.
    pub(crate) fn inside(value: Value, place: &str) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Fields { map, prefix: format!("{place}.") }),
            _ => Err(ApiError::field(place, format!("`{place}` must be an object"))),
        }
    }

    fn error(&self, name: &str, must: impl std::fmt::Display) -> ApiError {
        let place = format!("{}{name}", self.prefix);
        ApiError::field(&place, format!("`{place}` {must}"))
    }

    /// Any value.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    /// A finite number.
    pub(crate) fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| range.contains(number));
        let must = || self.error(name, format_args!("must be a number from {} to {}", range.start(), range.end()));
        number.map(Some).ok_or_else(must)
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_i64().filter(|number| range.contains(number));
        let must = || self.error(name, format_args!("must be an integer from {} to {}", range.start(), range.end()));
        number.map(Some).ok_or_else(must)
    }

    /// True or false.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(self.error(name, "must be true or false")),
        }
    }

    /// Text of at most `most` characters.
    pub(crate) fn text(&mut self, name: &str, most: usize) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() <= most => Ok(Some(text)),
            Some(_) => Err(self.error(name, format_args!("must be a string of at most {most} characters"))),
        }
    }

    /// Refuses a field of the API that this server does not have, unless its value asks for nothing.
    pub(crate) fn refuse(&mut self, name: &str, neutral: &[Value]) -> Result<(), ApiError> {
        match self.take(name) {
            Some(value) if !neutral.contains(&value) => Err(self.error(name, "is not supported by this server")),
            _ => Ok(()),
        }
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        match self.map.keys().next() {
            Some(name) => {
                let name: String = name.chars().take(100).collect();
                Err(self.error(&name, "is not a field that this server knows"))
            }
            None => Ok(()),
        }
    }
}

/// Refuses deep nesting before anything is built from it.
fn check_depth(body: &[u8]) -> Result<(), ApiError> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return Err(ApiError::request(format!("the body is nested more than {DEPTH} deep")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_range_or_named() {
        let extremes = "[-9223372036854775808, 9223372036854775807, 18446744073709551615, 1e308, -1e308, 1.5, \"1\", true, [], {}]";
        for value in serde_json::from_str::<Vec<Value>>(extremes).unwrap() {
            let mut fields = Fields::parse(format!("{{\"n\": {value}, \"t\": {value}}}").as_bytes()).unwrap();
            let error = fields.integer("n", 1..=8).unwrap_err().json();
            assert_eq!(error["error"]["param"], "n", "{value}");
            assert_eq!(fields.number("t", 0.0..=1.0).is_err(), value != 1.0, "{value}");
        }
        let mut fields = Fields::parse(br#"{"a": 8, "b": 0.5, "c": null, "d": 1}"#).unwrap();
        assert_eq!(fields.integer("a", 1..=8), Ok(Some(8)));
        assert_eq!(fields.number("b", 0.0..=1.0), Ok(Some(0.5)));
        assert_eq!(fields.integer("c", 1..=8), Ok(None));
        assert!(fields.finish().unwrap_err().json().to_string().contains("`d` is not a field"));
    }

    #[test]
    fn bodies_are_flat_objects() {
        for bad in ["", "[]", "1", "{\"a\": NaN}", "{\"a\": 1", "\u{feff}{}"] {
            assert!(Fields::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let nested = |depth: usize| format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Fields::parse(nested(63).as_bytes()).is_ok());
        let error = Fields::parse(nested(64).as_bytes()).unwrap_err();
        assert!(error.json().to_string().contains("64 deep"));
        assert!(Fields::parse("[".repeat(1 << 20).as_bytes()).is_err());
        assert!(Fields::parse(format!("{{\"a\": \"{}\"}}", r#"[\"[\\"#.repeat(100)).as_bytes()).is_ok());
    }
}
