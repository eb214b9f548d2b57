//! Causal attention in training: blocks of queries against blocks of keys, softmax kept up as keys pass by, no T x T
//! matrix (flash attention, arXiv 2205.14135). bf16 multiplies in pairs where the path does so, all else in f32.

mod backward;
mod forward;
mod operands;
mod pair_backward;
mod pair_forward;

pub(crate) use forward::Blocks;

use crate::Cpu;
use crate::epilogue::Target;
use crate::scratch::PANEL;
use crate::shared::Shared;
use crate::simd::Simd;
use crate::source::{Data, Rows};
use moeworks_ops::{DType, Heads, Tensor};
use std::ops::Range;

/// Heads of a row of `qkv`.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) heads: Heads,
    /// Width of a head, padded to whole panels.
    pub(crate) padded: usize,
}

impl Layout {
    pub(crate) fn new(heads: Heads) -> Self {
        Layout { heads, padded: heads.width.next_multiple_of(PANEL) }
    }

    fn columns(&self, head: usize) -> Range<usize> {
        head * self.heads.width..(head + 1) * self.heads.width
    }
    pub(crate) fn query(&self, h: usize) -> Range<usize> {
        self.columns(h)
    }
    pub(crate) fn key(&self, g: usize) -> Range<usize> {
        self.columns(self.heads.query + g)
    }
    pub(crate) fn value(&self, g: usize) -> Range<usize> {
        self.columns(self.heads.query + self.heads.kv + g)
    }
    /// The key-value head of a query head.
    pub(crate) fn group(&self, h: usize) -> usize {
        h * self.heads.kv / self.heads.query
    }
}

pub(crate) fn attention(
    cpu: &mut Cpu,
    heads: Heads,
    qkv_tn: &Tensor,
    first_t: &Tensor,
    out_tn: &Tensor,
    lse_th: &Tensor,
) {
    let mut access = cpu.memory.access();
    let (qkv, first) = (Data::read(&mut access, qkv_tn), access.read::<i32>(first_t));
    let (out, lse) = (Target::write(&mut access, out_tn), Shared::new(access.write::<f32>(lse_th)));
    let (rows, isa) = (first.len(), cpu.isa);
    assert_eq!(qkv_tn.len(), rows * heads.row());
    assert_eq!((out_tn.len(), lse_th.len()), (rows * heads.query * heads.width, rows * heads.query));
    let qkv = Rows::plain(qkv, heads.row());
    if isa.multiplies_bf16() && qkv_tn.dtype == DType::Bf16 {
        return pair_forward::run(&mut cpu.pool, isa, heads, qkv, first, out, lse, &mut cpu.arranged);
    }
    forward::run(&mut cpu.pool, isa, heads, qkv, first, out, lse);
}

pub(crate) fn attention_backward(
    cpu: &mut Cpu,
    heads: Heads,
    dout_tn: &Tensor,
    qkv_tn: &Tensor,
    first_t: &Tensor,
    out_tn: &Tensor,
    lse_th: &Tensor,
    dqkv_tn: &Tensor,
) {
    let mut access = cpu.memory.access();
    let (first, isa) = (access.read::<i32>(first_t), cpu.isa);
    let (rows, wide) = (first.len(), heads.query * heads.width);
    assert_eq!((qkv_tn.len(), dqkv_tn.len()), (rows * heads.row(), rows * heads.row()));
    assert_eq!((dout_tn.len(), out_tn.len(), lse_th.len()), (rows * wide, rows * wide, rows * heads.query));
    let pass = Pass {
        layout: Layout::new(heads),
        qkv: Rows::plain(Data::read(&mut access, qkv_tn), heads.row()),
        dout: Rows::plain(Data::read(&mut access, dout_tn), wide),
        out: Rows::plain(Data::read(&mut access, out_tn), wide),
        lse: access.read(lse_th),
        first,
        dqkv: Target::write(&mut access, dqkv_tn),
    };
    if isa.multiplies_bf16() && qkv_tn.dtype == DType::Bf16 {
        return pair_backward::run(&mut cpu.pool, isa, &pass, &mut cpu.arranged, &mut cpu.partial);
    }
    backward::run(&mut cpu.pool, isa, &pass);
}

/// What both passes read, and where they write.
pub(crate) struct Pass<'a> {
    layout: Layout,
    qkv: Rows<'a>,
    dout: Rows<'a>,
    out: Rows<'a>,
    lse: &'a [f32],
    first: &'a [i32],
    dqkv: Target,
}

impl Pass<'_> {
    fn scale(&self) -> f32 {
        1.0 / (self.layout.heads.width as f32).sqrt()
    }

    /// # Safety
    /// `from` holds the rows, `step` apart; rows and columns of the target are this task's own.
    #[inline(always)]
    unsafe fn store<S: Simd>(
        &self,
        from: *const f32,
        step: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        scale: f32,
    ) {
        // SAFETY: the caller's.
        unsafe {
            let factor = S::splat(scale);
            for (i, t) in rows.enumerate() {
                for c in (0..columns.len()).step_by(S::LANES) {
                    let n = (columns.len() - c).min(S::LANES);
                    let v = S::mul(factor, S::load(from.add(i * step + c)));
                    self.dqkv.store::<S>(t * self.qkv.width + columns.start + c, v, n);
                }
            }
        }
    }
}

/// Keys of a block that query `t` sees, counted from the block's start.
#[inline(always)]
pub(crate) fn visible(first: usize, t: usize, keys: &Range<usize>) -> Range<usize> {
    let start = first.clamp(keys.start, keys.end) - keys.start;
    let end = (t + 1).clamp(keys.start, keys.end) - keys.start;
    start..end.max(start)
}

/// Overwrites what is not `seen` of a row of `keys`, up to whole panels.
///
/// # Safety
/// `row` holds `keys` rounded up to whole panels.
#[inline(always)]
unsafe fn hide<S: Simd>(row: *mut f32, seen: &Range<usize>, keys: usize, value: f32) {
    for gap in [0..seen.start, seen.end..keys.next_multiple_of(PANEL)] {
        for i in gap.clone().step_by(S::LANES) {
            // SAFETY: the caller's.
            unsafe { S::store_n(row.add(i), S::splat(value), (gap.end - i).min(S::LANES)) };
        }
    }
}
