//! Any device, with the time that every op takes.

use crate::buffer::OutOfMemory;
use crate::dtype::{DType, Precision};
use crate::ops::{
    ClassifierGradient, Dispatch, Halves, Heads, Master, Matrix, MatrixShape, Norm, Ops, Rope, Routing, Update,
};
use crate::tensor::{Region, Tensor};
use crate::transfer;
use std::collections::BTreeMap;
use std::time::Instant;

/// What an op has taken so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Calls.
    pub calls: u64,
    /// Wall time.
    pub seconds: f64,
    /// Floating-point operations of its products, a multiply-add as two; 0 for ops that move memory.
    pub flops: f64,
    /// Bytes that ops without products read and write, each tensor once.
    pub bytes: f64,
}

/// What an op has to do.
enum Work {
    Flops(f64),
    Bytes(usize),
}

/// A device that keeps the time. It adds a clock reading to every op and computes nothing itself.
pub struct Profiled<'a> {
    inner: &'a mut dyn Ops,
    /// By op, as the trait names it.
    pub spent: BTreeMap<&'static str, Spent>,
}

impl<'a> Profiled<'a> {
    /// Watches a device.
    pub fn new(inner: &'a mut dyn Ops) -> Self {
        Profiled { inner, spent: BTreeMap::new() }
    }

    fn timed<R>(&mut self, name: &'static str, work: Work, op: impl FnOnce(&mut dyn Ops) -> R) -> R {
        let began = Instant::now();
        let result = op(self.inner);
        let seconds = began.elapsed().as_secs_f64();
        let spent = self.spent.entry(name).or_default();
        (spent.calls, spent.seconds) = (spent.calls + 1, spent.seconds + seconds);
        match work {
            Work::Flops(flops) => spent.flops += flops,
            Work::Bytes(bytes) => spent.bytes += bytes as f64,
        }
        result
    }
}

/// Products of queries and keys that causal attention inside documents needs, times a head's width.
fn seen(ops: &mut dyn Ops, heads: Heads, first_t: &Tensor) -> f64 {
    let firsts = transfer::read::<i32>(ops, first_t);
    let pairs: usize = firsts.iter().enumerate().map(|(t, first)| t + 1 - *first as usize).sum();
    (pairs * heads.query * heads.width) as f64
}

