//! The reference device with a gate: a test can hold a step, or let one panic.

use crate::support::{ROWS, WIDTH};
use moeworks_ops::*;
use std::sync::{Arc, Condvar, Mutex};

#[derive(Debug, Default)]
struct Wishes {
    closed: bool,
    panics: usize,
    steps: usize,
}

/// A test's hand on the gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<Wishes>, Condvar)>);

impl Gate {
    fn change(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    /// Steps wait from now on.
    pub(crate) fn close(&self) {
        self.change(|wishes| wishes.closed = true);
    }

    /// Steps go on.
    pub(crate) fn open(&self) {
        self.change(|wishes| wishes.closed = false);
    }

    /// The next step panics.
    pub(crate) fn panic_once(&self) {
        self.change(|wishes| wishes.panics += 1);
    }

    /// Steps begun.
    pub(crate) fn steps(&self) -> usize {
        self.0.0.lock().unwrap().steps
    }

    fn pass(&self) {
        let mut wishes = self.0.0.lock().unwrap();
        wishes.steps += 1;
        while wishes.closed {
            wishes = self.0.1.wait(wishes).unwrap();
        }
        if wishes.panics > 0 {
            wishes.panics -= 1;
            drop(wishes);
            panic!("a test wanted this panic");
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct GatedDevice {
    inner: Reference,
    pub(crate) gate: Gate,
}

macro_rules! pass_on {
    ($($name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {
        $(fn $name(&mut self, $($argument: $kind),*) $(-> $result)? { self.inner.$name($($argument),*) })*
    };
}

impl Ops for GatedDevice {
    fn describe(&self) -> String {
        self.inner.describe()
    }
    fn matrix_bytes(&self, shape: &MatrixShape) -> usize {
        self.inner.matrix_bytes(shape)
    }
    fn embed(&mut self, ids_t: &Tensor, table_vd: &Tensor, x_td: &Tensor) {
        // The same op picks the rows whose logits are wanted, out of a table as small as a step.
        if table_vd.len() > ROWS * WIDTH {
            self.gate.pass();
        }
        self.inner.embed(ids_t, table_vd, x_td);
    }
    pass_on! {
        reserve() -> Region;
        allocate(region: Region, bytes: usize) -> Result<(), OutOfMemory>;
        release(region: Region);
        upload(from: &[u8], to: &Tensor);
        download(from: &Tensor, to: &mut [u8]);
        zero(x: &Tensor);
        pack(sources: &[Tensor], to: &Matrix);
        split(source: &Tensor, to: &Halves);
        join(from: &Halves, source: &Tensor);
        embed_backward(ids: &Tensor, dx: &Tensor, dtable: &Tensor);
        norm(norm: Norm, x: &Tensor, weight: &Tensor, y: &Tensor, stats: &Tensor);
        norm_backward(norm: Norm, dy: &Tensor, x: &Tensor, w: &Tensor, stats: &Tensor, dx: &Tensor, dw: &Tensor);
        linear(x: &Tensor, w: &Matrix, residual: Option<&Tensor>, y: &Tensor);
        linear_backward(dy: &Tensor, x: &Tensor, w: &Matrix, dx: &Tensor, dw: &Tensor);
        qkv(heads: Heads, clip: Option<f64>, x: &Tensor, w: &Matrix, rope: &Rope, p: &Tensor, qkv: &Tensor,
            clipped: Option<&Tensor>);
        qkv_backward(heads: Heads, dqkv: &Tensor, x: &Tensor, w: &Matrix, rope: &Rope, p: &Tensor,
            clipped: Option<&Tensor>, dx: &Tensor, dw: &Tensor);
        attention(heads: Heads, qkv: &Tensor, first: &Tensor, out: &Tensor, lse: &Tensor);
        attention_backward(heads: Heads, dout: &Tensor, qkv: &Tensor, first: &Tensor, out: &Tensor, lse: &Tensor,
            dqkv: &Tensor);
        attend_cache(heads: Heads, qkv: &Tensor, slots: &Tensor, p: &Tensor, keys: &Tensor, values: &Tensor,
            out: &Tensor);
        route(normalize: bool, x: &Tensor, w: &Tensor, routing: &Routing);
        route_backward(normalize: bool, dweights: &Tensor, x: &Tensor, w: &Tensor, routing: &Routing,
            balance: &Tensor, z: f64, dx: &Tensor, dw: &Tensor);
        gate_up(x: &Tensor, w: &Matrix, dispatch: &Dispatch, kept: Option<(&Tensor, &Tensor)>, h: &Tensor);
        gate_up_backward(dg: &Tensor, du: &Tensor, x: &Tensor, w: &Matrix, dispatch: &Dispatch,
            scratch: &Tensor, dx: &Tensor, dgate: &Tensor, dup: &Tensor);
        down(h: &Tensor, w: &Matrix, dispatch: &Dispatch, residual: &Tensor, scratch: &Tensor, y: &Tensor);
        down_backward(dy: &Tensor, w: &Matrix, dispatch: &Dispatch, g: &Tensor, u: &Tensor, h: &Tensor,
            dweights: &Tensor, dw: &Tensor);
        classifier(x: &Tensor, w: &Matrix, targets: &Tensor, nll: &Tensor, best: Option<&Tensor>,
            gradient: Option<&ClassifierGradient>);
        sum_of_squares(x: &Tensor) -> f64;
        update(update: &Update, parameters: Master, gradients: &Tensor, m: &Tensor, v: Option<&Tensor>);
    }
}
