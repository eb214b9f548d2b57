//! The op set as one trait: what a device must be able to do, forward and backward.
//!
//! Shapes are in the names: `T` rows (tokens of all sequences, one after the other), `D` model width, `N` and `K`
//! outputs and inputs of a matrix, `H` query heads, `G` key-value heads, `C` head width, `E` experts, `K` experts per
//! token, `R = T x K` routed rows, `F` expert width, `V` vocabulary, `S` positions.
//!
//! Rules that hold for every op
//! - Matrices multiply in their own number format: other operands are rounded to it, sums are kept in f32 (f64 if the
//!   format is f64).
//! - Gradients of parameters are added to what is there; every other output is overwritten unless its
//!   documentation says otherwise. Gradients of matrices are state or compute, those of the classifier's weight state. Outputs never overlap other arguments, except where said.
//! - Nothing is allocated for tensors; the caller brings scratch where a whole array is needed in between.
//! - The same inputs give the same bits, whatever the number of threads, and a row's result does not depend on the
//!   rows beside it.
//! - A wrong shape or format is a bug of the caller and panics. Values are the caller's to check: token ids and rows
//!   must be in range.

use crate::buffer::OutOfMemory;
use crate::dtype::{DType, Precision};
use crate::tensor::{Region, Tensor};

/// Which mean is subtracted, and what a row is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Mean subtracted, divided by the standard deviation; a weight, no bias (DBRX).
    Layer,
    /// Divided by the root of the mean square; a weight (Llama, Mixtral).
    Rms,
}

/// A normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Which.
    pub kind: NormKind,
    /// Added to the variance or mean square.
    pub eps: f64,
}

/// Heads of an attention. A row of `qkv` is all query heads, then all key heads, then all value heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads (H), a multiple of `kv`.
    pub query: usize,
    /// Key-value heads (G).
    pub kv: usize,
    /// Width of a head (C), even.
    pub width: usize,
}

impl Heads {
    /// Elements of one row of `qkv`: (H + 2 G) C.
    pub fn row(&self) -> usize {
        (self.query + 2 * self.kv) * self.width
    }
}

/// What a matrix holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatrixKind {
    /// One matrix [N, K] an expert.
    Plain,
    /// Two matrices [N, K] an expert, gate and up, laid out so that both results of a row come together.
    GateUp,
}

/// Shape and format of a weight matrix, or of a stack of one matrix an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatrixShape {
    /// What is in it.
    pub kind: MatrixKind,
    /// Number format in which it multiplies.
    pub dtype: DType,
    /// Matrices in the stack (1 for an ordinary linear layer).
    pub experts: usize,
    /// Outputs (N); of gate and up each.
    pub outputs: usize,
    /// Inputs (K).
    pub inputs: usize,
}

/// A master that is kept in halves: the nearest number in bf16, which is the weight that multiplies, and what it lacks
/// (see [`crate::rounding`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halves {
    /// Lower halves (U16), of the parameter's shape.
    pub lower: Tensor,
    /// The bf16 matrix with the upper halves.
    pub matrix: Matrix,
    /// Which of the matrix's sources.
    pub source: usize,
}

/// A weight in the layout that its device multiplies from. Made by [`Ops::pack`]; opaque to everyone else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Shape and format.
    pub shape: MatrixShape,
    /// The bytes, [`Ops::matrix_bytes`] of them (U8).
    pub data: Tensor,
}

/// Cosines and sines of rotary positions.
#[derive(Clone, Copy, Debug)]
pub struct Rope {
    /// Cosines [S, C / 2] (state).
    pub cos_sc: Tensor,
    /// Sines [S, C / 2] (state).
    pub sin_sc: Tensor,
}

/// Which rows go to which expert, sorted by expert: dropless, every choice has a row.
#[derive(Clone, Copy, Debug)]
pub struct Dispatch {
    /// Expert e has the routed rows `offsets[e]..offsets[e + 1]` (I32 [E + 1]).
    pub offsets_e: Tensor,
    /// The token of every routed row (I32 [R]); ascending inside an expert.
    pub token_r: Tensor,
    /// The routed row of every choice of every token (I32 [T, K]).
    pub row_tk: Tensor,
    /// The weight of every choice (state [T, K]).
    pub weights_tk: Tensor,
}

/// Everything a router leaves behind.
#[derive(Clone, Copy, Debug)]
pub struct Routing {
    /// Rows by expert.
    pub dispatch: Dispatch,
    /// Probabilities over all experts (state [T, E]).
    pub probs_te: Tensor,
    /// Logarithm of the softmax's denominator (state [T]).
    pub lse_t: Tensor,
    /// Chosen experts, the likeliest first, ties to the lower number (I32 [T, K]).
    pub chosen_tk: Tensor,
    /// Rows each expert was given (state [E]).
    pub load_e: Tensor,
    /// Sum over tokens of each expert's probability (state [E]).
    pub mass_e: Tensor,
}

