//! Rows of activations as multiplications read them: in either number format, perhaps gathered, perhaps scaled.

use crate::scratch::PANEL;
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

    /// Elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(x) => x.len(),
            Data::Bf16(x) => x.len(),
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

    /// The rows from `row` on, of rows that are not gathered.
    pub fn skip(&self, row: usize) -> Self {
        assert!(self.index.is_none() && self.scale.is_none());
        let data = match self.data {
            Data::F32(x) => Data::F32(&x[row * self.width..]),
            Data::Bf16(x) => Data::Bf16(&x[row * self.width..]),
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
                let mut c = 0;
                match (self.data, self.scale) {
                    // The commonest kinds without a choice for every vector; what is bf16 already needs no rounding.
                    (Data::F32(x), None) if !rounded => {
                        let from = x[start..start + n].as_ptr();
                        while c + S::LANES <= n {
                            S::store(out.add(c), S::load(from.add(c)));
                            c += S::LANES;
                        }
                    }
                    (Data::Bf16(x), None) => {
                        let from = x[start..start + n].as_ptr();
                        while c + S::LANES <= n {
                            S::store(out.add(c), S::load_bf16(from.add(c)));
                            c += S::LANES;
                        }
                    }
                    _ => {
                        let factor = S::splat(scale);
                        while c + S::LANES <= n {
                            let v = S::mul(self.data.load::<S>(start + c), factor);
                            S::store(out.add(c), if rounded { S::round_bf16(v) } else { v });
                            c += S::LANES;
                        }
                    }
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

    /// The rows themselves, where products of pairs can read them in place: `rows` whole ones from `row` on.
    pub fn bf16_in_place(&self, row: usize, rows: usize) -> Option<&'a [bf16]> {
        match self.data {
            Data::Bf16(x) if self.index.is_none() && self.scale.is_none() && (row + rows) * self.width <= x.len() => {
                Some(&x[row * self.width..])
            }
            _ => None,
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
            // SAFETY: as in `copy_f32`.
            unsafe {
                let out = out.add(i * stride);
                match self.data {
                    Data::Bf16(x) if self.scale.is_none() => {
                        std::ptr::copy_nonoverlapping(x[start..start + n].as_ptr(), out, n);
                    }
                    _ => {
                        let scale = self.scale.map_or(1.0, |s| s[row]);
                        let factor = S::splat(scale);
                        let mut c = 0;
                        while c + S::LANES <= n {
                            S::store_bf16(out.add(c), S::mul(self.data.load::<S>(start + c), factor));
                            c += S::LANES;
                        }
                        for c in c..n {
                            *out.add(c) = bf16::from_f32(self.data.get(start + c) * scale);
                        }
                    }
                }
                for c in n..stride {
                    *out.add(c) = bf16::ZERO;
                }
            }
        }
    }

    /// The first `n` elements from `i` on, of a row, times its factor; the other lanes 0.
    ///
    /// # Safety
    /// They are inside.
    #[inline(always)]
    unsafe fn scaled<S: Simd>(&self, row: usize, i: usize, n: usize) -> S::V {
        // SAFETY: the caller's.
        unsafe {
            match self.scale {
                _ if n == 0 => S::splat(0.0),
                Some(scale) => S::mul(self.data.load_n::<S>(i, n), S::splat(scale[row])),
                None => self.data.load_n::<S>(i, n),
            }
        }
    }

    /// Copies up to 16 columns as a packed panel whose depth runs over the rows: rows two by two, `[depth / 2][16][2]`,
    /// scaled. Zero beyond the columns, and from the last row to `depth` (even).
    ///
    /// # Safety
    /// `out` has room for `depth` x 16 elements; rows and columns are inside.
    #[inline(always)]
    pub unsafe fn copy_pairs<S: Simd>(&self, rows: Range<usize>, columns: Range<usize>, out: *mut bf16, depth: usize) {
        let n = columns.len();
        // SAFETY: the caller's; `n` lanes of a row are inside it.
        unsafe {
            for pair in 0..rows.len() / 2 {
                let (even, odd) = (rows.start + 2 * pair, rows.start + 2 * pair + 1);
                let to = out.add(2 * pair * PANEL);
                let (from_even, from_odd) = (self.start(even) + columns.start, self.start(odd) + columns.start);
                match self.data {
                    Data::Bf16(x) if self.scale.is_none() && n == PANEL => {
                        for lane in (0..PANEL).step_by(S::LANES) {
                            let (even, odd) = (x.as_ptr().add(from_even + lane), x.as_ptr().add(from_odd + lane));
                            S::interleave(even, odd, to.add(2 * lane));
                        }
                    }
                    _ => {
                        for lane in (0..PANEL).step_by(S::LANES) {
                            let part = n.saturating_sub(lane).min(S::LANES);
                            let first = self.scaled::<S>(even, from_even + lane, part);
                            let second = self.scaled::<S>(odd, from_odd + lane, part);
                            S::store_pairs(to.add(2 * lane), first, second);
                        }
                    }
                }
            }
            let mut done = rows.len() / 2 * 2;
            if done < rows.len() {
                let last = rows.end - 1;
                for lane in (0..PANEL).step_by(S::LANES) {
                    let part = n.saturating_sub(lane).min(S::LANES);
                    let first = self.scaled::<S>(last, self.start(last) + columns.start + lane, part);
                    S::store_pairs(out.add(done * PANEL + 2 * lane), first, S::splat(0.0));
                }
                done += 2;
            }
            std::ptr::write_bytes(out.add(done * PANEL), 0, (depth - done) * PANEL);
        }
    }

    /// Copies columns as rows of their own, `out[column][row]` in bf16, scaled, rows zero up to `depth` (a multiple
    /// of 32). Writes columns up to the next multiple of 16.
    ///
    /// # Safety
    /// `out` has room for that; rows and columns are inside.
    #[inline(always)]
    pub unsafe fn copy_transposed<S: Simd>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        out: *mut bf16,
        depth: usize,
    ) {
        // Pairs of rows are 32-bit elements: transposed as such, a column's rows come out in order.
        let mut pairs = Pairs([bf16::ZERO; 2 * PANEL * PANEL]);
        for row in (0..depth).step_by(2 * PANEL) {
            let first = (rows.start + row).min(rows.end);
            let here = first..(first + 2 * PANEL).min(rows.end);
            for column in columns.clone().step_by(PANEL) {
                let part = column..(column + PANEL).min(columns.end);
                // SAFETY: the caller's; pairs are moved as f32 without a change of bits.
                unsafe {
                    self.copy_pairs::<S>(here.clone(), part, pairs.0.as_mut_ptr(), 2 * PANEL);
                    let to = out.add((column - columns.start) * depth + row);
                    S::transpose(pairs.0.as_ptr().cast(), PANEL, to.cast(), depth / 2);
                }
            }
        }
    }

    /// Copies columns as packed panels, `depth` times 16 elements apart: as [`Rows::copy_pairs`], `deep` rows (a multiple
    /// of 32, with those of zeros).
    ///
    /// # Safety
    /// `out` has room for that; rows and columns are inside.
    #[inline(always)]
    pub unsafe fn copy_panels<S: Simd>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        out: *mut bf16,
        deep: usize,
        depth: usize,
    ) {
        for row in (0..deep).step_by(2 * PANEL) {
            let first = (rows.start + row).min(rows.end);
            let here = first..(first + 2 * PANEL).min(rows.end);
            for (panel, column) in columns.clone().step_by(2 * PANEL).enumerate() {
                let part = column..(column + 2 * PANEL).min(columns.end);
                // SAFETY: the caller's.
                unsafe {
                    let to = out.add((2 * panel * depth + row) * PANEL);
                    if let (Data::Bf16(x), None) = (self.data, self.scale)
                        && (here.len(), part.len()) == (2 * PANEL, 2 * PANEL)
                    {
                        for pair in 0..PANEL {
                            let [even, odd] = [0, 1].map(|i| x.as_ptr().add(self.start(first + 2 * pair + i) + column));
                            let to = to.add(2 * pair * PANEL);
                            S::interleave_two(even, odd, [to, to.add(depth * PANEL)]);
                        }
                        continue;
                    }
                    for (side, column) in part.clone().step_by(PANEL).enumerate() {
                        let part = column..(column + PANEL).min(columns.end);
                        self.copy_pairs::<S>(here.clone(), part, to.add(side * depth * PANEL), 2 * PANEL);
                    }
                }
            }
        }
    }

    /// Copies columns as pairs of rows, pair by pair: element `column` of pair k at `out[2 (k height + column)]`, its
    /// partner behind it; scaled. The last row is zero's partner where rows are odd. Writes columns up to the next
    /// multiple of 16.
    ///
    /// # Safety
    /// `out` has room for that; rows and columns are inside.
    #[inline(always)]
    pub unsafe fn copy_pair_rows<S: Simd>(
        &self,
        rows: Range<usize>,
        columns: Range<usize>,
        out: *mut bf16,
        height: usize,
    ) {
        for (pair, row) in rows.clone().step_by(2).enumerate() {
            let here = row..(row + 2).min(rows.end);
            for column in columns.clone().step_by(2 * PANEL) {
                let part = column..(column + 2 * PANEL).min(columns.end);
                // SAFETY: the caller's.
                unsafe {
                    let to = out.add(2 * (pair * height + column - columns.start));
                    match self.data {
                        Data::Bf16(x) if self.scale.is_none() && (here.len(), part.len()) == (2, 2 * PANEL) => {
                            let [even, odd] = [0, 1].map(|i| x.as_ptr().add(self.start(row + i) + column));
                            S::interleave_two(even, odd, [to, to.add(2 * PANEL)]);
                        }
                        _ => {
                            for (side, column) in part.step_by(PANEL).enumerate() {
                                let part = column..(column + PANEL).min(columns.end);
                                self.copy_pairs::<S>(here.clone(), part, to.add(side * 2 * PANEL), 2);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Sixteen by sixteen pairs on a cache line.
#[repr(align(64))]
struct Pairs([bf16; 2 * PANEL * PANEL]);
