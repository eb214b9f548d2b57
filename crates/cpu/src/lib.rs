//! The op set on the CPU: portable, AVX2, AVX-512 and AMX, chosen at run time, one thread pool.
//!
//! A newcomer's way through: [`isa`] says what runs here, `simd` turns one kernel source into every vector set,
//! `packed` is the weights' layout, `kernel` the innermost loops, `multiply` the three products built on them, and the
//! other files hold an op or two each.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub mod amx;
mod attention;
mod cache;
mod ceiling;
mod classifier;
mod epilogue;
mod experts;
mod halves;
pub mod isa;
mod kernel;
mod linear;
mod multiply;
mod narrow;
mod optimizer;
mod packed;
mod pool;
mod route;
mod rows;
mod scratch;
mod shared;
pub mod simd;
mod source;

pub use ceiling::Ceilings;
pub use isa::{Isa, IsaError};

use moeworks_ops::buffer::Buffer;
use moeworks_ops::{
    ClassifierGradient, Dispatch, Halves, Heads, Master, Matrix, MatrixShape, Memory, Norm, Ops, OutOfMemory,
    Precision, Region, Rope, Routing, Tensor, Update,
};
use pool::Pool;

/// The CPU as a device.
pub struct Cpu {
    memory: Memory,
    pool: Pool,
    isa: Isa,
    /// Partial sums of reductions over rows.
    partial: Floats,
    /// Sums that an op keeps in f32 while its result is narrower.
    sums: Floats,
    /// Operands that one op arranges for its products: a transposed weight, say.
    arranged: Bytes,
    /// Rows as weights' gradients multiply them.
    row_panels: Bytes,
    /// Logits that wait for their gradients.
    kept_logits: KeptLogits,
}

/// How many logits a classifier keeps in f32 at once for their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptLogits {
    /// So many bytes, about.
    pub bytes: usize,
    /// Of no fewer rows than these, which would rewrite the head's gradient too often.
    pub rows: usize,
    /// If they are no more bytes than these; otherwise all logits are computed twice.
    pub most: usize,
}

impl KeptLogits {
    /// On tiles, where computing logits again costs less than rewriting the gradient of a large head for every few rows,
    /// or elsewhere.
    fn of(isa: Isa) -> Self {
        KeptLogits { bytes: 32 << 20, rows: 512, most: if isa.has_tiles() { 32 << 20 } else { 224 << 20 } }
    }

    /// Rows at once, of so many rows of `v` logits; none if they are not kept.
    fn rows_at_once(&self, rows: usize, v: usize) -> Option<usize> {
        let at_once = (self.bytes / (4 * v)).max(self.rows).min(rows).max(1);
        // As even as their number allows.
        (4 * v * at_once <= self.most).then(|| rows.div_ceil(rows.div_ceil(at_once).max(1)).max(1))
    }
}

/// Floats that grow to the largest need: the first step of a kind allocates, no later one does.
#[derive(Default)]
struct Floats(Vec<f32>);

impl Floats {
    fn of(&mut self, n: usize) -> &mut [f32] {
        if self.0.len() < n {
            self.0.resize(n, 0.0);
        }
        &mut self.0[..n]
    }
}

/// As [`Floats`], bytes on a cache line, in huge pages.
#[derive(Default)]
struct Bytes(Option<Buffer>);

impl Bytes {
    fn of(&mut self, n: usize) -> &mut [u8] {
        if self.0.as_ref().is_none_or(|held| held.len() < n) {
            self.0 = None; // before there is more
            self.0 = Some(Buffer::zeroed(n).expect("memory for one op's operands"));
        }
        &mut self.0.as_mut().expect("just made").bytes()[..n]
    }

    /// Two parts, both on a cache line.
    fn split(&mut self, first: usize, second: usize) -> (&mut [u8], &mut [u8]) {
        let start = first.next_multiple_of(64);
        let (a, b) = self.of(start + second).split_at_mut(start);
        (&mut a[..first], b)
    }
}

impl Cpu {
    /// The CPU with so many threads, on a path.
    pub fn new(threads: usize, isa: Isa) -> Self {
        let (partial, sums, arranged) = (Floats::default(), Floats::default(), Bytes::default());
        let (memory, pool, row_panels) = (Memory::default(), Pool::new(threads), Bytes::default());
        Cpu { memory, pool, isa, partial, sums, arranged, row_panels, kept_logits: KeptLogits::of(isa) }
    }

