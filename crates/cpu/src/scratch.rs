//! Working memory of one thread, allocated once with the pool.

use crate::attention::Blocks;
use half::bf16;
use moeworks_ops::buffer::Buffer;

/// Rows of a block of results.
pub const ROWS: usize = 192;
/// Columns of a block of results, a multiple of two panels.
pub const COLUMNS: usize = 512;
/// Depth of one pass over a block: two panels of it stay in the first-level cache.
pub const DEPTH: usize = 256;
/// Columns of a packed panel, and of an AMX tile.
pub const PANEL: usize = 16;

/// Rows of a block of results in pairs of bf16.
pub const PAIR_ROWS: usize = 256;
/// Columns of a block of results in pairs.
pub const PAIR_COLUMNS: usize = 512;
/// Depth of one pass over a block of a weight's gradient in pairs.
pub const PAIR_PASS: usize = 256;

/// Blocks of a multiplication. The same memory serves f32 and bf16; what pairs need beyond f32 is not touched, and
/// so not there, where there are none.
pub struct Scratch {
    a: Buffer,
    b: Buffer,
    c: Buffer,
    /// Left operands of a forward's block, with their whole depth.
    left: Option<Buffer>,
    attention: Option<(usize, Blocks)>,
}

impl Scratch {
    /// Fresh scratch. Panics if a megabyte cannot be had.
    pub fn new() -> Self {
        let block = |n: usize| Buffer::zeroed(4 * n).expect("a thread's scratch fits");
        Scratch {
            a: block(((ROWS + 4) * DEPTH).max((PAIR_ROWS + 2 * PANEL) * PAIR_PASS / 2)),
            b: block(DEPTH * COLUMNS),
            c: block((ROWS * (COLUMNS + 2 * PANEL)).max((PAIR_ROWS + 2 * PANEL) * (PAIR_COLUMNS + 2 * PANEL))),
            left: None,
            attention: None,
        }
    }

    /// Makes room for so many bytes of left operands: grows to the largest need.
    pub fn grow_left(&mut self, bytes: usize) {
        if self.left.as_ref().is_none_or(|held| held.len() < bytes) {
            self.left = None;
            self.left = Some(Buffer::zeroed(bytes).expect("a thread's left operands fit"));
        }
    }

    /// Left operands of a forward's block, as much as was made room for.
    pub fn left(&self) -> *mut u8 {
        self.left.as_ref().expect("room was made").start().cast()
    }

    /// Block of the left operand: ROWS x DEPTH, and a little for rows that are kept apart.
    pub fn a(&self) -> *mut f32 {
        self.a.start().cast()
    }

    /// The same as bf16: PAIR_ROWS and two tiles' more x PAIR_PASS.
    pub fn a_bf16(&self) -> *mut bf16 {
        self.a.start().cast()
    }

    /// Panels of the right operand: DEPTH x COLUMNS.
    pub fn b(&self) -> *mut f32 {
        self.b.start().cast()
    }

    /// Block of results: ROWS x COLUMNS, and a panel more for blocks that start inside one. In pairs PAIR_ROWS and two
    /// tiles' more x PAIR_COLUMNS and two panels.
    pub fn c(&self) -> *mut f32 {
        self.c.start().cast()
    }

    /// Makes room for blocks of attention for heads of `width`.
    pub fn grow_attention(&mut self, width: usize) {
        if self.attention.as_ref().is_none_or(|(held, _)| *held < width) {
            self.attention = Some((width, Blocks::new(width)));
        }
    }

    /// Blocks of attention, all free.
    pub fn attention(&mut self) -> &mut Blocks {
        let (_, blocks) = self.attention.as_mut().expect("room was made");
        blocks.clear();
        blocks
    }
}
