//! Arrays as MDS stores them: `[dtype code] [ndim and width of the shape, shape] values in C order`, where the parts
//! in brackets are left out if the column's encoding already names them.

use super::Dtype;

/// An array that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NdArray {
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions, each at least 1.
    pub shape: Vec<u64>,
    /// Values, little-endian, in C order.
    pub data: Vec<u8>,
}

impl NdArray {
    /// A vector of int32, such as the token ids of one sample.
    #[must_use]
    pub fn from_i32(values: &[i32]) -> Self {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::Int32, shape: vec![values.len() as u64], data }
    }

    /// The same array, borrowed.
    #[must_use]
    pub fn view(&self) -> NdArrayView<'_> {
        NdArrayView { dtype: self.dtype, shape: self.shape.clone(), data: &self.data }
    }

    /// Appends the stored form.
    pub(super) fn encode(&self, dtype: Option<Dtype>, shape: Option<&[u64]>, out: &mut Vec<u8>) -> Result<(), String> {
        let size = byte_size(self.dtype, &self.shape)?;
        if size != self.data.len() as u64 {
            let (dtype, shape, found) = (self.dtype.name(), &self.shape, self.data.len());
            return Err(format!("a {dtype} array of shape {shape:?} takes {size} bytes, but {found} are given"));
        }
        match dtype {
            None => out.push(self.dtype.code()),
            Some(dtype) if dtype != self.dtype => {
                return Err(format!("the column holds {} arrays, the value is {}", dtype.name(), self.dtype.name()));
            }
            Some(_) => {}
        }
        match shape {
            None => encode_shape(&self.shape, out),
            Some(shape) if shape != self.shape => {
                return Err(format!("the column holds arrays of shape {shape:?}, the value has {:?}", self.shape));
            }
            Some(_) => {}
        }
        out.extend_from_slice(&self.data);
        Ok(())
    }
}

/// An array whose values are borrowed from the bytes of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NdArrayView<'a> {
    /// Element type.
    pub dtype: Dtype,
    /// Dimensions, each at least 1.
    pub shape: Vec<u64>,
    /// Values, little-endian, in C order; exactly as many as the shape says.
    pub data: &'a [u8],
}

impl<'a> NdArrayView<'a> {
    /// Reads the stored form; `dtype` and `shape` as far as the column's encoding names them.
    pub(super) fn decode(dtype: Option<Dtype>, shape: Option<&[u64]>, bytes: &'a [u8]) -> Result<Self, String> {
        let mut rest = bytes;
        let dtype = match dtype {
            Some(dtype) => dtype,
            None => {
                let code = take(&mut rest, 1)?[0];
                Dtype::from_code(code).ok_or_else(|| format!("{code} is no dtype code"))?
            }
        };
        let shape = match shape {
            Some(shape) => shape.to_vec(),
            None => decode_shape(&mut rest)?,
        };
        let size = byte_size(dtype, &shape)?;
        if size != rest.len() as u64 {
            let (dtype, found) = (dtype.name(), rest.len());
            return Err(format!("a {dtype} array of shape {shape:?} takes {size} bytes, but {found} are there"));
        }
        Ok(Self { dtype, shape, data: rest })
    }

    /// A copy that owns its bytes.
    #[must_use]
    pub fn to_owned(&self) -> NdArray {
        NdArray { dtype: self.dtype, shape: self.shape.clone(), data: self.data.to_vec() }
    }

    /// The values in order, if they are integers.
    #[must_use]
    pub fn integers(&self) -> Option<Box<dyn Iterator<Item = i128> + 'a>> {
        let data = self.data;
        macro_rules! values {
            ($type:ty) => {
                Box::new(data.chunks_exact(size_of::<$type>()).map(|chunk| {
                    // chunks_exact gives chunks of this very length
                    chunk.try_into().map_or(0, |bytes| i128::from(<$type>::from_le_bytes(bytes)))
                }))
            };
        }
        Some(match self.dtype {
            Dtype::UInt8 => values!(u8),
            Dtype::Int8 => values!(i8),
            Dtype::UInt16 => values!(u16),
            Dtype::Int16 => values!(i16),
            Dtype::UInt32 => values!(u32),
            Dtype::Int32 => values!(i32),
            Dtype::UInt64 => values!(u64),
            Dtype::Int64 => values!(i64),
            Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => return None,
        })
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (head, tail) =
        rest.split_at_checked(count).ok_or_else(|| format!("the array ends after {} of {count} bytes", rest.len()))?;
    *rest = tail;
    Ok(head)
}

/// Bytes that an array takes; scalars and empty arrays do not exist in the format.
fn byte_size(dtype: Dtype, shape: &[u64]) -> Result<u64, String> {
    if shape.is_empty() || shape.len() > 63 || shape.contains(&0) {
        return Err(format!("shape {shape:?} is not allowed: 1 to 63 dimensions, none of them 0"));
    }
    shape
        .iter()
        .try_fold(dtype.size() as u64, |size, &dimension| size.checked_mul(dimension))
        .ok_or_else(|| format!("shape {shape:?} is larger than any file"))
}

/// `(ndim << 2) | log2(width)`, then the dimensions in the narrowest width that holds the largest of them.
fn encode_shape(shape: &[u64], out: &mut Vec<u8>) {
    let largest = shape.iter().copied().max().unwrap_or(0);
    let log2_width = match largest {
        0..=0xff => 0u8,
        0x100..=0xffff => 1,
        0x1_0000..=0xffff_ffff => 2,
        _ => 3,
    };
    // byte_size has checked that there are at most 63 dimensions.
    out.push((shape.len() as u8) << 2 | log2_width);
    for dimension in shape {
        out.extend_from_slice(&dimension.to_le_bytes()[..1 << log2_width]);
    }
}

fn decode_shape(rest: &mut &[u8]) -> Result<Vec<u64>, String> {
    let head = take(rest, 1)?[0];
    let (dimensions, width) = (usize::from(head >> 2), 1usize << (head & 3));
    let bytes = take(rest, dimensions * width)?;
    Ok(bytes
        .chunks_exact(width)
        .map(|chunk| chunk.iter().rev().fold(0u64, |value, &byte| value << 8 | u64::from(byte)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_take_the_narrowest_integers() {
        let table: [(&[u64], &[u8]); 4] = [
            (&[2048], &[0x05, 0x00, 0x08]),
            (&[128], &[0x04, 0x80]),
            (&[2, 256], &[0x09, 2, 0, 0, 1]),
            (&[1 << 32], &[0x07, 0, 0, 0, 0, 1, 0, 0, 0]),
        ];
        for (shape, bytes) in table {
            let mut out = Vec::new();
            encode_shape(shape, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(decode_shape(&mut &out[..]).unwrap(), shape);
        }
    }

    #[test]
    fn malformed_arrays_say_what_is_wrong() {
        let table: [(&[u8], &str); 7] = [
            (&[], "ends after 0 of 1"),
            (&[7], "7 is no dtype code"),
            (&[33], "ends after 0 of 1"),
            (&[33, 0x00], "shape [] is not allowed"),
            (&[33, 0x04, 0], "shape [0] is not allowed"),
            (&[33, 0x04, 2, 1, 2, 3, 4], "takes 8 bytes, but 4 are there"),
            (&[33, 0x0b, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 255], "larger than any file"),
        ];
        for (bytes, expected) in table {
            let error = NdArrayView::decode(None, None, bytes).unwrap_err();
            assert!(error.contains(expected), "{bytes:?}: {error}");
        }
    }
}