/// Gradients that a classifier computes while it has the logits.
#[derive(Clone, Copy, Debug)]
pub struct ClassifierGradient {
    /// Factor on every row's gradient (1 / number of targets, for a mean).
    pub scale: f64,
    /// Gradient of the input (compute [T, D]).
    pub dx_td: Tensor,
    /// Gradient of the weight (state [V, D]), added to.
    pub dw_vd: Tensor,
}

/// One step of AdamW (Loshchilov and Hutter, arXiv 1711.05101): `p -= lr decay p`, then
/// `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, `p -= lr (m / c1) / (sqrt(v / c2) + eps)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// Steps taken including this one, for the bias corrections `c = 1 - b^t`.
    pub step: u64,
    /// Factor on the gradient (clipping).
    pub gradient_scale: f64,
}

/// One step of Lion (Chen and others, arXiv 2302.06675): `p -= lr decay p`, `p -= lr sign(b1 m + (1 - b1) g)`, then
/// `m = b2 m + (1 - b2) g`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lion {
    /// Learning rate of this step.
    pub lr: f64,
    /// Share of the momentum in the direction.
    pub beta1: f64,
    /// Decay of the momentum.
    pub beta2: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// Steps taken including this one: a seed for rounding.
    pub step: u64,
    /// Factor on the gradient (clipping).
    pub gradient_scale: f64,
}

/// How an optimizer moves parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// With two moments, m and v.
    AdamW(AdamW),
    /// With one, m.
    Lion(Lion),
}

/// A parameter as an optimizer moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Master {
    /// By itself (state).
    Alone(Tensor),
    /// One source of a matrix (state), and which one: the matrix follows it, as by [`Ops::pack`].
    Followed(Tensor, Matrix, usize),
    /// In halves.
    Halves(Halves),
}

impl Master {
    /// The tensor that is the parameter's own.
    pub fn tensor(&self) -> &Tensor {
        match self {
            Master::Alone(tensor) | Master::Followed(tensor, ..) => tensor,
            Master::Halves(halves) => &halves.lower,
        }
    }
}

impl Update {
    /// Steps taken including this one.
    pub fn step(&self) -> u64 {
        match self {
            Update::AdamW(step) => step.step,
            Update::Lion(step) => step.step,
        }
    }
}

/// A device.
pub trait Ops {
    /// What it is and which kernels it runs, for people.
    fn describe(&self) -> String;
    /// The formats in which it trains fastest.
    fn preferred_precision(&self) -> Precision {
        Precision::F32
    }

    /// A number for a region of memory whose size is not known yet.
    fn reserve(&mut self) -> Region;
    /// Gives a region `bytes` zeros, in place of what it had.
    fn allocate(&mut self, region: Region, bytes: usize) -> Result<(), OutOfMemory>;
    /// Frees a region's memory.
    fn release(&mut self, region: Region);
    /// Copies bytes of the host to a tensor of as many bytes.
    fn upload(&mut self, from: &[u8], to: &Tensor);
    /// Copies a tensor to as many bytes of the host.
    fn download(&mut self, from: &Tensor, to: &mut [u8]);
    /// Sets every byte to zero.
    fn zero(&mut self, x: &Tensor);

    /// Bytes of a matrix in this device's layout.
    fn matrix_bytes(&self, shape: &MatrixShape) -> usize;
    /// Brings masters into this device's layout. Plain: one source [E, N, K]; gate and up: two of them (state).
    fn pack(&mut self, sources: &[Tensor], to: &Matrix);
    /// Keeps the numbers of one source (f32) in halves, in a matrix that is all zero or has been packed before.
    fn split(&mut self, source: &Tensor, to: &Halves);
    /// The numbers that [`Ops::split`] was given, or that updates have made of them since (f32).
    fn join(&mut self, from: &Halves, source: &Tensor);

    /// `x[t] = table[ids[t]]`: ids I32 [T], table state [V, D], x state [T, D].
    fn embed(&mut self, ids_t: &Tensor, table_vd: &Tensor, x_td: &Tensor);
    /// `dtable[ids[t]] += dx[t]`.
    fn embed_backward(&mut self, ids_t: &Tensor, dx_td: &Tensor, dtable_vd: &Tensor);

    /// `y = norm(x) weight`: x state, weight state [D], y compute; stats state [T, 2] keeps mean (0 for RMS) and
    /// reciprocal deviation of every row.
    fn norm(&mut self, norm: Norm, x_td: &Tensor, weight_d: &Tensor, y_td: &Tensor, stats_t2: &Tensor);
    /// Adds to `dx` (state) and `dweight` (state); dy compute.
    fn norm_backward(
        &mut self,
        norm: Norm,
        dy_td: &Tensor,
        x_td: &Tensor,
        weight_d: &Tensor,
        stats_t2: &Tensor,
        dx_td: &Tensor,
        dweight_d: &Tensor,
    );

