//! The encodings a column can have, and the element types of numbers and arrays.

use super::MdsError;
use std::{fmt, str::FromStr};

/// Type of a number: of a fixed-size column, or of the elements of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // numpy's names
pub enum Dtype {
    UInt8,
    Int8,
    UInt16,
    Int16,
    Float16,
    UInt32,
    Int32,
    Float32,
    UInt64,
    Int64,
    Float64,
}

impl Dtype {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 11] = [
        Self::UInt8,
        Self::Int8,
        Self::UInt16,
        Self::Int16,
        Self::Float16,
        Self::UInt32,
        Self::Int32,
        Self::Float32,
        Self::UInt64,
        Self::Int64,
        Self::Float64,
    ];

    /// numpy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UInt8 => "uint8",
            Self::Int8 => "int8",
            Self::UInt16 => "uint16",
            Self::Int16 => "int16",
            Self::Float16 => "float16",
            Self::UInt32 => "uint32",
            Self::Int32 => "int32",
            Self::Float32 => "float32",
            Self::UInt64 => "uint64",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
        }
    }

    /// Bytes per number.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::UInt8 | Self::Int8 => 1,
            Self::UInt16 | Self::Int16 | Self::Float16 => 2,
            Self::UInt32 | Self::Int32 | Self::Float32 => 4,
            Self::UInt64 | Self::Int64 | Self::Float64 => 8,
        }
    }

    /// The code in front of an array whose encoding does not name its type.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::UInt8 => 8,
            Self::Int8 => 9,
            Self::UInt16 => 16,
            Self::Int16 => 17,
            Self::Float16 => 18,
            Self::UInt32 => 32,
            Self::Int32 => 33,
            Self::Float32 => 34,
            Self::UInt64 => 64,
            Self::Int64 => 65,
            Self::Float64 => 66,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.code() == code)
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

/// How the values of a column become bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes as they are.
    Bytes,
    /// UTF-8 text.
    Str,
    /// A 64-bit signed integer.
    Int,
    /// One number of fixed size.
    Scalar(Dtype),
    /// An integer of any size as decimal text.
    StrInt,
    /// A float as decimal text.
    StrFloat,
    /// A decimal of any precision as text.
    StrDecimal,
    /// JSON as Python's `json.dumps` writes it.
    Json,
    /// An array; type and shape stand in front of each value unless they are named here.
    NdArray {
        /// Element type of every value.
        dtype: Option<Dtype>,
        /// Shape of every value (only together with a type).
        shape: Option<Vec<u64>>,
    },
    /// An image or a list of images, passed through as the encoded bytes.
    Image(&'static str),
}

const IMAGES: [&str; 8] = ["pil", "jpeg", "png", "jpeg_array", "jpegarray", "list[pil]", "list[jpeg]", "list[png]"];

impl Encoding {
    /// What LLM Foundry uses for token ids: `ndarray:int32`.
    #[must_use]
    pub fn tokens() -> Self {
        Self::NdArray { dtype: Some(Dtype::Int32), shape: None }
    }

    /// Bytes of every value, where that does not depend on the value.
    #[must_use]
    pub fn fixed_size(&self) -> Option<u64> {
        match self {
            Self::Int => Some(8),
            Self::Scalar(dtype) => Some(dtype.size() as u64),
            Self::NdArray { dtype: Some(dtype), shape: Some(shape) } => {
                shape.iter().try_fold(dtype.size() as u64, |size, &dimension| size.checked_mul(dimension))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Str => "str",
            Self::Int => "int",
            Self::Scalar(dtype) => dtype.name(),
            Self::StrInt => "str_int",
            Self::StrFloat => "str_float",
            Self::StrDecimal => "str_decimal",
            Self::Json => "json",
            Self::Image(name) => name,
            Self::NdArray { dtype, shape } => {
                f.write_str("ndarray")?;
                if let Some(dtype) = dtype {
                    write!(f, ":{}", dtype.name())?;
                }
                if let Some(shape) = shape {
                    let shape: Vec<String> = shape.iter().map(u64::to_string).collect();
                    write!(f, ":{}", shape.join(","))?;
                }
                return Ok(());
            }
        })
    }
}

impl FromStr for Encoding {
    type Err = MdsError;

    fn from_str(name: &str) -> Result<Self, MdsError> {
        let unsupported = |fix: &str| MdsError::Unsupported { what: "encoding", name: name.into(), fix: fix.into() };
        if let Some(array) = name.strip_prefix("ndarray") {
            return parse_array(array).ok_or_else(|| {
                unsupported("arrays are ndarray, ndarray:DTYPE or ndarray:DTYPE:N,M with 1 to 63 dimensions above 0")
            });
        }
        if let Some(image) = IMAGES.into_iter().find(|&image| image == name) {
            return Ok(Self::Image(image));
        }
        Ok(match name {
            "bytes" => Self::Bytes,
            "str" => Self::Str,
            "int" => Self::Int,
            "str_int" => Self::StrInt,
            "str_float" => Self::StrFloat,
            "str_decimal" => Self::StrDecimal,
            "json" => Self::Json,
            "pkl" => return Err(unsupported("a pickle can run any code when it is opened; write the column as json")),
            _ => Self::Scalar(Dtype::from_name(name).ok_or_else(|| {
                unsupported(
                    "use bytes, str, int, (u)int8-64, float16-64, str_int, str_float, str_decimal, json or ndarray",
                )
            })?),
        })
    }
}

/// What follows `ndarray`: nothing, `:dtype` or `:dtype:shape`.
fn parse_array(rest: &str) -> Option<Encoding> {
    if rest.is_empty() {
        return Some(Encoding::NdArray { dtype: None, shape: None });
    }
    let rest = rest.strip_prefix(':')?;
    let (dtype, shape) = match rest.split_once(':') {
        Some((dtype, shape)) => {
            let shape: Vec<u64> = shape.split(',').map(|n| n.parse().ok().filter(|&n| n > 0)).collect::<Option<_>>()?;
            (dtype, Some(shape))
        }
        None => (rest, None),
    };
    let encoding = Encoding::NdArray { dtype: Some(Dtype::from_name(dtype)?), shape };
    match &encoding {
        Encoding::NdArray { shape: Some(shape), .. } if shape.len() > 63 || encoding.fixed_size().is_none() => None,
        _ => Some(encoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_with_their_sizes() {
        let table = [
            ("bytes", None),
            ("str", None),
            ("int", Some(8)),
            ("uint8", Some(1)),
            ("float16", Some(2)),
            ("int32", Some(4)),
            ("float64", Some(8)),
            ("str_decimal", None),
            ("json", None),
            ("ndarray", None),
            ("ndarray:int32", None),
            ("ndarray:float32:2,3", Some(24)),
            ("list[jpeg]", None),
        ];
        for (name, size) in table {
            let encoding: Encoding = name.parse().unwrap();
            assert_eq!((encoding.to_string().as_str(), encoding.fixed_size()), (name, size));
        }
    }

    #[test]
    fn unknown_dangerous_and_impossible_encodings_are_refused() {
        let huge = "ndarray:int64:4294967296,4294967296,4294967296";
        for name in ["pkl", "", "int128", "ndarray:", "ndarray:complex64", "ndarray:int32:0", "ndarrays", huge] {
            let error = name.parse::<Encoding>().unwrap_err();
            assert!(matches!(error, MdsError::Unsupported { what: "encoding", .. }), "{name}: {error}");
        }
        assert!("pkl".parse::<Encoding>().unwrap_err().to_string().contains("pickle"));
    }
}
