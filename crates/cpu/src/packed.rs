//! Weights as kernels read them.
//!
//! The N outputs of a matrix are cut into panels of 16. In f32 a panel is [K][16]: row k holds input k's weight for
//! each of the 16 outputs. In bf16 it is [K / 2][16][2], pairs of inputs together, K padded to a multiple of 32 with
//! zeros: 16 such rows are one AMX tile (1 KiB), and one row is what a vector kernel widens into two. Outputs beyond N
//! are zero. Experts follow one another; gate and up panels alternate, so that both results of a row come from
//! neighbouring panels.

use crate::isa::Isa;
use crate::pool::Pool;
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::{self, Kernel, Simd};
use half::bf16;
use moeworks_ops::{DType, MatrixKind, MatrixShape};

/// Depth of one AMX tile in bf16.
pub const TILE_DEPTH: usize = 32;

/// A packed weight.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    bytes: &'a [u8],
    /// Number format.
    pub dtype: DType,
    /// Inputs of each matrix (K).
    pub depth: usize,
    /// Panels of one expert.
    pub panels: usize,
}

/// Panels of one expert.
fn panels(shape: &MatrixShape) -> usize {
    let each = if shape.kind == MatrixKind::GateUp { 2 } else { 1 };
    each * shape.outputs.div_ceil(PANEL)
}

/// Depth with its padding.
fn padded(shape: &MatrixShape) -> usize {
    if shape.dtype == DType::Bf16 { shape.inputs.next_multiple_of(TILE_DEPTH) } else { shape.inputs }
}

/// Bytes of a packed weight.
pub fn bytes(shape: &MatrixShape) -> usize {
    assert!(matches!(shape.dtype, DType::F32 | DType::Bf16), "this device has f32 and bf16, not {:?}", shape.dtype);
    shape.experts * panels(shape) * padded(shape) * PANEL * shape.dtype.size()
}

impl<'a> Packed<'a> {
    /// A packed weight in its bytes.
    pub fn new(shape: &MatrixShape, bytes: &'a [u8]) -> Self {
        assert_eq!(bytes.len(), self::bytes(shape));
        Packed { bytes, dtype: shape.dtype, depth: shape.inputs, panels: panels(shape) }
    }

    /// Elements from one panel to the next.
    pub fn panel_stride(&self) -> usize {
        let depth = if self.dtype == DType::Bf16 { self.depth.next_multiple_of(TILE_DEPTH) } else { self.depth };
        depth * PANEL
    }

    /// Where input `k` of a panel starts, in f32. The panel's other inputs follow, 16 apart.
    pub fn f32_panel(&self, expert: usize, panel: usize, k: usize) -> *const f32 {
        let at = (expert * self.panels + panel) * self.panel_stride() + k * PANEL;
        debug_assert_eq!(self.dtype, DType::F32);
        self.bytes[4 * at..].as_ptr().cast()
    }

    /// Where the pair of inputs `k`, `k + 1` of a panel starts, in bf16 (`k` even). Other pairs follow, 32 apart.
    pub fn bf16_panel(&self, expert: usize, panel: usize, k: usize) -> *const bf16 {
        let at = (expert * self.panels + panel) * self.panel_stride() + k * PANEL;
        debug_assert_eq!(self.dtype, DType::Bf16);
        self.bytes[2 * at..].as_ptr().cast()
    }
}

/// Packs one panel from its sources (one [E, N, K], or gate and up).
///
/// # Safety
/// `out` holds [`bytes`] bytes for the shape and no other task writes this panel.
pub unsafe fn pack_panel(shape: &MatrixShape, sources: &[&[f32]], index: usize, out: Shared<u8>) {
    let (n, k) = (shape.outputs, shape.inputs);
    let (expert, panel) = (index / panels(shape), index % panels(shape));
    let source = sources[panel % sources.len()];
    let first = panel / sources.len() * PANEL;
    let depth = padded(shape);
    let row = |lane: usize| (first + lane < n).then(|| &source[(expert * n + first + lane) * k..][..k]);
    // SAFETY: the panel's bytes are inside `out` and this task's own; the start is a multiple of 64 bytes.
    unsafe {
        if shape.dtype == DType::F32 {
            let out = out.at(index * depth * PANEL * 4).cast::<f32>();
            for lane in 0..PANEL {
                match row(lane) {
                    Some(row) => (0..k).for_each(|i| *out.add(i * PANEL + lane) = row[i]),
                    None => (0..k).for_each(|i| *out.add(i * PANEL + lane) = 0.0),
                }
            }
        } else {
            let out = out.at(index * depth * PANEL * 2).cast::<bf16>();
            for lane in 0..PANEL {
                for i in 0..depth {
                    let value = row(lane).and_then(|r| r.get(i)).copied().unwrap_or(0.0);
                    *out.add((i / 2 * PANEL + lane) * 2 + i % 2) = bf16::from_f32(value);
                }
            }
        }
    }
}

