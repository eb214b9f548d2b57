//! Rows of activations as multiplications read them: in either number format, perhaps gathered, perhaps scaled.

use crate::simd::Simd;
use half::bf16;
use moeworks_ops::{Access, DType, Tensor};
use std::ops::Range;

/// Elements in either format.
#[derive(Clone, Copy)]
pub enum Data<'a> {
    /// f32.
    F32(&'a [f32]),
    /// bf16.
    Bf16(&'a [bf16]),
}

impl<'a> Data<'a> {
    /// A float tensor's elements, to read.
    pub fn read(access: &mut Access<'a>, t: &Tensor) -> Self {
        match t.dtype {
            DType::F32 => Data::F32(access.read(t)),
            DType::Bf16 => Data::Bf16(access.read(t)),
            other => panic!("this device has f32 and bf16, not {other:?}"),
        }
    }

    /// LANES elements from `i`, widened.
    ///
    /// # Safety
    /// As `S::load`: `i + LANES` is inside.
    #[inline(always)]
    pub unsafe fn load<S: Simd>(&self, i: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Data::F32(x) => S::load(x.as_ptr().add(i)),
                Data::Bf16(x) => S::load_bf16(x.as_ptr().add(i)),
            }
        }
    }

    /// The first `n <= LANES` elements from `i`, widened, the others 0.
    ///
    /// # Safety
    /// `i + n` is inside.
    #[inline(always)]
    pub unsafe fn load_n<S: Simd>(&self, i: usize, n: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe {
            match self {
                _ if n >= S::LANES => self.load::<S>(i),
                Data::F32(x) => S::load_part(x.as_ptr().add(i), n),
                Data::Bf16(x) => {
                    let mut lanes = [0.0f32; 16];
                    for (lane, v) in lanes.iter_mut().zip(&x[i..i + n]) {
                        *lane = v.to_f32();
                    }
                    S::load(lanes.as_ptr())
                }
            }
        }
    }

    /// One element.
    #[inline(always)]
    pub fn get(&self, i: usize) -> f32 {
        match self {
            Data::F32(x) => x[i],
            Data::Bf16(x) => x[i].to_f32(),
        }
    }
}

/// Rows of `width` elements. Row `r` is row `index[r]` of the data if there is an index, times `scale[r]` if there is
/// a scale.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// The data.
    pub data: Data<'a>,
    /// Elements of a row.
    pub width: usize,
    /// Which row of the data each row is.
    pub index: Option<&'a [i32]>,
    /// Factor of each row.
    pub scale: Option<&'a [f32]>,
}

impl<'a> Rows<'a> {
    /// Rows as they lie.
    pub fn plain(data: Data<'a>, width: usize) -> Self {
        Rows { data, width, index: None, scale: None }
    }

    /// The rows from `row` on, of plain rows.
    pub fn from(&self, row: usize) -> Self {
        let start = row * self.width;
        let data = match self.data {
            Data::F32(x) => Data::F32(&x[start..]),
            Data::Bf16(x) => Data::Bf16(&x[start..]),
        };
        Rows { data, ..*self }
    }

    /// The rows themselves, where f32 kernels can read them in place.
    pub fn in_place(&self, rounded: bool) -> Option<&'a [f32]> {
        match self.data {
            Data::F32(x) if !rounded && self.index.is_none() && self.scale.is_none() => Some(x),
            _ => None,
        }
    }

    #[inline(always)]
    fn start(&self, row: usize) -> usize {
        self.index.map_or(row, |index| index[row] as usize) * self.width
    }

    /// One element, scaled and rounded.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[inline(always)]
    pub fn get_bf16(&self, row: usize, column: usize) -> bf16 {
        bf16::from_f32(self.data.get(self.start(row) + column) * self.scale.map_or(1.0, |s| s[row]))
    }

    /// Copies `rows` x `columns` as f32, `stride` apart, scaled, and rounded to bf16 values if asked. Columns up to
    /// the next multiple of 2 are zero.
    ///
    /// # Safety
    /// `out` has room for `rows.len()` rows of `stride`, and `stride >= columns.len()` rounded up to even.
    #[inline(always)]
    pub unsafe fn copy_f32<S: Simd>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        rounded: bool,
        out: *mut f32,
        stride: usize,
    ) {
        let n = columns.len();
        for (i, row) in rows.enumerate() {
            let start = self.start(row) + columns.start;
            let scale = self.scale.map_or(1.0, |s| s[row]);
            // SAFETY: row and columns are inside the data, whose slices are bounds-checked where not whole vectors;
            // out has room by contract.
            unsafe {
                let out = out.add(i * stride);
                let factor = S::splat(scale);
                let mut c = 0;
                while c + S::LANES <= n {
                    let mut v = self.data.load::<S>(start + c);
                    if self.scale.is_some() {
                        v = S::mul(v, factor);
                    }
                    if rounded {
                        v = S::round_bf16(v);
                    }
                    S::store(out.add(c), v);
                    c += S::LANES;
                }
                for c in c..n {
                    let v = self.data.get(start + c) * scale;
                    *out.add(c) = if rounded { bf16::from_f32(v).to_f32() } else { v };
                }
                if !n.is_multiple_of(2) {
                    *out.add(n) = 0.0;
                }
            }
        }
    }

    /// Copies `rows` x `columns` as bf16, `stride` apart, scaled. Columns up to the stride are zero.
    ///
    /// # Safety
    /// `out` has room for `rows.len()` rows of `stride`, and `stride >= columns.len()`.
    #[inline(always)]
    pub unsafe fn copy_bf16<S: Simd>(&self, rows: Range<usize>, columns: Range<usize>, out: *mut bf16, stride: usize) {
        let n = columns.len();
        for (i, row) in rows.enumerate() {
            let start = self.start(row) + columns.start;
            let scale = self.scale.map_or(1.0, |s| s[row]);
            // SAFETY: as in `copy_f32`.
            unsafe {
                let out = out.add(i * stride);
                let factor = S::splat(scale);
                let mut c = 0;
                while c + S::LANES <= n {
                    let mut v = self.data.load::<S>(start + c);
                    if self.scale.is_some() {
                        v = S::mul(v, factor);
                    }
                    S::store_bf16(out.add(c), v);
                    c += S::LANES;
                }
                for c in c..n {
                    *out.add(c) = bf16::from_f32(self.data.get(start + c) * scale);
                }
                for c in n..stride {
                    *out.add(c) = bf16::ZERO;
                }
            }
        }
    }
}