impl Ops for Profiled<'_> {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn preferred_precision(&self) -> Precision {
        self.inner.preferred_precision()
    }

    fn reserve(&mut self) -> Region {
        self.inner.reserve()
    }

    fn allocate(&mut self, region: Region, bytes: usize) -> Result<(), OutOfMemory> {
        self.inner.allocate(region, bytes)
    }

    fn release(&mut self, region: Region) {
        self.inner.release(region)
    }

    fn upload(&mut self, from: &[u8], to: &Tensor) {
        self.inner.upload(from, to)
    }

    fn download(&mut self, from: &Tensor, to: &mut [u8]) {
        self.inner.download(from, to)
    }

    fn zero(&mut self, x: &Tensor) {
        self.timed("zero", Work::Bytes(0), |inner| inner.zero(x))
    }

    fn matrix_bytes(&self, shape: &MatrixShape) -> usize {
        self.inner.matrix_bytes(shape)
    }

    fn pack(&mut self, sources: &[Tensor], to: &Matrix) {
        self.timed("pack", Work::Bytes(sources.iter().map(Tensor::bytes).sum::<usize>() + to.data.bytes()), |inner| {
            inner.pack(sources, to)
        })
    }

    fn split(&mut self, source: &Tensor, to: &Halves) {
        self.timed("split", Work::Bytes(2 * source.bytes()), |inner| inner.split(source, to))
    }

    fn join(&mut self, from: &Halves, source: &Tensor) {
        self.timed("join", Work::Bytes(2 * source.bytes()), |inner| inner.join(from, source))
    }

    fn embed(&mut self, ids_t: &Tensor, table_vd: &Tensor, x_td: &Tensor) {
        self.timed("embed", Work::Bytes(2 * x_td.bytes()), |inner| inner.embed(ids_t, table_vd, x_td))
    }

    fn embed_backward(&mut self, ids_t: &Tensor, dx_td: &Tensor, dtable_vd: &Tensor) {
        self.timed("embed_backward", Work::Bytes(3 * dx_td.bytes()), |inner| {
            inner.embed_backward(ids_t, dx_td, dtable_vd)
        })
    }

    fn norm(&mut self, norm: Norm, x_td: &Tensor, weight_d: &Tensor, y_td: &Tensor, stats_t2: &Tensor) {
        self.timed("norm", Work::Bytes(x_td.bytes() + y_td.bytes()), |inner| {
            inner.norm(norm, x_td, weight_d, y_td, stats_t2)
        })
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
        self.timed("norm_backward", Work::Bytes(dy_td.bytes() + x_td.bytes() + 2 * dx_td.bytes()), |inner| {
            inner.norm_backward(norm, dy_td, x_td, weight_d, stats_t2, dx_td, dweight_d)
        })
    }

    fn linear(&mut self, x_tk: &Tensor, w: &Matrix, residual_tn: Option<&Tensor>, y_tn: &Tensor) {
        let flops = 2.0 * y_tn.len() as f64 * w.shape.inputs as f64;
        self.timed("linear", Work::Flops(flops), |inner| inner.linear(x_tk, w, residual_tn, y_tn))
    }

    fn linear_backward(&mut self, dy_tn: &Tensor, x_tk: &Tensor, w: &Matrix, dx_tk: &Tensor, dw_nk: &Tensor) {
        let flops = 4.0 * dy_tn.len() as f64 * w.shape.inputs as f64;
        self.timed("linear_backward", Work::Flops(flops), |inner| inner.linear_backward(dy_tn, x_tk, w, dx_tk, dw_nk))
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
        let flops = 2.0 * qkv_tn.len() as f64 * w.shape.inputs as f64;
        self.timed("qkv", Work::Flops(flops), |inner| {
            inner.qkv(heads, clip, x_td, w, rope, positions_t, qkv_tn, clipped_tb)
        })
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
        let flops = 4.0 * dqkv_tn.len() as f64 * w.shape.inputs as f64;
        self.timed("qkv_backward", Work::Flops(flops), |inner| {
            inner.qkv_backward(heads, dqkv_tn, x_td, w, rope, positions_t, clipped_tb, dx_td, dw_nd)
        })
    }

    fn attention(&mut self, heads: Heads, qkv_tn: &Tensor, first_t: &Tensor, out_tn: &Tensor, lse_th: &Tensor) {
        let flops = 4.0 * seen(self.inner, heads, first_t);
        self.timed("attention", Work::Flops(flops), |inner| inner.attention(heads, qkv_tn, first_t, out_tn, lse_th))
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
        let flops = 10.0 * seen(self.inner, heads, first_t);
        self.timed("attention_backward", Work::Flops(flops), |inner| {
            inner.attention_backward(heads, dout_tn, qkv_tn, first_t, out_tn, lse_th, dqkv_tn)
        })
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
        self.timed("attend_cache", Work::Bytes(0), |inner| {
            inner.attend_cache(heads, qkv_tn, slots_t, positions_t, keys, values, out_tn)
        })
    }

    fn route(&mut self, normalize: bool, x_td: &Tensor, w_ed: &Tensor, routing: &Routing) {
        let flops = 2.0 * x_td.len() as f64 * w_ed.dim(0) as f64;
        self.timed("route", Work::Flops(flops), |inner| inner.route(normalize, x_td, w_ed, routing))
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
        let flops = 4.0 * x_td.len() as f64 * w_ed.dim(0) as f64;
        self.timed("route_backward", Work::Flops(flops), |inner| {
            inner.route_backward(normalize, dweights_tk, x_td, w_ed, routing, balance_e, z, dx_td, dw_ed)
        })
    }

    fn gate_up(
        &mut self,
        x_td: &Tensor,
        w: &Matrix,
        dispatch: &Dispatch,
        kept: Option<(&Tensor, &Tensor)>,
        h_rf: &Tensor,
    ) {
        let flops = 4.0 * h_rf.len() as f64 * w.shape.inputs as f64;
        self.timed("gate_up", Work::Flops(flops), |inner| inner.gate_up(x_td, w, dispatch, kept, h_rf))
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
        let flops = 8.0 * dg_rf.len() as f64 * w.shape.inputs as f64;
        self.timed("gate_up_backward", Work::Flops(flops), |inner| {
            inner.gate_up_backward(dg_rf, du_rf, x_td, w, dispatch, scratch_rd, dx_td, dgate_efd, dup_efd)
        })
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
        let flops = 2.0 * h_rf.len() as f64 * w.shape.outputs as f64;
        self.timed("down", Work::Flops(flops), |inner| inner.down(h_rf, w, dispatch, residual_td, scratch_rd, y_td))
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
        let flops = 4.0 * h_rf.len() as f64 * w.shape.outputs as f64;
        self.timed("down_backward", Work::Flops(flops), |inner| {
            inner.down_backward(dy_td, w, dispatch, g_rf, u_rf, h_rf, dweights_tk, dw_edf)
        })
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
        let flops = if gradient.is_some() { 6.0 } else { 2.0 } * x_td.len() as f64 * w.shape.outputs as f64;
        self.timed("classifier", Work::Flops(flops), |inner| {
            inner.classifier(x_td, w, targets_t, nll_t, best_t, gradient)
        })
    }

    fn sum_of_squares(&mut self, x: &Tensor) -> f64 {
        self.timed("sum_of_squares", Work::Bytes(x.bytes()), |inner| inner.sum_of_squares(x))
    }

    fn update(&mut self, update: &Update, parameters: Master, gradients: &Tensor, m: &Tensor, v: Option<&Tensor>) {
        let name = match update {
            Update::AdamW(_) => "adamw",
            Update::Lion(_) => "lion",
        };
        let written = m.bytes() + v.map_or(0, Tensor::bytes) + parameters.tensor().bytes();
        let matrix = match parameters {
            Master::Alone(_) => 0,
            Master::Followed(_, matrix, _) => m.len() * matrix.shape.dtype.size(),
            Master::Halves(_) => 2 * m.len() * DType::Bf16.size(),
        };
        self.timed(name, Work::Bytes(2 * written + gradients.bytes() + matrix), |inner| {
            inner.update(update, parameters, gradients, m, v)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reference;
    use crate::cases::{check_parity, table};

    #[test]
    fn a_watched_device_computes_the_same_and_its_ops_are_counted() {
        let mut reference = Reference::new();
        let mut watched = Profiled::new(&mut reference);
        for case in table() {
            assert_eq!(check_parity(case.as_ref(), &mut watched, Precision::F64, 0.0).len(), 0, "{}", case.name());
        }
        let ops = ["norm", "linear", "qkv_backward", "attention", "attend_cache", "route", "gate_up", "down_backward"];
        for op in ops.into_iter().chain(["classifier", "adamw", "sum_of_squares", "embed"]) {
            assert!(watched.spent[op].calls > 0 && watched.spent[op].seconds > 0.0, "{op}");
        }
        assert!(watched.spent["norm"].bytes > 0.0 && watched.spent["adamw"].bytes > 0.0);
        assert!(watched.spent["linear"].flops > 0.0 && watched.spent["attention"].flops > 0.0);
    }
}