/// Panels that [`pack_panel`] is called for.
pub fn all_panels(shape: &MatrixShape) -> usize {
    shape.experts * panels(shape)
}

/// Bytes of [`transpose`]'s result.
pub fn transposed_bytes(shape: &MatrixShape) -> usize {
    bytes(&transposed_shape(shape))
}

fn transposed_shape(shape: &MatrixShape) -> MatrixShape {
    MatrixShape { kind: MatrixKind::Plain, outputs: shape.inputs, inputs: shape.outputs, ..*shape }
}

/// The transposed weight in the same layout: what gradients of inputs are multiplied by. Of gate and up panels, `which`
/// says whose matrix is meant. Made anew for every use, in memory that all weights share: a second copy of all of them
/// would cost as much as the first.
pub fn transpose<'a>(
    pool: &mut Pool,
    isa: Isa,
    shape: &MatrixShape,
    w: Packed,
    which: usize,
    into: &'a mut [u8],
) -> Packed<'a> {
    let shape = transposed_shape(shape);
    let into = &mut into[..bytes(&shape)];
    let out = Shared::new(into);
    pool.run(all_panels(&shape), &|index, _| {
        // SAFETY: `into` was sized for the shape; every task has its own panel of it.
        unsafe { simd::run(isa.vector(), TransposePanel { shape: &shape, w, which, index, out }) }
    });
    Packed::new(&shape, into)
}

struct TransposePanel<'a> {
    /// Of the result.
    shape: &'a MatrixShape,
    w: Packed<'a>,
    which: usize,
    index: usize,
    out: Shared<u8>,
}

impl Kernel for TransposePanel<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let TransposePanel { shape, w, which, index, out } = self;
        let (expert, first) = (index / panels(shape), index % panels(shape) * PANEL);
        let each = w.panels / shape.inputs.div_ceil(PANEL);
        let (depth, present) = (padded(shape), (w.depth - first).min(PANEL));
        // SAFETY: the result's panel has `depth` rows of 16; source panels hold `present` inputs from `first` on, in
        // bf16 padded to 32.
        unsafe {
            for n in (0..depth).step_by(PANEL) {
                let source = n / PANEL * each + which;
                if shape.dtype == DType::Bf16 {
                    let to = out.at(2 * (index * depth + n) * PANEL).cast::<u32>();
                    if n >= shape.inputs {
                        std::ptr::write_bytes(to, 0, PANEL / 2 * PANEL);
                    } else {
                        transpose_pairs(w.bf16_panel(expert, source, first).cast(), to);
                    }
                    continue;
                }
                let to = out.at(4 * (index * depth + n) * PANEL).cast::<f32>();
                let rows = (depth - n).min(PANEL);
                if rows == PANEL && present == PANEL {
                    S::transpose(w.f32_panel(expert, source, first), PANEL, to, PANEL);
                    continue;
                }
                let mut from = [0.0f32; PANEL * PANEL];
                let mut whole = [0.0f32; PANEL * PANEL];
                let start = w.f32_panel(expert, source, first);
                std::ptr::copy_nonoverlapping(start, from.as_mut_ptr(), present * PANEL);
                S::transpose(from.as_ptr(), PANEL, whole.as_mut_ptr(), PANEL);
                std::ptr::copy_nonoverlapping(whole.as_ptr(), to, rows * PANEL);
            }
        }
    }
}

/// Sixteen inputs of a bf16 panel as sixteen outputs of another: elements are moved as 32-bit pairs, of inputs (k, k + 1)
/// at [k / 2][n] to outputs (n, n + 1) at [n / 2][k].
///
/// # Safety
/// Both hold 8 x 16 pairs.
unsafe fn transpose_pairs(from: *const u32, to: *mut u32) {
    for n in 0..PANEL / 2 {
        for k in 0..PANEL / 2 {
            // SAFETY: the caller's.
            unsafe {
                let (x, y) = (*from.add(k * PANEL + 2 * n), *from.add(k * PANEL + 2 * n + 1));
                *to.add(n * PANEL + 2 * k) = (x & 0xffff) | (y << 16);
                *to.add(n * PANEL + 2 * k + 1) = (x >> 16) | (y & 0xffff_0000);
            }
        }
    }
}