    /// Sets how many logits a classifier keeps; 32 MiB or 512 rows unless said, on tiles no more than 32 MiB, elsewhere
    /// 224.
    #[must_use]
    pub fn keeping_logits(self, kept_logits: KeptLogits) -> Self {
        Cpu { kept_logits, ..self }
    }

    /// The CPU with all of the machine's threads, on its best path or the one that the environment forces.
    pub fn detect() -> Result<Self, IsaError> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Cpu::new(threads, Isa::from_environment()?))
    }

    /// Threads.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The path.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Bytes of all regions.
    pub fn bytes(&self) -> usize {
        self.memory.bytes()
    }
}

impl Ops for Cpu {
    fn describe(&self) -> String {
        format!("CPU, {} threads, {}", self.threads(), self.isa)
    }
    fn preferred_precision(&self) -> Precision {
        // Where bf16 is widened for every product it saves memory, not time.
        if self.isa.multiplies_bf16() { Precision::BF16 } else { Precision::F32 }
    }
    fn reserve(&mut self) -> Region {
        self.memory.reserve()
    }
    fn allocate(&mut self, region: Region, bytes: usize) -> Result<(), OutOfMemory> {
        self.memory.allocate(region, bytes)
    }
    fn release(&mut self, region: Region) {
        self.memory.release(region);
    }
    fn upload(&mut self, from: &[u8], to: &Tensor) {
        self.memory.upload(from, to);
    }
    fn download(&mut self, from: &Tensor, to: &mut [u8]) {
        self.memory.download(from, to);
    }
    fn zero(&mut self, x: &Tensor) {
        // A gradient's first addition then overwrites instead.
        if x.bytes() >= 1 << 16 { self.memory.zero_later(x) } else { self.memory.zero(x) }
    }

    fn matrix_bytes(&self, shape: &MatrixShape) -> usize {
        packed::bytes(shape)
    }
    fn pack(&mut self, sources: &[Tensor], to: &Matrix) {
        linear::pack(self, sources, to);
    }
    fn split(&mut self, source: &Tensor, to: &Halves) {
        halves::split(self, source, to);
    }
    fn join(&mut self, from: &Halves, source: &Tensor) {
        halves::join(self, from, source);
    }

    fn embed(&mut self, ids_t: &Tensor, table_vd: &Tensor, x_td: &Tensor) {
        rows::embed(self, ids_t, table_vd, x_td);
    }
    fn embed_backward(&mut self, ids_t: &Tensor, dx_td: &Tensor, dtable_vd: &Tensor) {
        rows::embed_backward(self, ids_t, dx_td, dtable_vd);
    }
    fn norm(&mut self, norm: Norm, x_td: &Tensor, weight_d: &Tensor, y_td: &Tensor, stats_t2: &Tensor) {
        rows::norm(self, norm, x_td, weight_d, y_td, stats_t2);
    }
    fn norm_backward(
        &mut self,
        norm: Norm,
        dy_td: &Tensor,
        x_td: &Tensor,
        weight_d: &Tensor,
        stats_t2: &Tensor,
        dx_td: &Tensor,
        dweight_d: &Tensor,
    ) {
        rows::norm_backward(self, norm, dy_td, x_td, weight_d, stats_t2, dx_td, dweight_d);
    }

    fn linear(&mut self, x_tk: &Tensor, w: &Matrix, residual_tn: Option<&Tensor>, y_tn: &Tensor) {
        linear::linear(self, x_tk, w, residual_tn, y_tn);
    }
    fn linear_backward(&mut self, dy_tn: &Tensor, x_tk: &Tensor, w: &Matrix, dx_tk: &Tensor, dw_nk: &Tensor) {
        linear::linear_backward(self, dy_tn, x_tk, w, dx_tk, dw_nk);
    }
    fn qkv(
        &mut self,
        heads: Heads,
        clip: Option<f64>,
        x_td: &Tensor,
        w: &Matrix,
        rope: &Rope,
        positions_t: &Tensor,
        qkv_tn: &Tensor,
        clipped_tb: Option<&Tensor>,
    ) {
        linear::qkv(self, heads, clip, x_td, w, rope, positions_t, qkv_tn, clipped_tb);
    }
    fn qkv_backward(
        &mut self,
        heads: Heads,
        dqkv_tn: &Tensor,
        x_td: &Tensor,
        w: &Matrix,
        rope: &Rope,
        positions_t: &Tensor,
        clipped_tb: Option<&Tensor>,
        dx_td: &Tensor,
        dw_nd: &Tensor,
    ) {
        linear::qkv_backward(self, heads, dqkv_tn, x_td, w, rope, positions_t, clipped_tb, dx_td, dw_nd);
    }