    /// `y = x w^T (+ residual)`: x compute or state [T, K], residual state [T, N], y compute or state. The residual
    /// may be y itself.
    fn linear(&mut self, x_tk: &Tensor, w: &Matrix, residual_tn: Option<&Tensor>, y_tn: &Tensor);
    /// `dx = dy w` and `dw += dy^T x`: dy compute or state, dx compute, dw state [N, K].
    fn linear_backward(&mut self, dy_tn: &Tensor, x_tk: &Tensor, w: &Matrix, dx_tk: &Tensor, dw_nk: &Tensor);

    /// Projection to queries, keys and values, clamped to +-clip, queries and keys then rotated (rotate-half form):
    /// x compute [T, D], positions I32 [T], qkv compute [T, (H + 2 G) C]. `clipped` (U8, one bit an element, rows of
    /// whole bytes) marks what the clamp cut; the backward needs it.
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
    );
    /// Turns `dqkv` into the gradient before rotation and clamp, in place, then as [`Ops::linear_backward`].
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
    );

    /// Causal attention inside documents: row t sees rows `first[t]..=t` (I32 [T], never descending, constant in a
    /// document). Scores are scaled by 1 / sqrt(C). out compute [T, H C]; lse state [T, H] is the logarithm of
    /// each softmax's denominator. A device may round the softmax's weights, and their gradients, to compute.
    fn attention(&mut self, heads: Heads, qkv_tn: &Tensor, first_t: &Tensor, out_tn: &Tensor, lse_th: &Tensor);
    /// Gradient of queries, keys and values: dout and dqkv compute.
    fn attention_backward(
        &mut self,
        heads: Heads,
        dout_tn: &Tensor,
        qkv_tn: &Tensor,
        first_t: &Tensor,
        out_tn: &Tensor,
        lse_th: &Tensor,
        dqkv_tn: &Tensor,
    );
    /// Attention over cached positions. Row t belongs to sequence `slots[t]` at `positions[t]` (I32 [T]); its key and
    /// value are stored there (keys and values compute [slots, S, G C]) before any row is answered, and it sees
    /// positions 0 to its own. Rows of one sequence are neighbours and ascend.
    fn attend_cache(
        &mut self,
        heads: Heads,
        qkv_tn: &Tensor,
        slots_t: &Tensor,
        positions_t: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        out_tn: &Tensor,
    );

    /// Softmax over all experts of `x w^T`, the `K` likeliest, their weights divided by their sum if `normalize`:
    /// x compute [T, D], w state [E, D]. Fills the whole routing.
    fn route(&mut self, normalize: bool, x_td: &Tensor, w_ed: &Tensor, routing: &Routing);
    /// Adds to `dx` (compute) and `dw` (state), from the gradient of the weights (state [T, K]); `balance` (state
    /// [E]) is the gradient of each expert's probability in every row, `z` the factor on the gradient of the sum of
    /// squared `lse`.
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
    );

    /// First half of the experts: rows gathered, `g = x gate^T`, `u = x up^T`, `h = silu(g) u`, all compute [R, F].
    /// `g` and `u` are kept only for a backward.
    fn gate_up(
        &mut self,
        x_td: &Tensor,
        w: &Matrix,
        dispatch: &Dispatch,
        kept: Option<(&Tensor, &Tensor)>,
        h_rf: &Tensor,
    );
    /// From the gradients of `g` and `u` (compute [R, F]): `dx` (compute [T, D]) and both weights (state [E, F, D], added
    /// to). `scratch` is compute [R, D].
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
    );
    /// Second half: `y[t] = residual[t] + sum over k of weights[t, k] (h[row[t, k]] w^T)`, residual and y state [T, D]
    /// (the residual may be y itself), scratch compute [R, D].
    fn down(
        &mut self,
        h_rf: &Tensor,
        w: &Matrix,
        dispatch: &Dispatch,
        residual_td: &Tensor,
        scratch_rd: &Tensor,
        y_td: &Tensor,
    );
    /// From `dy` (state): the gradient of the weights (state [T, K]) and `dw` (state [E, D, F], added to); `g` and `u`
    /// are overwritten with their own gradients. The hidden rows are computed anew from them and left in `h`, each
    /// times its weight.
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
    );

    /// Logits and cross-entropy without ever holding [T, V] logits: x compute [T, D], targets I32 [T] (negative: not
    /// counted, loss 0), nll state [T], best I32 [T] the arg-max (ties to the lower id), and gradients if asked for.
    fn classifier(
        &mut self,
        x_td: &Tensor,
        w: &Matrix,
        targets_t: &Tensor,
        nll_t: &Tensor,
        best_t: Option<&Tensor>,
        gradient: Option<&ClassifierGradient>,
    );

    /// Sum of squares of a tensor (state or compute), in f64 and in a fixed order.
    fn sum_of_squares(&mut self, x: &Tensor) -> f64;
    /// One optimizer step over parameters, gradients and moments of one length, `v` where the update has one. Gradients
    /// are state or compute, moments too: those in bf16 are rounded by [`crate::rounding::round_randomly`].
    fn update(&mut self, update: &Update, parameters: Master, gradients: &Tensor, m: &Tensor, v: Option<&Tensor>);
}
