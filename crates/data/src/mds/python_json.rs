//! JSON spelt as Python's `json.dumps` spells it by default, so that files come out byte-equal with the reference
//! writer: ", " and ": " between parts, everything beyond printable ASCII escaped, floats as `repr` writes them.

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

/// Serialises `value`; keys stay in the order in which the value gives them.
pub(crate) fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut output = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut output, PythonFormatter))?;
    // The formatter writes ASCII only, so nothing can be lost here.
    Ok(String::from_utf8_lossy(&output).into_owned())
}

struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        self.write_f64(writer, value.into())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(repr(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for character in fragment.chars() {
            if (' '..='~').contains(&character) {
                writer.write_all(&[character as u8])?;
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// A finite float as Python's `repr` writes it: the shortest digits that read back to the same number, with an
/// exponent below 1e-4 and from 1e16 on.
pub(crate) fn repr(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{value}");
    if plain.contains('.') { plain } else { plain + ".0" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Expected strings were printed by CPython 3.11.
    #[test]
    fn spelt_as_python_spells_it() {
        let table = [
            (json!({"k": 0, "a": [1, null, true, "é"]}), r#"{"k": 0, "a": [1, null, true, "\u00e9"]}"#),
            (json!([]), "[]"),
            (json!({}), "{}"),
            (json!("\u{1d11e}\u{7f}\n\u{1}\"\\/"), r#""\ud834\udd1e\u007f\n\u0001\"\\/""#),
            (
                json!([0.1, 1.0, 1e16, 1e-5, 1.5e300, -0.0, 123_456_789_012_345.6, 1e15, 0.0001]),
                "[0.1, 1.0, 1e+16, 1e-05, 1.5e+300, -0.0, 123456789012345.6, 1000000000000000.0, 0.0001]",
            ),
        ];
        for (value, expected) in table {
            assert_eq!(to_string(&value).unwrap(), expected);
        }
    }
}
