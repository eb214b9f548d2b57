//! The op set written as its formulas read: every number in f64, one loop after the other, rounded only where a
//! tensor stores it. Slow, and right: the oracle for every other device. (It copies its tensors freely; "ops never
//! allocate" is a promise of real devices.)

mod attention;
mod classifier;
mod experts;
mod linear;
mod optimizer;
mod rows;

use crate::buffer::OutOfMemory;
use crate::dtype::{DType, Element};
use crate::memory::Memory;
use crate::ops::*;
use crate::tensor::{Region, Tensor};
use half::bf16;

/// The reference device.
#[derive(Debug, Default)]
pub struct Reference {
    memory: Memory,
}

/// Rounds to a number format.
fn round(dtype: DType, x: f64) -> f64 {
    match dtype {
        DType::F64 => x,
        DType::F32 => f64::from(x as f32),
        DType::Bf16 => bf16::from_f64(x).to_f64(),
        DType::I32 | DType::U16 | DType::U8 => panic!("{dtype:?} is not a float format"),
    }
}

impl Reference {
    /// A reference device without memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn get(&mut self, t: &Tensor) -> Vec<f64> {
        crate::transfer::read_floats(self, t)
    }

    /// The numbers of `t`, rounded to another format as operands of a matrix are.
    fn get_as(&mut self, dtype: DType, t: &Tensor) -> Vec<f64> {
        self.get(t).into_iter().map(|x| round(dtype, x)).collect()
    }

    fn integers(&mut self, t: &Tensor) -> Vec<i32> {
        self.memory.access().read::<i32>(t).to_vec()
    }

    /// Row numbers, positions, ids: never negative.
    fn indices(&mut self, t: &Tensor) -> Vec<usize> {
        self.integers(t).into_iter().map(|i| usize::try_from(i).expect("negative index")).collect()
    }

    fn set(&mut self, t: &Tensor, values: &[f64]) {
        crate::transfer::write_floats(self, t, values);
    }

    fn set_integers(&mut self, t: &Tensor, values: &[i32]) {
        self.memory.access().write::<i32>(t).copy_from_slice(values);
    }

    fn add(&mut self, t: &Tensor, values: &[f64]) {
        let sum: Vec<f64> = self.get(t).iter().zip(values).map(|(a, b)| a + b).collect();
        self.set(t, &sum);
    }

    fn bytes(&mut self, t: &Tensor) -> Vec<u8> {
        self.memory.access().read::<u8>(t).to_vec()
    }

    /// A weight as plain numbers: [E, N, K], or for gate and up [2, E, N, K].
    fn weight(&mut self, w: &Matrix) -> Vec<f64> {
        let bytes = self.bytes(&w.data);
        fn numbers<T: Element>(bytes: &[u8], f: impl Fn(T) -> f64) -> Vec<f64> {
            bytemuck::allocation::pod_collect_to_vec::<u8, T>(bytes).into_iter().map(f).collect()
        }
        match w.shape.dtype {
            DType::F64 => numbers(&bytes, |x: f64| x),
            DType::F32 => numbers(&bytes, |x: f32| f64::from(x)),
            DType::Bf16 => numbers(&bytes, bf16::to_f64),
            DType::I32 | DType::U16 | DType::U8 => panic!("a matrix of {:?}", w.shape.dtype),
        }
    }
}

impl Ops for Reference {
    fn describe(&self) -> String {
        "reference (naive loops in f64)".into()
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
        self.memory.zero(x);
    }
    fn matrix_bytes(&self, shape: &MatrixShape) -> usize {
        let each = if shape.kind == MatrixKind::GateUp { 2 } else { 1 };
        each * shape.experts * shape.outputs * shape.inputs * shape.dtype.size()
    }
    fn pack(&mut self, sources: &[Tensor], to: &Matrix) {
        let values: Vec<f64> = sources.iter().flat_map(|s| self.get(s)).collect();
        let plain = Tensor { dtype: to.shape.dtype, shape: crate::tensor::Shape::new(&[values.len()]), ..to.data };
        self.set(&plain, &values);
    }
    fn split(&mut self, source: &Tensor, to: &Halves) {
        let values = self.get(source);
        optimizer::set_halves(self, to, &values);
    }
    fn join(&mut self, from: &Halves, source: &Tensor) {
        let values = optimizer::halves(self, from);
        self.set(source, &values);
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
        linear::forward(self, x_tk, w, residual_tn, y_tn);
    }
    fn linear_backward(&mut self, dy_tn: &Tensor, x_tk: &Tensor, w: &Matrix, dx_tk: &Tensor, dw_nk: &Tensor) {
        linear::backward(self, dy_tn, x_tk, w, dx_tk, dw_nk);
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
        attention::forward(self, heads, qkv_tn, first_t, out_tn, lse_th);
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
        attention::backward(self, heads, dout_tn, qkv_tn, first_t, out_tn, lse_th, dqkv_tn);
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
        attention::cached(self, heads, qkv_tn, slots_t, positions_t, keys, values, out_tn);
    }

    fn route(&mut self, normalize: bool, x_td: &Tensor, w_ed: &Tensor, routing: &Routing) {
        experts::route(self, normalize, x_td, w_ed, routing);
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
        experts::route_backward(self, normalize, dweights_tk, x_td, w_ed, routing, balance_e, z, dx_td, dw_ed);
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
        _scratch_rd: &Tensor,
        dx_td: &Tensor,
        dgate_efd: &Tensor,
        dup_efd: &Tensor,
    ) {
        experts::gate_up_backward(self, dg_rf, du_rf, x_td, w, dispatch, dx_td, dgate_efd, dup_efd);
    }
    fn down(
        &mut self,
        h_rf: &Tensor,
        w: &Matrix,
        dispatch: &Dispatch,
        residual_td: &Tensor,
        _scratch_rd: &Tensor,
        y_td: &Tensor,
    ) {
        experts::down(self, h_rf, w, dispatch, residual_td, y_td);
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
        self.get(x).iter().map(|v| v * v).sum()
    }
    fn update(&mut self, update: &Update, parameters: Master, gradients: &Tensor, m: &Tensor, v: Option<&Tensor>) {
        optimizer::update(self, update, parameters, gradients, m, v);
    }
}
