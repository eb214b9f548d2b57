//! One value of one column: typed in memory, bytes in the shard.

use super::{Dtype, Encoding, NdArray, NdArrayView, python_json};
use half::f16;

/// A value read from, or to be written to, a column.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)] // one variant per encoding, named after it
pub enum Value {
    /// `bytes` columns and images.
    Bytes(Vec<u8>),
    Str(String),
    Int(i64),
    UInt8(u8),
    UInt16(u16),
    UInt32(u32),
    UInt64(u64),
    Int8(i8),
    Int16(i16),
    Int32(i32),
    Int64(i64),
    Float16(f16),
    Float32(f32),
    Float64(f64),
    /// `str_int`, `str_float` and `str_decimal` columns: the decimal text, because its precision has no bound.
    Decimal(String),
    /// `json` columns. Integers beyond 64 bits become floats when they are read.
    Json(serde_json::Value),
    NdArray(NdArray),
}

impl Value {
    /// Appends the stored form for a column of this encoding; the error says why the value does not fit it.
    pub(super) fn encode(&self, encoding: &Encoding, out: &mut Vec<u8>) -> Result<(), String> {
        match (self, encoding) {
            (Self::Bytes(bytes), Encoding::Bytes | Encoding::Image(_)) => out.extend_from_slice(bytes),
            (Self::Str(text), Encoding::Str) => out.extend_from_slice(text.as_bytes()),
            (Self::Int(value), Encoding::Int) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::UInt8(value), Encoding::Scalar(Dtype::UInt8)) => out.push(*value),
            (Self::UInt16(value), Encoding::Scalar(Dtype::UInt16)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::UInt32(value), Encoding::Scalar(Dtype::UInt32)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::UInt64(value), Encoding::Scalar(Dtype::UInt64)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Int8(value), Encoding::Scalar(Dtype::Int8)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Int16(value), Encoding::Scalar(Dtype::Int16)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Int32(value), Encoding::Scalar(Dtype::Int32)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Int64(value), Encoding::Scalar(Dtype::Int64)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Float16(value), Encoding::Scalar(Dtype::Float16)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Float32(value), Encoding::Scalar(Dtype::Float32)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Float64(value), Encoding::Scalar(Dtype::Float64)) => out.extend_from_slice(&value.to_le_bytes()),
            (Self::Decimal(text), Encoding::StrInt | Encoding::StrFloat | Encoding::StrDecimal) => {
                check_decimal(text, encoding)?;
                out.extend_from_slice(text.as_bytes());
            }
            (Self::Json(value), Encoding::Json) => {
                out.extend_from_slice(python_json::to_string(value).map_err(|error| error.to_string())?.as_bytes());
            }
            (Self::NdArray(array), Encoding::NdArray { dtype, shape }) => {
                array.encode(*dtype, shape.as_deref(), out)?;
            }
            _ => return Err(format!("a value of kind {} does not fit the encoding {encoding}", self.kind())),
        }
        Ok(())
    }

    /// Reads the stored form; the error says what is wrong with the bytes.
    pub(super) fn decode(encoding: &Encoding, bytes: &[u8]) -> Result<Self, String> {
        Ok(match encoding {
            Encoding::Bytes | Encoding::Image(_) => Self::Bytes(bytes.to_vec()),
            Encoding::Str => Self::Str(utf8(bytes)?.to_owned()),
            Encoding::Int => Self::Int(i64::from_le_bytes(fixed(bytes)?)),
            Encoding::Scalar(dtype) => match dtype {
                Dtype::UInt8 => Self::UInt8(u8::from_le_bytes(fixed(bytes)?)),
                Dtype::Int8 => Self::Int8(i8::from_le_bytes(fixed(bytes)?)),
                Dtype::UInt16 => Self::UInt16(u16::from_le_bytes(fixed(bytes)?)),
                Dtype::Int16 => Self::Int16(i16::from_le_bytes(fixed(bytes)?)),
                Dtype::Float16 => Self::Float16(f16::from_le_bytes(fixed(bytes)?)),
                Dtype::UInt32 => Self::UInt32(u32::from_le_bytes(fixed(bytes)?)),
                Dtype::Int32 => Self::Int32(i32::from_le_bytes(fixed(bytes)?)),
                Dtype::Float32 => Self::Float32(f32::from_le_bytes(fixed(bytes)?)),
                Dtype::UInt64 => Self::UInt64(u64::from_le_bytes(fixed(bytes)?)),
                Dtype::Int64 => Self::Int64(i64::from_le_bytes(fixed(bytes)?)),
                Dtype::Float64 => Self::Float64(f64::from_le_bytes(fixed(bytes)?)),
            },
            Encoding::StrInt | Encoding::StrFloat | Encoding::StrDecimal => {
                let text = utf8(bytes)?;
                check_decimal(text, encoding)?;
                Self::Decimal(text.to_owned())
            }
            Encoding::Json => Self::Json(serde_json::from_slice(bytes).map_err(|error| format!("bad JSON: {error}"))?),
            Encoding::NdArray { dtype, shape } => {
                Self::NdArray(NdArrayView::decode(*dtype, shape.as_deref(), bytes)?.to_owned())
            }
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Bytes(_) => "bytes",
            Self::Str(_) => "str",
            Self::Int(_) => "int",
            Self::UInt8(_) => "uint8",
            Self::UInt16(_) => "uint16",
            Self::UInt32(_) => "uint32",
            Self::UInt64(_) => "uint64",
            Self::Int8(_) => "int8",
            Self::Int16(_) => "int16",
            Self::Int32(_) => "int32",
            Self::Int64(_) => "int64",
            Self::Float16(_) => "float16",
            Self::Float32(_) => "float32",
            Self::Float64(_) => "float64",
            Self::Decimal(_) => "decimal text",
            Self::Json(_) => "json",
            Self::NdArray(_) => "ndarray",
        }
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("{N} bytes expected, {} found", bytes.len()))
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("invalid UTF-8 at byte {}", error.valid_up_to()))
}

fn check_decimal(text: &str, encoding: &Encoding) -> Result<(), String> {
    let good = if *encoding == Encoding::StrInt {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    } else {
        text.parse::<f64>().is_ok()
    };
    if good { Ok(()) } else { Err(format!("{:?} is no number", text.chars().take(40).collect::<String>())) }
}
