//! After the first step of a kind, a step allocates no tensors: what is left are a few lists.

use moeworks_cpu::{Cpu, Isa};
use moeworks_model::{Batch, Decay, LossScale, Moments, Training, preset};
use moeworks_ops::{AdamW, Precision, Update};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counting.
struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);
static LARGEST: AtomicUsize = AtomicUsize::new(0);

fn count(layout: Layout) {
    BYTES.fetch_add(layout.size(), Ordering::Relaxed);
    LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
}

// SAFETY: every call is the system allocator's own, counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn later_steps_allocate_no_tensors() {
    let mut config = preset("100k").unwrap();
    (config.vocab_size, config.n_layers) = (600, 2);
    let (rows, length) = (512, 128);
    let ids: Vec<i32> = (0..rows as i32).map(|t| t * 7 % 600).collect();
    let sequences: Vec<&[i32]> = ids.chunks(length).collect();
    for (name, isa) in Isa::all() {
        for precision in [Precision::F32, Precision::BF16] {
            let mut cpu = Cpu::new(2, isa);
            let layout = moeworks_model::Layout::of(rows, length);
            let training = Training::new(&mut cpu, &config, precision, layout, 1).unwrap();
            let moments = Moments::new(&mut cpu, &config, precision, true).unwrap();
            let batch = Batch::next_token(&config, &sequences, None).unwrap();
            let mut step = |step: u64| {
                let scale = LossScale { targets: batch.counted(), share: 1.0, aux: 0.01, z: 0.001 };
                training.step(&mut cpu, &batch, scale, true);
                let norm = Moments::gradient_norm(&mut cpu, &training);
                let (lr, beta1, beta2, eps, decay) = (1e-3 / norm.max(1.0), 0.9, 0.95, 1e-8, 0.1);
                let update = Update::AdamW(AdamW { lr, beta1, beta2, eps, decay, step, gradient_scale: 1.0 });
                moments.step(&mut cpu, &training, &update, Decay::Matrices);
            };
            step(1);
            BYTES.store(0, Ordering::Relaxed);
            LARGEST.store(0, Ordering::Relaxed);
            step(2);
            let (bytes, largest) = (BYTES.load(Ordering::Relaxed), LARGEST.load(Ordering::Relaxed));
            // The largest list is the losses of all rows, as f64.
            assert!(largest <= 16 * rows && bytes < 1 << 17, "{name}, {precision:?}: {bytes} bytes, at most {largest}");
        }
    }
}
