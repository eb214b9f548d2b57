//! Attention over cached keys and values: each row streams its sequence's cache once.

use crate::Cpu;
use crate::epilogue::Target;
use crate::simd::{self, Kernel, Simd};
use crate::source::Data;
use moeworks_ops::{DType, Heads, Tensor};

pub(crate) fn attend_cache(
    cpu: &mut Cpu,
    heads: Heads,
    qkv_tn: &Tensor,
    slots_t: &Tensor,
    positions_t: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    out_tn: &Tensor,
) {
    let isa = cpu.isa;
    let mut access = cpu.memory.access();
    let (slots, positions) = (access.read::<i32>(slots_t), access.read::<i32>(positions_t));
    let (length, width) = (keys.dim(1), heads.kv * heads.width);
    let rows = slots.len();
    assert_eq!((qkv_tn.len(), out_tn.len()), (rows * heads.row(), rows * heads.query * heads.width));
    assert_eq!((keys.dim(2), values.shape, keys.dtype), (width, keys.shape, qkv_tn.dtype));
    for (slot, position) in slots.iter().zip(positions) {
        assert!((*slot as usize) < keys.dim(0) && (*position as usize) < length, "slot {slot}, position {position}");
    }
    // All new keys and values are in place before any row is answered.
    match qkv_tn.dtype {
        DType::F32 => insert::<f32>(&mut access, heads, qkv_tn, slots, positions, keys, values),
        _ => insert::<half::bf16>(&mut access, heads, qkv_tn, slots, positions, keys, values),
    }
    let mut access = cpu.memory.access();
    let (slots, positions) = (access.read::<i32>(slots_t), access.read::<i32>(positions_t));
    let qkv = Data::read(&mut access, qkv_tn);
    let (keys, values) = (Data::read(&mut access, keys), Data::read(&mut access, values));
    let out = Target::write(&mut access, out_tn);
    cpu.pool.run(rows * heads.query, &|task, scratch| {
        let (t, head) = (task / heads.query, task % heads.query);
        let group = head * heads.kv / heads.query;
        let kernel = Row {
            qkv,
            query: t * heads.row() + head * heads.width,
            keys,
            values,
            start: slots[t] as usize * length * width + group * heads.width,
            step: width,
            seen: positions[t] as usize + 1,
            width: heads.width,
            out,
            to: (t * heads.query + head) * heads.width,
            weights: scratch.a(),
        };
        // SAFETY: every task has its own row and head of the output.
        unsafe { simd::run(isa.vector(), kernel) }
    });
}

/// Copies the new keys and values of all rows to their places.
fn insert<T: moeworks_ops::Element>(
    access: &mut moeworks_ops::Access<'_>,
    heads: Heads,
    qkv_tn: &Tensor,
    slots: &[i32],
    positions: &[i32],
    keys: &Tensor,
    values: &Tensor,
) {
    let (length, width) = (keys.dim(1), heads.kv * heads.width);
    let qkv = access.read::<T>(qkv_tn);
    let (keys, values) = (access.write::<T>(keys), access.write::<T>(values));
    for (t, row) in qkv.chunks(heads.row()).enumerate() {
        let new = &row[heads.query * heads.width..];
        let at = (slots[t] as usize * length + positions[t] as usize) * width;
        keys[at..at + width].copy_from_slice(&new[..width]);
        values[at..at + width].copy_from_slice(&new[width..]);
    }
}

/// One query of one head against all it sees, a block of keys at a time.
struct Row<'a> {
    qkv: Data<'a>,
    query: usize,
    keys: Data<'a>,
    values: Data<'a>,
    start: usize,
    step: usize,
    seen: usize,
    width: usize,
    out: Target,
    to: usize,
    weights: *mut f32,
}

/// Keys of a block: their weights lie in scratch.
const KEYS: usize = 1024;

impl Kernel for Row<'_> {
    type Output = ();
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = self.width;
        let scale = 1.0 / (width as f32).sqrt();
        let mut sums = [[0.0f32; 16]; 16];
        let (mut most, mut total) = (f32::NEG_INFINITY, 0.0f32);
        assert!(width <= 256, "heads of {width}");
        let vectors = width.div_ceil(S::LANES);
        // SAFETY: all loads are inside the cache and the row; scratch holds more than KEYS weights.
        unsafe {
            let sums = sums.as_mut_ptr().cast::<f32>();
            for start in (0..self.seen).step_by(KEYS) {
                let keys = (self.seen - start).min(KEYS);
                let mut largest = most;
                for s in 0..keys {
                    let at = self.start + (start + s) * self.step;
                    let mut dot = S::splat(0.0);
                    for c in (0..width).step_by(S::LANES) {
                        let n = (width - c).min(S::LANES);
                        let q = self.qkv.load_n::<S>(self.query + c, n);
                        dot = S::fma(q, self.keys.load_n::<S>(at + c, n), dot);
                    }
                    let score = S::sum(dot) * scale;
                    *self.weights.add(s) = score;
                    // As the vector maximum: NaN stays.
                    largest = if largest > score { largest } else { score };
                }
                let factor = if most == f32::NEG_INFINITY { 0.0 } else { (most - largest).exp() };
                for c in 0..vectors {
                    let at = sums.add(c * S::LANES);
                    S::store(at, S::mul(S::load(at), S::splat(factor)));
                }
                total *= factor;
                let m = S::splat(largest);
                for s in (0..keys).step_by(S::LANES) {
                    let at = self.weights.add(s);
                    S::store(at, S::exp(S::sub(S::load(at), m)));
                }
                for s in 0..keys {
                    let weight = *self.weights.add(s);
                    let at = self.start + (start + s) * self.step;
                    total += weight;
                    for c in 0..vectors {
                        let n = (width - c * S::LANES).min(S::LANES);
                        let v = self.values.load_n::<S>(at + c * S::LANES, n);
                        let sum = sums.add(c * S::LANES);
                        S::store(sum, S::fma(S::splat(weight), v, S::load(sum)));
                    }
                }
                most = largest;
            }
            for c in 0..vectors {
                let n = (width - c * S::LANES).min(S::LANES);
                let v = S::div(S::load(sums.add(c * S::LANES)), S::splat(total));
                self.out.store::<S>(self.to + c * S::LANES, v, n);
            }
        }
    }
}
