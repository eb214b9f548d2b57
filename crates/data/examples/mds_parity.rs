//! Writes an MDS data set from a description in JSON, or prints one as JSON lines: the way in for bench/mds_parity.py.
//!
//!     mds_parity write DESCRIPTION.json FOLDER
//!     mds_parity read FOLDER
//!
//! A description holds `columns` (a list of name and encoding), `compression`, `hashes`, `size_limit` and `rows` (for each
//! sample a list of values in the order of the columns). A value is spelt so that nothing is lost on the way: bytes,
//! images and floats as the hexadecimal digits of what is stored, integers and decimals as text, an array as its type,
//! its shape and the hexadecimal digits of its values; text and JSON as they are.

use half::f16;
use moeworks_data::mds::{Dataset, Dtype, Encoding, NdArray, ReaderOptions, Value, Verify, Writer, WriterOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::{
    error::Error,
    fs,
    io::{self, BufWriter, Write},
    path::Path,
};

#[derive(Deserialize)]
struct Description {
    columns: Vec<(String, String)>,
    compression: Option<String>,
    hashes: Vec<String>,
    size_limit: Option<u64>,
    rows: Vec<Vec<Json>>,
}

#[derive(Serialize, Deserialize)]
struct Array {
    dtype: String,
    shape: Vec<u64>,
    hex: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", description, folder] => write(Path::new(description), Path::new(folder)),
        ["read", folder] => read(Path::new(folder)),
        _ => Err("use: mds_parity write DESCRIPTION.json FOLDER | mds_parity read FOLDER".into()),
    }
}

fn write(description: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let description: Description = serde_json::from_slice(&fs::read(description)?)?;
    let columns: Vec<(String, Encoding)> = description
        .columns
        .into_iter()
        .map(|(name, encoding)| Ok::<_, Box<dyn Error>>((name, encoding.parse()?)))
        .collect::<Result<_, _>>()?;
    let options = WriterOptions {
        columns: columns.clone(),
        compression: description.compression.map(|name| name.parse()).transpose()?,
        hashes: description.hashes.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
        size_limit: description.size_limit,
    };
    let mut writer = Writer::create(folder, options)?;
    for row in description.rows {
        let values: Vec<Value> = columns
            .iter()
            .zip(row)
            .map(|((_, encoding), value)| from_json(encoding, value))
            .collect::<Result<_, _>>()?;
        writer.write(&values)?;
    }
    writer.finish()?;
    Ok(())
}

fn read(folder: &Path) -> Result<(), Box<dyn Error>> {
    let options = ReaderOptions { verify: Verify::Required, ..ReaderOptions::default() };
    let dataset = Dataset::open(folder, options)?;
    let mut out = BufWriter::new(io::stdout().lock());
    for sample in 0..dataset.len() {
        let row: Map<String, Json> =
            dataset.get(sample)?.iter().map(|(name, value)| (name.to_owned(), to_json(value))).collect();
        writeln!(out, "{}", Json::Object(row))?;
    }
    dataset.verify(|_| ())?;
    Ok(out.flush()?)
}

fn from_json(encoding: &Encoding, value: Json) -> Result<Value, Box<dyn Error>> {
    if matches!(encoding, Encoding::Json) {
        return Ok(Value::Json(value));
    }
    if matches!(encoding, Encoding::NdArray { .. }) {
        let Array { dtype, shape, hex } = serde_json::from_value(value)?;
        let dtype = Dtype::ALL.into_iter().find(|known| known.name() == dtype).ok_or("no such dtype")?;
        return Ok(Value::NdArray(NdArray { dtype, shape, data: unhex(&hex)? }));
    }
    let Json::String(text) = value else { return Err(format!("{encoding}: a string is expected, not {value}").into()) };
    Ok(match encoding {
        Encoding::Bytes | Encoding::Image(_) => Value::Bytes(unhex(&text)?),
        Encoding::Int => Value::Int(text.parse()?),
        Encoding::StrInt | Encoding::StrFloat | Encoding::StrDecimal => Value::Decimal(text),
        Encoding::Scalar(dtype) => match dtype {
            Dtype::UInt8 => Value::UInt8(text.parse()?),
            Dtype::Int8 => Value::Int8(text.parse()?),
            Dtype::UInt16 => Value::UInt16(text.parse()?),
            Dtype::Int16 => Value::Int16(text.parse()?),
            Dtype::UInt32 => Value::UInt32(text.parse()?),
            Dtype::Int32 => Value::Int32(text.parse()?),
            Dtype::UInt64 => Value::UInt64(text.parse()?),
            Dtype::Int64 => Value::Int64(text.parse()?),
            Dtype::Float16 => Value::Float16(f16::from_le_bytes(exactly(&text)?)),
            Dtype::Float32 => Value::Float32(f32::from_le_bytes(exactly(&text)?)),
            Dtype::Float64 => Value::Float64(f64::from_le_bytes(exactly(&text)?)),
        },
        Encoding::Str | Encoding::Json | Encoding::NdArray { .. } => Value::Str(text),
    })
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Bytes(bytes) => hex(bytes).into(),
        Value::Str(text) | Value::Decimal(text) => text.as_str().into(),
        Value::Int(n) | Value::Int64(n) => n.to_string().into(),
        Value::UInt8(n) => n.to_string().into(),
        Value::UInt16(n) => n.to_string().into(),
        Value::UInt32(n) => n.to_string().into(),
        Value::UInt64(n) => n.to_string().into(),
        Value::Int8(n) => n.to_string().into(),
        Value::Int16(n) => n.to_string().into(),
        Value::Int32(n) => n.to_string().into(),
        Value::Float16(x) => hex(&x.to_le_bytes()).into(),
        Value::Float32(x) => hex(&x.to_le_bytes()).into(),
        Value::Float64(x) => hex(&x.to_le_bytes()).into(),
        Value::Json(json) => json.clone(),
        Value::NdArray(array) => serde_json::json!(Array {
            dtype: array.dtype.name().to_owned(),
            shape: array.shape.clone(),
            hex: hex(&array.data),
        }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

fn exactly<const N: usize>(text: &str) -> Result<[u8; N], Box<dyn Error>> {
    unhex(text)?.try_into().map_err(|bytes: Vec<u8>| format!("{N} bytes expected, {} found", bytes.len()).into())
}