    fn attention(&mut self, heads: Heads, qkv_tn: &Tensor, first_t: &Tensor, out_tn: &Tensor, lse_th: &Tensor) {
        attention::attention(self, heads, qkv_tn, first_t, out_tn, lse_th);
    }
    fn attention_backward(
        &mut self,
        heads: Heads,
        dout_tn: &Tensor,
        qkv_tn: &Tensor,
        first_t: &Tensor,
        out_tn: &Tensor,
        lse_th: &Tensor,
        dqkv_tn: &Tensor,
    ) {
        attention::attention_backward(self, heads, dout_tn, qkv_tn, first_t, out_tn, lse_th, dqkv_tn);
    }
    fn attend_cache(
        &mut self,
        heads: Heads,
        qkv_tn: &Tensor,
        slots_t: &Tensor,
        positions_t: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        out_tn: &Tensor,
    ) {
        cache::attend_cache(self, heads, qkv_tn, slots_t, positions_t, keys, values, out_tn);
    }

    fn route(&mut self, normalize: bool, x_td: &Tensor, w_ed: &Tensor, routing: &Routing) {
        route::route(self, normalize, x_td, w_ed, routing);
    }
    fn route_backward(
        &mut self,
        normalize: bool,
        dweights_tk: &Tensor,
        x_td: &Tensor,
        w_ed: &Tensor,
        routing: &Routing,
        balance_e: &Tensor,
        z: f64,
        dx_td: &Tensor,
        dw_ed: &Tensor,
    ) {
        route::route_backward(self, normalize, dweights_tk, x_td, w_ed, routing, balance_e, z, dx_td, dw_ed);
    }
    fn gate_up(
        &mut self,
        x_td: &Tensor,
        w: &Matrix,
        dispatch: &Dispatch,
        kept: Option<(&Tensor, &Tensor)>,
        h_rf: &Tensor,
    ) {
        experts::gate_up(self, x_td, w, dispatch, kept, h_rf);
    }
    fn gate_up_backward(
        &mut self,
        dg_rf: &Tensor,
        du_rf: &Tensor,
        x_td: &Tensor,
        w: &Matrix,
        dispatch: &Dispatch,
        scratch_rd: &Tensor,
        dx_td: &Tensor,
        dgate_efd: &Tensor,
        dup_efd: &Tensor,
    ) {
        experts::gate_up_backward(self, dg_rf, du_rf, x_td, w, dispatch, scratch_rd, dx_td, dgate_efd, dup_efd);
    }
    fn down(
        &mut self,
        h_rf: &Tensor,
        w: &Matrix,
        dispatch: &Dispatch,
        residual_td: &Tensor,
        scratch_rd: &Tensor,
        y_td: &Tensor,
    ) {
        experts::down(self, h_rf, w, dispatch, residual_td, scratch_rd, y_td);
    }
    fn down_backward(
        &mut self,
        dy_td: &Tensor,
        w: &Matrix,
        dispatch: &Dispatch,
        g_rf: &Tensor,
        u_rf: &Tensor,
        h_rf: &Tensor,
        dweights_tk: &Tensor,
        dw_edf: &Tensor,
    ) {
        experts::down_backward(self, dy_td, w, dispatch, g_rf, u_rf, h_rf, dweights_tk, dw_edf);
    }

    fn classifier(
        &mut self,
        x_td: &Tensor,
        w: &Matrix,
        targets_t: &Tensor,
        nll_t: &Tensor,
        best_t: Option<&Tensor>,
        gradient: Option<&ClassifierGradient>,
    ) {
        classifier::classifier(self, x_td, w, targets_t, nll_t, best_t, gradient);
    }

    fn sum_of_squares(&mut self, x: &Tensor) -> f64 {
        optimizer::sum_of_squares(self, x)
    }
    fn update(&mut self, update: &Update, parameters: Master, gradients: &Tensor, m: &Tensor, v: Option<&Tensor>) {
        optimizer::update(self, update, parameters, gradients, m, v);
    }
}
