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
use crate::simd::{self, Kernel, Simd, stream_end};
use half::bf16;
use moeworks_ops::{DType, MatrixKind, MatrixShape};
use std::ops::Range;

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
pub fn padded(shape: &MatrixShape) -> usize {
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

    /// Some outputs of a plain matrix, from `first` (a multiple of 16) on, as a matrix of `shape`.
    pub fn outputs(&self, first: usize, shape: &MatrixShape) -> Packed<'a> {
        let start = self.dtype.size() * first / PANEL * self.panel_stride();
        Packed::new(shape, &self.bytes[start..][..bytes(shape)])
    }

    /// Some experts of a matrix of `shape`, with the shape of what they are.
    pub fn of_experts(&self, shape: &MatrixShape, experts: Range<usize>) -> (Packed<'a>, MatrixShape) {
        let each = bytes(shape) / shape.experts;
        let part = MatrixShape { experts: experts.len(), ..*shape };
        (Packed::new(&part, &self.bytes[experts.start * each..experts.end * each]), part)
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

/// Where a panel comes from: which of its sources (one [E, N, K], or gate and up), and which elements of it, whole rows.
pub fn origin(shape: &MatrixShape, index: usize) -> (usize, Range<usize>) {
    let sources = if shape.kind == MatrixKind::GateUp { 2 } else { 1 };
    let (expert, panel) = (index / panels(shape), index % panels(shape));
    let first = panel / sources * PANEL;
    let last = (first + PANEL).min(shape.outputs);
    let row = |n: usize| (expert * shape.outputs + n) * shape.inputs;
    (panel % sources, row(first)..row(last))
}

/// Packs one panel.
pub struct PackPanel<'a> {
    /// Shape of the packed weight.
    pub shape: &'a MatrixShape,
    /// The panel's rows, as [`origin`] says.
    pub rows: &'a [f32],
    /// Which panel of all experts'.
    pub index: usize,
    /// [`bytes`] bytes; no other task writes this panel.
    pub out: Shared<u8>,
}

impl Kernel for PackPanel<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let PackPanel { shape, rows, index, out } = self;
        let (k, depth) = (shape.inputs, padded(shape));
        let present = rows.len() / k;
        let mut block = Block([0.0; PANEL * PANEL]);
        let mut edge = Block([0.0; PANEL * PANEL]);
        // SAFETY: the panel's bytes are inside `out` and this task's own; blocks at the edges are copied first.
        unsafe {
            for input in (0..depth).step_by(PANEL) {
                let inputs = k.saturating_sub(input).min(PANEL);
                if inputs == PANEL && present == PANEL {
                    S::transpose(rows.as_ptr().add(input), k, block.0.as_mut_ptr(), PANEL);
                } else {
                    edge.0.fill(0.0);
                    for (lane, row) in rows.chunks(k).enumerate() {
                        let part = &row[input.min(k)..][..inputs];
                        edge.0[lane * PANEL..][..inputs].copy_from_slice(part);
                    }
                    S::transpose(edge.0.as_ptr(), PANEL, block.0.as_mut_ptr(), PANEL);
                }
                let (at, here) = ((index * depth + input) * PANEL, (depth - input).min(PANEL));
                if shape.dtype == DType::F32 {
                    std::ptr::copy_nonoverlapping(block.0.as_ptr(), out.at(4 * at).cast(), here * PANEL);
                    continue;
                }
                for pair in 0..PANEL / 2 {
                    for lane in (0..PANEL).step_by(S::LANES) {
                        let row = block.0.as_ptr().add(2 * pair * PANEL + lane);
                        let to = out.at(2 * (at + 2 * (pair * PANEL + lane))).cast();
                        S::stream_pairs(to, S::load(row), S::load(row.add(PANEL)));
                    }
                }
            }
            stream_end();
        }
    }
}

/// Sixteen by sixteen on cache lines.
#[repr(align(64))]
struct Block([f32; PANEL * PANEL]);

/// Panels that [`PackPanel`] runs for.
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
    match shape.dtype {
        DType::F32 => pool.run(all_panels(&shape), &|index, _| {
            // SAFETY: `into` was sized for the shape; every task has its own panel of it.
            unsafe { simd::run(isa.vector(), TransposePanel { shape: &shape, w, which, index, out }) }
        }),
        _ => pool.run(shape.experts * panels(&shape).div_ceil(2), &|index, _| {
            // SAFETY: as above, two panels a task.
            unsafe { simd::run(isa.vector(), TransposePairs { shape: &shape, w, which, index, out }) }
        }),
    }
    Packed::new(&shape, into)
}

impl Packed<'_> {
    /// Panel `n / 16` of a matrix of `outputs` outputs, which is the `which`th of those whose panels alternate.
    fn source(&self, outputs: usize, which: usize, n: usize) -> usize {
        n / PANEL * (self.panels / outputs.div_ceil(PANEL)) + which
    }
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
        let (depth, present) = (padded(shape), (w.depth - first).min(PANEL));
        // SAFETY: the result's panel has `depth` rows of 16; source panels hold `present` inputs from `first` on.
        unsafe {
            for n in (0..depth).step_by(PANEL) {
                let source = w.source(shape.inputs, which, n);
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

/// Two panels of a transposed bf16 weight: 32 inputs of the source.
struct TransposePairs<'a> {
    /// Of the result.
    shape: &'a MatrixShape,
    w: Packed<'a>,
    which: usize,
    index: usize,
    out: Shared<u8>,
}

impl Kernel for TransposePairs<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let TransposePairs { shape, w, which, index, out } = self;
        let (panels, depth) = (panels(shape), padded(shape));
        let (expert, first) = (index / panels.div_ceil(2), index % panels.div_ceil(2) * 2);
        let mut rows = Block([0.0; PANEL * PANEL]);
        // SAFETY: source panels are padded to 32 inputs; the result's two panels, or one at the end, have `depth` rows
        // of 16.
        unsafe {
            for n in (0..depth).step_by(PANEL) {
                let to =
                    |side: usize| out.at(2 * ((expert * panels + first + side) * depth + n) * PANEL).cast::<bf16>();
                let sides = (panels - first).min(2);
                if n >= shape.inputs {
                    (0..sides).for_each(|side| std::ptr::write_bytes(to(side), 0, PANEL * PANEL));
                    continue;
                }
                // Pairs of inputs transposed as 32-bit elements: an output's 32 inputs are then a row. They are moved
                // as f32 without a change of bits.
                let from = w.bf16_panel(expert, w.source(shape.inputs, which, n), first * PANEL);
                S::transpose(from.cast(), PANEL, rows.0.as_mut_ptr(), PANEL);
                let row = |n: usize| rows.0.as_ptr().add(n * PANEL).cast::<bf16>();
                for side in 0..sides {
                    for pair in 0..PANEL / 2 {
                        for lane in (0..PANEL).step_by(S::LANES) {
                            let at = side * PANEL + lane;
                            let (even, odd) = (row(2 * pair).add(at), row(2 * pair + 1).add(at));
                            S::interleave(even, odd, to(side).add(2 * (pair * PANEL + lane)));
                        }
                    }
                }
            }
        }
    }
}
